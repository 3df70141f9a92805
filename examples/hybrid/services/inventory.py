"""Inventory: the books of what there is. What the shelves hold, the fulfilment finds out."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Command, Service

from ..events import FulfilmentFailed, GoodsReserved, OrderPlaced, OrderShipped, OutOfStock, PaymentDeclined

__all__ = ["CountStock", "inventory"]


class CountStock(Command):
    sku: str
    pieces: int


tables = MetaData()
stock = Table("stock", tables, Column("sku", String, primary_key=True), Column("pieces", Integer))
reservations = Table(
    "reservations", tables, Column("order_id", String, primary_key=True), Column("sku", String), Column("state", String)
)

inventory = Service("inventory", tables=tables, doc="What there is, by the books.")


@inventory.command
async def count(command: CountStock, db: AsyncConnection) -> None:
    """What a stocktaking found."""
    await db.execute(insert(stock).values(sku=command.sku, pieces=command.pieces))


@inventory.on(OrderPlaced)
async def reserve(order: OrderPlaced, db: AsyncConnection) -> GoodsReserved | OutOfStock:
    """Set a piece aside, where the books say that one is left."""
    pieces = (await db.execute(select(stock.c.pieces).where(stock.c.sku == order.sku).with_for_update())).scalar() or 0
    taken = reservations.c.sku == order.sku, reservations.c.state != "released"
    if pieces <= (await db.execute(select(func.count()).select_from(reservations).where(*taken))).scalar_one():
        return OutOfStock(order_id=order.order_id, sku=order.sku)
    await db.execute(insert(reservations).values(order_id=order.order_id, sku=order.sku, state="held"))
    return GoodsReserved(order_id=order.order_id, sku=order.sku, cents=order.cents, address=order.address)


@inventory.on(PaymentDeclined, FulfilmentFailed, compensates=reserve, undoes=GoodsReserved)
async def release(event: PaymentDeclined | FulfilmentFailed, db: AsyncConnection) -> None:
    """Others may have it."""
    await db.execute(update(reservations).where(reservations.c.order_id == event.order_id).values(state="released"))


@inventory.on(OrderShipped)
async def write_off(event: OrderShipped, db: AsyncConnection) -> None:
    """It is gone."""
    await db.execute(update(reservations).where(reservations.c.order_id == event.order_id).values(state="gone"))
