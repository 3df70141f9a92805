"""The life of an event, from fetch to ack: one worker per lane.

    fetch -> read (decode, route) -> LOCAL:   one transaction for the batch (see `batch`)      -> ack -> wake the relay
                                     OUTSIDE: into the inbox table, for the scheduler to run   -> ack -> wake the scheduler

What cannot be read becomes a dead letter in the same step. What a consumer that died may have begun on, and what the database
refused to commit, goes through the inbox table even in a local lane: there, runs are counted before they begin, so that an event
that kills the process or breaks its transaction dies too. One by one takes longer than a batch. So what comes after them waits in the
broker until none of them is due: whatever went behind them into the table would be as slow, and under load that would never end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from farandole.brokers.base import Consumer, Delivery
from farandole.errors import BrokerClosed, BrokerError, EnvelopeError, StoreBusy, StoreError
from farandole.model.envelope import Envelope, parse
from farandole.model.wire import Binding
from farandole.runtime.away import AWAY
from farandole.runtime.batch import Batch, Work, row_of
from farandole.runtime.lanes import Lane
from farandole.runtime.plan import Limits, Plan
from farandole.runtime.signals import Signals
from farandole.stores.base import InboxRow, Store
from farandole.world import World

__all__ = ["Reader", "Worker", "inbox_id"]

BATCH = 100
IDLE = 1.0
"""Seconds that a fetch waits for the first event."""
PATIENCE = 3
"""How often a batch may meet a busy database before its events come under suspicion."""
LOOK = 0.05
"""Seconds between two looks whether the table has room again."""
UUID = 36
"""The length of a UUID as text."""


class Reader:
    """Turns deliveries into works, and what cannot be read into dead letters.

    Parameters
    ----------
    plans:
        The plans of the lane.
    known:
        For each topic whose owner is declared: all its types. Types beyond them are unknown; on other topics they are none
        of our business.
    reports:
        Whether this lane reports for its service what belongs to no reaction.
    """

    def __init__(
        self, service: str, plans: Sequence[Plan], known: dict[str, set[str]], limits: Limits, *, reports: bool = True
    ) -> None:
        self._service = service
        self._limits = limits
        self._known = known
        self._reports = reports
        self._routes: dict[str, list[tuple[Binding, list[Plan]]]] = {}
        self._families: dict[str, str] = {}
        for plan in plans:
            for binding in plan.bindings:
                self._families[binding.family] = binding.type
                routes = self._routes.setdefault(binding.type, [])
                for other, takers in routes:
                    if other is binding:
                        takers.append(plan)
                        break
                else:
                    routes.append((binding, [plan]))

    def read(self, deliveries: Sequence[Delivery]) -> tuple[list[Work], list[InboxRow]]:
        """The works of a fetched batch in order, and the dead letters."""
        works: list[Work] = []
        dead: list[InboxRow] = []
        table, longest = self._routes, self._limits.bytes_in
        for index, delivery in enumerate(deliveries):
            topic, body = delivery.topic, delivery.body
            routes = table.get(delivery.type)
            if routes is None and delivery.type and self._strange(topic, delivery.type) is None:
                continue  # it says what it is, and is none of our business
            try:
                if len(body) > longest:
                    raise EnvelopeError(f"too large: {len(body):,} bytes; the limit is {longest:,}")
                envelope = parse(body)
            except EnvelopeError as error:
                dead += self._undecodable(delivery, str(error))
                continue
            type, id = envelope.type, envelope.id
            if type != delivery.type:
                routes = table.get(type)
            if routes is None:
                strange = self._strange(topic, type)
                dead += self._undecodable(delivery, strange) if strange else ()
                continue
            if len(id) != UUID:
                id = inbox_id(envelope)
            key = envelope.partitionkey or delivery.key or id
            for binding, plans in routes:
                try:
                    event = binding.read(envelope, body)
                except EnvelopeError as error:
                    dead += [_unfit(plan, id, key, delivery, error) for plan in plans]
                    continue
                for plan in plans:
                    works.append(Work(plan, id, key, event, envelope, topic, body, index))  # noqa: PERF401 - the hot path
        return works, dead

    def _strange(self, topic: str, wire_type: str) -> str | None:
        """Why this type should not be here, or None: it is another's business."""
        known = self._known.get(topic)
        if known is not None and wire_type not in known:
            return f"unknown type {wire_type!r}: the owner of {topic} declares {', '.join(sorted(known))}"
        family = wire_type.rstrip("0123456789")
        if wire_type not in self._routes and family in self._families:
            return f"unknown version {wire_type!r}: {self._service} reads {self._families[family]}"
        return None

    def _undecodable(self, delivery: Delivery, reason: str) -> list[InboxRow]:
        if not self._reports:
            return []
        place = f"{delivery.topic}[{delivery.partition}]@{delivery.position}"
        return [
            InboxRow(
                reaction=f"{self._service}.(envelope)",
                id=delivery.id or place,
                key=delivery.key or place,
                topic=delivery.topic,
                body=delivery.body,
                state="dead",
                blocks=False,
                reason=reason,
                place=place,
                error="EnvelopeError",
            )
        ]


def inbox_id(envelope: Envelope) -> str:
    """The identity of an event in the inbox: its id where that is a UUID, else source and id together (CloudEvents' own rule)."""
    return envelope.id if len(envelope.id) == UUID else f"{envelope.source}#{envelope.id}"


