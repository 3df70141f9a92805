"""The broker in one SQLite file."""

from __future__ import annotations

from pathlib import Path

import pytest

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.brokers.sqlite import SqliteBroker
from farandole.testing.conformance_broker import BrokerSuite
from farandole.world import World


class TestConformance(BrokerSuite):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "broker.db"

    async def make(self, world: World) -> Broker:
        return open_broker(f"sqlite:///{self.path}?synchronous=normal", world)

    async def die(self, broker: Broker) -> None:
        """No more signs of life, and nothing given back: its lease must run out."""
        assert isinstance(broker, SqliteBroker) and broker._beat is not None
        broker._beat.cancel()
        for consumer in broker._consumers:
            consumer.closed = True
