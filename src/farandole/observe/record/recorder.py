"""The recorder: reads all topics of a choreography and appends what it reads to its record, at nobody's expense.

It is a consumer group of its own, so whatever becomes of its database, no service notices: it backs off, and goes on where it was. What it
acknowledges is in the record. A record in this process has no group: it hears what is published while it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from farandole.bell import Bell, end_all
from farandole.brokers.base import BeginsGroups, Broker, Consumer, Delivery, Subscription
from farandole.errors import BrokerError, EnvelopeError, FarandoleError, StoreError
from farandole.observe.record.memory import MemoryRecord
from farandole.observe.record.reading import Reading
from farandole.observe.rows import fates_topic, read_fates
from farandole.stores.record import Entry, Fate, Record

if TYPE_CHECKING:
    from farandole.runtime.assembly import Platform

__all__ = ["Recorder", "subscription_of"]

BATCH = 500
REST, LONGEST_REST = 0.2, 10.0
"""Seconds until another try; doubled each time while the database is away."""
EVERY = 60.0
SOME = 200
"""So many old events are looked at in one step."""
BREATH = 0.01
LOOK, LONGEST_LOOK = 0.02, 0.5
"""How often it looks whether other processes recorded what somebody here waits for, in seconds; more and more seldom."""
GATHER = 0.05
"""So long, in seconds, it lets events gather while nobody here waits for them: each commit takes something from the services beside it."""
FAREWELL = 2.0
"""How long it goes on recording what is published already when its process ends, in seconds."""
PATIENCE = 5.0
"""How long a start waits for the record's database, in seconds."""


def subscription_of(name: str, reading: Reading) -> Subscription:
    """What the recorders of a choreography, all their processes together, ask of the broker."""
    return Subscription(f"{name}.@record", (*reading.topics, fates_topic(name)))


