"""What a record in a SQLite file keeps for measures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import astuple

from farandole.stores.measures import Part, Tally
from farandole.stores.sqlite.database import Access
from farandole.stores.sqlite.inbox import array
from farandole.stores.statements import Statements

__all__ = ["SqliteMeasures"]

SQL = Statements(Path(__file__).with_name("measures.sql"))


class SqliteMeasures:
    """See `stores.measures.Measures`.

    Parameters
    ----------
    access:
        The way to the record's open database.
    """

    def __init__(self, access: Callable[[], Access]) -> None:
        self._access = access
        self._tidied_to = ("", "")

    async def tallies(self) -> dict[str, Tally]:
        rows = await self._access().read(SQL.tallies)
        return {
            measure: Tally(
                measure=measure, upto=upto, begun=begun, done=done, total=total, buckets=tuple(msgspec.json.decode(text))
            )
            for measure, upto, begun, done, total, text in rows
        }

    async def parts_of(self, measures: Collection[str], correlation_ids: Collection[str]) -> list[Part]:
        access, wanted = self._access(), frozenset(measures)
        rows = [row for id in correlation_ids for row in await access.read(SQL.parts_of, (id,)) if row[0] in wanted]
        return [Part(**dict(zip(Part.__struct_fields__, row, strict=True))) for row in rows]

    async def keep(self, before: int, tallies: Sequence[Tally], parts: Sequence[Part]) -> bool:
        async with self._access().transaction(durable=False) as access:  # what is lost is counted again
            known = {row[0]: row[1] for row in access.run(SQL.tallies).fetchall()}
            if any(known.get(tally.measure, 0) != before for tally in tallies):
                return False
            access.run_many(SQL.tally, [(*astuple(tally)[:-1], array(tally.buckets)) for tally in tallies])
            access.run_many(SQL.part, [astuple(part) for part in parts])
        return True

    async def open_parts(self) -> dict[str, tuple[int, float]]:
        return {measure: (count, value) for measure, count, value in await self._access().read(SQL.open_parts)}

    async def tidy(self, limit: int) -> int:
        start = self._tidied_to
        found = await self._access().read(SQL.next_parts, (*start, limit))
        self._tidied_to = tuple(found[-1]) if len(found) == limit else ("", "")
        if not found:
            return 0
        async with self._access().transaction(durable=False) as access:
            return access.run(SQL.forget_parts, (*start, *found[-1])).rowcount
