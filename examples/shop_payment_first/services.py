"""The five services, each with a database of its own, in the order in which an order passes through them."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from examples.shop.gateway import CardDeclined, Gateway, open_gateway
from farandole import Context, Policy, Reject, Retry, Service

from .events import (
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
    StockReceived,
    details,
)

BRIEF = Policy(retry=Retry(attempts=3, delay=0.5))
"""A customer waits: after three tries the payment is in doubt."""

PATIENT = Policy(retry=Retry(attempts=100, delay=1.0, longest=600.0))
"""Money that is owed is paid back, even if the gateway is away for half a day."""

orders = Service(
    "orders",
    tables="""CREATE TABLE IF NOT EXISTS orders (
        order_id TEXT PRIMARY KEY, email TEXT NOT NULL, pence INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT)""",
    cleared="email",
)
payments = Service(
    "payments",
    tables="""CREATE TABLE IF NOT EXISTS payments (
        order_id TEXT PRIMARY KEY, pence INTEGER NOT NULL, state TEXT NOT NULL, receipt TEXT)""",
    cleared="email",
)
payments.provide(Gateway, open_gateway)
inventory = Service(
    "inventory",
    tables="""
    CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS reservations (order_id TEXT PRIMARY KEY, sku TEXT NOT NULL, pieces INTEGER NOT NULL)""",
    cleared="email",
)
shipping = Service(
    "shipping",
    tables="CREATE TABLE IF NOT EXISTS shipments (parcel TEXT PRIMARY KEY, order_id TEXT NOT NULL, pieces INTEGER NOT NULL)",
    cleared="email",
)
email = Service(
    "email",
    tables="CREATE TABLE IF NOT EXISTS letters (order_id TEXT PRIMARY KEY, address TEXT NOT NULL, words TEXT NOT NULL)",
    cleared="email",
)

# ------------------------------------------------------------------------------------------------------------- orders


@orders.command
async def place(order: PlaceOrder, db: AsyncConnection) -> OrderPlaced:
    """Take an order."""
    if order.pieces < 1 or order.pence < 1:
        raise Reject("an order is for one piece at least, and for one penny at least")
    new = text("INSERT INTO orders VALUES (:order_id, :email, :pence, 'placed', NULL) ON CONFLICT DO NOTHING RETURNING order_id")
    values = {"order_id": order.order_id, "email": order.email, "pence": order.pence}
    if (await db.execute(new, values)).first() is None:
        raise Reject(f"order {order.order_id} exists already; an order id is used once")
    return OrderPlaced(order_id=order.order_id, email=order.email, sku=order.sku, pieces=order.pieces, pence=order.pence)


@orders.on(PaymentDeclined, PaymentRefunded, RefundFailed)
async def cancel(failure: PaymentDeclined | PaymentRefunded | RefundFailed, db: AsyncConnection) -> OrderCancelled:
    """The money was never taken, is back, or is on somebody's desk: the order ends."""
    ends = text("UPDATE orders SET state = 'cancelled', reason = :reason WHERE order_id = :order_id RETURNING email")
    row = (await db.execute(ends, {"order_id": failure.order_id, "reason": failure.reason})).one()
    return OrderCancelled(order_id=failure.order_id, email=row.email, reason=failure.reason)


@orders.on(ShipmentScheduled)
async def complete(shipment: ShipmentScheduled, db: AsyncConnection) -> None:
    """The order is on its way."""
    await db.execute(text("UPDATE orders SET state = 'shipped' WHERE order_id = :order_id"), {"order_id": shipment.order_id})


# ----------------------------------------------------------------------------------------------------------- payments

_PAYMENT = text("INSERT INTO payments VALUES (:order_id, :pence, :state, :receipt)")


@payments.on(OrderPlaced, policy=BRIEF)
async def charge(
    order: OrderPlaced, gateway: Gateway, db: AsyncConnection, context: Context
) -> PaymentCompleted | PaymentDeclined:
    """Take the money, before anybody looks whether there are goods."""
    row = {"order_id": order.order_id, "pence": order.pence, "state": "completed", "receipt": None}
    try:
        receipt = await gateway.charge(order.order_id, order.pence, idempotency_key=context.idempotency_key)
    except CardDeclined as refusal:
        await db.execute(_PAYMENT, row | {"state": "declined"})
        return PaymentDeclined(order_id=order.order_id, reason=str(refusal))
    await db.execute(_PAYMENT, row | {"receipt": receipt})
    return PaymentCompleted(**details(order))


