"""Analytics: sales by country and day. Written with the driver's own connection, which is the fastest way."""

from __future__ import annotations

import sqlite3

from farandole import Service

from ..events import PaymentProcessed

TABLES = """
CREATE TABLE IF NOT EXISTS sales (
    country TEXT NOT NULL, day TEXT NOT NULL, orders INTEGER NOT NULL, pence INTEGER NOT NULL,
    PRIMARY KEY (country, day)) WITHOUT ROWID
"""

analytics = Service("analytics", tables=TABLES)


@analytics.on(PaymentProcessed)
async def count(payment: PaymentProcessed, db: sqlite3.Connection) -> None:
    """Add a sale to its country and day."""
    db.execute(
        "INSERT INTO sales VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE SET orders = orders + 1, pence = pence + excluded.pence",
        (payment.country, payment.placed_on.isoformat(), payment.total_pence),
    )