class Recorder:
    """Records, and wakes those who wait for news of an instance.

    Parameters
    ----------
    record:
        Where to; the recorder opens and closes it.
    name:
        The choreography's.
    reading:
        Makes entries of deliveries.
    platform:
        Its world, signals and options.
    keep:
        How long an instance is kept after its last event, in seconds; None: for ever.
    thin:
        How long events of single types are kept after the last event of their instance, in seconds, by wire type.
    fates:
        Whether a record in this process hears what became of events as well; one that is shared always does.
    """

    def __init__(
        self,
        record: Record,
        name: str,
        reading: Reading,
        platform: Platform,
        *,
        keep: float | None = None,
        thin: Mapping[str, float] = MappingProxyType({}),
        fates: bool = False,
    ) -> None:
        self.record = record
        self.reading = reading
        self._subscription = subscription_of(name, reading)
        if not record.shared:
            topics = self._subscription.topics if fates else reading.topics
            self._subscription = Subscription(None, topics, start="end")
        self._fates = fates_topic(name)
        self._world = platform.world
        self._signals = platform.signals
        self._poll = platform.options.poll
        self._keep = keep
        self._thin = thin
        self._bells: dict[str, set[Bell]] = {}
        self._consumer: Consumer | None = None
        self._broker: Broker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._pause = LOOK
        self._somebody_came = Bell()
        self._hurry = Bell()
        self._finishing = False
        self._opening = asyncio.Lock()
        self.is_away = False
        self._rest = REST
        self._not_before = 0.0
        self.on_news: Callable[[Sequence[Fate]], None] = lambda _: None
        self.records = False

    async def begin(self, broker: Broker, *, records: bool) -> None:
        """Open the record, and start.

        Parameters
        ----------
        records:
            Whether this process records; otherwise it reads what others record.
        """
        await self.ready(PATIENCE)
        topics = self.reading.topics
        if not topics or not (records or not self.record.shared):
            return
        self.records = True
        try:
            await self._join(broker)
        except FarandoleError as error:  # a topic that is not there yet, …: it is tried again
            self._signals.trouble("record", error)
        self._tasks = [asyncio.create_task(self._run(broker), name="record")]
        if (self._keep is not None or self._thin) and self.record.shared:
            self._tasks.append(asyncio.create_task(self._clean(), name="record janitor"))

    async def finish(self) -> None:
        """Record what is published by now, as far as that takes a moment."""
        if self._tasks:
            self._finishing = True
            self._hurry.ring()
            if self._consumer is not None:
                self._consumer.wake()
            await asyncio.wait(self._tasks[:1], timeout=FAREWELL)

    async def close(self) -> None:
        """Stop, and leave the group."""
        await end_all([*self._tasks, *([self._looking] if self._looking is not None else ())])
        if self._consumer is not None:
            await self._consumer.close()
        await self.record.close()

    async def lag(self) -> int:
        """How many events are published and not recorded; 0 where that is not known: its database is away, or it keeps no position."""
        if self._broker is None or self._subscription.group is None or self.is_away:
            return 0
        return await self._broker.lag(self._subscription)

    async def is_behind(self) -> bool:
        """Whether something is published that is not recorded yet, or nobody can tell.

        Raises
        ------
        BrokerError
            The broker is away.
        """
        if self._subscription.group is None:
            return False
        if self._broker is None or self.is_away:
            return self.records
        return await self._broker.lag(self._subscription) > 0

    async def looks(self, correlation_id: str, patience: Callable[[], float]) -> AsyncGenerator[list[Entry], None]:
        """The events of an instance, again and again: at once, whenever something of it was recorded, and when patience ends.

        Parameters
        ----------
        patience:
            Asked before each wait: seconds after which to look again in any case.
        """
        bell = Bell()
        self._bells.setdefault(correlation_id, set()).add(bell)
        if self.record.shared and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_for_others(), name="record news")
        self._pause = LOOK
        self._somebody_came.ring()
        self._hurry.ring()
        try:
            while True:
                bell.still()
                try:
                    await self.ready()
                    yield await self.record.events_of(correlation_id)
                except StoreError:  # it may come back while somebody waits
                    await bell.wait(LONGEST_LOOK)
                else:
                    await bell.wait(patience())
        finally:
            self._bells[correlation_id].discard(bell)
            if not self._bells[correlation_id]:
                del self._bells[correlation_id]

    async def _look_for_others(self) -> None:
        """While somebody waits here: ring where an instance has news, with one question for all of them."""
        told: dict[str, int] = {}
        while self._bells:
            self._somebody_came.still()
            try:
                latest = await self.record.latest_of(tuple(self._bells))
            except StoreError:
                latest = {}
            news = [id for id, number in latest.items() if told.get(id) != number]
            told = latest
            self._ring(news)
            self._pause = LOOK if news else min(self._pause * 1.5, LONGEST_LOOK)
            await self._somebody_came.wait(self._pause)

    def _ring(self, correlation_ids: Iterable[str]) -> None:
        for id in correlation_ids:
            for bell in self._bells.get(id, ()):
                bell.ring()

    async def _join(self, broker: Broker) -> Consumer:
        """Take part in the group."""
        if self._consumer is None:
            if isinstance(broker, BeginsGroups) and self._subscription.group is not None:
                await broker.begin(self._subscription)
            self._consumer = await broker.subscribe(self._subscription)
            self._broker = broker
        return self._consumer

    async def _run(self, broker: Broker) -> None:
        while True:
            deliveries: Sequence[Delivery] = ()
            self._hurry.still()
            try:
                consumer = await self._join(broker)
                await self._open()
                deliveries = await consumer.fetch(BATCH, 0.0 if self._finishing else self._poll)
                if deliveries:
                    await self._keep_all(deliveries)
                    if self._subscription.group is not None:
                        await consumer.ack(deliveries)
                elif self._finishing:
                    return
                self.is_away, self._rest = False, REST
                if 0 < len(deliveries) < BATCH and self.record.shared and not (self._bells or self._finishing):
                    await self._hurry.wait(GATHER)
            except BrokerError as error:
                self._signals.trouble("record", error)
                if self._finishing:
                    return
                await self._hurry.wait(REST)
            except Exception as error:  # whatever it is, services go on, and so does this
                self._tell(error)
                if self._consumer is not None:
                    with contextlib.suppress(FarandoleError):
                        await self._consumer.release(deliveries)
                if self._finishing:
                    return
                await self._hurry.wait(self._rest)

    async def _keep_all(self, deliveries: Sequence[Delivery]) -> None:
        entries: list[Entry] = []
        fates: list[Fate] = []
        news: set[str] = set()
        for delivery in deliveries:
            try:
                if delivery.topic == self._fates:
                    fates += self._fates_in(delivery)
                elif isinstance(self.record, MemoryRecord) and not self.record.shared:
                    news.add(self.record.hear(delivery))
                else:
                    entries.append(self.reading.entry_of(delivery))
            except EnvelopeError as error:  # the reactions' lanes make a dead letter of it
                self._signals.trouble("record", error)
        if entries:
            await self.record.append(entries)
        if fates:
            await self.record.tell(fates)
        self.on_news(fates)
        if self._bells:
            self._ring(news.union((entry.correlation_id for entry in entries), (fate.correlation_id for fate in fates)))

    def _fates_in(self, delivery: Delivery) -> list[Fate]:
        fates, strange = read_fates(delivery.body)
        if strange:
            rest = f"{strange} of {strange + len(fates)} rows in {delivery.id!a} on {delivery.topic} are no fates"
            self._signals.trouble("record", EnvelopeError(f"{rest}: somebody else writes there, or a newer version"))
        return fates

    async def _clean(self) -> None:
        while True:
            await self._world.sleep(EVERY * (0.5 + self._world.random()))
            try:
                while self._keep is not None and await self.record.purge(self._keep, SOME) == SOME:
                    await self._world.sleep(BREATH)
                for type, keep in self._thin.items():
                    while await self.record.thin(type, keep, SOME) == SOME:
                        await self._world.sleep(BREATH)
            except StoreError as error:
                self._signals.trouble("record janitor", error)

    async def ready(self, patience: float | None = None) -> None:
        """Open the record if it is not; where that fails, say so and leave it to the next who asks.

        Parameters
        ----------
        patience:
            How long to wait for its database, in seconds.
        """
        now = self._world.monotonic()
        if self.record.is_open or now < self._not_before:
            return
        try:
            async with asyncio.timeout(patience):
                await self._open()
            self._rest = REST
        except (FarandoleError, TimeoutError) as error:
            self._tell(error)
            self._not_before = now + self._rest

    async def _open(self) -> None:
        async with self._opening:
            await self.record.open()

    def _tell(self, error: Exception) -> None:
        """The database is away: each time it is left alone for longer."""
        self._signals.trouble("record", error)
        self.is_away = True
        self._rest = min(self._rest * 2, LONGEST_REST)
