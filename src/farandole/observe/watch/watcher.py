"""The watcher: follows the record, and keeps where each workflow instance is.

It runs beside the recorder, and asks as it goes; whatever becomes of the record's database, no service notices. Where it was stands in the
record, so it goes on there after a restart, and several of them share the work: each looks at what nobody has looked at yet, and two looks
at one instance give the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from farandole.bell import Bell, end_all
from farandole.errors import FarandoleError
from farandole.observe.status import Statuses
from farandole.observe.watch.look import alerts_of, is_news, is_sure, keys_of, quick_standing, standing_of
from farandole.observe.watch.telling import Teller
from farandole.runtime.signals import Signals
from farandole.stores.record import Alert, Entry, Fate, Record, Standing
from farandole.world import World

__all__ = ["Source", "Watcher"]

BATCH = 250
SOME = 200
"""So many instances at most are looked at in one step for what time, or a fate, may have changed."""
POLL = 1.0
"""Seconds between looks where nothing comes; the most that a limit that passes goes unnoticed."""
GRACE = 2.0
"""Seconds for which an instance that can go no further is given the benefit of the doubt."""
BREATH = 0.25
"""Seconds between looks at least, so that what comes together is looked at together."""
TURNS = 5
"""After so many instances, others have their turn."""
REST, LONGEST_REST = 1.0, 30.0
"""Seconds until another try where the record is away; doubled each time."""
LATE = 5.0
"""While the recorder is behind, time is taken to stand so many seconds before the latest event that it recorded."""
MANY = 1000
"""An instance of more events than this is looked at the more seldom the more it has."""
HELD = 10_000
"""So many changes wait for one who follows them, at most; the oldest are dropped."""


class Source(Protocol):
    """A record, and who fills it; such as a `Recorder`."""

    @property
    def record(self) -> Record:
        """The record."""
        ...

    async def ready(self) -> None:
        """Open it if it is not."""
        ...

    async def is_behind(self) -> bool:
        """Whether something is published that is not recorded yet, or nobody can tell."""
        ...


class Watcher:
    """Looks.

    Parameters
    ----------
    source:
        The record that it follows, and who says whether that is complete.
    statuses:
        The declarations.
    world:
        Its clock.
    signals:
        Who hears of its troubles.
    teller:
        Tells people of alerts; None: this watcher opens none.
    """

    def __init__(self, source: Source, statuses: Statuses, world: World, signals: Signals, teller: Teller | None = None) -> None:
        self._source = source
        self._record = source.record
        self._statuses = statuses
        self._world = world
        self._signals = signals
        self._teller = teller
        self._task: asyncio.Task[None] | None = None
        self._bell = Bell()
        self._rest = REST
        self._complete: float | None = None  # until when the record is known to be complete
        self._newest: float | None = None  # the time of the latest event that was seen
        self._told: dict[str, None] = {}  # instances of which something was told
        self._large: dict[str, float] = {}  # when to look at them again at the earliest
        self._put_off: set[str] = set()  # of these
        self._seen: dict[str, tuple[str, ...]] = {}  # what followers were told last
        self._due: dict[str, float] = {}  # what changes with time, while somebody follows it here
        self._followers: dict[int, tuple[deque[Standing], Bell]] = {}
        self._place: int | None = None  # while somebody follows changes here: where this watcher is, whatever others looked at
        self.trouble: str | None = None

    def begin(self) -> None:
        """Start, unless it runs."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="watcher")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            await end_all([self._task])
            self._task = None
        if self._teller is not None:
            await self._teller.close()

    def hear(self, fates: Sequence[Fate] = ()) -> None:
        """Something was recorded, and this was told."""
        self._told |= dict.fromkeys(fate.correlation_id for fate in fates if is_news(fate))
        self._bell.ring()

    async def changes(self) -> AsyncGenerator[Standing, None]:
        """Where instances are, whenever that changes, from now on."""
        held: deque[Standing] = deque(maxlen=HELD)
        bell, me = Bell(), id(held)
        if not self._followers:
            while await self.step():
                pass
            self._place = await self._record.stood()
        self._followers[me] = held, bell
        own = self._task is None or self._task.done()
        if own:
            self.begin()
        try:
            while True:
                bell.still()
                while held:
                    yield held.popleft()
                await bell.wait(3600.0)
        finally:
            del self._followers[me]
            if not self._followers:
                self._place = None
                self._seen.clear()
                self._due.clear()
                if own and self._task is not None:
                    self._task.cancel()

    async def _run(self) -> None:
        while True:
            self._bell.still()
            began = self._world.monotonic()
            more = False
            try:
                more = await self.step()
                self._rest, self.trouble = REST, None
            except Exception as error:  # the database is away, or it is a bug of ours: services go on, and so does this
                self._tell(error)
                await self._world.sleep(self._rest)
                self._rest = min(self._rest * 2, LONGEST_REST)
            # The rest of the time is for those beside it; where it is behind, half of it.
            spent = self._world.monotonic() - began
            await self._world.sleep(spent if more else max(BREATH, 3 * spent))
            if not more:
                await self._bell.wait(POLL)

    def _tell(self, error: Exception) -> None:
        self.trouble = str(error) if isinstance(error, FarandoleError) else f"{type(error).__name__}: {error}"
        self._signals.trouble("watcher", error)

    async def catch_up(self, patience: float) -> bool:
        """Look until there is nothing new, for so many seconds at most; gives whether that is done."""
        began = self._world.monotonic()
        while await self.step():
            if self._world.monotonic() - began > patience:
                return False
        return True

    async def step(self) -> bool:
        """One look at what is new; gives whether there may be more.

        Raises
        ------
        StoreError
            The record is away.
        """
        await self._source.ready()
        complete = await self._is_complete()
        stood = await self._record.stood()
        place = stood if self._place is None else self._place
        entries = await self._record.since(place, BATCH)
        news: dict[str, list[Entry]] = {}
        for entry in entries:
            news.setdefault(entry.correlation_id, []).append(entry)
        now = self._now(entries, complete)
        more = len(entries) == BATCH
        others = await self._others(now) if not more else []
        await self._look_at(news | {id: [] for id in others if id not in news}, entries[-1].number if entries else stood, now)
        if self._place is not None and entries:
            self._place = entries[-1].number
        if self._teller is not None:
            await self._teller.retry()
        return more or len(others) >= SOME

    async def _others(self, now: float) -> list[str]:
        """Instances to look at though no event came: of which something was told, or that time has changed."""
        found = [self._told.popitem()[0] for _ in range(min(SOME, len(self._told)))]
        found += await self._record.changing(now, SOME)
        ready = [id for id in self._put_off if self._large[id] <= self._world.time()]
        self._put_off.difference_update(ready)
        if self._followers:  # another watcher may be the first to look; followers here are to be told all the same
            soon = now + 2 * POLL
            for id in await self._record.changing(soon, SOME):
                self._due.setdefault(id, soon)
            passed = [id for id, moment in self._due.items() if moment <= now]
            ready += passed
            for id in passed:
                del self._due[id]
        return [*found, *ready]

    async def _is_complete(self) -> bool:
        """Whether all that was published before now is recorded. Asked before the record is read."""
        try:
            complete = not await self._source.is_behind()
        except FarandoleError:
            complete = False
        if complete:
            self._complete = self._world.time()
        return complete

    def _now(self, entries: Sequence[Entry], complete: bool) -> float:
        """Until when the record tells what happened: a limit that passed since then may have been kept."""
        now = self._world.time()
        if complete:
            return now
        times = [entry.time for entry in entries if entry.time is not None and entry.time <= now]
        self._newest = max([*times, *([] if self._newest is None else [self._newest])], default=None)
        known = [moment for moment in (self._complete, self._newest and self._newest - LATE) if moment is not None]
        return max(known, default=0.0)

    async def _look_at(self, news: dict[str, list[Entry]], upto: int, now: float) -> None:
        known = await self._record.standing_of(tuple(news)) if news else {}
        standings: list[Standing] = []
        alerts: list[Alert] = []
        over: list[str] = []
        for turn, (id, entries) in enumerate(news.items()):
            if turn % TURNS == TURNS - 1:
                await self._world.sleep(0)
            found = await self._look(id, entries, known.get(id), now, alerts, over)
            if found is not None:
                standings.append(found)
        if self._teller is not None:
            # Before the standings: what is opened twice is opened once, and what is not opened is looked at again.
            await self._teller.tell(alerts, over)
        if standings or upto:
            await self._record.stand(standings, upto)
        self._pass_on(standings, known, {id for id, entries in news.items() if entries})

    async def _look(
        self, id: str, entries: list[Entry], known: Standing | None, now: float, alerts: list[Alert], over: list[str]
    ) -> Standing | None:
        graph = self._statuses.graph
        flow = graph.workflow.get(known.workflow) if known is not None else None
        if known is not None and known.state == "succeeded" and known.changes_at is None and not (flow and flow.expects):
            return None  # it stays so, whatever comes
        if entries and (quick := quick_standing(graph, known, entries)) is not None:
            if known is not None and known.state == "stalled":
                over.append(f"stalled {known.workflow} {id}")
            return quick
        if self._large.get(id, 0.0) > self._world.time():
            self._put_off.add(id)
            return None
        try:
            return await self._whole(id, known, now, alerts, over)
        except FarandoleError:
            raise
        except Exception as error:  # one that nobody can read keeps no other from being looked at
            self._tell(error)
            last = entries[-1] if entries else None
            return Standing(
                correlation_id=id, workflow="", state="running", began=last.time if last else None,
                reason=f"cannot be told: {type(error).__name__}: {error}", changes_at=now + LONGEST_REST,
                number=last.number if last else known.number if known is not None else 0,
            )  # fmt: skip

    async def _whole(self, id: str, known: Standing | None, now: float, alerts: list[Alert], over: list[str]) -> Standing | None:
        events = await self._record.events_of(id)
        if not events:
            return None
        if len(events) > MANY:
            self._large[id] = self._world.time() + len(events) / 200
        status = self._statuses.of(events, now, await self._record.fates_of(id))
        standing = standing_of(status)
        if not is_sure(status) and (known is None or known.state != "stalled"):
            # What would make it go on may be on its way: it is alerted of when it still stands there a moment later.
            return msgspec.structs.replace(standing, changes_at=now + GRACE)
        due = alerts_of(status, standing, self._world.time())
        alerts += due
        open = {alert.key for alert in due}
        flow = self._statuses.graph.workflow.get(status.workflow or "")
        over += [key for key in keys_of(status, flow, known) if key not in open]
        return standing

    def _pass_on(self, standings: Sequence[Standing], known: dict[str, Standing], fresh: set[str]) -> None:
        if not self._followers:
            return
        for one in standings:
            id = one.correlation_id
            before = self._seen.get(id)
            if before is None and id in known and id not in fresh:
                before = _gist(known[id])
            self._seen[id] = _gist(one)
            if len(self._seen) > HELD:
                del self._seen[next(iter(self._seen))]
            if before == self._seen[id]:
                continue
            for held, bell in self._followers.values():
                held.append(one)
                bell.ring()


def _gist(one: Standing) -> tuple[str, ...]:
    return one.workflow, one.state, one.waits_for, one.service, one.reason
