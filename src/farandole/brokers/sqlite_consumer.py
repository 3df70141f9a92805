"""A consumer of the SQLite broker: in steady state a fetch reads the log from where the last one ended.

`_scan` is the position up to which this consumer has seen the log. A partition that is newly ours has its own position, which
may lie before; then the scan goes back, and what was read before is passed over until it has caught up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache

import msgspec

from farandole.bell import Bell
from farandole.brokers import sqlite_group as groups
from farandole.brokers.base import Delivery, Subscription
from farandole.brokers.lane import Lane, by_lane
from farandole.brokers.sqlite_file import BrokerFile
from farandole.errors import BrokerClosed, BrokerError
from farandole.world import World

__all__ = ["SqliteConsumer", "select_sql"]

_POLL = 0.5  # seconds between looks when nobody wakes us


class SqliteConsumer:
    """One member of a group, or a listener of its own.

    Parameters
    ----------
    file, world:
        The broker's.
    subscription:
        Who wants what.
    token:
        Unlike that of any other member.
    start:
        The position after which a listener begins.
    moved:
        Called when partitions became free for others.
    """

    def __init__(
        self, file: BrokerFile, world: World, subscription: Subscription, token: str, start: int, moved: Callable[[], None]
    ) -> None:
        self.bell = Bell()
        self.closed = False
        self.topics = subscription.topics
        self._file = file
        self._world = world
        self._group = subscription.group
        self._token = token
        self._moved = moved
        self._owned: frozenset[int] = frozenset()
        self._leaving: frozenset[int] = frozenset()  # of these: others should have them, once nothing of them is in hand
        self._reading: list[int] = []  # of these: the others
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._unwritten: set[tuple[str, int]] = set()  # lanes whose position the file does not have yet
        self._deep: set[tuple[str, int]] = set()  # lanes with very much in hand, which the file does not know yet
        self._until = 0.0  # when our lease runs out
        self._scan = self._caught_up = start
        self._returned = self._woken = False
        if self._group is None:
            numbers = frozenset(range(file.partitions))
            self._until = float("inf")
            self._change(
                groups.Holding(numbers, numbers, frozenset(), False), {(t, n): Lane(start) for t in self.topics for n in numbers}
            )

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        """See `Consumer.fetch`."""
        self._world.point("broker.fetch:before")
        if self.closed:
            raise BrokerClosed("this consumer is closed: subscribe again")
        until = self._world.monotonic() + wait
        while True:
            self.bell.still()
            if self._world.time() >= self._until:  # held up for too long: somebody else may own our partitions by now
                await self.balance()
            found = self._again(limit) or await self._file.read(lambda: self._read(limit))
            left = until - self._world.monotonic()
            if found or self._woken or left <= 0:
                break
            await self.bell.wait(min(left, _POLL * (0.8 + 0.4 * self._world.random())))
        self._woken = False
        if self._deep:
            await self._write_down(found)
        self._world.point("broker.fetch:after")
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.ack`."""
        self._world.point("broker.ack:before")
        for key, positions in by_lane(deliveries).items():
            if key in self._lanes and self._lanes[key].settle(positions):
                self._unwritten.add(key)
        if self._unwritten and self._group is not None and not self.closed:
            await self._file.write("broker.ack", lambda: self._store("broker.ack", self._unwritten), durable=False)
            self._unwritten.clear()
        await self._hand_over()
        self._world.point("broker.ack:after")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.release`."""
        self._world.point("broker.release:before")
        for delivery in deliveries:
            lane = self._lanes.get((delivery.topic, delivery.partition))
            if lane is not None:
                lane.give_back(delivery)
                self._returned = True
        await self._hand_over()
        self._world.point("broker.release:after")

    def wake(self) -> None:
        """See `Consumer.wake`."""
        self._woken = True
        self.bell.ring()

    async def balance(self) -> None:
        """Say that we live, and take or give up partitions."""
        group = self._group
        if group is None or self.closed:
            return

        def work() -> tuple[groups.Holding, dict[tuple[str, int], Lane], float]:
            now = self._world.time()
            self._pass_by()
            self._store("broker.balance", self._unwritten)
            holding = groups.balance(self._file, group, self._token, now, self._busy(), self._give)
            fresh = groups.load(self._file, group, self.topics, holding.taken)
            return holding, fresh, now + groups.LEASE

        holding, fresh, self._until = await self._file.write("broker.balance", work, durable=False)
        self._unwritten.clear()
        self._change(holding, fresh)
        if holding.moved:
            self._moved()

    async def close(self) -> None:
        """See `Consumer.close`."""
        if self.closed:
            return
        self.closed = True
        self._reading = []
        self.wake()
        group = self._group
        if group is None:
            return

        def work() -> None:
            self._pass_by()
            self._give(self._owned)
            groups.leave(self._file, group, self._token)

        try:
            await self._file.write("broker.leave", work, durable=False)
        except BrokerError:  # then it is as if this process died: the others see the lease run out
            return
        self._moved()

    def _change(self, holding: groups.Holding, fresh: dict[tuple[str, int], Lane]) -> None:
        """Take over what balancing gave; go back to where new partitions begin."""
        before = self._owned - self._leaving - holding.taken  # a lease that ran out and was taken anew begins anew
        self._owned, self._leaving = holding.owned, holding.leaving
        now = self._owned - self._leaving
        self._lanes = {key: lane for key, lane in self._lanes.items() if key[1] in holding.owned} | fresh
        marks = [lane.read for (_, number), lane in self._lanes.items() if number in now - before]
        if marks:
            self._caught_up = max(self._caught_up, self._scan, *marks)
            self._scan = min(marks) if not before else min(self._scan, *marks)
            self.bell.ring()
        self._reading = sorted(now)

    def _read(self, limit: int) -> list[Delivery]:
        """The next messages; what was read before is passed over."""
        every = len(self._reading) == self._file.partitions
        sql = select_sql(len(self.topics), None if every else len(self._reading))
        narrowed = self.topics if every else (*self.topics, *self._reading)
        while self._reading and limit > 0:
            end = groups.end_of(self._file, "broker.fetch")
            if end <= self._scan:
                break
            rows = self._file.execute("broker.fetch", sql, (self._scan, *narrowed, limit)).fetchall()
            more, catching_up = len(rows) == limit, self._scan < self._caught_up
            self._scan = rows[-1][2] if more else max(end, rows[-1][2] if rows else 0)
            if catching_up:
                rows = [row for row in rows if row[2] > self._lanes[row[0], row[1]].read]
            if rows or not more:
                return self._deliver(rows)
        return []

    def _deliver(self, rows: list[tuple[str, int, int, bytes, str, str, str]]) -> list[Delivery]:
        found = [Delivery(*row) for row in rows]
        suspects: set[int] = set()
        for key, positions in by_lane(found).items():
            lane = self._lanes[key]
            suspects.update(lane.take(positions))
            if len(lane.order) > groups.SUSPECTS and self._group is not None:
                self._deep.add(key)
        if suspects:
            found = [msgspec.structs.replace(d, redelivered=True) if d.position in suspects else d for d in found]
        return found

    def _again(self, limit: int) -> list[Delivery]:
        """What was given back, once more."""
        found: list[Delivery] = []
        if self._returned:
            lanes = [lane for key, lane in self._lanes.items() if key[1] in self._reading]
            for lane in lanes:
                found += lane.retake(limit - len(found))
            self._returned = any(lane.returned for lane in lanes)
        return found

    async def _write_down(self, found: list[Delivery]) -> None:
        """We have more in hand than others would suspect if we died: say so before handing them out."""
        try:
            await self._file.write("broker.fetch", lambda: self._store("broker.fetch", self._deep), durable=False)
        except BaseException:
            await self.release(found)
            raise
        self._deep.clear()

    def _store(self, name: str, keys: Iterable[tuple[str, int]]) -> None:
        if self._group is not None:
            groups.store(
                self._file, name, self._group, self._token, [(key, self._lanes[key]) for key in keys if key in self._lanes]
            )

    def _give(self, partitions: Collection[int]) -> None:
        """Write what the next owners of these partitions must know."""
        assert self._group is not None
        left = [(key, lane.left()) for key, lane in self._lanes.items() if key[1] in partitions]
        groups.store(self._file, "broker.leave", self._group, self._token, left)

    def _pass_by(self) -> None:
        """Lanes without messages follow the scan, so that nobody has to look there again."""
        for key, lane in self._lanes.items():
            if key[1] not in self._leaving and lane.pass_by(self._scan):
                self._unwritten.add(key)

    def _busy(self) -> set[int]:
        return {number for (_, number), lane in self._lanes.items() if lane.out}

    async def _hand_over(self) -> None:
        """What others wait for, and has nothing in hand any more, goes to them."""
        if self._leaving and not self._leaving <= self._busy():
            await self.balance()


@cache
def select_sql(topics: int, partitions: int | None) -> str:
    """The statement that reads the log, for so many topics, and partitions (None: all)."""
    narrowed = "" if partitions is None else f" AND partition IN ({', '.join('?' * partitions)})"
    return (
        "SELECT topic, partition, position, body, key, id, type FROM broker_log "
        f"WHERE position > ? AND topic IN ({', '.join('?' * topics)}){narrowed} ORDER BY position LIMIT ?"
    )
