"""The Redis broker, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.brokers.conftest import vanish_from_log
from tests.servers import server

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.testing.conformance_broker import BrokerSuite
from farandole.world import World


@pytest.fixture
def url() -> Iterator[str]:
    """Keys of this test alone."""
    import secrets

    import redis

    prefix = f"test-{secrets.token_hex(6)}"
    place = server("redis")
    yield f"{place}?prefix={prefix}"
    client = redis.Redis.from_url(place)
    for key in client.scan_iter(f"{{{prefix}}}*"):
        client.delete(key)
    client.close()


@pytest.mark.servers
@pytest.mark.real_time
class TestConformance(BrokerSuite):
    quiet = 0.7

    @pytest.fixture(autouse=True)
    def _place(self, url: str) -> None:
        self.url = url

    async def make(self, world: World) -> Broker:
        return open_broker(self.url, world)

    async def die(self, broker: Broker) -> None:
        vanish_from_log(broker)