@charge.exhausted
async def doubt(order: OrderPlaced, db: AsyncConnection) -> PaymentInDoubt:
    """The customer is not kept waiting; whether anything was taken is found out by `refund`."""
    await db.execute(_PAYMENT, {"order_id": order.order_id, "pence": order.pence, "state": "in doubt", "receipt": None})
    return PaymentInDoubt(order_id=order.order_id, reason="the gateway did not answer")


@payments.on(InventoryReservationFailed, PaymentInDoubt, compensates=charge, undoes=PaymentCompleted, policy=PATIENT)
async def refund(
    failure: InventoryReservationFailed | PaymentInDoubt, gateway: Gateway, db: AsyncConnection, context: Context
) -> PaymentRefunded:
    """Give back whatever the gateway took for the order; from then on it takes nothing for it."""
    pence = await gateway.void(failure.order_id, idempotency_key=context.idempotency_key)
    await _mark(db, failure.order_id, "refunded")
    return PaymentRefunded(order_id=failure.order_id, pence=pence, reason=failure.reason)


@refund.exhausted
async def owe(failure: InventoryReservationFailed | PaymentInDoubt, db: AsyncConnection) -> RefundFailed:
    """Write down that it is owed: the payments that are `owed` are somebody's work."""
    await _mark(db, failure.order_id, "owed")
    return RefundFailed(order_id=failure.order_id, reason=failure.reason)


async def _mark(db: AsyncConnection, order_id: str, state: str) -> None:
    await db.execute(
        text("UPDATE payments SET state = :state WHERE order_id = :order_id"), {"order_id": order_id, "state": state}
    )


# ---------------------------------------------------------------------------------------------------------- inventory


@inventory.command
async def receive(goods: ReceiveStock, db: AsyncConnection) -> StockReceived:
    """Put goods on the shelf."""
    add = text(
        "INSERT INTO stock VALUES (:sku, :pieces) ON CONFLICT (sku) DO UPDATE SET on_hand = stock.on_hand + excluded.on_hand"
    )
    await db.execute(add, {"sku": goods.sku, "pieces": goods.pieces})
    return StockReceived(sku=goods.sku, pieces=goods.pieces)


@inventory.on(PaymentCompleted)
async def reserve(order: PaymentCompleted, db: AsyncConnection) -> InventoryReserved | InventoryReservationFailed:
    """Set paid goods aside, if there are enough."""
    take = text("UPDATE stock SET on_hand = on_hand - :pieces WHERE sku = :sku AND on_hand >= :pieces RETURNING sku")
    if (await db.execute(take, {"sku": order.sku, "pieces": order.pieces})).first() is None:
        return InventoryReservationFailed(order_id=order.order_id, reason=f"not enough {order.sku}")
    row = {"order_id": order.order_id, "sku": order.sku, "pieces": order.pieces}
    await db.execute(text("INSERT INTO reservations VALUES (:order_id, :sku, :pieces)"), row)
    return InventoryReserved(**details(order))


# ------------------------------------------------------------------------------------------------- shipping and email


@shipping.on(InventoryReserved)
async def schedule(order: InventoryReserved, db: AsyncConnection) -> ShipmentScheduled:
    """Give the parcel a number. Nothing that comes from here on can fail."""
    parcel = f"parcel-{order.order_id}"
    row = {"parcel": parcel, "order_id": order.order_id, "pieces": order.pieces}
    await db.execute(text("INSERT INTO shipments VALUES (:parcel, :order_id, :pieces)"), row)
    return ShipmentScheduled(order_id=order.order_id, email=order.email, parcel=parcel)


@email.on(ShipmentScheduled, OrderCancelled)
async def tell(end: ShipmentScheduled | OrderCancelled, db: AsyncConnection) -> None:
    """Tell the customer how it ended; the letters are taken from the table by whatever sends mail."""
    words = f"{end.parcel} is on its way." if isinstance(end, ShipmentScheduled) else f"We are sorry: {end.reason}."
    row = {"order_id": end.order_id, "address": end.email, "words": words}
    await db.execute(text("INSERT INTO letters VALUES (:order_id, :address, :words)"), row)
