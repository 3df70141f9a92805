"""Orders: takes them, and says how they ended."""

from __future__ import annotations

from datetime import date

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Reject, Service

from ..events import (
    InventoryReservationFailed,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    PaymentFailed,
    PaymentProcessed,
    PlaceOrder,
)
from ..money import total


class Base(DeclarativeBase):
    metadata = MetaData()


class Order(Base):
    """`state` goes from placed to confirmed or cancelled; a rejected order was never placed."""

    __tablename__ = "orders"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None]
    country: Mapped[str]
    placed_on: Mapped[date]
    total_pence: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str | None]


orders = Service("orders", tables=Base.metadata, cleared="customer_id")


@orders.command
async def place(order: PlaceOrder, db: AsyncSession) -> OrderPlaced | OrderRejected:
    """Accept an order that can be carried out."""
    if await db.get(Order, order.order_id) is not None:
        raise Reject(f"order {order.order_id} exists already; an order id is used once")
    amount = total(order.lines)
    reason = _reason_to_reject(order, amount)
    db.add(
        Order(
            order_id=order.order_id,
            customer_id=order.customer_id,
            country=order.country,
            placed_on=order.placed_on,
            total_pence=amount,
            state="rejected" if reason else "placed",
            reason=reason,
        )
    )
    if reason:
        return OrderRejected(order_id=order.order_id, reason=reason)
    return OrderPlaced(
        order_id=order.order_id,
        customer_id=order.customer_id,
        country=order.country,
        placed_on=order.placed_on,
        lines=order.lines,
        total_pence=amount,
        sequence=order.sequence,
    )


def _reason_to_reject(order: PlaceOrder, amount: int) -> str | None:
    if any(line.quantity <= 0 for line in order.lines):
        return "a line without a quantity"
    return "nothing to pay" if amount <= 0 else None


@orders.on(PaymentProcessed)
async def confirm(payment: PaymentProcessed, db: AsyncSession) -> OrderConfirmed:
    """Reserved and paid: the order stands."""
    order = await db.get_one(Order, payment.order_id)
    order.state = "confirmed"
    return OrderConfirmed(order_id=order.order_id, total_pence=order.total_pence)


@orders.on(InventoryReservationFailed, PaymentFailed)
async def cancel(failure: InventoryReservationFailed | PaymentFailed, db: AsyncSession) -> OrderCancelled:
    """No goods or no money: the order ends."""
    order = await db.get_one(Order, failure.order_id)
    order.state = "cancelled"
    order.reason = failure.reason if isinstance(failure, PaymentFailed) else "out of stock"
    return OrderCancelled(order_id=order.order_id, reason=order.reason)
