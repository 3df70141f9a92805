"""Stores for the tests: on a file of their own, or in a schema of their own on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.stores.servers import postgres_url

from farandole.stores import open_store
from farandole.stores.sqlite.store import SqliteStore
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

TABLES = "CREATE TABLE IF NOT EXISTS things (id TEXT PRIMARY KEY, name TEXT NOT NULL);"

Opened = Callable[..., AbstractAsyncContextManager[SqliteStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "service.db"


@pytest.fixture
def opened(path: Path) -> Opened:
    """Opens a store on `path`, and closes it."""

    @asynccontextmanager
    async def open_(
        options: str = "", *, tables: Any = TABLES, world: World | None = None, file: Path = path
    ) -> AsyncIterator[SqliteStore]:
        store = open_store(f"sqlite:///{file}{options}", world or VirtualWorld(), tables=tables)
        assert isinstance(store, SqliteStore)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    return open_


@pytest.fixture
def schema() -> Iterator[str]:
    """The URL of an empty schema on a real PostgreSQL, of this test alone."""
    url, name = postgres_url(), f"test_{secrets.token_hex(6)}"
    yield f"{url}{'&' if '?' in url else '?'}schema={name}"

    async def forget() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
        await connection.close()

    asyncio.run(forget())
