"""The payment gateway: the world outside. It fails, answers too late and declines, and keeps its own ledger.

The ledger is a small SQLite file of its own, never the payments database, so that it outlives any crash of the shop and tells
what was really charged. Like real gateways it honours idempotency keys, and knows the merchant's reference (the order).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farandole.errors import ConfigurationError
from farandole.world import World

from .chance import chance

__all__ = ["CardDeclined", "Gateway", "GatewayTimeout", "GatewayUnavailable", "Weather", "open_gateway", "weather_outside"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, reference TEXT NOT NULL, idempotency_key TEXT NOT NULL, pence INTEGER NOT NULL,
    UNIQUE (kind, idempotency_key, reference));
CREATE INDEX IF NOT EXISTS entries_reference ON entries (reference);
CREATE TABLE IF NOT EXISTS attempts (
    kind TEXT, reference TEXT, count INTEGER NOT NULL, PRIMARY KEY (kind, reference)) WITHOUT ROWID;
"""


class GatewayUnavailable(Exception):
    """The request was lost on the way: nothing happened."""


class GatewayTimeout(Exception):
    """No answer came: it happened, but the caller cannot know."""


class CardDeclined(Exception):
    """The bank said no, and will say no again."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What goes wrong outside.

    Parameters
    ----------
    declines:
        The share of orders whose card is declined, 0 to 1.
    timeouts:
        The share of calls that get no answer, 0 to 1: half of them are lost before anything happened, half after.
    seed:
        The same seed gives the same weather.
    frauds:
        The share of reviewed orders that the bureau warns of, 0 to 1.
    """

    declines: float = 0.0
    timeouts: float = 0.0
    seed: int = 0
    frauds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("declines", "timeouts", "frauds"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ConfigurationError(f"expected {name} to be a share from 0 to 1, such as 0.05, got: {share}")


class Gateway:
    """A payment provider.

    Parameters
    ----------
    ledger:
        Its SQLite file; made when missing. Several processes may share it.
    weather:
        What goes wrong.
    world:
        Where its delays come from.
    latency:
        Seconds until it acts.
    """

    def __init__(self, ledger: Path, weather: Weather, world: World, *, latency: float = 0.0) -> None:
        self._db = sqlite3.connect(ledger, isolation_level=None, timeout=5.0)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._weather = weather
        self._world = world
        self._latency = latency

    async def charge(self, reference: str, pence: int, *, idempotency_key: str) -> str:
        """Take money for an order, once per idempotency key; gives the receipt's number.

        Raises
        ------
        CardDeclined
            For good: nothing was taken.
        GatewayUnavailable, GatewayTimeout
            Try again with the same key.
        """
        answered = await self._arrive("charge", reference)
        with _Immediately(self._db):
            known = self._entry("charge", reference, idempotency_key)
            if known is None:
                self._refuse(reference)
                known = self._write("charge", reference, idempotency_key, pence)
        self._answer(answered, "charge", reference)
        return f"receipt-{known}"

    async def void(self, reference: str, *, idempotency_key: str) -> int:
        """Undo whatever was charged for an order, and take nothing for it any more; gives the pence undone, 0 if none."""
        answered = await self._arrive("void", reference)
        with _Immediately(self._db):
            if self._entry("void", reference, idempotency_key) is None:
                self._write("void", reference, idempotency_key, self._balance(reference))
            row = self._db.execute(
                "SELECT sum(pence) FROM entries WHERE kind = 'void' AND reference = ?", (reference,)
            ).fetchone()
        self._answer(answered, "void", reference)
        return int(row[0])

    async def refund(self, parts: Mapping[str, int], *, idempotency_key: str) -> None:
        """Pay back so many pence to each of these orders, all or none, once per idempotency key."""
        answered = await self._arrive("refund", idempotency_key)
        with _Immediately(self._db):
            for reference, pence in parts.items():
                if self._entry("refund", reference, idempotency_key) is None:
                    self._write("refund", reference, idempotency_key, pence)
        self._answer(answered, "refund", idempotency_key)

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """What a query gives in its ledger."""
        return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the ledger."""
        self._db.close()

    async def _arrive(self, kind: str, reference: str) -> bool:
        """Count the call, and lose it by chance; gives whether its answer will reach the caller."""
        await self._world.sleep(self._latency)
        (attempt,) = self._db.execute(
            "INSERT INTO attempts VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count", (kind, reference)
        ).fetchone()
        weather = self._weather
        if chance(weather.seed, kind, reference, attempt) >= weather.timeouts:
            return True
        if chance(weather.seed, "lost", kind, reference, attempt) < 0.5:
            raise GatewayUnavailable(f"{kind} of {reference} was lost on the way (attempt {attempt})")
        return False

    @staticmethod
    def _answer(answered: bool, kind: str, reference: str) -> None:
        if not answered:
            raise GatewayTimeout(f"no answer to {kind} of {reference}; it may have happened")

    def _refuse(self, reference: str) -> None:
        voided = self._db.execute("SELECT 1 FROM entries WHERE kind = 'void' AND reference = ?", (reference,)).fetchone()
        if voided:  # a late call of somebody who was thought dead must not charge after the void
            raise CardDeclined(f"{reference} was voided")
        if chance(self._weather.seed, "decline", reference) < self._weather.declines:
            raise CardDeclined("card declined")

    def _entry(self, kind: str, reference: str, key: str) -> int | None:
        row = self._db.execute(
            "SELECT id FROM entries WHERE kind = ? AND idempotency_key = ? AND reference = ?", (kind, key, reference)
        ).fetchone()
        return None if row is None else int(row[0])

    def _write(self, kind: str, reference: str, key: str, pence: int) -> int:
        cursor = self._db.execute(
            "INSERT INTO entries (kind, reference, idempotency_key, pence) VALUES (?, ?, ?, ?)", (kind, reference, key, pence)
        )
        return int(cursor.lastrowid or 0)

    def _balance(self, reference: str) -> int:
        row = self._db.execute(
            "SELECT coalesce(sum(CASE kind WHEN 'charge' THEN pence ELSE -pence END), 0) FROM entries WHERE reference = ?",
            (reference,),
        ).fetchone()
        return int(row[0])


class _Immediately:
    """A transaction that takes the write lock at once; nothing is awaited inside."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


async def open_gateway() -> AsyncIterator[Gateway]:
    """The gateway that the environment describes: SHOP_LEDGER (a file), and the weather."""
    ledger = Path(os.environ.get("SHOP_LEDGER", ".farandole/gateway.db"))
    ledger.parent.mkdir(parents=True, exist_ok=True)
    gateway = Gateway(ledger, weather_outside(), World())
    try:
        yield gateway
    finally:
        gateway.close()


def weather_outside() -> Weather:
    """The weather that the environment describes: SHOP_DECLINES, SHOP_TIMEOUTS, SHOP_FRAUDS, SHOP_SEED."""
    declines, timeouts, frauds, seed = (_number(f"SHOP_{name}") for name in ("DECLINES", "TIMEOUTS", "FRAUDS", "SEED"))
    return Weather(declines, timeouts, int(seed), frauds)


def _number(name: str) -> float:
    text = os.environ.get(name, "0")
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"expected the environment variable {name} to be a number, got: {text!r}") from None
