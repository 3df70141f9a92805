"""What the cases of `conformance_broker` share: a world, names that nobody else uses, members at work, deliveries that are counted."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal

from farandole.brokers.base import Broker, Consumer, Delivery, Subscription
from farandole.model.envelope import Message
from farandole.testing.checkers import altered, lost, out_of_order, repeated, require, unexpected
from farandole.testing.suite import Suite, hook, skip
from farandole.testing.virtual import VirtualLoop, VirtualWorld
from farandole.world import World

__all__ = ["BrokerCases", "Scene", "by_key", "exactly", "ids"]


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
        self.named: list[Subscription] = []

    async def broker(self) -> Broker:
        """Another handle on the same data, open."""
        broker = await self._make(self.world)
        self.opened.append(broker)
        await broker.open()
        return broker

    def messages(self, count: int, *, keys: int = 7, topic: str | None = None, mark: str = "") -> list[Message]:
        """Messages unlike all others; message n has key n modulo `keys`, after `mark`."""
        unlike = self.world.token()
        return [
            Message(
                topic or self.topic, f"{mark}key-{n % keys}", f"{unlike}-{n}", "shop.Tested.v1", f"{unlike} body {n}".encode()
            )
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
        named = Subscription(self.group if group == "" else group, topics or (self.topic,), start)
        self.named.append(named)
        return named

    async def begin(self, broker: Broker, *subscriptions: Subscription) -> None:
        """Let groups begin now, by default this test's: without `replay` they get only what is published from then on."""
        if not broker.capabilities.replay:
            for subscription in subscriptions or (self.of(),):
                await (await broker.subscribe(subscription)).close()

    async def publish(self, broker: Broker, messages: Sequence[Message]) -> None:
        """Publish, all of it."""
        results = await broker.publish(messages)
        assert [result.error for result in results] == [None] * len(messages)

    async def publish_slowly(self, broker: Broker, messages: Sequence[Message], size: int, pause: float = 0.02) -> None:
        """Publish, so many at a time."""
        for begin in range(0, len(messages), size):
            await self.publish(broker, messages[begin : begin + size])
            await self.world.sleep(pause)

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

    async def settled(self, broker: Broker, subscription: Subscription) -> None:
        """All of the group's messages are settled, soon."""
        until = self.world.monotonic() + self.patience
        while lag := await broker.lag(subscription):
            assert self.world.monotonic() < until, f"a lag of {lag} remains after {self.patience} s"
            await self.world.sleep(0.1)


class BrokerCases(Suite):
    """What an adapter says of itself, and how it is struck. `make` is all that it must say.

    Attributes
    ----------
    patience:
        Seconds in which whatever must come has come.
    quiet:
        Seconds without a message that prove that none comes.
    lease:
        Seconds for which a handler holds messages, without a fetch: longer than anything that your broker could take for death.
    connections:
        How many connections fifty publishers and fifty consumers share.
    shaken:
        Seconds before and after a restart in which acknowledgements may be lost, though nobody was told.
    """

    patience: float = 60.0
    quiet: float = 2.0
    lease: float = 45.0
    connections: int = 20
    shaken: tuple[float, float] = (1.0, 30.0)

    async def make(self, world: World) -> Broker:
        """A broker, not yet open. Every call within one test gives a handle on the same data."""
        raise NotImplementedError("say how to make your broker: async def make(self, world): return MyBroker(...)")

    async def die(self, broker: Broker) -> None:
        """Let a broker vanish while its consumers hold messages. Override it where yours can vanish without a goodbye."""
        await broker.close()

    @hook
    async def restart(self) -> None:
        """Stop what all handles are connected to, hard, and start it again. Override it where you can."""
        raise NotImplementedError

    @hook
    async def refuse_some(self, broker: Broker, messages: Sequence[Message]) -> None:
        """Let the next attempt of `broker` to publish each of these fail as one that may be tried again; or the first attempt to publish
        any, where a batch fails as a whole. Override it where you can.
        """
        raise NotImplementedError

    async def tidy(self, scene: Scene) -> None:
        """Called after each test, when all is closed: `scene.named` are the subscriptions that it used. Delete what you like."""

    @asynccontextmanager
    async def scene(self, claim: str | None = None) -> AsyncIterator[tuple[Scene, Broker]]:
        """A scene and its first broker; skips where the broker does not claim `claim`."""
        scene = Scene(self.make, self.patience, self.quiet)
        try:
            broker = await scene.broker()
            if claim is not None and not getattr(broker.capabilities, claim):
                skip(f"{claim} not claimed")
            yield scene, broker
        finally:
            for opened in scene.opened:
                await opened.close()
            await self.tidy(scene)


def ids(things: Sequence[Delivery] | Sequence[Message]) -> list[str]:
    """Their ids, in order, none left out."""
    return [thing.id for thing in things]


def by_key(deliveries: Sequence[Delivery] | Sequence[Message]) -> dict[str, list[str]]:
    """The ids of each key, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for delivery in deliveries:
        found[delivery.key].append(delivery.id)
    return dict(found)


def exactly(sent: Sequence[Message], came: Sequence[Delivery], *, at: str, ordered: bool = True) -> None:
    """Each came once, as it was sent, those of one key in order; and nothing else came."""
    received = ids(came)
    require(
        lost(sent, received, at=at),
        unexpected(sent, received, at=at),
        repeated(received, at=at),
        out_of_order(sent, received, at=at) if ordered else (),
        altered([*sent, *came]),
    )
