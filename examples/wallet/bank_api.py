"""The bank: the world outside. How it behaves depends on the card, as with the test cards of payment providers; it keeps its own books.

Its books are a SQLite file of its own, so that they outlive any crash of ours and tell what was really charged. Like real ones it honours
idempotency keys, and knows the merchant's reference (the top-up): what was reversed is never charged again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from farandole.world import World

__all__ = ["CARDS", "Bank", "BankSilent", "CardDeclined", "open_bank"]

CARDS: dict[str, tuple[str, ...]] = {
    "good": ("answers",),
    "declined": ("declines",),
    "flaky": ("is lost", "acts in silence", "answers"),
    "silent": ("acts in silence",),
    "hanging": ("acts and hangs",),
    "late": ("acts and hangs", "answers late"),
}
"""What becomes of the first call for a card, the second one, and so on; the last holds for all that follow."""

_LATE, _HANGS = 2.0, 10.0  # seconds

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, reference TEXT NOT NULL, idempotency_key TEXT NOT NULL, pence INTEGER NOT NULL,
    UNIQUE (kind, idempotency_key));
CREATE INDEX IF NOT EXISTS entries_reference ON entries (reference);
CREATE TABLE IF NOT EXISTS calls (kind TEXT, reference TEXT, count INTEGER NOT NULL, PRIMARY KEY (kind, reference)) WITHOUT ROWID;
"""


class BankSilent(Exception):
    """No answer: it may have acted or not. Ask again with the same key."""


class CardDeclined(Exception):
    """The bank said no, and will say no again."""


class Bank:
    """A bank's API.

    Parameters
    ----------
    books:
        Its SQLite file; made when missing. Several processes may share it.
    world:
        Where its delays come from.
    """

    def __init__(self, books: Path, world: World) -> None:
        self._db = sqlite3.connect(books, isolation_level=None, timeout=5.0)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._world = world

    async def charge(self, reference: str, card: str, pence: int, *, idempotency_key: str) -> str:
        """Take money from a card, once per idempotency key; gives the receipt's number.

        Raises
        ------
        CardDeclined
            For good: nothing was taken.
        BankSilent
            Nobody knows.
        """
        mood = self._mood("charge", reference, CARDS[card])
        if mood == "is lost":
            raise BankSilent(f"the charge for {reference} was lost on the way")
        if mood == "declines":
            raise CardDeclined("the card was declined")
        receipt = self._charge(reference, pence, idempotency_key)
        if mood == "acts in silence":
            raise BankSilent(f"no answer to the charge for {reference}")
        if mood != "answers":
            await self._world.sleep(_HANGS if mood == "acts and hangs" else _LATE)
        return receipt

    async def reverse(self, reference: str, *, idempotency_key: str) -> int:
        """Undo whatever was charged under a reference, and charge nothing under it any more; gives the pence undone, 0 if none.

        Each first call gets no answer.
        """
        mood = self._mood("reversal", reference, ("acts in silence", "answers"))
        undone = self._reverse(reference, idempotency_key)
        if mood == "acts in silence":
            raise BankSilent(f"no answer to the reversal of {reference}")
        return undone

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """What a query gives in its books."""
        return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the books."""
        self._db.close()

    def _mood(self, kind: str, reference: str, moods: tuple[str, ...]) -> str:
        """Count the call; gives what becomes of it."""
        counted = "INSERT INTO calls VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count"
        (count,) = self._db.execute(counted, (kind, reference)).fetchone()
        return moods[min(int(count), len(moods)) - 1]

    def _charge(self, reference: str, pence: int, key: str) -> str:
        """One statement, so that a call of somebody who was thought dead cannot charge after the reversal."""
        self._db.execute(
            "INSERT INTO entries (kind, reference, idempotency_key, pence) SELECT 'charge', :reference, :key, :pence"
            " WHERE NOT EXISTS (SELECT 1 FROM entries WHERE kind = 'reversal' AND reference = :reference)"
            " ON CONFLICT DO NOTHING",
            {"reference": reference, "key": key, "pence": pence},
        )
        row = self._db.execute("SELECT id FROM entries WHERE kind = 'charge' AND idempotency_key = ?", (key,)).fetchone()
        if row is None:
            raise CardDeclined(f"{reference} was reversed")
        return f"receipt-{row[0]}"

    def _reverse(self, reference: str, key: str) -> int:
        self._db.execute(
            "INSERT INTO entries (kind, reference, idempotency_key, pence)"
            " SELECT 'reversal', :reference, :key, coalesce(sum(CASE kind WHEN 'charge' THEN pence ELSE -pence END), 0)"
            " FROM entries WHERE reference = :reference ON CONFLICT DO NOTHING",
            {"reference": reference, "key": key},
        )
        undone = "SELECT sum(pence) FROM entries WHERE kind = 'reversal' AND reference = ?"
        return int(self._db.execute(undone, (reference,)).fetchone()[0])


async def open_bank() -> AsyncIterator[Bank]:
    """The bank whose books the environment names: WALLET_BANK, a file."""
    books = Path(os.environ.get("WALLET_BANK", ".farandole/bank.db"))
    books.parent.mkdir(parents=True, exist_ok=True)
    bank = Bank(books, World())
    try:
        yield bank
    finally:
        bank.close()
