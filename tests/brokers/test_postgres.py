"""PostgreSQL as a broker, on a real server."""

from __future__ import annotations

import pytest
from tests.brokers.conftest import vanish_from_log

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.testing.conformance_broker import BrokerSuite
from farandole.world import World


@pytest.mark.servers
class TestConformance(BrokerSuite):
    @pytest.fixture(autouse=True)
    def _place(self, schema: str) -> None:
        self.url = schema

    async def make(self, world: World) -> Broker:
        return open_broker(self.url, world)

    async def die(self, broker: Broker) -> None:
        vanish_from_log(broker)
