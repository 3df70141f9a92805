"""Analytics: sales by country and day. SQL as one would write it by hand, for either database."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Service

from ..events import PaymentProcessed

TABLES = """
CREATE TABLE IF NOT EXISTS sales (
    country TEXT NOT NULL, day TEXT NOT NULL, orders INTEGER NOT NULL, pence INTEGER NOT NULL, PRIMARY KEY (country, day))
"""

analytics = Service("analytics", tables=TABLES, cleared="customer_id")

_ADD = text(
    "INSERT INTO sales VALUES (:country, :day, 1, :pence) "
    "ON CONFLICT (country, day) DO UPDATE SET orders = sales.orders + 1, pence = sales.pence + excluded.pence"
)


@analytics.on(PaymentProcessed)
async def count(payment: PaymentProcessed, db: AsyncConnection) -> None:
    """Add a sale to its country and day."""
    sale = {"country": payment.country, "day": payment.placed_on.isoformat(), "pence": payment.total_pence}
    await db.execute(_ADD, sale)
