"""The shop that does everything at once: each reaction with a real database."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from tests.examples import ground

from examples.shop.gateway import Gateway, GatewayTimeout, GatewayUnavailable, Weather
from examples.shop_parallel import services
from examples.shop_parallel.events import (
    DeliveryAbandoned,
    InventoryReservationFailed,
    InventoryReserved,
    InvoiceCredited,
    InvoiceFailed,
    InvoiceIssued,
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
    ParcelSent,
    PaymentCompleted,
    PaymentFailed,
    PaymentOwed,
    PaymentRefunded,
    PlaceOrder,
    ReceiveStock,
    StockReleased,
)
from examples.shop_parallel.gateway import AskingGateway
from examples.shop_parallel.scenario import example
from farandole import Reject

FIELDS = {"order_id": "o1", "address": "1 Mill Lane", "country": "DE", "sku": "lamps", "pieces": 5, "pence": 11900}
PLACED = OrderPlaced(**FIELDS)
CANCELLED = OrderCancelled(order_id="o1", reason="why")
GOODS = InventoryReserved(order_id="o1", address="1 Mill Lane", pieces=5)
PAID = PaymentCompleted(order_id="o1", receipt="receipt-1")
INVOICE = InvoiceIssued(order_id="o1", number=1)


@pytest.fixture
def context():
    return SimpleNamespace(idempotency_key="key")


async def do(db, reaction, *events, **more):
    async with db("connection") as connection:
        return await reaction(*events, db=connection, **more)


async def rows(db, sql):
    async with db("connection") as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


async def test_an_order_is_taken_once_and_must_be_for_something(database):
    place = PlaceOrder(**FIELDS)
    async with database(services.orders) as db:
        assert await do(db, services.place, place) == PLACED
        with pytest.raises(Reject, match="order o1 exists already"):
            await do(db, services.place, place)
        for nothing in (place.replace(pieces=0), place.replace(pence=0)):
            with pytest.raises(Reject, match="for one piece at least"):
                await do(db, services.place, nothing)


@pytest.mark.parametrize("kind", [InventoryReservationFailed, PaymentFailed, InvoiceFailed, DeliveryAbandoned])
async def test_the_first_failure_cancels_and_the_others_agree(database, kind):
    async with database(services.orders) as db:
        await do(db, services.place, PlaceOrder(**FIELDS))
        assert await do(db, services.cancel, kind(order_id="o1", reason="why")) == CANCELLED
        assert await do(db, services.cancel, PaymentFailed(order_id="o1", reason="late")) is None
        assert await rows(db, "SELECT state, reason FROM orders") == [("cancelled", "why")]


async def test_an_order_is_completed_by_its_parcels(database):
    async with database(services.orders) as db:
        await do(db, services.place, PlaceOrder(**FIELDS))
        sent = [ParcelSent(order_id="o1", number=number, parcels=2) for number in (2, 1)]
        assert await do(db, services.complete, sent) == OrderCompleted(order_id="o1")
        assert await rows(db, "SELECT state FROM orders") == [("completed",)]


async def test_goods_are_set_aside_and_go_back(database):
    async with database(services.inventory) as db:
        short = InventoryReservationFailed(order_id="o1", reason="not enough lamps")
        assert await do(db, services.reserve, PLACED) == short
        await do(db, services.receive, ReceiveStock(sku="lamps", pieces=6))
        assert await do(db, services.reserve, PLACED) == GOODS
        assert await do(db, services.release, CANCELLED) == StockReleased(order_id="o1", sku="lamps", pieces=5)
        assert await rows(db, "SELECT on_hand FROM stock") == [(6,)]


async def test_a_charge_waits_for_the_customer_and_is_given_back(database, world, tmp_path, context):
    gateway = AskingGateway(tmp_path / "g.db", Weather(), world, slow=1.0)
    began = world.monotonic()
    async with database(services.payments) as db:
        assert await do(db, services.charge, PLACED, gateway=gateway, context=context) == PAID
        assert world.monotonic() - began >= 8
        undone = await do(db, services.refund, CANCELLED, gateway=gateway, context=context)
        assert undone == PaymentRefunded(order_id="o1", pence=11900)
        assert await rows(db, "SELECT state FROM payments") == [("refunded",)]


async def test_a_declined_card_fails_the_payment(database, world, tmp_path, context):
    gateway = Gateway(tmp_path / "g.db", Weather(declines=1), world)
    async with database(services.payments) as db:
        said = await do(db, services.charge, PLACED, gateway=gateway, context=context)
        assert said == PaymentFailed(order_id="o1", reason="card declined")


async def test_a_gateway_that_never_answers_fails_the_payment_and_may_leave_it_owed(database, world, tmp_path, context):
    dead = Gateway(tmp_path / "g.db", Weather(timeouts=1), world)
    async with database(services.payments) as db:
        assert await do(db, services.doubt, PLACED) == PaymentFailed(order_id="o1", reason="the gateway did not answer")
        with pytest.raises((GatewayTimeout, GatewayUnavailable)):
            await do(db, services.refund, CANCELLED, gateway=dead, context=context)
        assert await do(db, services.owe, CANCELLED) == PaymentOwed(order_id="o1")
        assert await rows(db, "SELECT state FROM payments") == [("owed",)]


async def test_an_invoice_is_taken_back_by_a_paper_with_the_next_number(database):
    async with database(services.invoicing) as db:
        assert await do(db, services.write, PLACED) == INVOICE
        nowhere = PLACED.replace(order_id="o2", country="XX")
        assert await do(db, services.write, nowhere) == InvoiceFailed(order_id="o2", reason="no tax rate for XX")
        assert await do(db, services.credit, CANCELLED) == InvoiceCredited(order_id="o1", number=2, credits=1)
        papers = await rows(db, "SELECT number, pence, tax, credits FROM papers ORDER BY number")
        assert papers == [(1, 11900, 1900, None), (2, -11900, -1900, 1)]


async def test_what_is_complete_is_sent_in_as_many_parcels_as_it_takes(database):
    async with database(services.shipping) as db:
        sent = await do(db, services.ship, GOODS, PAID, INVOICE)
        assert sent == [ParcelSent(order_id="o1", number=number, parcels=2) for number in (1, 2)]
        assert await rows(db, "SELECT number, pieces FROM parcels ORDER BY number") == [(1, 4), (2, 1)]
        assert await do(db, services.give_up, PLACED) is None, "what is shipped is not given up"


async def test_what_was_given_up_is_never_sent(database):
    async with database(services.shipping) as db:
        given_up = await do(db, services.give_up, PLACED)
        assert given_up == DeliveryAbandoned(order_id="o1", reason="it took too long")
        assert await do(db, services.ship, GOODS, PAID, INVOICE) == []
        assert await rows(db, "SELECT * FROM parcels") == []
    assert await services.answered(CANCELLED) is None


DAMAGES = [
    ("orders", "UPDATE orders SET state = 'placed' WHERE order_id = 'o-1'", "every_order_ended"),
    ("gateway", "DELETE FROM entries WHERE reference = 'o-2'", "what_is_shipped_is_whole"),
    ("shipping", "UPDATE parcels SET pieces = 9 WHERE order_id = 'o-2' AND number = 1", "what_is_shipped_is_whole"),
    ("gateway", "DELETE FROM entries WHERE kind = 'void'", "what_failed_is_undone"),
    ("inventory", "INSERT INTO reservations VALUES ('o-1', 'tables', 4)", "what_failed_is_undone"),
    ("shipping", "INSERT INTO parcels VALUES ('o-1', 1, 4)", "nothing_is_shipped_and_given_up"),
    ("invoicing", "DELETE FROM papers WHERE number = 2", "no_number_is_left_out"),
    ("invoicing", "UPDATE papers SET pence = pence - 1 WHERE credits IS NOT NULL", "no_number_is_left_out"),
    ("inventory", "UPDATE stock SET on_hand = on_hand + 1", "stock_adds_up"),
    ("gateway", "INSERT INTO entries (kind, reference, idempotency_key, pence) VALUES ('charge', 'o-2', 'k', 0)", "nobody_is_charged_twice"),
]  # fmt: skip


async def test_each_damage_is_noticed_by_the_invariant_that_is_for_it(tmp_path: Path) -> None:
    await ground.notices_damage(example, tmp_path, DAMAGES)
