"""Fraud: an order is cleared before it is charged. Small ones at once; for big ones a bureau is asked.

It alone knows from what sum on an order is big. A review may take its time: until there is an answer nothing is charged, and the goods
stay reserved.
"""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Policy, Retry, Service

from ..bureau import Bureau, open_bureau
from ..events import InventoryReserved, OrderCleared, OrderFlagged, OrderSuspected, details

LIMIT = 100_000
"""In pence: from a thousand pounds on an order is reviewed."""

UNHURRIED = Policy(retry=Retry(attempts=100, delay=0.05, factor=1.5, longest=1.0))
"""A big order is worth waiting for: here a minute or two, so that a demo ends."""


class Base(DeclarativeBase):
    metadata = MetaData()


class Review(Base):
    """`verdict` is cleared, suspected, or unanswered."""

    __tablename__ = "reviews"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    pence: Mapped[int]
    verdict: Mapped[str]


fraud = Service("fraud", tables=Base.metadata, cleared="customer_id")
fraud.provide(Bureau, open_bureau)


@fraud.on(InventoryReserved)
async def screen(order: InventoryReserved) -> OrderCleared | OrderFlagged:
    """Most orders are nobody's concern."""
    return OrderFlagged(**details(order)) if order.total_pence >= LIMIT else OrderCleared(**details(order))


@fraud.on(OrderFlagged, policy=UNHURRIED)
async def review(order: OrderFlagged, bureau: Bureau, db: AsyncSession) -> OrderCleared | OrderSuspected:
    """Ask somebody who knows more."""
    warned = await bureau.warns_of(order.order_id)
    db.add(Review(order_id=order.order_id, pence=order.total_pence, verdict="suspected" if warned else "cleared"))
    if warned:
        return OrderSuspected(order_id=order.order_id, reason="suspected fraud")
    return OrderCleared(**details(order))


@review.exhausted
async def unanswered(order: OrderFlagged, db: AsyncSession) -> OrderSuspected:
    """What nobody vouches for is not charged."""
    db.add(Review(order_id=order.order_id, pence=order.total_pence, verdict="unanswered"))
    return OrderSuspected(order_id=order.order_id, reason="it could not be reviewed")
