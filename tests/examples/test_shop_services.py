"""Each reaction of the shop, called directly with a real database."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from examples.shop.bureau import Bureau, BureauUnavailable
from examples.shop.events import (
    ChargeInDoubt,
    InventoryReservationFailed,
    InventoryReserved,
    Line,
    LinesReturned,
    OrderCancelled,
    OrderCleared,
    OrderConfirmed,
    OrderFlagged,
    OrderPlaced,
    OrderRejected,
    OrderSuspected,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentVoided,
    PlaceOrder,
    PointsChanged,
    ReceiveStock,
    Refund,
    RejectedLine,
    ReturnCompleted,
    ReturnedLine,
    ReturnLines,
    ReturnRejected,
    Shortage,
    StockLine,
    StockReleased,
    details,
)
from examples.shop.gateway import Gateway, GatewayTimeout, GatewayUnavailable, Weather
from examples.shop.services import analytics, email, fraud, inventory, loyalty, orders, payments, returns, warehouse
from farandole import Reject

LINES = (Line("A", 2, Decimal("2.50")), Line("B", 1, Decimal("1.00")), Line("A", 3, Decimal("2.00")))
KNOWN = {"order_id": "o1", "customer_id": "c1", "country": "France", "placed_on": date(2010, 12, 1)}
PLACE = PlaceOrder(**KNOWN, sequence=1, lines=LINES)
PLACED = OrderPlaced(**KNOWN, sequence=1, lines=LINES, total_pence=1200)
RESERVED = InventoryReserved(**details(PLACED))
CLEARED = OrderCleared(**details(PLACED))
PAID = PaymentProcessed(**details(PLACED), receipt="receipt-1")
NO_MONEY = PaymentFailed(order_id="o1", reason="card declined")


# ------------------------------------------------------------------------------------------------------------- orders


async def test_an_order_is_placed_with_its_total_and_confirmed_when_paid(database):
    async with database(orders.orders) as db:
        async with db("session") as session:
            assert await orders.place(PLACE, db=session) == PLACED
        async with db("session") as session:
            assert await orders.confirm(PAID, db=session) == OrderConfirmed(order_id="o1", total_pence=1200)
        async with db("session") as session:
            assert (await session.get_one(orders.Order, "o1")).state == "confirmed"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), "nothing to pay"),
        ((Line("A", 1, Decimal(0)),), "nothing to pay"),
        ((Line("B", 1, Decimal("-11062.06")),), "nothing to pay"),
        ((Line("A", 5, Decimal(9)), Line("A", 0, Decimal(9))), "a line without a quantity"),
        ((Line("A", 5, Decimal(9)), Line("A", -1, Decimal(9))), "a line without a quantity"),
    ],
)
async def test_an_order_that_cannot_be_is_rejected_and_kept(database, lines, reason):
    async with database(orders.orders) as db:
        async with db("session") as session:
            rejected = await orders.place(PLACE.replace(lines=lines), db=session)
        async with db("session") as session:
            order = await session.get_one(orders.Order, "o1")
    assert rejected == OrderRejected(order_id="o1", reason=reason)
    assert (order.state, order.reason) == ("rejected", reason)


async def test_a_line_for_nothing_among_others_does_no_harm(database):
    async with database(orders.orders) as db, db("session") as session:
        placed = await orders.place(PLACE.replace(lines=(*LINES, Line("GIFT", 1, Decimal(0)))), db=session)
    assert isinstance(placed, OrderPlaced)
    assert placed.total_pence == 1200


async def test_an_order_id_is_used_once(database):
    async with database(orders.orders) as db:
        async with db("session") as session:
            await orders.place(PLACE, db=session)
        async with db("session") as session:
            with pytest.raises(Reject, match="order o1 exists already"):
                await orders.place(PLACE, db=session)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(NO_MONEY, "card declined"), (InventoryReservationFailed(order_id="o1", shortages=()), "out of stock")],
)
async def test_no_goods_or_no_money_cancels_the_order(database, failure, reason):
    async with database(orders.orders) as db:
        async with db("session") as session:
            await orders.place(PLACE, db=session)
        async with db("session") as session:
            assert await orders.cancel(failure, db=session) == OrderCancelled(order_id="o1", reason=reason)


# ---------------------------------------------------------------------------------------------------------- inventory


async def stock_of(db, code):
    async with db("connection") as connection:
        row = (await connection.execute(select(inventory.stock).where(inventory.stock.c.stock_code == code))).one()
    return {name: row._mapping[name] for name in ("received", "on_hand", "reserved", "shipped", "returned")}


async def do(db, reaction, event):
    async with db("connection") as connection:
        return await reaction(event, db=connection)


async def receive(db, **pieces):
    lines = tuple(StockLine(code, many) for code, many in pieces.items())
    return await do(db, inventory.receive, ReceiveStock(delivery_id="d", lines=lines))


async def test_a_repeated_stock_code_is_reserved_with_the_sum_of_its_lines(database):
    async with database(inventory.inventory) as db:
        assert (await receive(db, A=5, B=9)).pieces == 14
        assert await do(db, inventory.reserve, PLACED) == RESERVED
        assert await stock_of(db, "A") == {"received": 5, "on_hand": 0, "reserved": 5, "shipped": 0, "returned": 0}
        assert await stock_of(db, "B") == {"received": 9, "on_hand": 8, "reserved": 1, "shipped": 0, "returned": 0}


async def test_a_second_delivery_adds_to_the_first(database):
    async with database(inventory.inventory) as db:
        await receive(db, A=5)
        await receive(db, A=2, B=1)
        assert (await stock_of(db, "A"))["on_hand"] == 7


async def test_what_is_short_reserves_nothing_at_all(database):
    async with database(inventory.inventory) as db:
        await receive(db, A=4)
        failed = await do(db, inventory.reserve, PLACED)
        assert failed == InventoryReservationFailed(order_id="o1", shortages=(Shortage("A", 5, 4), Shortage("B", 1, 0)))
        assert (await stock_of(db, "A"))["on_hand"] == 4


async def test_a_failed_payment_puts_the_goods_back_on_the_shelf(database):
    async with database(inventory.inventory) as db:
        await receive(db, A=5, B=1)
        await do(db, inventory.reserve, PLACED)
        released = await do(db, inventory.release, NO_MONEY)
        assert released == StockReleased(reference="o1", reason="payment failed", lines=(StockLine("A", 5), StockLine("B", 1)))
        assert await stock_of(db, "A") == {"received": 5, "on_hand": 5, "reserved": 0, "shipped": 0, "returned": 0}


async def test_a_release_or_shipment_without_a_reservation_is_an_error(database):
    async with database(inventory.inventory) as db:
        await receive(db, A=5)
        for reaction, event in ((inventory.release, NO_MONEY), (inventory.ship, PAID)):
            with pytest.raises(LookupError, match="order o1 holds no reservation"):
                await do(db, reaction, event)


async def test_paid_goods_are_shipped_and_returned_goods_can_be_sold_again(database):
    async with database(inventory.inventory) as db:
        await receive(db, A=6, B=1)
        await do(db, inventory.reserve, PLACED)
        await do(db, inventory.ship, PAID)
        assert await stock_of(db, "A") == {"received": 6, "on_hand": 1, "reserved": 0, "shipped": 5, "returned": 0}
        back = LinesReturned(return_id="C1", accepted=(ReturnedLine("o1", "A", 2, 500),), rejected=(), refund_pence=500)
        released = await do(db, inventory.restock, back)
        assert released == StockReleased(reference="C1", reason="returned", lines=(StockLine("A", 2),))
        assert await stock_of(db, "A") == {"received": 6, "on_hand": 3, "reserved": 0, "shipped": 5, "returned": 2}


async def test_an_order_of_675_lines_is_reserved(database):
    lines = tuple(Line(f"S{i}", 1, Decimal(1)) for i in range(675))
    async with database(inventory.inventory) as db:
        await receive(db, **{line.stock_code: 1 for line in lines})
        reserved = await do(db, inventory.reserve, PLACED.replace(lines=lines))
        assert isinstance(reserved, InventoryReserved)
        assert (await stock_of(db, "S674"))["reserved"] == 1


# ----------------------------------------------------------------------------------------------------------- payments


@pytest.fixture
def context():
    return SimpleNamespace(idempotency_key="key")


async def test_a_charge_keeps_the_receipt(database, world, tmp_path, context):
    gateway = Gateway(tmp_path / "g.db", Weather(), world)
    async with database(payments.payments) as db:
        async with db("session") as session:
            assert await payments.charge(CLEARED, gateway=gateway, db=session, context=context) == PAID
        async with db("session") as session:
            payment = await session.get_one(payments.Payment, "o1")
    assert (payment.state, payment.pence, payment.receipt) == ("processed", 1200, "receipt-1")


async def test_a_declined_card_is_a_business_fact_and_not_an_error(database, world, tmp_path, context):
    gateway = Gateway(tmp_path / "g.db", Weather(declines=1), world)
    async with database(payments.payments) as db, db("session") as session:
        assert await payments.charge(CLEARED, gateway=gateway, db=session, context=context) == NO_MONEY


async def test_a_gateway_that_never_answers_fails_the_order_and_leaves_nobody_charged(database, world, tmp_path, context):
    dead = Gateway(tmp_path / "g.db", Weather(timeouts=1), world)
    async with database(payments.payments) as db:
        async with db("session") as session:
            for _ in range(20):  # until one of the lost answers was to a charge that happened
                with pytest.raises((GatewayTimeout, GatewayUnavailable)):
                    await payments.charge(CLEARED, gateway=dead, db=session, context=context)
        async with db("session") as session:
            failed, doubt = await payments.gave_up(CLEARED, db=session)
        assert failed == PaymentFailed(order_id="o1", reason="the gateway did not answer")
        assert doubt == ChargeInDoubt(order_id="o1")
        well = Gateway(tmp_path / "g.db", Weather(), world)
        async with db("session") as session:
            voided = await payments.void(doubt, gateway=well, db=session, context=context)
        async with db("session") as session:
            state = (await session.get_one(payments.Payment, "o1")).state
    assert voided == PaymentVoided(order_id="o1", pence=1200)
    assert state == "voided"
    assert await well.void("o1", idempotency_key="look again") == 1200


async def test_a_suspected_order_fails_as_if_it_could_not_be_paid():
    suspected = OrderSuspected(order_id="o1", reason="suspected fraud")
    assert await payments.refuse(suspected) == PaymentFailed(order_id="o1", reason="suspected fraud")


async def test_a_return_is_refunded_per_order(database, world, tmp_path, context):
    gateway = Gateway(tmp_path / "g.db", Weather(), world)
    taken = (ReturnedLine("o1", "A", 1, 250), ReturnedLine("o2", "B", 1, 100), ReturnedLine("o1", "B", 1, 100))
    goods = LinesReturned(return_id="C1", accepted=taken, rejected=(), refund_pence=450)
    async with database(payments.payments) as db, db("session") as session:
        refunded = await payments.refund(goods, gateway=gateway, db=session, context=context)
    assert refunded == PaymentRefunded(return_id="C1", refunds=(Refund("o1", 350), Refund("o2", 100)))


# -------------------------------------------------------------------------------------------------------------- fraud

BIG = PLACED.replace(total_pence=fraud.LIMIT)
FLAGGED = OrderFlagged(**details(BIG))


async def test_only_big_orders_are_reviewed():
    assert await fraud.screen(RESERVED.replace(total_pence=fraud.LIMIT - 1)) == CLEARED.replace(total_pence=fraud.LIMIT - 1)
    assert await fraud.screen(RESERVED.replace(total_pence=fraud.LIMIT)) == FLAGGED


@pytest.mark.parametrize(
    ("frauds", "said", "verdict"),
    [
        (0, OrderCleared(**details(BIG)), "cleared"),
        (1, OrderSuspected(order_id="o1", reason="suspected fraud"), "suspected"),
    ],
)
async def test_a_big_order_is_cleared_if_the_bureau_does_not_warn_of_it(database, world, frauds, said, verdict):
    bureau = Bureau(Weather(frauds=frauds), world)
    async with database(fraud.fraud) as db:
        async with db("session") as session:
            assert await fraud.review(FLAGGED, bureau=bureau, db=session) == said
        async with db("session") as session:
            assert (await session.get_one(fraud.Review, "o1")).verdict == verdict


async def test_what_the_bureau_does_not_answer_to_is_not_charged(database, world):
    async with database(fraud.fraud) as db:
        with pytest.raises(BureauUnavailable, match="no answer about o1"):
            async with db("session") as session:
                await fraud.review(FLAGGED, bureau=Bureau(Weather(timeouts=1), world), db=session)
        async with db("session") as session:
            said = await fraud.unanswered(FLAGGED, db=session)
    assert said == OrderSuspected(order_id="o1", reason="it could not be reviewed")


# ------------------------------------------------------------------------------------------------------------ loyalty

RETURNED = LinesReturned(return_id="C1", accepted=(ReturnedLine("o1", "A", 1, 250),), rejected=(), refund_pence=250)


async def test_a_confirmed_order_earns_a_point_for_each_whole_pound_that_is_not_returned(database):
    async with database(loyalty.loyalty) as db:
        assert await tell(db, loyalty.follow, PLACED) is None
        assert await tell(db, loyalty.follow, CONFIRMED) == PointsChanged(order_id="o1", change=12, tier="basic")
        assert await tell(db, loyalty.take_back, RETURNED) == [PointsChanged(order_id="o1", change=-3, tier="basic")]
        assert await members(db) == [("c1", 9)]


async def test_a_return_that_is_heard_first_counts_all_the_same(database):
    async with database(loyalty.loyalty) as db:
        assert await tell(db, loyalty.take_back, RETURNED) == []
        assert await tell(db, loyalty.follow, PLACED, CONFIRMED) == PointsChanged(order_id="o1", change=9, tier="basic")


async def test_cancelled_orders_and_those_of_guests_earn_nothing(database):
    async with database(loyalty.loyalty) as db:
        assert await tell(db, loyalty.follow, PLACED, OrderCancelled(order_id="o1", reason="out of stock")) is None
        guest = PLACED.replace(order_id="o2", customer_id=None)
        assert await tell(db, loyalty.follow, guest, CONFIRMED.replace(order_id="o2")) is None
        assert await members(db) == []


async def test_points_make_a_tier(database):
    async with database(loyalty.loyalty) as db:
        for number, (pounds, tier) in enumerate(((999, "basic"), (1, "silver"), (3999, "silver"), (1, "gold"))):
            order = PLACED.replace(order_id=f"p{number}", total_pence=pounds * 100)
            said = await tell(db, loyalty.follow, order, CONFIRMED.replace(order_id=f"p{number}"))
            assert said == PointsChanged(order_id=f"p{number}", change=pounds, tier=tier)


async def members(db):
    async with db("session") as session:
        return [(member.customer_id, member.points) for member in await session.scalars(select(loyalty.Member))]


# ---------------------------------------------------------------------------------------------------------- listeners


async def test_a_payment_is_confirmed_by_mail(database):
    async with database(email.email) as db:
        async with db("session") as session:
            await email.confirm(PAID, db=session)
        async with db("session") as session:
            confirmation = await session.get_one(email.Confirmation, "o1")
    assert confirmation.text == "Thank you! Order o1 (3 lines, £12.00) is paid. receipt-1."


async def test_sales_are_counted_by_country_and_day(database):
    async with database(analytics.analytics) as db:
        async with db("connection") as connection:
            for paid in (PAID, PAID.replace(order_id="o2"), PAID.replace(country="EIRE")):
                await analytics.count(paid, db=connection)
        async with db("driver") as connection:
            sales = connection.execute("SELECT * FROM sales ORDER BY country").fetchall()
    assert sales == [("EIRE", "2010-12-01", 1, 1200), ("France", "2010-12-01", 2, 2400)]


async def test_a_pick_list_is_in_the_order_of_the_shelves(database):
    async with database(warehouse.warehouse) as db:
        async with db("connection") as connection:
            await warehouse.list_picks(PAID, db=connection)
        async with db("connection") as connection:
            picks = [tuple(row) for row in await connection.execute(select(warehouse.picks).order_by("position"))]
    assert picks == [("o1", 1, "A", 2), ("o1", 2, "A", 3), ("o1", 3, "B", 1)]


# ------------------------------------------------------------------------------------------------------------ returns


async def tell(db, reaction, *events):
    """Each event in a transaction of its own; gives what the last one came to."""
    result = None
    for event in events:
        async with db("session") as session:
            result = await reaction(event, db=session)
    return result


CONFIRMED = OrderConfirmed(order_id="o1", total_pence=1200)
BACK = ReturnLines(return_id="C1", customer_id="c1", lines=(StockLine("A", 4),), confirmed=("o1",))


async def test_a_return_is_taken_back_across_the_lines_of_its_order(database):
    async with database(returns.returns) as db:
        await tell(db, returns.remember, PLACED, CONFIRMED)
        taken = await tell(db, returns.take_back, BACK)
        assert taken == LinesReturned(return_id="C1", accepted=(ReturnedLine("o1", "A", 4, 900),), rejected=(), refund_pence=900)
        again = await tell(db, returns.take_back, BACK.replace(return_id="C2"))
        assert again == ReturnRejected(return_id="C2", rejected=(RejectedLine("A", 4, "more than was bought in any order"),))


async def test_a_return_may_be_taken_in_part(database):
    async with database(returns.returns) as db:
        await tell(db, returns.remember, PLACED, CONFIRMED)
        taken = await tell(db, returns.take_back, BACK.replace(lines=(StockLine("B", 1), StockLine("X", 1))))
    assert [line.stock_code for line in taken.accepted] == ["B"]
    assert [line.stock_code for line in taken.rejected] == ["X"]


async def test_the_later_order_is_the_one_with_the_higher_sequence_whichever_was_heard_first(database):
    later = PLACED.replace(order_id="o2", sequence=2, lines=(Line("A", 4, Decimal(7)),))
    async with database(returns.returns) as db:
        await tell(db, returns.remember, later, CONFIRMED.replace(order_id="o2"), PLACED, CONFIRMED)
        taken = await tell(db, returns.take_back, BACK.replace(confirmed=("o1", "o2")))
    assert [line.order_id for line in taken.accepted] == ["o2"]


async def test_nothing_is_decided_before_the_customers_orders_are_known(database):
    async with database(returns.returns) as db:
        for heard in ((), (PLACED,)):
            await tell(db, returns.remember, *heard)
            with pytest.raises(Reject, match="ask again in a moment"):
                await tell(db, returns.take_back, BACK)
        await tell(db, returns.remember, CONFIRMED)
        assert isinstance(await tell(db, returns.take_back, BACK), LinesReturned)


async def test_an_order_that_was_not_confirmed_takes_nothing_back(database):
    async with database(returns.returns) as db:
        await tell(db, returns.remember, PLACED)
        assert isinstance(await tell(db, returns.take_back, BACK.replace(confirmed=())), ReturnRejected)


async def test_a_guest_cannot_return(database):
    async with database(returns.returns) as db:
        await tell(db, returns.remember, PLACED.replace(customer_id=None), CONFIRMED)
        refused = await tell(db, returns.take_back, BACK.replace(customer_id=None, confirmed=()))
    assert refused == ReturnRejected(return_id="C1", rejected=(RejectedLine("A", 4, "a guest cannot return"),))


async def test_a_return_id_is_used_once(database):
    async with database(returns.returns) as db:
        await tell(db, returns.remember, PLACED, CONFIRMED)
        await tell(db, returns.take_back, BACK)
        with pytest.raises(Reject, match="return C1 exists already"):
            await tell(db, returns.take_back, BACK)


async def test_a_return_ends_when_money_and_goods_are_both_back_whichever_comes_first(database):
    money = PaymentRefunded(return_id="C1", refunds=(Refund("o1", 900),))
    goods = StockReleased(reference="C1", reason="returned", lines=(StockLine("A", 4),))
    for first, second in ((money, goods), (goods, money)):
        async with database(returns.returns) as db:
            await tell(db, returns.remember, PLACED, CONFIRMED)
            await tell(db, returns.take_back, BACK)
            assert await tell(db, returns.complete, first) is None
            assert await tell(db, returns.complete, second) == ReturnCompleted(return_id="C1")


async def test_stock_released_for_a_cancelled_order_is_no_return(database):
    async with database(returns.returns) as db:
        assert await tell(db, returns.complete, StockReleased(reference="o1", reason="payment failed", lines=())) is None


# ------------------------------------------------------------------------------------------------- a service that came later


def test_the_shop_without_loyalty_is_the_same_shop_less_one_column():
    from examples.shop import shop
    from farandole import Choreography

    others = [service for name, service in shop.services.items() if name != "loyalty"]
    without = Choreography("shop", *others, workflows=shop.workflows)
    assert set(without.edges) == {edge for edge in shop.edges if edge.service != "loyalty"}
    assert len(shop.edges) > len(without.edges)


def test_no_other_service_knows_of_loyalty():
    from pathlib import Path

    files = [file for file in Path(orders.__file__).parent.glob("*.py") if file.name != "loyalty.py"]
    assert len(files) > 8
    assert [file.name for file in files if {"loyalty", "PointsChanged"} & set(file.read_text().replace(".", " ").split())] == []
