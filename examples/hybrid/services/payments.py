"""Payments: takes the money of what is set aside, and gives it back where nothing is sent."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Service

from ..events import FulfilmentFailed, GoodsReserved, OrderPaid, PaymentDeclined

__all__ = ["LIMIT", "payments"]

LIMIT = 100_000
"""Nobody spends more at once, in cents."""

tables = MetaData()
book = Table("payments", tables, Column("order_id", String, primary_key=True), Column("cents", Integer), Column("state", String))

payments = Service("payments", tables=tables, doc="Money, in and out.")


@payments.on(GoodsReserved)
async def charge(order: GoodsReserved, db: AsyncConnection) -> OrderPaid | PaymentDeclined:
    """Take the money."""
    if order.cents > LIMIT:
        return PaymentDeclined(order_id=order.order_id, reason="too much at once")
    await db.execute(insert(book).values(order_id=order.order_id, cents=order.cents, state="paid"))
    return OrderPaid(order_id=order.order_id, sku=order.sku, address=order.address)


@payments.on(FulfilmentFailed, compensates=charge, undoes=OrderPaid)
async def refund(event: FulfilmentFailed, db: AsyncConnection) -> None:
    """Give it back."""
    await db.execute(update(book).where(book.c.order_id == event.order_id).values(state="returned"))
