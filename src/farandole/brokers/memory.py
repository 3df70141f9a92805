"""The broker in this process: an append-only log per topic and partition. Fast, ordered, and gone when the process ends."""

from __future__ import annotations

from collections.abc import Sequence

from farandole.brokers.base import Broker, Capabilities, Consumer, Delivery, PublishResult, Subscription
from farandole.brokers.checks import DEFAULT_PARTITIONS, check_subscription, parse_url, partition_count, refused
from farandole.brokers.log import Log, Member
from farandole.errors import BrokerClosed, ConfigurationError
from farandole.model.envelope import Message
from farandole.world import World

__all__ = ["MemoryBroker", "MemoryConsumer", "connect"]

_PUBLISHED = PublishResult()
_named: dict[str, Log] = {}


def connect(url: str, world: World) -> Broker:
    """`memory://`: a log of its own; `memory://shop`: one log per process and name. Option: `partitions` (12)."""
    name, options = parse_url(url, known=("partitions",))
    partitions = partition_count(url, options)
    if not name:
        return MemoryBroker(Log(partitions or DEFAULT_PARTITIONS), world)
    log = _named.setdefault(name, Log(partitions or DEFAULT_PARTITIONS))
    if partitions not in (None, log.partitions):
        raise ConfigurationError(
            f"broker URL {url!r}: this log has {log.partitions} partitions. Leave the option out, or take another name"
        )
    return MemoryBroker(log, world)


class MemoryBroker:
    """See `connect`."""

    capabilities = Capabilities(
        assigns_partitions=True,
        replay=True,
        fenced_ack=True,
        redelivery_flag=True,
        shared=False,
        max_bytes=64 * 1024 * 1024,
        durability="nothing: it is lost when the process ends",
    )

    def __init__(self, log: Log, world: World) -> None:
        self._log = log
        self._world = world
        self._consumers: list[MemoryConsumer] = []
        self._open = False

    async def open(self) -> None:
        self._open = True

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        self._check()
        self._world.point("broker.publish:before")
        largest = self.capabilities.max_bytes
        results = [refused(message, largest) or _PUBLISHED for message in batch]
        fits = [message for message, result in zip(batch, results, strict=True) if result is _PUBLISHED]
        self._log.append(fits, self._world.time())
        self._world.point("broker.publish:after")
        return results

    async def subscribe(self, subscription: Subscription) -> Consumer:
        self._check()
        check_subscription(subscription)
        consumer = MemoryConsumer(self._log, subscription, self._world)
        self._consumers.append(consumer)
        return consumer

    async def lag(self, subscription: Subscription) -> int:
        self._check()
        check_subscription(subscription)
        return self._log.lag(subscription)

    async def close(self) -> None:
        for consumer in self._consumers:
            await consumer.close()
        self._consumers.clear()
        self._open = False

    def _check(self) -> None:
        if not self._open:
            raise BrokerClosed("this memory broker is not open: call open() first, and nothing after close()")


class MemoryConsumer(Member):
    """One member of a group, or a listener of its own."""

    def __init__(self, log: Log, subscription: Subscription, world: World) -> None:
        super().__init__(log, subscription)
        self._world = world
        self._woken = self._closed = False

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        if self._closed:
            raise BrokerClosed("this consumer is closed: subscribe again")
        self._world.point("broker.fetch:before")
        until = None
        while True:
            self.bell.still()
            found = self.take(limit)
            if found or self._woken or self._closed:
                break
            until = self._world.monotonic() + wait if until is None else until
            left = until - self._world.monotonic()
            if left <= 0:
                break
            await self.bell.wait(left)
        self._woken = False
        self._world.point("broker.fetch:after")
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._world.point("broker.ack:before")
        self.settle(deliveries)
        self._world.point("broker.ack:after")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        self._world.point("broker.release:before")
        self.give_back(deliveries)
        self._world.point("broker.release:after")

    def wake(self) -> None:
        self._woken = True
        self.bell.ring()

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.leave()
