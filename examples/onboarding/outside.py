"""The world outside: a mail server and a CRM, each with books of its own. They answer late, or not; the rehearsal sees to that."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from farandole import World

__all__ = ["AddressUnknown", "Crm", "Mailer", "open_crm", "open_mailer"]


class AddressUnknown(Exception):
    """The mail server says that nobody is there, and will say so again."""


class _Books:
    """A small SQLite file that outlives any crash of the services."""

    TABLES = ""

    def __init__(self, path: Path, world: World) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        self._db.execute(self.TABLES)
        self._world = world

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """What a query gives in its books."""
        return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the books."""
        self._db.close()


class Mailer(_Books):
    """A mail server: mail under one idempotency key is sent once. It knows nobody at `nowhere.example`."""

    TABLES = "CREATE TABLE IF NOT EXISTS mails (key TEXT PRIMARY KEY, address TEXT NOT NULL, words TEXT NOT NULL)"

    async def send(self, address: str, words: str, *, idempotency_key: str) -> None:
        """Send a mail.

        Raises
        ------
        AddressUnknown
            For good: nobody is there.
        """
        await self._world.sleep(0.05)
        if address.endswith("@nowhere.example"):
            raise AddressUnknown("there is no such address")
        self._db.execute("INSERT INTO mails VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (idempotency_key, address, words))


class Crm(_Books):
    """What sales look at. A contact that was removed stays away, however late somebody adds it."""

    TABLES = "CREATE TABLE IF NOT EXISTS contacts (user_id TEXT PRIMARY KEY, name TEXT, removed INTEGER NOT NULL)"

    async def add(self, user_id: str, name: str) -> None:
        """Add a contact; once is as good as twice."""
        await self._world.sleep(0.05)
        self._db.execute("INSERT INTO contacts VALUES (?, ?, 0) ON CONFLICT DO NOTHING", (user_id, name))

    async def remove(self, user_id: str) -> None:
        """Forget a contact, also one that was never added."""
        await self._world.sleep(0.05)
        forget = "INSERT INTO contacts VALUES (?, NULL, 1) ON CONFLICT (user_id) DO UPDATE SET name = NULL, removed = 1"
        self._db.execute(forget, (user_id,))


async def open_mailer() -> AsyncIterator[Mailer]:
    """The mail server whose books the environment names: ONBOARDING_MAILS (a file)."""
    mailer = Mailer(_file("ONBOARDING_MAILS", "mails.db"), World())
    try:
        yield mailer
    finally:
        mailer.close()


async def open_crm() -> AsyncIterator[Crm]:
    """The CRM whose books the environment names: ONBOARDING_CONTACTS (a file)."""
    crm = Crm(_file("ONBOARDING_CONTACTS", "contacts.db"), World())
    try:
        yield crm
    finally:
        crm.close()


def _file(variable: str, name: str) -> Path:
    path = Path(os.environ.get(variable, f".farandole/{name}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
