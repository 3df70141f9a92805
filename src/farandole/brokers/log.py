"""A broker's state in memory: a log per topic and partition, the groups that read it, and their members.

The broker in memory is this and nothing more; the simulated one puts faults around it. Nothing here waits or knows a clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from farandole.bell import Bell
from farandole.brokers.base import Delivery, Subscription
from farandole.brokers.lane import Lane, by_lane, shares
from farandole.model.envelope import Message
from farandole.model.wire import partition_of

__all__ = ["Group", "Log", "Member", "Partition"]


class Partition:
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


class Log:
    """Topics, groups, and who reads what.

    Parameters
    ----------
    partitions:
        How many partitions each topic has.
    make_group:
        Makes the account of a new group, from its name and the number of partitions.
    """

    def __init__(self, partitions: int, make_group: Callable[[str, int], Group] | None = None) -> None:
        self.partitions = partitions
        self.topics: dict[str, list[Partition]] = {}
        self.groups: dict[str, Group] = {}
        self.readers: dict[str, dict[Member, None]] = {}  # by topic; a dict, since the order of a set is chance
        self._make_group = make_group or Group

    def topic(self, name: str) -> list[Partition]:
        """The partitions of a topic, made when they are first asked for."""
        if name not in self.topics:
            self.topics[name] = [Partition() for _ in range(self.partitions)]
        return self.topics[name]

    def append(self, messages: Iterable[Message], now: float) -> None:
        """Write messages at the end of their partitions, and wake who reads them."""
        touched: dict[str, list[Partition]] = {}
        for message in messages:
            topic = message.topic
            if topic not in touched:
                touched[topic] = self.topic(topic)
            number = partition_of(message.key, self.partitions)
            partition = touched[topic][number]
            entries = partition.entries
            entries.append(Delivery(topic, number, len(entries) + 1, message.body, message.key, message.id, message.type))
            partition.times.append(now)
        for topic in touched:
            for reader in self.readers.get(topic, ()):
                reader.bell.ring()

    def lanes(self, subscription: Subscription) -> dict[tuple[str, int], Lane]:
        """Lanes that begin where the subscription says."""
        return {
            (topic, number): Lane(partition.position_before(subscription.start))
            for topic in subscription.topics
            for number, partition in enumerate(self.topic(topic))
        }

    def group(self, subscription: Subscription) -> Group | None:
        """The account of a subscription's group, with a lane for each of its topics; None for a listener of its own."""
        if subscription.group is None:
            return None
        group = self.groups.get(subscription.group)
        if group is None:
            group = self.groups[subscription.group] = self._make_group(subscription.group, self.partitions)
        for key, lane in self.lanes(subscription).items():
            group.lanes.setdefault(key, lane)
        return group

    def lag(self, subscription: Subscription) -> int:
        """How many messages the group has not settled. Asking makes no group."""
        lanes = self.lanes(subscription)
        group = self.groups.get(subscription.group) if subscription.group is not None else None
        if group is not None:
            lanes = {key: group.lanes.get(key, lane) for key, lane in lanes.items()}
        waiting = 0
        for (topic, number), lane in lanes.items():
            settled = len(lane.order) - len(lane.out) - len(lane.returned)
            waiting += len(self.topics[topic][number].entries) - lane.position - settled
        return waiting


class Group:
    """The members of a group, who owns which partition, and how far the group is."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.partitions = range(partitions)
        self.members: list[Member] = []
        self.lanes: dict[tuple[str, int], Lane] = {}

    def join(self, member: Member) -> None:
        """Another member: it gets its share."""
        self.members.append(member)
        self.balance()

    def leave(self, member: Member) -> None:
        """A member is gone: its partitions go to others, and what it held comes again. Who is no member is ignored."""
        if member not in self.members:
            return
        for number in member.owned:
            self.let_go(number)
        self.members.remove(member)
        member.owned, member.leaving = set(), set()
        member.refresh()
        self.balance()

    def let_go(self, partition: int) -> None:
        """Make the lanes of a partition ready for its next owner."""
        for key, lane in self.lanes.items():
            if key[1] == partition:
                self.lanes[key] = lane.left()

    def busy(self, partition: int) -> bool:
        """Whether its owner has messages in hand."""
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
                self.let_go(partition)
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


class Member:
    """One member of a group, or a listener of its own: what it owns, reads and has in hand."""

    def __init__(self, log: Log, subscription: Subscription) -> None:
        self.bell = Bell()
        self.owned: set[int] = set()
        self.leaving: set[int] = set()
        self.group = log.group(subscription)
        self.topics = subscription.topics
        self.lanes = log.lanes(subscription) if self.group is None else self.group.lanes
        self._log = log
        self._reading: list[tuple[Lane, list[Delivery]]] = []
        self._turn = 0
        self._returned = False
        if self.group is None:
            self.owned.update(range(log.partitions))
            self.refresh()
        else:
            self.group.join(self)
        for topic in self.topics:
            log.readers.setdefault(topic, {})[self] = None

    def refresh(self) -> None:
        """What it reads follows from what it owns and is not giving up."""
        self._reading = [
            (self.lanes[topic, number], self._log.topics[topic][number].entries)
            for number in sorted(self.owned - self.leaving)
            for topic in self.topics
        ]
        self._returned = any(lane.returned for lane, _ in self._reading)
        self._turn = 0

    def take(self, limit: int) -> list[Delivery]:
        """Up to so many messages, which are in its hands now."""
        found: list[Delivery] = []
        if self._returned:
            for lane, _ in self._reading:
                found += lane.retake(limit - len(found))
            self._returned = any(lane.returned for lane, _ in self._reading)
        reading = self._reading
        for turn in range(self._turn, self._turn + len(reading)):
            if len(found) >= limit:
                self._turn = turn % len(reading)  # the next one begins where this one had no room
                break
            lane, entries = reading[turn % len(reading)]
            if lane.read < len(entries):
                fresh = entries[lane.read : lane.read + limit - len(found)]
                if suspects := lane.take([delivery.position for delivery in fresh]):
                    fresh = [msgspec.structs.replace(d, redelivered=True) if d.position in suspects else d for d in fresh]
                found += fresh
        return found

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """These are done with; those of partitions that it no longer owns are ignored."""
        for (topic, number), positions in by_lane(deliveries).items():
            if number in self.owned and (topic, number) in self.lanes:
                self.lanes[topic, number].settle(positions)
        self._hand_over()

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """These come again; those of partitions that it no longer owns are ignored."""
        for delivery in deliveries:
            lane = self.lanes.get((delivery.topic, delivery.partition))
            if lane is not None and delivery.partition in self.owned:
                lane.give_back(delivery)
                self._returned = True
        self._hand_over()

    def _hand_over(self) -> None:
        """What others wait for, and has nothing in hand any more, goes to them."""
        if self.leaving and self.group is not None and not all(self.group.busy(number) for number in self.leaving):
            self.group.balance()

    def leave(self) -> None:
        """It reads no more."""
        for topic in self.topics:
            self._log.readers[topic].pop(self, None)
        if self.group is not None:
            self.group.leave(self)
        self.owned = set()
        self.refresh()
        self.bell.ring()
