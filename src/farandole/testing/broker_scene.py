"""What a test of a broker works with: a world, names that nobody else uses, brokers that are closed, deliveries that are counted."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal

from farandole.brokers.base import Broker, Consumer, Delivery, Subscription
from farandole.model.envelope import Message
from farandole.testing.virtual import VirtualLoop, VirtualWorld
from farandole.world import World

__all__ = ["Scene", "by_key", "ids"]


class Scene:
    """The world of one test, virtual where its loop is.

    Parameters
    ----------
    make:
        Makes a broker on this test's data.
    patience, quiet:
        Seconds in which whatever must come has come, and that prove that nothing comes.
    """

    def __init__(self, make: Callable[[World], Awaitable[Broker]], patience: float, quiet: float) -> None:
        self.patience, self.quiet = patience, quiet
        self._make = make
        self.world: World = VirtualWorld() if isinstance(asyncio.get_running_loop(), VirtualLoop) else World()
        self.topic, self.group = f"topic-{self.world.token()}", f"group-{self.world.token()}"
        self.opened: list[Broker] = []

    async def broker(self) -> Broker:
        """Another handle on the same data, open."""
        broker = await self._make(self.world)
        self.opened.append(broker)
        await broker.open()
        return broker

    def messages(self, count: int, *, keys: int = 7, topic: str | None = None) -> list[Message]:
        """Messages unlike all others; message n has key n modulo `keys`."""
        mark = self.world.token()
        return [
            Message(topic or self.topic, f"key-{n % keys}", f"{mark}-{n}", "shop.Tested.v1", f"{mark} body {n}".encode())
            for n in range(count)
        ]

    def of(
        self,
        *,
        group: str | None = "",
        start: Literal["beginning", "end"] | int | datetime = "beginning",
        topics: tuple[str, ...] = (),
    ) -> Subscription:
        """A subscription, by default of this test's group to its topic."""
        return Subscription(self.group if group == "" else group, topics or (self.topic,), start)

    async def publish(self, broker: Broker, messages: Sequence[Message]) -> None:
        """Publish, all of it."""
        results = await broker.publish(messages)
        assert [result.error for result in results] == [None] * len(messages)

    async def read(self, consumer: Consumer, count: int, *, ack: bool = True, limit: int = 100) -> list[Delivery]:
        """Exactly so many deliveries, counted as they come."""
        found: list[Delivery] = []
        until = self.world.monotonic() + self.patience
        while len(found) < count:
            batch = await consumer.fetch(min(limit, count - len(found)), 1.0)
            assert len(batch) <= min(limit, count - len(found)), "fetch gave more than its limit"
            found += batch
            if ack and batch:
                await consumer.ack(batch)
            assert batch or self.world.monotonic() < until, f"{len(found)} of {count} came in {self.patience} s"
        return found

    async def nothing(self, *consumers: Consumer) -> None:
        """Nothing (more) comes."""
        for consumer in consumers:
            assert ids(await consumer.fetch(100, self.quiet)) == []


def ids(things: Sequence[Delivery] | Sequence[Message]) -> list[str]:
    """Their ids, in order, none left out."""
    return [thing.id for thing in things]


def by_key(deliveries: Sequence[Delivery] | Sequence[Message]) -> dict[str, list[str]]:
    """The ids of each key, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for delivery in deliveries:
        found[delivery.key].append(delivery.id)
    return dict(found)
