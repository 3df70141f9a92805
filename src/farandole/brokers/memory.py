"""The broker in this process: an append-only log per topic and partition. Fast, ordered, and gone when the process ends."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime

import msgspec

from farandole.bell import Bell
from farandole.brokers.base import Broker, Capabilities, Consumer, Delivery, PublishResult, Subscription
from farandole.brokers.checks import DEFAULT_PARTITIONS, check_subscription, parse_url, partition_count
from farandole.brokers.lane import Lane, by_lane, shares
from farandole.errors import BrokerClosed, ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.world import World

__all__ = ["MemoryBroker", "connect"]

_PUBLISHED = PublishResult()


def connect(url: str, world: World) -> Broker:
    """`memory://`: a log of its own; `memory://shop`: one log per process and name. Option: `partitions` (12)."""
    name, options = parse_url(url, known=("partitions",))
    partitions = partition_count(url, options)
    if not name:
        return MemoryBroker(_Log(partitions or DEFAULT_PARTITIONS), world)
    log = _named.setdefault(name, _Log(partitions or DEFAULT_PARTITIONS))
    if partitions not in (None, log.partitions):
        raise ConfigurationError(
            f"broker URL {url!r}: this log has {log.partitions} partitions. Leave the option out, or take another name"
        )
    return MemoryBroker(log, world)


class _Partition:
    """The messages of one topic and partition; position 1 is the first."""

    __slots__ = ("entries", "times")

    def __init__(self) -> None:
        self.entries: list[Delivery] = []
        self.times: list[float] = []

    def position_before(self, start: str | int | datetime) -> int:
        """The position after which a subscription begins that says `start`."""
        if isinstance(start, datetime):
            return bisect_left(self.times, start.timestamp())
        if isinstance(start, int):
            return max(0, min(start - 1, len(self.entries)))
        return 0 if start == "beginning" else len(self.entries)


class _Log:
    """What brokers of one name share."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.topics: dict[str, list[_Partition]] = {}
        self.groups: dict[str, _Group] = {}
        self.readers: dict[str, dict[_MemoryConsumer, None]] = {}  # by topic; a dict, since the order of a set is chance

    def topic(self, name: str) -> list[_Partition]:
        if name not in self.topics:
            self.topics[name] = [_Partition() for _ in range(self.partitions)]
        return self.topics[name]

    def lanes(self, subscription: Subscription) -> dict[tuple[str, int], Lane]:
        """Lanes that begin where the subscription says."""
        return {
            (topic, number): Lane(partition.position_before(subscription.start))
            for topic in subscription.topics
            for number, partition in enumerate(self.topic(topic))
        }


class _Group:
    """The members of a group, who owns which partition, and how far the group is."""

    def __init__(self, partitions: int) -> None:
        self.partitions = range(partitions)
        self.members: list[_MemoryConsumer] = []
        self.lanes: dict[tuple[str, int], Lane] = {}

    def leave(self, partition: int) -> None:
        for key, lane in self.lanes.items():
            if key[1] == partition:
                self.lanes[key] = lane.left()

    def busy(self, partition: int) -> bool:
        return any(lane.out for (_, number), lane in self.lanes.items() if number == partition)

    def balance(self) -> None:
        """Give each member its share. A partition with messages in hand stays where it is until they are settled."""
        if not self.members:
            return
        quota = shares(len(self.partitions), {member: len(member.owned) for member in self.members})
        for member in self.members:
            surplus = len(member.owned) - quota[member]
            ranked = sorted(member.owned, key=lambda number: (self.busy(number), -number))
            member.leaving = set(ranked[: max(0, surplus)])
            for partition in [number for number in member.leaving if not self.busy(number)]:
                self.leave(partition)
                member.leaving.discard(partition)
                member.owned.discard(partition)
        free = [number for number in self.partitions if not any(number in member.owned for member in self.members)]
        for member in self.members:
            wanted = quota[member] - len(member.owned)
            if wanted > 0 and free:
                member.owned.update(free[:wanted])
                free = free[wanted:]
                member.bell.ring()
            member.refresh()


