"""Warehouse: a pick list for every payment."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Service

from ..events import PaymentProcessed

metadata = MetaData()

picks = Table(
    "picks",
    metadata,
    Column("order_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("stock_code", String, nullable=False),
    Column("quantity", Integer, nullable=False),
)

warehouse = Service("warehouse", tables=metadata, cleared="customer_id")


@warehouse.on(PaymentProcessed)
async def list_picks(payment: PaymentProcessed, db: AsyncConnection) -> None:
    """Write down what is to be taken from which shelf, in the order of the shelves."""
    lines = sorted(payment.lines, key=lambda line: line.stock_code)
    rows = [
        {"order_id": payment.order_id, "position": position, "stock_code": line.stock_code, "quantity": line.quantity}
        for position, line in enumerate(lines, start=1)
    ]
    await db.execute(insert(picks), rows)
