"""The RabbitMQ that all tests share, and a scene on it that is tidied up."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiormq
import pytest

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.brokers.rabbitmq.setup import exchange_name, members_name, queue_name
from farandole.testing.broker_scene import Scene
from farandole.world import World

URL = os.environ.get("FARANDOLE_RABBITMQ", "")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.real_time,
    pytest.mark.skipif(
        not URL and not os.environ.get("FARANDOLE_REQUIRE_SERVERS"),
        reason="FARANDOLE_RABBITMQ is not set: start the server with `scripts/servers up rabbitmq`",
    ),
]


async def tidy(groups: list[str], topics: tuple[str, ...]) -> None:
    """Delete what a test made, once its members left: they would make it anew. A server with thousands of queues is slow."""
    async with aiormq.connect(URL) as connection:
        channel = await connection.channel()
        for topic in topics:
            for group in groups:
                for number in range(12):
                    await channel.queue_delete(queue_name(group, topic, number), nowait=True)
                    await channel.queue_delete(f"farandole.{group}:{number}:notes", nowait=True)
            await channel.exchange_delete(exchange_name(topic))
            await channel.queue_delete(f"farandole.{topic}:partitions")
        for group in groups:
            await channel.exchange_delete(members_name(group))


@asynccontextmanager
async def place(*, topics: tuple[str, ...] = ("",), groups: tuple[str, ...] = ("",)) -> AsyncIterator[tuple[Scene, Broker]]:
    """A scene whose names are tidied up after the test."""

    async def make(world: World) -> Broker:
        return open_broker(URL, world)

    scene = Scene(make, 60.0, 1.0)
    try:
        yield scene, await scene.broker()
    finally:
        for broker in scene.opened:
            await broker.close()
        await tidy([f"{scene.group}{group}" for group in groups], tuple(f"{scene.topic}{topic}" for topic in topics))