def _unfit(plan: Plan, id: str, key: str, delivery: Delivery, error: EnvelopeError) -> InboxRow:
    """The dead letter of an event whose data is not what its type says."""
    return InboxRow(
        reaction=plan.id,
        id=id,
        key=key,
        topic=delivery.topic,
        body=delivery.body,
        state="dead",
        blocks=False,
        reason=str(error),
        place=plan.place,
        error="EnvelopeError",
        task=plan.task,
    )


class Worker:
    """Feeds one lane."""

    def __init__(  # noqa: PLR0913 - assembled by the host only
        self,
        lane: Lane,
        reader: Reader,
        store: Store,
        consumer: Consumer,
        world: World,
        signals: Signals,
        *,
        wake_relay: Callable[[], None],
        wake_scheduler: Callable[[], None],
        concurrency: int,
        bound: Callable[[str], int],
        poll: float = IDLE,
    ) -> None:
        self._poll = poll
        self._lane = lane
        self._reader = reader
        self._store = store
        self._consumer = consumer
        self._world = world
        self._signals = signals
        self._batch = Batch(store, world, signals)
        self._wake_relay = wake_relay
        self._wake_scheduler = wake_scheduler
        self._names = frozenset(reaction.id for reaction in lane.reactions)
        self._room = 4 * concurrency + BATCH
        self._bound = bound
        self._stopping = False
        self._trouble = 0
        self._refused = False
        self._draining = False  # suspects are in the table
        self._in_hand: Sequence[Delivery] = ()
        self.busy = False

    async def run(self) -> None:
        """Until `stop`."""
        try:
            while not self._stopping:
                await self._step()
                await self._world.sleep(0)  # inline brokers and stores never suspend: let the others have their turn
        finally:
            await self._consumer.close()

    def stop(self) -> None:
        """Finish what was fetched, then leave the group."""
        self._stopping = True
        self._consumer.wake()

    async def _step(self) -> None:
        try:
            await self._give_back()  # what a broker that was away did not take back
            limit = await self._free() if self._lane.outside or self._draining else BATCH
            if limit <= 0:
                await self._world.sleep(LOOK)
                return
            self._draining = False
            self._in_hand = await self._consumer.fetch(limit, self._poll)
            if not self._in_hand:
                return
            self.busy = True
            if self._signals.listens:
                self._signals.received(self._lane.group, self._in_hand)
            if self._stopping:
                await self._give_back()
                return
            await self._handle(self._in_hand)
            self._in_hand, self._trouble, self._refused = (), 0, False
        except (StoreError, BrokerError) as error:
            if not (isinstance(error, BrokerClosed) and self._stopping):
                await self._recover(error)
        finally:
            self.busy = False

    async def _give_back(self) -> None:
        if self._in_hand:
            await self._consumer.release(self._in_hand)
            self._in_hand = ()

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        works, dead = self._reader.read(deliveries)
        suspects = self._refused or any(delivery.redelivered for delivery in deliveries)
        settle = self._ingest if self._lane.outside or suspects else self._run
        stopped_at = await settle(works, dead) if works or dead else None
        self._draining = suspects and not self._lane.outside
        if stopped_at is None:
            await self._consumer.ack(deliveries)
            return
        if stopped_at > 0:
            await self._consumer.ack(deliveries[:stopped_at])
        await self._consumer.release(deliveries[stopped_at:])
        await self._world.sleep(0.25)  # a key has too many waiting: the lane pauses

    async def _run(self, works: list[Work], dead: list[InboxRow]) -> int | None:
        """Local: one transaction for all."""
        result = await self._batch.run(works, dead)
        if result.emitted:
            self._wake_relay()
        if result.parked or result.posted:
            self._wake_scheduler()
        if result.handled:
            self._signals.handled(self._lane.group, result.handled)
        if result.known:
            self._signals.duplicates(self._lane.group, len(result.known))
        return result.stopped_at

    async def _ingest(self, works: list[Work], dead: list[InboxRow]) -> int | None:
        """Outside, or under suspicion: into the table; the scheduler runs them one by one."""
        if dead:
            await self._batch.run((), dead)
        taken, new = await self._store.ingest([row_of(work) for work in works], self._bound)
        self._wake_scheduler()
        if taken > new:
            self._signals.duplicates(self._lane.group, taken - new)
        return None if taken == len(works) else works[taken].delivery

    async def _free(self) -> int:
        """How many more events the table should take: it is a buffer, not a store. Behind suspects, none until it is empty."""
        if self._draining:
            return 0 if await self._store.waiting(self._names, 1) else BATCH
        return min(BATCH, self._room - await self._store.waiting(self._names, self._room))

    async def _recover(self, error: Exception) -> None:
        """Database or broker down: nothing was acknowledged. Give back what was fetched, wait, try again."""
        self._signals.trouble(self._lane.group, error)
        # A collision, or a database that is away, says nothing of the events, unless it goes on and on.
        self._refused |= isinstance(error, StoreError) and (not isinstance(error, StoreBusy) or self._trouble >= PATIENCE)
        with contextlib.suppress(BrokerError):  # then before the next fetch
            await self._give_back()
        self._trouble += 1
        if not self._stopping:
            await self._world.sleep(AWAY.wait(self._trouble, self._world.random()))
