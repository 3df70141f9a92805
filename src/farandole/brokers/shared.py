"""Consumers of brokers that are plain logs with a place for small records: Redis, NATS, a table.

The broker keeps two kinds of records: one document per group (see `members`), and for each group, topic and partition a mark: how far
it is settled, and the token of its owner. Marks change only where the token is still theirs: that is the fence.
Who takes a partition over reads its mark; where the previous owner did not leave it in order, what that one may have had in hand is suspect.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from farandole.bell import Bell
from farandole.brokers.base import Capabilities, Consumer, Delivery, PublishResult, Subscription
from farandole.brokers.checks import check_subscription
from farandole.brokers.lane import Lane, by_lane
from farandole.brokers.members import BEAT, LEASE, Group, Holding, Watch, balance, leave
from farandole.errors import BrokerClosed, BrokerError
from farandole.model.envelope import Message
from farandole.process import process_name
from farandole.world import World

__all__ = ["SUSPECTS", "Key", "LogBroker", "LogConsumer", "Mark", "end"]

SUSPECTS = 1000
"""Messages per topic and partition that a dead member may have fetched; a member that has more writes it down."""
POLL = 0.5
"""Seconds between looks when nobody wakes us."""

Key = tuple[str, int]
"""A topic and a partition."""


class Mark(msgspec.Struct, frozen=True):
    """How far a group is in one topic and partition.

    Attributes
    ----------
    position:
        Everything up to here is settled.
    suspects, suspects_end:
        As those of `Lane`.
    left:
        Whether its last owner left it in order.
    """

    position: int
    suspects: int = 0
    suspects_end: int = 0
    left: bool = True


async def end(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks until they end: client libraries swallow a cancellation now and then."""
    left = {task for task in tasks if task is not None and not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)


