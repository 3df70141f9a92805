"""The SQLite store against the suite, in a file and in memory."""

from __future__ import annotations

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
        self.count = 0

    async def make(self, world: World) -> Store:
        return open_store(f"sqlite:///{self.path}?synchronous=off", world, tables=self.tables)
