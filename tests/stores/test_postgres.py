"""The PostgreSQL store: what every store does, on a real server."""

from __future__ import annotations

import pytest

from farandole.stores import open_store
from farandole.stores.base import Store
from farandole.testing.conformance_store import StoreSuite
from farandole.world import World


@pytest.mark.servers
class TestConformance(StoreSuite):
    @pytest.fixture(autouse=True)
    def _schema(self, schema: str) -> None:
        self.url = schema

    async def make(self, world: World) -> Store:
        return open_store(self.url, world, tables=self.tables)
