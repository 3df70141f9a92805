"""The five services, each with a database of its own: three work on an order at once, one ships, one keeps the orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from examples.shop.gateway import CardDeclined, Gateway, open_gateway
from farandole import Context, Policy, Reject, Retry, Service, all_items, all_of

from .events import (
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
    StockReceived,
    StockReleased,
)

IN_TIME = timedelta(seconds=5)
PIECES_PER_PARCEL = 4
TAX_PERCENT = {"DE": 19, "FR": 20, "GB": 20}

BRIEF = Policy(retry=Retry(attempts=3, delay=0.5), timeout=timedelta(minutes=1))
"""The customer is asked on the phone, and may take a minute; a gateway that is away may not."""

PATIENT = Policy(retry=Retry(attempts=100, delay=1.0, longest=600.0))
"""Money that is owed is paid back, even if the gateway is away for half a day."""

orders = Service(
    "orders",
    tables="CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, pence INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT)",
    cleared="address",
)
inventory = Service(
    "inventory",
    tables="""
    CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS reservations (order_id TEXT PRIMARY KEY, sku TEXT NOT NULL, pieces INTEGER NOT NULL)""",
    cleared="address",
)
payments = Service(
    "payments",
    tables="CREATE TABLE IF NOT EXISTS payments (order_id TEXT PRIMARY KEY, pence INTEGER NOT NULL, state TEXT NOT NULL)",
    cleared="address",
)
payments.provide(Gateway, open_gateway)
invoicing = Service(
    "invoicing",
    tables="""
    CREATE TABLE IF NOT EXISTS numbers (series TEXT PRIMARY KEY, latest INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS papers (
        number INTEGER PRIMARY KEY, order_id TEXT NOT NULL, pence INTEGER NOT NULL, tax INTEGER NOT NULL, credits INTEGER)""",
    cleared="address",
)
shipping = Service(
    "shipping",
    tables="""
    CREATE TABLE IF NOT EXISTS decisions (order_id TEXT PRIMARY KEY, decision TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS parcels (order_id TEXT, number INTEGER, pieces INTEGER NOT NULL, PRIMARY KEY (order_id, number))""",
    cleared="address",
)

# ------------------------------------------------------------------------------------------------------------- orders


@orders.command
async def place(order: PlaceOrder, db: AsyncConnection) -> OrderPlaced:
    """Take an order."""
    if order.pieces < 1 or order.pence < 1:
        raise Reject("an order is for one piece at least, and for one penny at least")
    new = text("INSERT INTO orders VALUES (:order_id, :pence, 'placed', NULL) ON CONFLICT DO NOTHING RETURNING order_id")
    if (await db.execute(new, {"order_id": order.order_id, "pence": order.pence})).first() is None:
        raise Reject(f"order {order.order_id} exists already; an order id is used once")
    return OrderPlaced(
        order_id=order.order_id,
        address=order.address,
        country=order.country,
        sku=order.sku,
        pieces=order.pieces,
        pence=order.pence,
    )


@orders.on(InventoryReservationFailed, PaymentFailed, InvoiceFailed, DeliveryAbandoned)
async def cancel(
    failure: InventoryReservationFailed | PaymentFailed | InvoiceFailed | DeliveryAbandoned, db: AsyncConnection
) -> OrderCancelled | None:
    """The first failure ends the order; the others only agree with it."""
    ends = "UPDATE orders SET state = 'cancelled', reason = :reason WHERE order_id = :order_id AND state = 'placed' RETURNING order_id"
    ended = (await db.execute(text(ends), {"order_id": failure.order_id, "reason": failure.reason})).first()
    return OrderCancelled(order_id=failure.order_id, reason=failure.reason) if ended else None


@orders.on(all_items(ParcelSent, expected="parcels"))
async def complete(parcels: Sequence[ParcelSent], db: AsyncConnection) -> OrderCompleted:
    """All parcels are on their way."""
    order_id = parcels[0].order_id
    await db.execute(text("UPDATE orders SET state = 'completed' WHERE order_id = :order_id"), {"order_id": order_id})
    return OrderCompleted(order_id=order_id)


# ---------------------------------------------------------------------------------------------------------- inventory

_PUT = text("INSERT INTO stock VALUES (:sku, :pieces) ON CONFLICT (sku) DO UPDATE SET on_hand = stock.on_hand + excluded.on_hand")


@inventory.command
async def receive(goods: ReceiveStock, db: AsyncConnection) -> StockReceived:
    """Put goods on the shelf."""
    await db.execute(_PUT, {"sku": goods.sku, "pieces": goods.pieces})
    return StockReceived(sku=goods.sku, pieces=goods.pieces)


@inventory.on(OrderPlaced)
async def reserve(order: OrderPlaced, db: AsyncConnection) -> InventoryReserved | InventoryReservationFailed:
    """Set the goods aside, if there are enough."""
    take = text("UPDATE stock SET on_hand = on_hand - :pieces WHERE sku = :sku AND on_hand >= :pieces RETURNING sku")
    if (await db.execute(take, {"sku": order.sku, "pieces": order.pieces})).first() is None:
        return InventoryReservationFailed(order_id=order.order_id, reason=f"not enough {order.sku}")
    row = {"order_id": order.order_id, "sku": order.sku, "pieces": order.pieces}
    await db.execute(text("INSERT INTO reservations VALUES (:order_id, :sku, :pieces)"), row)
    return InventoryReserved(order_id=order.order_id, address=order.address, pieces=order.pieces)


@inventory.on(OrderCancelled, compensates=reserve, undoes=InventoryReserved)
async def release(cancelled: OrderCancelled, db: AsyncConnection) -> StockReleased:
    """Put the goods back."""
    gone = text("DELETE FROM reservations WHERE order_id = :order_id RETURNING sku, pieces")
    row = (await db.execute(gone, {"order_id": cancelled.order_id})).one()
    await db.execute(_PUT, {"sku": row.sku, "pieces": row.pieces})
    return StockReleased(order_id=cancelled.order_id, sku=row.sku, pieces=row.pieces)


# ----------------------------------------------------------------------------------------------------------- payments

_PAYMENT = text("INSERT INTO payments VALUES (:order_id, :pence, :state)")
_MARK = text("UPDATE payments SET state = :state WHERE order_id = :order_id")


@payments.on(OrderPlaced, policy=BRIEF)
async def charge(order: OrderPlaced, gateway: Gateway, db: AsyncConnection, context: Context) -> PaymentCompleted | PaymentFailed:
    """Ask the customer for the money, and take it."""
    row = {"order_id": order.order_id, "pence": order.pence, "state": "completed"}
    try:
        receipt = await gateway.charge(order.order_id, order.pence, idempotency_key=context.idempotency_key)
    except CardDeclined as refusal:
        await db.execute(_PAYMENT, row | {"state": "declined"})
        return PaymentFailed(order_id=order.order_id, reason=str(refusal))
    await db.execute(_PAYMENT, row)
    return PaymentCompleted(order_id=order.order_id, receipt=receipt)


@charge.exhausted
async def doubt(order: OrderPlaced, db: AsyncConnection) -> PaymentFailed:
    """The gateway never answered. The order fails; what it may have taken, `refund` gives back as if it had."""
    await db.execute(_PAYMENT, {"order_id": order.order_id, "pence": order.pence, "state": "in doubt"})
    return PaymentFailed(order_id=order.order_id, reason="the gateway did not answer")


@payments.on(OrderCancelled, compensates=charge, undoes=PaymentCompleted, policy=PATIENT)
async def refund(cancelled: OrderCancelled, gateway: Gateway, db: AsyncConnection, context: Context) -> PaymentRefunded:
    """Give back whatever the gateway took for the order; from then on it takes nothing for it."""
    pence = await gateway.void(cancelled.order_id, idempotency_key=context.idempotency_key)
    await db.execute(_MARK, {"order_id": cancelled.order_id, "state": "refunded"})
    return PaymentRefunded(order_id=cancelled.order_id, pence=pence)


@refund.exhausted
async def owe(cancelled: OrderCancelled, db: AsyncConnection) -> PaymentOwed:
    """Write down that it is owed: the payments that are `owed` are somebody's work."""
    await db.execute(_MARK, {"order_id": cancelled.order_id, "state": "owed"})
    return PaymentOwed(order_id=cancelled.order_id)


# ---------------------------------------------------------------------------------------------------------- invoicing


@invoicing.on(OrderPlaced)
async def write(order: OrderPlaced, db: AsyncConnection) -> InvoiceIssued | InvoiceFailed:
    """Write an invoice with the next number."""
    percent = TAX_PERCENT.get(order.country)
    if percent is None:
        return InvoiceFailed(order_id=order.order_id, reason=f"no tax rate for {order.country}")
    tax = order.pence * percent // (100 + percent)  # the price includes it
    number = await _file(db, order.order_id, order.pence, tax, credits=None)
    return InvoiceIssued(order_id=order.order_id, number=number)


@invoicing.on(OrderCancelled, compensates=write, undoes=InvoiceIssued)
async def credit(cancelled: OrderCancelled, db: AsyncConnection) -> InvoiceCredited:
    """Take the invoice back by a credit note, which has a number as well."""
    find = text("SELECT number, pence, tax FROM papers WHERE order_id = :order_id AND credits IS NULL")
    invoice = (await db.execute(find, {"order_id": cancelled.order_id})).one()
    number = await _file(db, cancelled.order_id, -invoice.pence, -invoice.tax, credits=invoice.number)
    return InvoiceCredited(order_id=cancelled.order_id, number=number, credits=invoice.number)


async def _file(db: AsyncConnection, order_id: str, pence: int, tax: int, *, credits: int | None) -> int:
    """File a paper under the next number. The row of the latest number is locked until it commits: no number is left out."""
    following = text(
        "INSERT INTO numbers VALUES ('papers', 1) ON CONFLICT (series) DO UPDATE SET latest = numbers.latest + 1 RETURNING latest"
    )
    number = int((await db.execute(following)).scalar_one())
    row = {"number": number, "order_id": order_id, "pence": pence, "tax": tax, "credits": credits}
    await db.execute(text("INSERT INTO papers VALUES (:number, :order_id, :pence, :tax, :credits)"), row)
    return number


# ----------------------------------------------------------------------------------------------------------- shipping


@shipping.on(all_of(InventoryReserved, PaymentCompleted, InvoiceIssued))
async def ship(
    goods: InventoryReserved,
    paid: PaymentCompleted,  # noqa: ARG001 - that it is there is enough
    invoice: InvoiceIssued,  # noqa: ARG001
    db: AsyncConnection,
) -> list[ParcelSent]:
    """Goods, money and paper are there: send it, in as many parcels as it takes. Unless we gave it up a moment ago."""
    if not await _decide(db, goods.order_id, "shipped"):
        return []
    parcels = -(-goods.pieces // PIECES_PER_PARCEL)
    sent = text("INSERT INTO parcels VALUES (:order_id, :number, :pieces)")
    for number in range(1, parcels + 1):
        pieces = min(PIECES_PER_PARCEL, goods.pieces - (number - 1) * PIECES_PER_PARCEL)
        await db.execute(sent, {"order_id": goods.order_id, "number": number, "pieces": pieces})
    return [ParcelSent(order_id=goods.order_id, number=number, parcels=parcels) for number in range(1, parcels + 1)]


@shipping.deadline(after=OrderPlaced, unless=(ParcelSent, OrderCancelled), within=IN_TIME)
async def give_up(order: OrderPlaced, db: AsyncConnection) -> DeliveryAbandoned | None:
    """Something did not come in time. Unless it was shipped a moment ago."""
    if not await _decide(db, order.order_id, "given up"):
        return None
    return DeliveryAbandoned(order_id=order.order_id, reason="it took too long")


@give_up.late
async def answered(end: ParcelSent | OrderCancelled) -> None:
    """Nothing is left to undo: what is shipped is not given up, and the cancellation is what giving up leads to."""


async def _decide(db: AsyncConnection, order_id: str, decision: str) -> bool:
    """The join and the deadline may come at the same moment; the row that is first decides for both."""
    first = text("INSERT INTO decisions VALUES (:order_id, :decision) ON CONFLICT DO NOTHING RETURNING order_id")
    return (await db.execute(first, {"order_id": order_id, "decision": decision})).first() is not None
