"""What a record in a PostgreSQL database keeps for measures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from farandole.errors import StoreError
from farandole.stores.measures import Part, Tally
from farandole.stores.postgres.database import Database
from farandole.stores.postgres.text import escape, unescape
from farandole.stores.statements import Statements

__all__ = ["PostgresMeasures"]

SQL = Statements(Path(__file__).with_name("measures.sql"))


class PostgresMeasures:
    """See `stores.measures.Measures`.

    Parameters
    ----------
    database:
        The record's, open.
    """

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database
        self._tidied_to = ("", "")

    async def tallies(self) -> dict[str, Tally]:
        rows = await self._database().read(SQL.tallies)
        return {
            measure: Tally(measure=measure, upto=upto, begun=begun, done=done, total=total, buckets=tuple(buckets))
            for measure, upto, begun, done, total, buckets in rows
        }

    async def parts_of(self, measures: Collection[str], correlation_ids: Collection[str]) -> list[Part]:
        rows = await self._database().read(SQL.parts_of, list(measures), [escape(id) for id in correlation_ids])
        return [
            Part(measure=measure, correlation_id=unescape(id), began=began, ended=ended, value=value)
            for measure, id, began, ended, value in rows
        ]

    async def keep(self, before: int, tallies: Sequence[Tally], parts: Sequence[Part]) -> bool:
        database = self._database()
        names = [tally.measure for tally in tallies]
        async with database.connection() as connection:
            await database.control(connection, "begin", "BEGIN")
            try:
                await database.run(connection, SQL.begin_tallies, names)
                known = await database.run(connection, SQL.lock_tallies, names)
                kept = all(upto == before for (upto,) in known)
                if kept:
                    for tally in tallies:
                        figures = (tally.upto, tally.begun, tally.done, tally.total, list(tally.buckets))
                        await database.run(connection, SQL.tally, tally.measure, *figures)
                    await database.run(
                        connection, SQL.parts, [part.measure for part in parts], [escape(part.correlation_id) for part in parts],
                        [part.began for part in parts], [part.ended for part in parts], [part.value for part in parts],
                    )  # fmt: skip
            except BaseException:
                with contextlib.suppress(StoreError):  # where the connection is lost, so is what it began
                    await database.control(connection, "rollback", "ROLLBACK")
                raise
            await database.control(connection, "commit", "COMMIT")
        return kept

    async def open_parts(self) -> dict[str, tuple[int, float]]:
        return {measure: (count, value) for measure, count, value in await self._database().read(SQL.open_parts)}

    async def tidy(self, limit: int) -> int:
        start = self._tidied_to
        found = await self._database().read(SQL.next_parts, *start, limit)
        self._tidied_to = (found[-1][0], found[-1][1]) if len(found) == limit else ("", "")
        return len(await self._database().read(SQL.forget_parts, *start, *found[-1])) if found else 0