_named: dict[str, _Log] = {}


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

    def __init__(self, log: _Log, world: World) -> None:
        self._log = log
        self._world = world
        self._consumers: list[_MemoryConsumer] = []
        self._open = False

    async def open(self) -> None:
        self._open = True

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        self._check()
        self._world.point("broker.publish:before")
        log, now, largest = self._log, self._world.time(), self.capabilities.max_bytes
        results = [_PUBLISHED] * len(batch)
        touched: dict[str, list[_Partition]] = {}
        for index, message in enumerate(batch):
            topic, body = message.topic, message.body
            if len(body) > largest:
                results[index] = PublishResult(f"{message.id}: {len(body)} bytes; this broker takes {largest}", permanent=True)
                continue
            if topic not in touched:
                touched[topic] = log.topic(topic)
            number = partition_of(message.key, log.partitions)
            partition = touched[topic][number]
            entries = partition.entries
            entries.append(Delivery(topic, number, len(entries) + 1, body, message.key, message.id, message.type))
            partition.times.append(now)
        for topic in touched:
            for reader in log.readers.get(topic, ()):
                reader.bell.ring()
        self._world.point("broker.publish:after")
        return results

    async def subscribe(self, subscription: Subscription) -> Consumer:
        self._check()
        check_subscription(subscription)
        log = self._log
        if subscription.group is None:
            consumer = _MemoryConsumer(log, None, subscription, log.lanes(subscription), self._world)
        else:
            group = log.groups.setdefault(subscription.group, _Group(log.partitions))
            for key, lane in log.lanes(subscription).items():
                group.lanes.setdefault(key, lane)
            consumer = _MemoryConsumer(log, group, subscription, group.lanes, self._world)
            group.members.append(consumer)
            group.balance()
        for topic in subscription.topics:
            log.readers.setdefault(topic, {})[consumer] = None
        self._consumers.append(consumer)
        return consumer

    async def lag(self, subscription: Subscription) -> int:
        self._check()
        check_subscription(subscription)
        lanes = self._log.lanes(subscription)
        group = self._log.groups.get(subscription.group) if subscription.group is not None else None
        if group is not None:
            lanes = {key: group.lanes.get(key, lane) for key, lane in lanes.items()}
        waiting = 0
        for (topic, number), lane in lanes.items():
            settled = len(lane.order) - len(lane.out) - len(lane.returned)
            waiting += len(self._log.topics[topic][number].entries) - lane.position - settled
        return waiting

    async def close(self) -> None:
        for consumer in self._consumers:
            await consumer.close()
        self._consumers.clear()
        self._open = False

    def _check(self) -> None:
        if not self._open:
            raise BrokerClosed("this memory broker is not open: call open() first, and nothing after close()")


class _MemoryConsumer:
    """One member of a group, or a listener of its own."""

    def __init__(
        self, log: _Log, group: _Group | None, subscription: Subscription, lanes: dict[tuple[str, int], Lane], world: World
    ) -> None:
        self.bell = Bell()
        self.owned: set[int] = set(range(log.partitions)) if group is None else set()
        self.leaving: set[int] = set()
        self._log = log
        self._group = group
        self._topics = subscription.topics
        self._lanes = lanes
        self._world = world
        self._reading: list[tuple[Lane, list[Delivery]]] = []
        self._turn = 0
        self._woken = self._closed = self._returned = False
        self.refresh()

    def refresh(self) -> None:
        """What it reads follows from what it owns and is not giving up."""
        self._reading = [
            (self._lanes[topic, number], self._log.topics[topic][number].entries)
            for number in sorted(self.owned - self.leaving)
            for topic in self._topics
        ]
        self._returned = any(lane.returned for lane, _ in self._reading)
        self._turn = 0

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        if self._closed:
            raise BrokerClosed("this consumer is closed: subscribe again")
        self._world.point("broker.fetch:before")
        until = None
        while True:
            self.bell.still()
            found = self._take(limit)
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

    def _take(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        if self._returned:
            for lane, _ in self._reading:
                found += lane.retake(limit - len(found))
            self._returned = any(lane.returned for lane, _ in self._reading)
        reading = self._reading
        for turn in range(self._turn, self._turn + len(reading)):
            if len(found) >= limit:
                self._turn = turn % len(reading)  # the next fetch begins where this one had no room
                break
            lane, entries = reading[turn % len(reading)]
            if lane.read < len(entries):
                fresh = entries[lane.read : lane.read + limit - len(found)]
                if suspects := lane.take([delivery.position for delivery in fresh]):
                    fresh = [msgspec.structs.replace(d, redelivered=True) if d.position in suspects else d for d in fresh]
                found += fresh
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._world.point("broker.ack:before")
        for (topic, number), positions in by_lane(deliveries).items():
            if number in self.owned and (topic, number) in self._lanes:
                self._lanes[topic, number].settle(positions)
        self._hand_over()
        self._world.point("broker.ack:after")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        self._world.point("broker.release:before")
        for delivery in deliveries:
            lane = self._lanes.get((delivery.topic, delivery.partition))
            if lane is not None and delivery.partition in self.owned:
                lane.give_back(delivery)
                self._returned = True
        self._hand_over()
        self._world.point("broker.release:after")

    def _hand_over(self) -> None:
        """What others wait for, and has nothing in hand any more, goes to them."""
        if self.leaving and self._group is not None and not all(self._group.busy(number) for number in self.leaving):
            self._group.balance()

    def wake(self) -> None:
        self._woken = True
        self.bell.ring()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for topic in self._topics:
            self._log.readers[topic].pop(self, None)
        if self._group is not None:
            for number in self.owned:
                self._group.leave(number)
            self._group.members.remove(self)
            self._group.balance()
        self.owned = set()
        self.refresh()
        self.bell.ring()