class LogBroker(ABC):
    """What these brokers share; an adapter adds what talks to its server.

    Parameters
    ----------
    name:
        For messages, without a password.
    world:
        Clock and chance.
    """

    capabilities: Capabilities
    partitions: int

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.is_open = False
        self._consumers: list[LogConsumer] = []
        self._alarm = Bell()
        self._beat: asyncio.Task[None] | None = None
        self._flying = 0
        self._landed = Bell()

    # ---- what an adapter does; all of it raises BrokerError where the server does not do as asked

    @abstractmethod
    async def connect(self) -> None:
        """Connect, and make ready what is missing; sets `partitions`."""

    @abstractmethod
    async def disconnect(self) -> None:
        """The opposite; never raises."""

    @abstractmethod
    async def send(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        """Publish; see `Broker.publish`."""

    @abstractmethod
    async def start_of(self, key: Key, start: str | int | datetime) -> int:
        """The position after which a subscription begins that says `start`."""

    @abstractmethod
    async def count_after(self, key: Key, position: int) -> int:
        """How many messages stand after a position."""

    @abstractmethod
    async def join(self, group: str, starts: Mapping[Key, int]) -> None:
        """Make the marks of a group that are missing."""

    @abstractmethod
    async def marks(self, group: str, keys: Collection[Key]) -> dict[Key, Mark]:
        """The marks that there are."""

    @abstractmethod
    async def take(self, group: str, token: str, keys: Collection[Key]) -> dict[Key, tuple[Mark, int]]:
        """Put our token into marks (and `left=False`); give what they were, each with the last position of its log now."""

    @abstractmethod
    async def put(self, group: str, token: str, marks: Mapping[Key, Mark]) -> None:
        """Write marks where the token is still ours; one that says `left` lets the token go."""

    @abstractmethod
    async def change(self, group: str, step: Callable[[Group], Group]) -> None:
        """Change the group's document by compare-and-set, again and again until nobody came between."""

    @abstractmethod
    async def read(self, consumer: LogConsumer, cursors: Mapping[Key, int], limit: int) -> Mapping[Key, Sequence[Delivery]]:
        """What stands after these positions, in order; about `limit` in all, or more. Never waits for something to come."""

    def forget(self, consumer: LogConsumer, keys: Collection[Key]) -> None:  # noqa: B027 - most need not
        """A consumer reads these no more (or from another position)."""

    def tell(self, what: str) -> None:  # noqa: B027 - a courtesy
        """Tell other processes: "moved" (partitions did). Best effort."""

    # ---- what they share

    async def open(self) -> None:
        """Connect, and make ready what is missing."""
        if not self.is_open:
            await self.connect()
            self.is_open = True

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        self.world.point("broker.publish:before")
        self.check()
        self._flying += 1
        try:
            results = await self.send(batch) if batch else []
        finally:
            self._flying -= 1
            self._landed.ring()
        self.ring({message.topic for message in batch})
        self.world.point("broker.publish:after")
        return results

    async def subscribe(self, subscription: Subscription) -> Consumer:
        self.check()
        check_subscription(subscription)
        keys = [(topic, number) for topic in subscription.topics for number in range(self.partitions)]
        if subscription.group is None:
            starts = {key: await self.start_of(key, subscription.start) for key in keys}
        else:
            starts = {}
            known = await self.marks(subscription.group, keys)
            missing = {key: await self.start_of(key, subscription.start) for key in keys if key not in known}
            if missing:
                await self.join(subscription.group, missing)
        consumer = LogConsumer(self, subscription, self.world.token(), starts)
        self._consumers = [*(other for other in self._consumers if not other.closed), consumer]
        if subscription.group is not None:
            try:
                await consumer.balance()
            except BaseException:
                self._consumers.remove(consumer)
                raise
            self._beat = self._beat or asyncio.create_task(self._keep_alive())
            self.others_look()
        return consumer

    async def lag(self, subscription: Subscription) -> int:
        self.check()
        check_subscription(subscription)
        keys = [(topic, number) for topic in subscription.topics for number in range(self.partitions)]
        marks = {} if subscription.group is None else await self.marks(subscription.group, keys)
        waiting = 0
        for key in keys:
            after = marks[key].position if key in marks else await self.start_of(key, subscription.start)
            waiting += await self.count_after(key, after)
        return waiting

    async def close(self) -> None:
        beat, self._beat = self._beat, None
        await end(beat)
        for consumer in self._consumers:
            await consumer.close()
        self._consumers = []
        if self.is_open:
            self.is_open = False
            while self._flying:  # what is being published is reported as it went
                self._landed.still()
                await self._landed.wait(POLL)
            await self.disconnect()

    def check(self) -> None:
        """Raise where the broker is not open."""
        if not self.is_open:
            raise BrokerClosed(f"the broker {self.name} is not open: call open() first, and nothing after close()")

    def ring(self, topics: Collection[str]) -> None:
        """Something came on these topics."""
        for consumer in self._consumers:
            if not topics.isdisjoint(consumer.topics):  # type: ignore[attr-defined]
                consumer.bell.ring()

    def told(self, what: str) -> None:
        """Another process told something: "moved", or the topics on which something came, with spaces between."""
        if what == "moved":
            self._alarm.ring()
        else:
            self.ring(set(what.split()))

    def others_look(self) -> None:
        """A member came, went, or gave something up."""
        self._alarm.ring()
        self.tell("moved")

    async def housekeeping(self) -> None:  # noqa: B027 - most need not
        """What an adapter does now and then, while a group is consumed."""

    async def _keep_alive(self) -> None:
        """Show that our members live, however long they handle; share partitions anew when somebody came or went."""
        me = asyncio.current_task()
        while self._beat is me:  # a client library may swallow our cancellation
            await self._alarm.wait(BEAT)
            self._alarm.still()
            for consumer in tuple(self._consumers):
                with contextlib.suppress(BrokerError):  # the consumer's own fetch meets it, and raises
                    await consumer.balance()
            with contextlib.suppress(BrokerError):
                await self.housekeeping()


class LogConsumer:
    """One member of a group, or a listener of its own.

    Parameters
    ----------
    broker:
        Whose.
    subscription:
        Who wants what.
    token:
        Unlike that of any other member.
    starts:
        Where a listener begins.
    """

    def __init__(self, broker: LogBroker, subscription: Subscription, token: str, starts: Mapping[Key, int]) -> None:
        self.bell = Bell()
        self.closed = False
        self.topics = frozenset(subscription.topics)
        self.token = token
        self._broker = broker
        self._world = broker.world
        self.group = subscription.group
        self._watch = Watch()
        self._holding = Holding()
        self._balancing = asyncio.Lock()
        self._lanes: dict[Key, Lane] = {key: Lane(position) for key, position in starts.items()}
        self._ahead: dict[Key, deque[Delivery]] = {key: deque() for key in starts}  # read, and not handed out yet
        self._reading: list[Key] = list(starts)
        self._unwritten: set[Key] = set()  # lanes whose mark the broker does not have yet
        self._turn = 0
        self._until = float("inf") if self.group is None else 0.0  # when others may take us for dead
        self._returned = self._woken = False

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        """See `Consumer.fetch`."""
        self._world.point("broker.fetch:before")
        until = self._world.monotonic() + wait
        while True:
            if self.closed:
                raise BrokerClosed("this consumer is closed: subscribe again")
            self._broker.check()
            self.bell.still()
            if self._world.monotonic() >= self._until:  # held up for too long: somebody else may own our partitions by now
                await self.balance()
            found = self._again(limit) or await self._next(limit)
            left = until - self._world.monotonic()
            if found or self._woken or left <= 0:
                break
            await self.bell.wait(min(left, POLL * (0.8 + 0.4 * self._world.random())))
        self._woken = False
        self._world.point("broker.fetch:after")
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.ack`."""
        self._world.point("broker.ack:before")
        for key, positions in by_lane(deliveries).items():
            if key in self._lanes and self._lanes[key].settle(positions):
                self._unwritten.add(key)
        if not self.closed:
            await self._write()
            await self._hand_over()
        self._world.point("broker.ack:after")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.release`."""
        for delivery in deliveries:
            lane = self._lanes.get((delivery.topic, delivery.partition))
            if lane is not None:
                lane.give_back(delivery)
                self._returned = True
        if not self.closed:
            await self._hand_over()

    def wake(self) -> None:
        """See `Consumer.wake`."""
        self._woken = True
        self.bell.ring()

    async def close(self) -> None:
        """See `Consumer.close`."""
        if self.closed:
            return
        self.closed = True
        self.wake()
        async with self._balancing:
            group, owned = self.group, self._holding.owned
            self._broker.forget(self, list(self._lanes))
            self._reading = []
            if group is None:
                return
            try:
                await self._give(owned)
                await self._broker.change(group, lambda document: leave(document, self.token))
            except BrokerError:  # then it is as if this process died: the others see that it counts no more
                return
        self._broker.others_look()

    async def balance(self) -> None:
        """Say that we live, and take or give up partitions."""
        group = self.group
        if group is None or self.closed:
            return
        async with self._balancing:
            if not self.closed:
                await self._balance(group)

    async def _balance(self, group: str) -> None:
        broker, began = self._broker, self._world.monotonic()
        given = self._holding.leaving - self._busy()
        await self._give(given)
        holding = Holding()

        def step(document: Group) -> Group:
            nonlocal holding
            dead = self._watch.dead(document, self.token, began)
            after, holding = balance(
                document, (self.token, process_name()), broker.partitions, given=given, busy=self._busy(), dead=dead
            )
            return after

        await broker.change(group, step)
        kept = holding.owned - holding.taken
        lost = {key for key in self._lanes if key[1] not in kept}
        keys = [(topic, number) for topic in sorted(self.topics) for number in sorted(holding.taken)]
        fresh = await broker.take(group, self.token, keys) if keys else {}
        for key in lost:
            del self._lanes[key], self._ahead[key]
            self._unwritten.discard(key)
        for key, (mark, end) in fresh.items():
            suspects, suspects_end = mark.suspects, mark.suspects_end
            if not mark.left:
                suspects, suspects_end = max(suspects, SUSPECTS), max(suspects_end, end)
            self._lanes[key], self._ahead[key] = Lane(mark.position, suspects, suspects_end), deque()
        self._holding, self._until = holding, began + LEASE
        before = set(self._reading)
        self._reading = sorted(key for key in self._lanes if key[1] in holding.owned - holding.leaving)
        broker.forget(self, [key for key in before | fresh.keys() if key in fresh or key not in self._reading])
        for key in before.difference(self._reading) & self._ahead.keys():
            self._ahead[key].clear()
        if fresh:
            self.bell.ring()
        if holding.moved:
            broker.others_look()
        elif holding.leaving - self._busy():
            broker._alarm.ring()  # give it up at once

    def start_over(self, topic: str, position: int) -> list[Key] | None:
        """A log ends before what we have of it: go on from here. Gives its partitions; None, and nothing is done, while some are in hand."""
        keys = [key for key in self._lanes if key[0] == topic]
        if any(self._lanes[key].out for key in keys):  # what comes anew has positions that came before
            return None
        for key in keys:
            self._lanes[key], self._ahead[key] = Lane(min(position, self._lanes[key].position)), deque()
            self._unwritten.discard(key)
        return keys

    async def _next(self, limit: int) -> list[Delivery]:
        """The next messages: those read before, or else what the broker has."""
        reading, lanes = self._reading, self._lanes
        found = self._hand_out(limit)
        if not found and reading and limit > 0:
            read = await self._broker.read(self, {key: lanes[key].read for key in reading}, limit)
            for key, deliveries in read.items():
                if key in self._ahead and key in self._reading and not self._ahead[key]:
                    self._ahead[key].extend(deliveries)
            found = self._hand_out(limit)
        try:
            await self._write_down()
        except BaseException:
            await self.release(found)
            raise
        return found

    def _hand_out(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        count = len(self._reading)
        for turn in range(self._turn, self._turn + count):
            room = limit - len(found)
            if room <= 0:
                self._turn = turn % count  # the next one begins where this one had no room
                break
            key = self._reading[turn % count]
            ahead, lane = self._ahead[key], self._lanes[key]
            if not ahead:
                continue
            if len(ahead) <= room:
                some = list(ahead)
                ahead.clear()
            else:
                some = [ahead.popleft() for _ in range(room)]
            suspects = lane.take([delivery.position for delivery in some])
            if suspects:
                some = [msgspec.structs.replace(d, redelivered=True) if d.position in suspects else d for d in some]
            found += some
        return found

    def _again(self, limit: int) -> list[Delivery]:
        """What was given back, once more."""
        found: list[Delivery] = []
        if self._returned:
            lanes = [self._lanes[key] for key in self._reading]
            for lane in lanes:
                found += lane.retake(limit - len(found))
            self._returned = any(lane.returned for lane in lanes)
        return found

    async def _write(self) -> None:
        keys, self._unwritten = self._unwritten, set()
        if keys and self.group is not None:
            try:
                await self._broker.put(self.group, self.token, {key: self._mark(key) for key in keys if key in self._lanes})
            except BaseException:
                self._unwritten |= keys
                raise

    async def _write_down(self) -> None:
        """We may have more in hand than others would suspect if we died: say so before handing it out."""
        if self.group is not None:
            deep = {key for key in self._reading if len(self._lanes[key].order) > SUSPECTS}
            if deep:
                self._unwritten |= deep
                await self._write()

    async def _give(self, partitions: Collection[int]) -> None:
        """Write what the next owners of these partitions must know."""
        keys = [key for key in self._lanes if key[1] in partitions]
        if keys and self.group is not None:
            left = {key: self._lanes[key].left() for key in keys}
            marks = {key: Mark(lane.position, lane.suspects, lane.suspects_end) for key, lane in left.items()}
            await self._broker.put(self.group, self.token, marks)
            self._unwritten.difference_update(keys)

    def _mark(self, key: Key) -> Mark:
        lane = self._lanes[key]
        suspects, end = lane.suspects, lane.suspects_end
        if len(lane.order) > SUSPECTS:
            suspects, end = max(suspects, len(lane.order)), max(end, lane.order[-1])
        return Mark(lane.position, suspects, end, left=False)

    def _busy(self) -> set[int]:
        return {number for (_, number), lane in self._lanes.items() if lane.out}

    async def _hand_over(self) -> None:
        """What others wait for, and has nothing in hand any more, goes to them."""
        leaving = self._holding.leaving
        if leaving and not leaving <= self._busy():
            await self.balance()
