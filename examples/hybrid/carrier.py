"""The carrier: somebody outside who prints labels and fetches parcels, and keeps books of his own."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from farandole import World

__all__ = ["Carrier", "CarrierTimeout", "Refused"]

_BOOKS = "CREATE TABLE IF NOT EXISTS labels (order_id TEXT PRIMARY KEY, label TEXT NOT NULL, state TEXT NOT NULL)"


class Refused(Exception):
    """The carrier does not do it, however often it is asked."""


class CarrierTimeout(Exception):
    """The carrier did not answer; whether it acted is unknown."""


class Carrier:
    """One label per order, however often it is asked for; a label is printed, collected or void."""

    def __init__(self, path: Path, world: World) -> None:
        self._books = sqlite3.connect(path, isolation_level=None)
        self._books.execute(_BOOKS)

    async def print_label(self, order_id: str, address: str) -> str:
        """A label for an address. Nobody knows the way to Atlantis."""
        if "Atlantis" in address:
            raise Refused(f"no way leads to {address}")
        self._books.execute("INSERT INTO labels VALUES (?, ?, 'printed') ON CONFLICT DO NOTHING", (order_id, f"L-{order_id}"))
        return f"L-{order_id}"

    async def collect(self, order_id: str, *, fragile: bool) -> None:
        """Fetch the parcel."""
        if fragile:
            raise Refused("it rattles")
        self._books.execute("UPDATE labels SET state = 'collected' WHERE order_id = ? AND state = 'printed'", (order_id,))

    async def void(self, order_id: str) -> None:
        """Take a label back, whether there is one or not; a parcel that was fetched comes back with it."""
        self._books.execute("UPDATE labels SET state = 'void' WHERE order_id = ?", (order_id,))

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query gives in its books."""
        return self._books.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the books."""
        self._books.close()
