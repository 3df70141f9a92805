"""Measures a stretch of work: wall-clock time, and the processor's, which the load of others disturbs less."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

__all__ = ["Pace", "Stopwatch", "compared"]


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


def compared(pairs: Sequence[tuple[Pace, Pace]], *, ours: str, other: str) -> dict[str, Any]:
    """Figures of pairs that were measured in turn: medians of each side, and of the pairs' ratios."""
    return {
        f"{ours}_workflows_per_s": round(median(a.per_s for a, _ in pairs)),
        f"{other}_workflows_per_s": round(median(b.per_s for _, b in pairs)),
        "ratio": round(median(a.per_s / b.per_s for a, b in pairs), 2),
        f"{ours}_cpu_us": round(median(a.cpu_us for a, _ in pairs), 1),
        f"{other}_cpu_us": round(median(b.cpu_us for _, b in pairs), 1),
    }
