"""Orders: a state for each, and the door for customers.

While an order is pending, its state is a semantic lock: somebody else is deciding, and nobody may call it off.
"""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Move, Reject, Service

from ..events import (
    CancelOrder,
    CreateOrder,
    CreditLimitExceeded,
    CreditReserved,
    CustomerNotFound,
    OrderApproved,
    OrderCancelled,
    OrderCreated,
    OrderRejected,
)

PENDING = "the order is pending: its credit is being looked at; ask again in a moment"


class Base(DeclarativeBase):
    metadata = MetaData()


class Order(Base):
    """`state` goes from pending to approved or rejected, and from approved to cancelled."""

    __tablename__ = "orders"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    cents: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str | None]


orders = Service("orders", tables=Base.metadata)


@orders.command
async def create(order: CreateOrder, db: AsyncSession) -> OrderCreated:
    """Take an order down; whether it stands is for the customer's credit to say."""
    if order.cents <= 0:
        raise Reject(f"an order of {order.cents} cents: there is nothing to pay")
    if await db.get(Order, order.order_id) is not None:
        raise Reject(f"order {order.order_id} exists already; an order id is used once")
    db.add(Order(order_id=order.order_id, customer_id=order.customer_id, cents=order.cents, state="pending", reason=None))
    return OrderCreated(order_id=order.order_id, customer_id=order.customer_id, cents=order.cents)


@orders.command
async def cancel(request: CancelOrder, db: AsyncSession) -> OrderCancelled:
    """Call an approved order off. The row is locked, so that of two who call it off at once only one does."""
    order = await db.get(Order, request.order_id, with_for_update=True)
    if order is None:
        raise Reject(f"there is no order {request.order_id}")
    if order.state == "pending":
        raise Reject(PENDING)
    if order.state != "approved":
        raise Reject(f"the order is {order.state} already")
    order.state = "cancelled"
    return OrderCancelled(order_id=order.order_id)


@orders.on(CreditReserved, states=Move("order", valid=("pending",), to="approved", by="order_id"))
async def approve(credit: CreditReserved, db: AsyncSession) -> OrderApproved:
    """There is credit: the order stands."""
    await _settle(db, credit.order_id, "approved")
    return OrderApproved(order_id=credit.order_id)


@orders.on(CreditLimitExceeded, CustomerNotFound, states=Move("order", valid=("pending",), to="rejected", by="order_id"))
async def reject(refusal: CreditLimitExceeded | CustomerNotFound, db: AsyncSession) -> OrderRejected:
    """There is no credit, or nobody to have it."""
    if isinstance(refusal, CustomerNotFound):
        reason = f"there is no customer {refusal.customer_id}"
    else:
        reason = f"the credit limit leaves {refusal.available_cents} cents"
    await _settle(db, refusal.order_id, "rejected", reason)
    return OrderRejected(order_id=refusal.order_id, reason=reason)


async def _settle(db: AsyncSession, order_id: str, state: str, reason: str | None = None) -> None:
    """Take an order out of the lock. Nothing else may have done so: that would be an error, and not a fact."""
    order = await db.get_one(Order, order_id, with_for_update=True)
    if order.state != "pending":
        raise ValueError(f"order {order_id} is {order.state}, so that it cannot become {state}")
    order.state, order.reason = state, reason
