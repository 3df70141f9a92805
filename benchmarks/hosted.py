"""The chain under Farandole's own host: all services in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.clock import Goal, Pace, Stopwatch

import farandole
from farandole.model.envelope import Message
from farandole.runtime.signals import Counters

__all__ = ["Hosted", "hosted", "hosted_at"]


class Hosted(Counters):
    """A running host, and how many workflows have ended in it."""

    app: farandole.App

    def __init__(self, ended: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._ended = ended
        self._goal = Goal()

    def handled(self, lane: str, count: int) -> None:
        """The last service is `orders`; a retry there does not happen."""
        super().handled(lane, count)
        if lane == "bench.orders":
            if self._ended is not None:
                self._ended(count)
            self._goal.add(count)

    async def publish(self, messages: Iterable[Message]) -> None:
        """Put start events on the log."""
        results = await self.app.broker.publish(list(messages))
        assert not any(result.error for result in results)

    async def until(self, more: int) -> None:
        """Wait until so many more workflows have ended than when this was last waited for."""
        await self._goal.until(more)

    async def run(self, messages: Iterable[Message], count: int) -> Pace:
        """The pace from the moment these start events are on the log until as many workflows have ended."""
        await self.publish(messages)
        watch = Stopwatch()
        await self.until(count)
        return watch.pace(count)


@asynccontextmanager
async def hosted(
    choreography: farandole.Choreography,
    folder: Path,
    *,
    full: bool,
    ended: Callable[[int], None] | None = None,
    record: str = "none",
    told: bool = False,
) -> AsyncIterator[Hosted]:
    """Open the host on files in `folder`: the log in one, and one per service.

    Parameters
    ----------
    record:
        Where this process records.
    told:
        Whether it tells what became of each event, for a record that another process fills.
    """
    how = "" if full else "?synchronous=normal"
    places = f"sqlite:///{folder}/broker.db{how}", f"sqlite:///{folder}/{{service}}.db{how}"
    async with hosted_at(choreography, *places, ended=ended, record=record, told=told) as counts:
        yield counts


@asynccontextmanager
async def hosted_at(
    choreography: farandole.Choreography,
    broker: str,
    database: str,
    *,
    ended: Callable[[int], None] | None = None,
    record: str = "none",
    told: bool = False,
) -> AsyncIterator[Hosted]:
    """Open the host on these URLs."""
    counts = Hosted(ended)
    who = {"observe": [counts, "fates"]} if told else {"signals": counts}
    async with farandole.open(choreography, broker=broker, database=database, record=record, **who) as app:  # type: ignore[arg-type]
        counts.app = app
        yield counts
