"""Stores for the tests of SQLite's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

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
