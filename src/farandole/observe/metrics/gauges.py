"""Figures that brokers and databases have to be asked for: when somebody looks, and every few seconds at most.

Whoever does not answer in time is left out and named by `farandole.scrape.errors`; the others are shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

from farandole.observe.metrics.book import Distribution, Sample
from farandole.observe.metrics.catalog import CATALOG, instruments_of
from farandole.observe.observer import Observed
from farandole.stores.base import Store

__all__ = ["Gauges"]

EVERY = 3.0
"""What was asked for is good for so many seconds."""
PATIENCE = 2.0
"""Seconds that each source has for an answer."""
COUNTING = 1.0
"""Seconds that measures have for counting what was recorded since; what is left is counted the next time."""

Source = Callable[[], Awaitable[list[Sample]]]


class Gauges:
    """Asks.

    Parameters
    ----------
    app:
        Whose broker, databases and record.
    """

    def __init__(self, app: Observed) -> None:
        self._app = app
        self._asking = asyncio.Lock()
        self._asked_at: float | None = None
        self.latest: list[Sample] = []
        self.loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[list[Sample]]] = set()
        self.sources: dict[str, Source] = {"broker": self._lags}
        if app.recorder is not None:
            self.sources["record"] = self._workflows
            if app.choreography.measures:
                self.sources["measures"] = self._measures

    async def ask(self) -> list[Sample]:
        """The latest answers; asks anew where they are too old. Never raises for a source that is away."""
        async with self._asking:
            now = self._app.world.monotonic()
            if self._asked_at is None or now - self._asked_at >= EVERY:
                self.latest = await self._ask_all()
                self._asked_at = self._app.world.monotonic()
        return self.latest

    def remember(self, task: asyncio.Task[list[Sample]]) -> None:
        """Somebody asked without waiting: keep the task until it is over."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_all(self) -> list[Sample]:
        sources = {**self.sources, **{name: _of_store(name, store) for name, store in self._app.stores.items()}}
        answers = await asyncio.gather(*map(_in_time, sources.values()))
        found = [sample for answer in answers for sample in answer or ()]
        for name, answer in zip(sources, answers, strict=True):
            found.append(_sample("farandole.scrape.errors", (name,), float(answer is None)))
        return found

    async def _lags(self) -> list[Sample]:
        return [
            _sample("farandole.consumer.lag", (lane, service), lag)
            for service, lanes in (await self._app.lag()).items()
            for lane, lag in lanes.items()
        ]

    async def _workflows(self) -> list[Sample]:
        recorder = self._app.recorder
        if recorder is None:
            return []
        await recorder.ready()
        lag = _sample("farandole.consumer.lag", (f"{self._app.choreography.name}.@record", ""), await recorder.lag())
        counts = await recorder.record.counts()
        declared = {flow.name for flow in self._app.choreography.workflows}
        return [lag] + [
            _sample("farandole.workflows", (workflow, state), count)
            for (workflow, state), count in counts.items()
            if workflow in declared
        ]

    async def _measures(self) -> list[Sample]:
        name = self._app.choreography.name
        declared = instruments_of(self._app.choreography.measures)
        found: list[Sample] = []
        for figure in (await self._app.figures(COUNTING)).values():
            at = f"farandole.measure.{figure.name}"
            if figure.kind == "time":
                spread = Distribution(declared[at].buckets)
                spread.counts = [b - a for a, b in pairwise((0, *figure.buckets.values()))]
                spread.total = figure.total
                found.append(Sample(declared[at], (name,), spread))
            elif figure.value is not None:
                found.append(Sample(declared[at], (name,), figure.value))
            if figure.kind == "share":
                found.append(Sample(declared[f"{at}.of"], (name,), float(figure.begun)))
                found.append(Sample(declared[f"{at}.reached"], (name,), float(figure.done)))
        return found


def _of_store(service: str, store: Store) -> Source:
    async def ask() -> list[Sample]:
        status = await store.status()
        values = {
            "farandole.outbox.messages": status.outbox,
            "farandole.outbox.age": status.outbox_age or 0.0,
            "farandole.parked.events": status.parked,
            "farandole.parked.keys": status.parked_keys,
            "farandole.dead.letters": status.dead,
            "farandole.open.tasks": status.tasks,
        }
        return [_sample(name, (service,), value) for name, value in values.items()]

    return ask


async def _in_time(source: Source) -> list[Sample] | None:
    try:
        async with asyncio.timeout(PATIENCE):
            return await source()
    except Exception:  # whatever it is, the others are shown
        return None


def _sample(name: str, labels: tuple[str, ...], value: Any) -> Sample:
    return Sample(CATALOG[name], labels, float(value))
