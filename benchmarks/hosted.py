"""The chain under Farandole's own host: all services in this process, the log in a SQLite file, a SQLite file per service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.clock import Pace, Stopwatch

import farandole
from farandole.model.envelope import Message
from farandole.runtime.signals import Counters

__all__ = ["Hosted", "hosted"]


class Hosted(Counters):
    """A running host, and how many workflows have ended in it."""

    app: farandole.App

    def __init__(self, ended: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._ended = ended
        self._count = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def handled(self, lane: str, count: int) -> None:
        """The last service is `orders`; a retry there does not happen."""
        super().handled(lane, count)
        if lane == "bench.orders":
            self._count += count
            if self._ended is not None:
                self._ended(count)
            if self._count >= self._wanted:
                self._reached.set()

    async def publish(self, messages: Iterable[Message]) -> None:
        """Put start events on the log."""
        results = await self.app.broker.publish(list(messages))
        assert not any(result.error for result in results)

    async def until(self, more: int) -> None:
        """Wait until so many more workflows have ended than when this was last waited for."""
        self._wanted += more
        if self._count < self._wanted:
            self._reached.clear()
            await self._reached.wait()

    async def run(self, messages: Iterable[Message], count: int) -> Pace:
        """The pace from the moment these start events are on the log until as many workflows have ended."""
        await self.publish(messages)
        watch = Stopwatch()
        await self.until(count)
        return watch.pace(count)


@asynccontextmanager
async def hosted(
    choreography: farandole.Choreography, folder: Path, *, full: bool, ended: Callable[[int], None] | None = None
) -> AsyncIterator[Hosted]:
    """Open the host on files in `folder`."""
    how = "" if full else "?synchronous=normal"
    counts = Hosted(ended)
    broker, database = f"sqlite:///{folder}/broker.db{how}", f"sqlite:///{folder}/{{service}}.db{how}"
    async with farandole.open(choreography, signals=counts, broker=broker, database=database) as app:
        counts.app = app
        yield counts
