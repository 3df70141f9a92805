"""The NATS broker, on a real server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import nats
import pytest
from tests.brokers.conftest import vanish_from_log
from tests.servers import server

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.testing.conformance_broker import BrokerSuite
from farandole.world import World


@pytest.fixture
def url() -> Iterator[str]:
    """Names of this test alone."""
    prefix = f"test-{secrets.token_hex(6)}"
    place = server("nats")
    yield f"{place}?prefix={prefix}"

    async def forget() -> None:
        client = await nats.connect(place)
        jetstream = client.jetstream()
        for stream in await jetstream.streams_info():
            if prefix in stream.config.name:
                await jetstream.delete_stream(stream.config.name)
        await client.close()

    asyncio.run(forget())


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
