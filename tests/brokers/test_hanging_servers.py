"""Servers that hang: connections stand, and nobody answers. (Kafka: `test_kafka_trouble`.)"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from tests.servers import postgres_url, server
from tests.wire import Wire

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Subscription
from farandole.errors import BrokerError
from farandole.model.envelope import Message
from farandole.world import World

pytestmark = [pytest.mark.servers, pytest.mark.real_time]

PATIENCE = 120.0
"""Seconds until a call is called endless; each of them takes 5 to 30."""
BROKERS = ["nats", "postgres", "rabbitmq", "redis"]


def wire_to(name: str) -> tuple[Wire, str]:
    """A wire to a server, and the URL of a broker behind it."""
    url = postgres_url() if name == "postgres" else server(name)
    parts = urlsplit(url)
    wire = Wire(lambda: asyncio.open_connection(parts.hostname, parts.port))
    login = parts.netloc.rpartition("@")[0]
    return wire, parts._replace(netloc=f"{login}@127.0.0.1:{wire.port}" if login else f"127.0.0.1:{wire.port}").geturl()


async def used(broker: Broker, topic: str) -> None:
    """Something was published, and is in hand."""
    consumer = await broker.subscribe(Subscription(f"{topic}-group", (topic,)))
    results = await broker.publish([Message(topic, f"k{n}", f"{topic}-{n}", "T", b"") for n in range(20)])
    assert not [result for result in results if result.error]
    held = list(await consumer.fetch(10, 10.0))
    await consumer.ack(held[:5])


async def closes(name: str) -> None:
    wire, url = wire_to(name)
    async with wire:
        world = World()
        broker = open_broker(url, world)
        await broker.open()
        await used(broker, f"topic-{world.token()}")
        wire.freeze()
        async with asyncio.timeout(PATIENCE):
            await broker.close()


async def test_closing_ends_while_the_server_hangs() -> None:
    await asyncio.gather(*map(closes, BROKERS))


async def trouble(broker: Broker, batch: list[Message]) -> str | None:
    """Why it could not be published."""
    try:
        (result,) = await broker.publish(batch)
    except BrokerError as error:
        return str(error)
    assert not result.permanent
    return result.error


async def says_so(name: str) -> None:
    wire, url = wire_to(name)
    async with wire:
        world = World()
        broker, topic = open_broker(url, world), f"topic-{world.token()}"
        await broker.open()
        await used(broker, topic)
        wire.freeze()
        again = [Message(topic, "k0", f"{topic}-late", "T", b"")]
        async with asyncio.timeout(PATIENCE):
            assert await trouble(broker, again)
        wire.thaw()
        async with asyncio.timeout(PATIENCE):
            while await trouble(broker, again):
                pass
            await broker.close()


async def test_what_cannot_be_published_while_the_server_hangs_is_told_and_can_be_later() -> None:
    await asyncio.gather(*map(says_so, BROKERS))
