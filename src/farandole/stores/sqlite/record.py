"""The record in a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import astuple

from farandole.errors import StoreError
from farandole.stores.record import BEFORE_ALL, Alert, Entry, Fate, Standing, readable
from farandole.stores.sqlite.database import Access
from farandole.stores.sqlite.inbox import array
from farandole.stores.sqlite.measures import SqliteMeasures
from farandole.stores.sqlite.migrate import migrate
from farandole.stores.statements import Statement, Statements
from farandole.world import World

__all__ = ["SqliteRecord"]

SQL = Statements(Path(__file__).with_name("record.sql"))

T = TypeVar("T", Entry, Fate, Standing, Alert)


class SqliteRecord:
    """See `stores.record.Record`.

    Parameters
    ----------
    url:
        As the user wrote it.
    path:
        The file, absolute; None: in memory.
    world:
        Clock, chance and crash points.
    level:
        `PRAGMA synchronous` of what is appended: 2 full, 1 normal, 0 off.
    """

    shared = True

    def __init__(self, url: str, *, path: str | None, world: World, level: int) -> None:
        self.url = url
        self._path = path
        self._world = world
        self._level = level
        self._access: Access | None = None
        self._looked_to: dict[str, int] = {}
        self.measures = SqliteMeasures(lambda: self.access)

    @property
    def is_open(self) -> bool:
        return self._access is not None

    @property
    def access(self) -> Access:
        """The way to the open database."""
        if self._access is None:
            raise StoreError(f"the record {self.url} is not open, or away. See what its process says of it")
        return self._access

    async def open(self) -> None:
        if self._access is not None:
            return
        access = Access(self._path, self._world, self._level)
        try:
            await access.prepare()
            async with access.transaction():
                migrate(access, "record")
        except sqlite3.DatabaseError as error:
            access.database.leave()
            raise access.unusable(error) from error
        except BaseException:
            access.database.leave()
            raise
        self._access = access

    async def append(self, entries: Sequence[Entry]) -> int:
        now = _millis(self._world.time())
        rows = [(*astuple(entry)[:-1], now) for entry in entries]
        async with self.access.transaction() as access:
            return access.run_many(SQL.append, rows)

    async def event(self, id: str) -> Entry | None:
        found = await self.access.read(SQL.event, (id,))
        return _made(Entry, found[0]) if found else None

    async def events_of(self, correlation_id: str) -> list[Entry]:
        return [_made(Entry, row) for row in await self.access.read(SQL.events_of, (correlation_id,))]

    async def instances_of(self, field: str, value: str, type: str | None = None, limit: int = 100) -> list[str]:
        return [id for (id,) in await self.access.read(SQL.instances_of, (value, field, type, limit))]

    async def latest_of(self, correlation_ids: Collection[str]) -> dict[str, int]:
        return dict(await self.access.read(SQL.latest_of, (array(list(correlation_ids)),)))

    async def since(self, number: int, limit: int) -> list[Entry]:
        return [_made(Entry, row) for row in await self.access.read(SQL.since, (number, limit))]

    async def tell(self, fates: Sequence[Fate]) -> int:
        now = _millis(self._world.time())
        async with self.access.transaction() as access:
            return access.run_many(SQL.tell, [(*readable(fate), now) for fate in fates])

    async def fates_of(self, correlation_id: str) -> list[Fate]:
        return [_made(Fate, row) for row in await self.access.read(SQL.fates_of, (correlation_id,))]

    async def stand(self, standings: Sequence[Standing], upto: int) -> None:
        async with self.access.transaction(durable=False) as access:  # what is lost is found out again
            access.run_many(SQL.stand, [readable(one) for one in standings])
            access.run(SQL.stand_upto, (upto,))

    async def stood(self) -> int:
        ((number,),) = await self.access.read(SQL.stood)
        return int(number)

    async def standings(
        self, *, workflow: str | None = None, states: Collection[str] = (), since: float | None = None, limit: int = 100
    ) -> list[Standing]:
        asked = (workflow, array(list(states)), BEFORE_ALL if since is None else since, limit)
        return [_made(Standing, row) for row in await self.access.read(SQL.standings, asked)]

    async def standing_of(self, correlation_ids: Collection[str]) -> dict[str, Standing]:
        found = await self.access.read(SQL.standing_of, (array(list(correlation_ids)),))
        return {row[0]: _made(Standing, row) for row in found}

    async def counts(self) -> Mapping[tuple[str, str], int]:
        return {(workflow, state): count for workflow, state, count in await self.access.read(SQL.counts)}

    async def changing(self, until: float, limit: int) -> list[str]:
        return [id for (id,) in await self.access.read(SQL.changing, (until, limit))]

    async def alert(self, alerts: Sequence[Alert]) -> list[Alert]:
        async with self.access.transaction() as access:
            return [alert for alert in alerts if access.run(SQL.alert, readable(alert)[:-1]).fetchall()]

    async def resolve(self, keys: Collection[str], at: float) -> list[Alert]:
        async with self.access.transaction() as access:
            return [_made(Alert, row) for key in keys for row in access.run(SQL.resolve, (at, key)).fetchall()]

    async def told(self, alerts: Sequence[Alert]) -> None:
        async with self.access.transaction(durable=False) as access:
            access.run_many(SQL.told, [(*readable(one)[:1], one.at, one.resolved) for one in alerts])

    async def owed(self, before: float, at: float, limit: int) -> list[Alert]:
        async with self.access.transaction(durable=False) as access:
            return [_made(Alert, row) for row in access.run(SQL.owed, (before, at, limit)).fetchall()]

    async def alerts(self, *, resolved: bool = False, limit: int = 100) -> list[Alert]:
        found = await self.access.read(SQL.alerts_over if resolved else SQL.alerts_open, (limit,))
        return [_made(Alert, row) for row in found]

    async def purge(self, older_than: float, limit: int) -> int:
        before = _millis(self._world.time() - older_than)
        events = await self._next(SQL.old, "", before, limit)
        fates = await self._next(SQL.old_fates, "@fates", before, limit)
        async with self.access.transaction(durable=False) as access:
            _forget(access, _quiet(access, {*events, *fates}, before))
            access.run(SQL.forget_resolved, (before / 1000,))
        return max(len(events), len(fates))

    async def thin(self, type: str, older_than: float, limit: int) -> int:
        before = _millis(self._world.time() - older_than)
        events = await self._next(SQL.old_of, type, before, limit, type)
        if events:
            async with self.access.transaction(durable=False) as access:
                quiet = _quiet(access, set(events), before)
                access.run(SQL.thin_fates, (quiet, type))
                access.run(SQL.thin, (quiet, type))
                _forget(access, array([id for (id,) in access.run(SQL.emptied, (quiet,)).fetchall()]))
        return len(events)

    async def _next(self, statement: Statement, what: str, before: int, limit: int, *more: str) -> list[str]:
        """The instances of the next old events, or fates; after the last of them it begins again."""
        found = await self.access.read(statement, (self._looked_to.get(what, 0), before, limit, *more))
        self._looked_to[what] = found[-1][1] if len(found) == limit else 0
        return [id for id, _ in found]

    async def close(self) -> None:
        if self._access is not None:
            self._access.database.leave()
            self._access = None


def _millis(seconds: float) -> int:
    return round(seconds * 1000)


def _quiet(access: Access, instances: set[str], before: int) -> str:
    """Those of which nothing was recorded lately, as an array."""
    return array([id for (id,) in access.run(SQL.quiet, (array(instances), before)).fetchall()])


def _forget(access: Access, instances: str) -> None:
    """All that is known of these, inside the open transaction."""
    for statement in (SQL.forget, SQL.forget_fates, SQL.forget_standings, SQL.forget_alerts):
        access.run(statement, (instances,))


def _made(cls: type[T], row: Sequence[Any]) -> T:
    return cls(**dict(zip(cls.__struct_fields__, row, strict=True)))
