"""The book of figures: the value of each series of each metric, with a bound on how many series there may be."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

import msgspec

from farandole.observe.metrics.catalog import OTHER, Instrument

__all__ = ["Book", "Cell", "Distribution", "Labels", "Sample"]

Labels = tuple[str, ...]
MOST = 2_000
"""So many series of one metric; those beyond it are one."""


class Cell:
    """The value of one series; whoever has it counts by `cell.value += 1`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Distribution:
    """What a histogram knows of one series."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, int]]:
        """How many values are at most so large, by the bound."""
        found, seen = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), tuple(self.counts), strict=True):
            seen += count
            found.append((bound, seen))
        return found


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The value of one series."""

    instrument: Instrument
    labels: Labels
    value: float | Distribution


class Book:
    """Counts.

    Parameters
    ----------
    instruments:
        What there is to count.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = instruments
        self._cells: dict[str, dict[Labels, Cell]] = {name: {} for name in instruments}
        self._spread: dict[str, dict[Labels, Distribution]] = {
            name: {} for name, one in instruments.items() if one.kind == "histogram"
        }

    def cell(self, name: str, labels: Labels) -> Cell:
        """Where a series is counted."""
        series = self._cells[name]
        found = series.get(labels)
        if found is None:
            if len(series) >= MOST:
                labels = (OTHER,) * len(labels)
            found = series.setdefault(labels, Cell())
        return found

    def distribution(self, name: str, labels: Labels) -> Distribution:
        """Where values of a series are counted."""
        series = self._spread[name]
        found = series.get(labels)
        if found is None:
            if len(series) >= MOST:
                labels = (OTHER,) * len(labels)
            found = series.setdefault(labels, Distribution(self._instruments[name].buckets))
        return found

    def samples(self, *names: str) -> Iterator[Sample]:
        """What was counted, of these metrics or of all; may be read by another thread than the one that counts."""
        for name in names or self._cells:
            for labels, cell in list(self._cells[name].items()):
                yield Sample(self._instruments[name], labels, cell.value)
            for labels, distribution in list(self._spread.get(name, {}).items()):
                yield Sample(self._instruments[name], labels, distribution)
