"""What an app can be asked of its workflows: where they are, what changes, what somebody should know of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from farandole.config import nearest
from farandole.errors import ConfigurationError, DeclarationError, StoreError, UnknownInstance
from farandole.model.choreography import Choreography
from farandole.observe.figures import Figures
from farandole.observe.measures import Figure
from farandole.observe.record import Recorder
from farandole.observe.status import STATES, Status, Statuses
from farandole.observe.watch import Sink, Teller, Watcher
from farandole.stores.base import Store
from farandole.stores.record import Alert, Record, Standing

if TYPE_CHECKING:
    from farandole.observe.chain import Chain, Chains
    from farandole.runtime.assembly import Platform

__all__ = ["Asking", "Watching"]

PATIENCE = 0.5
"""Seconds for which who asks for workflows waits until all that is recorded was looked at, where the record is a database."""


@dataclass(frozen=True, slots=True)
class Watching:
    """Whom a process tells, whether it watches (None: where it records into a database), and whether somebody asked to be told."""

    sinks: Sequence[Sink]
    watch: bool | None = None
    asked: bool = False


class Asking:
    """The part of an `App` that answers; see `farandole.host`."""

    def __init__(self, choreography: Choreography, platform: Platform) -> None:
        self.choreography = choreography
        self.world = platform.world
        self._platform = platform
        self._recorder: Recorder | None = None
        self._watching = Watching(())

    @property
    def record(self) -> Record:
        """What was heard of the choreography's events.

        Raises
        ------
        ConfigurationError
            Nothing is recorded here.
        """
        return self._observer.record

    @property
    def recorder(self) -> Recorder | None:
        """Who records here, with its `record`; None: nobody."""
        return self._recorder

    async def figures(self, patience: float | None = None) -> dict[str, Figure]:
        """What the measures of the choreography say, by name: counted from the record, up to what is recorded now.

        Parameters
        ----------
        patience:
            Seconds after which it stops counting and tells what it has; None: it counts all. What is left is counted the next time.

        Raises
        ------
        ConfigurationError
            Nothing is recorded here.
        StoreError
            The record's database is away.
        """
        await self._observer.ready()
        return {figure.name: figure for figure in await self._figures.now(patience)}

    async def outcome(self, correlation_id: str, timeout: float | None = None) -> Any:
        """Wait for the event that ends a workflow instance, and give it; at once where the record has it already.

        Parameters
        ----------
        correlation_id:
            From a `Receipt`. Without a database for the record, outcomes since this app was opened are known, the latest 100,000 of them.
        timeout:
            Seconds to wait; None: for ever.

        Raises
        ------
        TimeoutError
            It did not come in time.
        DeclarationError
            The choreography declares no workflow.
        """
        if not self.choreography.workflows:
            raise DeclarationError(
                f"{self.choreography.name} declares no workflow, so nobody can tell what ends one. "
                f"Give it one: Choreography(…, workflows=[Workflow(name, starts=…, succeeds=…, fails=…)])"
            )
        observer = self._observer
        end = None
        async with asyncio.timeout(timeout), aclosing(observer.looks(correlation_id, lambda: 3600.0)) as looks:
            while end is None:
                end = observer.reading.end_of(await anext(looks))
        return observer.reading.event_of(end)

    async def status(self, correlation_id: str) -> Status:
        """Where a workflow instance is: what happened, whether it ended and how, and what is expected next, from whom, since when.

        Parameters
        ----------
        correlation_id:
            From a `Receipt`, or from `app.record.instances_of("order_id", "4711")`.

        Raises
        ------
        UnknownInstance
            Nothing of it is recorded: it never began, is forgotten, or began a moment ago.
        StoreError
            The record's database is away.
        """
        observer = self._observer
        await observer.ready()
        entries = await observer.record.events_of(correlation_id)
        if not entries:
            raise _unknown(correlation_id)
        return self._statuses.of(entries, self.world.time(), await observer.record.fates_of(correlation_id))

    async def chain(self, correlation_id: str) -> Chain:
        """What happened in a workflow instance, by cause and effect: `print` it for a tree.

        Parameters
        ----------
        correlation_id:
            From a `Receipt`, or from `app.record.instances_of("order_id", "4711")`.

        Raises
        ------
        UnknownInstance
            Nothing of it is recorded, as for `status`.
        StoreError
            The record's database, or that of a service that is open here, is away.
        """
        from farandole.observe.chain import of_row

        observer = self._observer
        await observer.ready()
        entries = await observer.record.events_of(correlation_id)
        fates = await observer.record.fates_of(correlation_id)
        if not entries and not fates:
            raise _unknown(correlation_id)
        ids = {correlation_id}.union(*((entry.id, *entry.causes) for entry in entries))
        rows = [of_row(row, correlation_id) for store in self.stores.values() for row in await store.fates(ids)]
        now, looked = self.world.time(), self.stores.keys()
        (chain,) = self._chains.of(entries, fates, rows, now=now, looked=looked, of=correlation_id)
        return chain

    @cached_property
    def _chains(self) -> Chains:
        from farandole.observe.chain import chains_of

        return chains_of(self.choreography)

    @property
    def stores(self) -> Mapping[str, Store]:
        """The open databases, by service."""
        raise NotImplementedError

    async def follow(self, correlation_id: str) -> AsyncGenerator[Status, None]:
        """The status of a workflow instance whenever it changes, until it is over. Waits where nothing of it is known yet.

        Parameters
        ----------
        correlation_id:
            From a `Receipt`.
        """
        last: Status | None = None

        def patience() -> float:
            next_change = last.changes_at if last is not None else None
            return 3600.0 if next_change is None else max(0.001, next_change - self.world.time())

        async with aclosing(self._observer.looks(correlation_id, patience)) as looks:
            async for entries in looks:
                if not entries:
                    continue
                try:
                    fates = await self.record.fates_of(correlation_id)
                except StoreError:  # it may come back
                    continue
                status = self._statuses.of(entries, self.world.time(), fates)
                if last is None or not status.is_like(last):
                    last = status
                    yield status
                if status.is_over:
                    return

    @property
    def _observer(self) -> Recorder:
        if self._recorder is None:
            raise ConfigurationError(
                f'nothing records the events of {self.choreography.name} here. Say where to: farandole.open(…, record="sqlite:///record.db"), '
                f'or record="memory://" for as long as this process lives'
            )
        return self._recorder

    async def workflows(
        self,
        *,
        workflow: str | None = None,
        state: str | Collection[str] = (),
        since: timedelta | None = None,
        limit: int = 100,
    ) -> list[Standing]:
        """Where workflow instances are, those that began last first; each in one line: see `status` for all of one.

        Parameters
        ----------
        workflow:
            Only instances of this one; "" for those of none.
        state:
            Only those in this state, or in one of these; see `Status`.
        since:
            Only those that began no longer ago than this.
        limit:
            How many at most.

        Raises
        ------
        ConfigurationError
            There is no such workflow or state, or nothing is recorded here.
        StoreError
            The record is away.
        """
        states = (state,) if isinstance(state, str) else tuple(state)
        self._check(workflow, states, limit)
        await self._catch_up()
        began = None if since is None else self.world.time() - since.total_seconds()
        return await self.record.standings(workflow=workflow, states=states, since=began, limit=limit)

    async def overview(self) -> Mapping[tuple[str, str], int]:
        """How many workflow instances there are, by workflow and state.

        Raises
        ------
        StoreError
            The record is away.
        """
        await self._catch_up()
        return await self.record.counts()

    async def watch(self) -> AsyncGenerator[Standing, None]:
        """Where workflow instances are, whenever that changes, from now on: `async for standing in app.watch()`."""
        async with aclosing(self._watcher.changes()) as changes:
            async for standing in changes:
                yield standing

    async def alerts(self, *, resolved: bool = False, limit: int = 100) -> list[Alert]:
        """What somebody should know and is not over, or what is over; the latest first.

        Raises
        ------
        StoreError
            The record is away.
        """
        await self._observer.ready()
        return await self.record.alerts(resolved=resolved, limit=limit)

    @property
    def troubles(self) -> dict[str, str]:
        """What keeps this process from recording or watching just now, by who says so."""
        found = {}
        if self._recorder is not None and self._recorder.is_away:
            found["recorder"] = "the record, or the broker, is away; it is tried again"
        if "_watcher" in self.__dict__ and self._watcher.trouble is not None:
            found["watcher"] = self._watcher.trouble
        return found

    def _check(self, workflow: str | None, states: Collection[str], limit: int) -> None:
        names = [one.name for one in self.choreography.workflows]
        if workflow and workflow not in names:
            raise ConfigurationError(f"{self.choreography.name} has no workflow {workflow!r}. {nearest(workflow, names)}")
        for state in states:
            if state not in STATES:
                raise ConfigurationError(f"no workflow is ever {state!r}. {nearest(state, STATES)}")
        if limit < 1:
            raise ConfigurationError(f"limit: expected at least 1, got: {limit}")

    async def _catch_up(self) -> bool:
        """Look at what nobody has looked at, such as in a record in memory, which nobody watches unless somebody asks."""
        await self._observer.ready()
        return await self._watcher.catch_up(PATIENCE if self.record.shared else 60.0)

    @cached_property
    def _figures(self) -> Figures:
        return Figures(self.choreography, self._observer.record, self.world)

    @cached_property
    def _statuses(self) -> Statuses:
        from farandole.graph.of_code import graph_of

        return Statuses(graph_of(self.choreography))

    @cached_property
    def _watcher(self) -> Watcher:
        observer = self._observer
        world, signals = self.world, self._platform.signals
        teller = Teller(observer.record, self._watching.sinks, world, signals) if self._tells else None
        watcher = Watcher(observer, self._statuses, world, signals, teller)
        observer.on_news = watcher.hear
        return watcher

    @property
    def _tells(self) -> bool:
        """Whether alerts are this process's to open: not where it only reads what others record."""
        recorder, watching = self._recorder, self._watching
        wanted = recorder is not None and (recorder.record.shared or watching.watch or watching.asked)
        return recorder is not None and recorder.records and bool(wanted) and watching.watch is not False

    def _begin_watching(self) -> None:
        if self._tells:
            self._watcher.begin()

    async def _end_watching(self) -> None:
        if "_watcher" in self.__dict__:
            await self._watcher.close()


def _unknown(correlation_id: str) -> UnknownInstance:
    return UnknownInstance(
        f"no event of {correlation_id!r} is recorded. Right after `send` it may take a moment; "
        f"an older one is known where a record is configured: farandole.open(…, record=…)"
    )
