"""A consumer of Kafka, as the event loop sees it: each call is one call into its thread, never one per message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from confluent_kafka import KafkaException

from farandole.brokers.base import Delivery, Subscription
from farandole.brokers.kafka import Settings
from farandole.brokers.kafka.admin import Admin, words
from farandole.brokers.kafka.member import Member
from farandole.errors import BrokerClosed, BrokerError
from farandole.world import World

__all__ = ["KafkaConsumer"]

T = TypeVar("T")
JOIN = 40.0
"""Seconds that `subscribe` waits for the group to share; if others take longer, the share comes later."""
HOLD = 30.0
"""Seconds that a group which wants to share anew waits for what is in hand."""


class KafkaConsumer:
    """One member of a group, or a listener of its own.

    Parameters
    ----------
    settings, admin, world:
        The broker's.
    subscription:
        Who wants what.
    """

    def __init__(self, settings: Settings, admin: Admin, world: World, subscription: Subscription) -> None:
        self.closed = False
        self.subscription = subscription
        self._place = settings.place
        self._world = world
        self._thread = ThreadPoolExecutor(1, "farandole-kafka-consume")
        self._asked = self._begun = self._ended = 0  # calls into the thread
        self._hold = min(HOLD, int(settings.client.get("max.poll.interval.ms", 300_000)) / 2000)
        self._turn = asyncio.Lock()
        self._polled_at = world.monotonic()
        self._member = Member(settings, admin, subscription, lambda: self._asked > self._begun)

    async def join(self) -> None:
        """Wait until the group told us our share."""
        await self._do(self._member.look)
        until = self._world.monotonic() + JOIN
        while not await self._do(self._member.join) and self._world.monotonic() < until:
            pass

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        """See `Consumer.fetch`."""
        self._world.point("broker.fetch:before")
        async with self._turn:
            member, until = self._member, self._world.monotonic() + wait
            while True:
                self._check()
                left = until - self._world.monotonic()
                found = await self._do(member.read, limit, max(0.0, left))
                member.unclaimed = ()
                self._polled_at = self._world.monotonic()
                if found or member.woken or self._polled_at >= until:
                    break
            member.woken = False
        self._world.point("broker.fetch:after")
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.ack`."""
        self._world.point("broker.ack:before")
        if deliveries and not self.closed:
            await self._do(self._member.settle, deliveries)
        self._world.point("broker.ack:after")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.release`."""
        self._world.point("broker.release:before")
        if deliveries and not self.closed:
            await self._do(self._member.give_back, deliveries)
        self._world.point("broker.release:after")

    def wake(self) -> None:
        """See `Consumer.wake`."""
        self._member.woken = True

    async def tick(self) -> None:
        """Stay in the group while nobody fetches."""
        if not self.closed and self._asked == self._ended:
            now = self._world.monotonic()
            if await self._do(lambda: self._member.tick(over=now - self._polled_at > self._hold)):
                self._polled_at = now

    async def look(self) -> None:
        """Topics may have got more partitions."""
        if not self.closed and self.subscription.group is None:
            await self._do(self._member.look)

    async def close(self) -> None:
        """See `Consumer.close`."""
        if self.closed:
            return
        self.closed = self._member.woken = True
        await self._do(self._member.leave)
        self._thread.shutdown(wait=False)

    def _check(self) -> None:
        if self.closed:
            raise BrokerClosed("this consumer is closed: subscribe again")

    async def _do(self, call: Callable[..., T], *arguments: object) -> T:
        """Call the member in its thread. Whoever is cancelled does not stop it."""
        self._asked += 1
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._run, call, *arguments)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(lambda done: done.cancelled() or done.exception())  # it has been seen
            raise
        except KafkaException as error:
            raise BrokerError(f"{self._place}, group {self.subscription.group}: {words(error)}") from None

    def _run(self, call: Callable[..., T], *arguments: object) -> T:
        self._begun += 1
        try:
            return call(*arguments)
        finally:
            self._ended += 1
