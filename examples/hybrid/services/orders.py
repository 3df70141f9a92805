"""Orders: what the customer is told."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Service

from ..events import (
    FulfilmentFailed,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderShipped,
    OutOfStock,
    PaymentDeclined,
    PlaceOrder,
)

__all__ = ["orders"]

tables = MetaData()
book = Table(
    "orders", tables, Column("order_id", String, primary_key=True), Column("state", String), Column("reason", String, default="")
)

orders = Service("orders", tables=tables, doc="What the customer is told.")


@orders.command
async def place(command: PlaceOrder, db: AsyncConnection) -> OrderPlaced:
    """The door."""
    await db.execute(insert(book).values(order_id=command.order_id, state="pending", reason=""))
    return OrderPlaced(order_id=command.order_id, sku=command.sku, cents=command.cents, address=command.address)


@orders.on(OrderShipped)
async def confirm(event: OrderShipped, db: AsyncConnection) -> OrderConfirmed:
    """It comes."""
    await db.execute(update(book).where(book.c.order_id == event.order_id).values(state="shipped"))
    return OrderConfirmed(order_id=event.order_id)


@orders.on(OutOfStock, PaymentDeclined, FulfilmentFailed)
async def cancel(event: OutOfStock | PaymentDeclined | FulfilmentFailed, db: AsyncConnection) -> OrderCancelled:
    """It does not come."""
    reason = f"{event.sku} is sold out" if isinstance(event, OutOfStock) else event.reason
    await db.execute(update(book).where(book.c.order_id == event.order_id).values(state="cancelled", reason=reason))
    return OrderCancelled(order_id=event.order_id, reason=reason)
