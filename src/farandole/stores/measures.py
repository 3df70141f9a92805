"""The contract of what a record keeps for measures: how far each has counted, its totals, and what it knows of each instance."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

__all__ = ["Measures", "Part", "Tally"]


class Tally(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The totals of one measure.

    Attributes
    ----------
    measure:
        Its id: its name, and what tells it from another of that name.
    upto:
        The place in the record up to which events are counted.
    begun, done:
        How many instances it began in; of these, how many it ended in.
    total:
        Of a time: the seconds of all that ended, together. Of a sum: the values of all.
    buckets:
        Of a time: how many took so long, bound by bound; the last is beyond all bounds.
    """

    measure: str
    upto: int = 0
    begun: int = 0
    done: int = 0
    total: float = 0.0
    buckets: tuple[int, ...] = ()


class Part(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one measure knows of one workflow instance.

    Attributes
    ----------
    measure, correlation_id:
        Of which measure, and which instance.
    began, ended:
        The earliest time of an event that begins it, and of one that ends it, in seconds since 1970; None: there is none yet. Infinity: there
        is one, and it does not say when.
    value:
        What its events add.
    """

    measure: str
    correlation_id: str
    began: float | None = None
    ended: float | None = None
    value: float = 0.0


class Measures(Protocol):
    """Kept in the record's database. All raise `StoreError` where that is away."""

    async def tallies(self) -> dict[str, Tally]:
        """The totals, by measure."""
        ...

    async def parts_of(self, measures: Collection[str], correlation_ids: Collection[str]) -> list[Part]:
        """What these measures know of these instances."""
        ...

    async def keep(self, before: int, tallies: Sequence[Tally], parts: Sequence[Part]) -> bool:
        """Put these in place of what was known, all or nothing; False, and nothing: another process was here.

        Parameters
        ----------
        before:
            Up to where all these measures had counted; 0 for one that is new.
        """
        ...

    async def open_parts(self) -> dict[str, tuple[int, float]]:
        """How many instances each measure began and did not end in, and the values of these, together."""
        ...

    async def tidy(self, limit: int) -> int:
        """Look at so many parts, and forget those whose instances the record has forgotten; gives how many. Called again, it goes on."""
        ...
