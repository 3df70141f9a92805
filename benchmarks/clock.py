"""Measures a stretch of work: wall-clock time, and the processor's, which the load of others disturbs less."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

__all__ = ["Goal", "Meter", "Pace", "Stopwatch", "compared"]


class Pace(NamedTuple):
    """How fast something went: per second by the wall clock, and microseconds of the processor for each."""

    per_s: float
    cpu_us: float


class Stopwatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def pace(self, count: int) -> Pace:
        """The pace of so many since the beginning."""
        wall, cpu = time.perf_counter() - self._begun[0], time.process_time() - self._begun[1]
        return Pace(count / wall, cpu / count * 1e6)


class Goal:
    """Counts, and lets others wait for a number."""

    def __init__(self) -> None:
        self._count = self._wanted = 0
        self._reached = asyncio.Event()

    def add(self, more: int) -> None:
        """So many more."""
        self._count += more
        if self._count >= self._wanted:
            self._reached.set()

    async def until(self, more: int) -> None:
        """Wait until there are so many more than when this was last waited for."""
        self._wanted += more
        if self._count < self._wanted:
            self._reached.clear()
            await self._reached.wait()


class Meter:
    """Measures so many events; the clock starts when a fifth of them was handled, so that joining a group, and what lay ready before, count less.

    Attributes
    ----------
    pace:
        None until all were handled.
    """

    def __init__(self, count: int) -> None:
        self._count, self._seen, self._from = count, 0, count // 5
        self._begun = 0
        self._watch: Stopwatch | None = None
        self.pace: Pace | None = None

    def add(self, more: int) -> bool:
        """So many more were handled; gives whether these are all."""
        self._seen += more
        if self._watch is None and self._seen >= self._from:
            self._watch, self._begun = Stopwatch(), self._seen
        if self.pace is None and self._watch is not None and self._seen >= self._count:
            self.pace = self._watch.pace(self._seen - self._begun)
        return self.pace is not None


def compared(rounds: Sequence[Sequence[Pace]], sides: Sequence[str], *, of: str = "workflows") -> dict[str, Any]:
    """Figures of sides that were measured in turn, ours first.

    The medians of each, and of the ratios of the first to each of the others in a round.
    """
    figures: dict[str, Any] = {
        f"{side}_{of}_per_s": round(median(paces[at].per_s for paces in rounds)) for at, side in enumerate(sides)
    }
    for at, side in enumerate(sides[1:], 1):
        name = "ratio" if len(sides) == 2 else f"ratio_to_{side}"
        figures[name] = round(median(paces[0].per_s / paces[at].per_s for paces in rounds), 2)
    return figures | {f"{side}_cpu_us": round(median(paces[at].cpu_us for paces in rounds), 1) for at, side in enumerate(sides)}
