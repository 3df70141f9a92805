"""What a record in this process keeps for measures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import islice

from farandole.stores.measures import Part, Tally

__all__ = ["MemoryMeasures"]


class MemoryMeasures:
    """See `stores.measures.Measures`.

    Parameters
    ----------
    knows:
        Whether the record still knows an instance.
    """

    def __init__(self, knows: Callable[[str], bool]) -> None:
        self._knows = knows
        self._tallies: dict[str, Tally] = {}
        self._parts: dict[tuple[str, str], Part] = {}

    async def tallies(self) -> dict[str, Tally]:
        return dict(self._tallies)

    async def parts_of(self, measures: Collection[str], correlation_ids: Collection[str]) -> list[Part]:
        found = (self._parts.get((measure, id)) for measure in measures for id in correlation_ids)
        return [part for part in found if part is not None]

    async def keep(self, before: int, tallies: Sequence[Tally], parts: Sequence[Part]) -> bool:
        known = self._tallies
        if any((known[tally.measure].upto if tally.measure in known else 0) != before for tally in tallies):
            return False
        known |= {tally.measure: tally for tally in tallies}
        self._parts |= {(part.measure, part.correlation_id): part for part in parts}
        return True

    async def open_parts(self) -> dict[str, tuple[int, float]]:
        found: dict[str, tuple[int, float]] = {}
        for part in self._parts.values():
            if part.began is not None and part.ended is None:
                count, value = found.get(part.measure, (0, 0.0))
                found[part.measure] = (count + 1, value + part.value)
        return found

    async def tidy(self, limit: int) -> int:
        """It goes round: what was looked at moves to the end."""
        looked = list(islice(self._parts.items(), limit))
        for at, part in looked:
            del self._parts[at]
            if self._knows(part.correlation_id):
                self._parts[at] = part
        return sum(at not in self._parts for at, _ in looked)
