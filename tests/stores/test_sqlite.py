"""The SQLite store against the suite, in a file and in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from farandole.stores import open_store
from farandole.stores.base import Store
from farandole.testing.conformance_store import StoreSuite
from farandole.world import World


class TestInAFile(StoreSuite):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "service.db"

    async def make(self, world: World) -> Store:
        return open_store(f"sqlite:///{self.path}?synchronous=off", world, tables=self.tables)

    async def conflict(self, store: Store, step: Callable[[], Awaitable[None]]) -> None:
        """SQLite has one writer: another process holds the lock for too long."""
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            await step()
        finally:
            other.execute("COMMIT")
            other.close()


class TestInMemory(StoreSuite):
    store: Store | None = None

    async def make(self, world: World) -> Store:
        """The one that is open, if any: a database in memory is nobody else's."""
        if self.store is None or not self.store.is_open:
            self.store = open_store("sqlite://", world, tables=self.tables)
        return self.store

    test_a_death_at_any_point_leaves_all_or_nothing = None  # nothing outlives what was in memory
    test_a_death_in_an_edit_leaves_the_new_body_and_the_old_one_or_neither = None
    test_a_death_at_any_point_leaves_the_letter_and_its_task_or_neither = None
