"""The shop that takes the money first: each reaction with a real database."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from tests.examples import ground

from examples.shop.gateway import Gateway, GatewayTimeout, GatewayUnavailable, Weather
from examples.shop_payment_first import services
from examples.shop_payment_first.events import (
    InventoryReservationFailed,
    InventoryReserved,
    OrderCancelled,
    OrderPlaced,
    PaymentCompleted,
    PaymentDeclined,
    PaymentInDoubt,
    PaymentRefunded,
    PlaceOrder,
    ReceiveStock,
    RefundFailed,
    ShipmentScheduled,
    details,
)
from examples.shop_payment_first.scenario import example
from farandole import Reject

PLACE = PlaceOrder(order_id="o1", email="ada@example.org", sku="tea", pieces=2, pence=900)
PLACED = OrderPlaced(order_id="o1", email="ada@example.org", sku="tea", pieces=2, pence=900)
PAID = PaymentCompleted(**details(PLACED))
NO_GOODS = InventoryReservationFailed(order_id="o1", reason="not enough tea")


@pytest.fixture
def context():
    return SimpleNamespace(idempotency_key="key")


async def do(db, reaction, event, **more):
    async with db("connection") as connection:
        return await reaction(event, db=connection, **more)


async def rows(db, sql):
    async with db("connection") as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


async def test_an_order_is_taken_once_and_must_be_for_something(database):
    async with database(services.orders) as db:
        assert await do(db, services.place, PLACE) == PLACED
        with pytest.raises(Reject, match="order o1 exists already"):
            await do(db, services.place, PLACE)
        for nothing in (PLACE.replace(pieces=0), PLACE.replace(pence=0)):
            with pytest.raises(Reject, match="for one piece at least"):
                await do(db, services.place, nothing)


@pytest.mark.parametrize(
    "failure",
    [
        PaymentDeclined(order_id="o1", reason="why"),
        PaymentRefunded(order_id="o1", pence=900, reason="why"),
        RefundFailed(order_id="o1", reason="why"),
    ],
)
async def test_whatever_the_failure_the_order_is_cancelled_and_keeps_the_reason(database, failure):
    async with database(services.orders) as db:
        await do(db, services.place, PLACE)
        assert await do(db, services.cancel, failure) == OrderCancelled(order_id="o1", email="ada@example.org", reason="why")
        assert await rows(db, "SELECT state, reason FROM orders") == [("cancelled", "why")]


async def test_a_declined_card_takes_nothing(database, world, tmp_path, context):
    gateway = Gateway(tmp_path / "g.db", Weather(declines=1), world)
    async with database(services.payments) as db:
        said = await do(db, services.charge, PLACED, gateway=gateway, context=context)
        assert said == PaymentDeclined(order_id="o1", reason="card declined")
        assert await rows(db, "SELECT state FROM payments") == [("declined",)]
    assert gateway.rows("SELECT * FROM entries") == []


async def test_a_charge_is_given_back_in_full_when_there_are_no_goods(database, world, tmp_path, context):
    gateway = Gateway(tmp_path / "g.db", Weather(), world)
    async with database(services.payments) as db:
        assert await do(db, services.charge, PLACED, gateway=gateway, context=context) == PAID
        said = await do(db, services.refund, NO_GOODS, gateway=gateway, context=context)
        assert said == PaymentRefunded(order_id="o1", pence=900, reason="not enough tea")
        assert await rows(db, "SELECT state, receipt FROM payments") == [("refunded", "receipt-1")]


async def test_a_payment_in_doubt_is_refunded_whether_it_was_charged_or_not(database, world, tmp_path, context):
    gateway = Gateway(tmp_path / "g.db", Weather(), world)
    async with database(services.payments) as db:
        doubt = await do(db, services.doubt, PLACED)
        assert doubt == PaymentInDoubt(order_id="o1", reason="the gateway did not answer")
        said = await do(db, services.refund, doubt, gateway=gateway, context=context)
        assert said == PaymentRefunded(order_id="o1", pence=0, reason="the gateway did not answer")


async def test_what_cannot_be_given_back_is_written_down_as_owed(database, world, tmp_path, context):
    dead = Gateway(tmp_path / "g.db", Weather(timeouts=1), world)
    async with database(services.payments) as db:
        await do(db, services.doubt, PLACED)
        with pytest.raises((GatewayTimeout, GatewayUnavailable)):
            await do(db, services.refund, NO_GOODS, gateway=dead, context=context)
        assert await do(db, services.owe, NO_GOODS) == RefundFailed(order_id="o1", reason="not enough tea")
        assert await rows(db, "SELECT state FROM payments") == [("owed",)]


async def test_goods_are_set_aside_as_long_as_there_are_enough(database):
    async with database(services.inventory) as db:
        assert await do(db, services.reserve, PAID) == NO_GOODS
        for _ in range(3):
            await do(db, services.receive, ReceiveStock(sku="tea", pieces=1))
        assert await do(db, services.reserve, PAID) == InventoryReserved(**details(PLACED))
        assert await do(db, services.reserve, PAID.replace(order_id="o2")) == NO_GOODS.replace(order_id="o2")
        assert await rows(db, "SELECT on_hand FROM stock") == [(1,)]


async def test_a_parcel_and_a_cancellation_are_told_to_the_customer(database):
    async with database(services.shipping) as db:
        sent = await do(db, services.schedule, InventoryReserved(**details(PLACED)))
    assert sent == ShipmentScheduled(order_id="o1", email="ada@example.org", parcel="parcel-o1")
    async with database(services.email) as db:
        await do(db, services.tell, sent)
        await do(db, services.tell, OrderCancelled(order_id="o2", email="bob@example.org", reason="card declined"))
        assert await rows(db, "SELECT address, words FROM letters ORDER BY order_id") == [
            ("ada@example.org", "parcel-o1 is on its way."),
            ("bob@example.org", "We are sorry: card declined."),
        ]


DAMAGES = [
    ("orders", "UPDATE orders SET state = 'placed' WHERE order_id = 'o-1'", "every_order_ended"),
    ("gateway", "DELETE FROM entries WHERE kind = 'void'", "paid_is_shipped"),
    ("gateway", "INSERT INTO entries (kind, reference, idempotency_key, pence) VALUES ('charge', 'o-2', 'k', 0)", "nobody_is_charged_twice"),
    ("inventory", "UPDATE stock SET on_hand = on_hand - 1", "no_piece_is_lost"),
    ("shipping", "UPDATE shipments SET pieces = pieces + 1", "no_piece_is_lost"),
    ("email", "DELETE FROM letters WHERE order_id = 'o-1'", "everybody_is_told_how_it_ended"),
]  # fmt: skip


async def test_each_damage_is_noticed_by_the_invariant_that_is_for_it(tmp_path: Path) -> None:
    await ground.notices_damage(example, tmp_path, DAMAGES)
