"""The record in a PostgreSQL database."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from farandole.errors import StoreError
from farandole.stores.postgres.database import Database, Settings
from farandole.stores.postgres.inbox import NOW
from farandole.stores.postgres.measures import PostgresMeasures
from farandole.stores.postgres.migrate import check, migrate
from farandole.stores.postgres.text import escape, unescape
from farandole.stores.record import BEFORE_ALL, Alert, Entry, Fate, Standing, readable
from farandole.stores.statements import Statement, Statements
from farandole.world import World

__all__ = ["PostgresRecord"]

SQL = Statements(Path(__file__).with_name("record.sql"), NOW)

T = TypeVar("T", Entry, Fate, Standing, Alert)
DAY, FAR_OFF = 86_400, 1e11
"""Seconds."""
EARLIER = 40
"""So many days before today may still get a partition: nobody makes thousands of them by sending odd times."""
BY_DAYS = 2.0 * DAY
"""What is kept for so long, in seconds, or longer, goes by whole days."""
REST = 60.0
"""Seconds until it is tried again to make a partition."""

N = TypeVar("N", Fate, Standing, Alert)


class PostgresRecord:
    """See `stores.record.Record`.

    Parameters
    ----------
    settings:
        How to connect.
    world:
        Clock and crash points.
    migrate:
        Whether opening brings the tables up to date.
    """

    shared = True

    def __init__(self, settings: Settings, world: World, *, migrate: bool = True) -> None:
        self._settings = settings
        self._world = world
        self._migrate = migrate
        self._database: Database | None = None
        self._looked_to: dict[str, int] = {}
        self._today, self._days = -1, set[int]()
        self._not_before = 0.0
        self.measures = PostgresMeasures(lambda: self.database)

    @property
    def is_open(self) -> bool:
        return self._database is not None

    @property
    def database(self) -> Database:
        """The open database."""
        if self._database is None:
            raise StoreError(f"the record on {self._settings.name} is not open, or away. See what its process says of it")
        return self._database

    async def open(self) -> None:
        if self._database is not None:
            return
        database = Database(self._settings, self._world)
        await database.open()
        try:
            async with database.connection() as connection:
                if not self._migrate:
                    await check(database, connection, "record")
                else:
                    await database.control(connection, "prepare", "BEGIN")
                    await migrate(database, connection, "record")
                    await database.control(connection, "commit", "COMMIT")
        except BaseException:
            await database.close()  # what is open on it is undone
            raise
        self._database = database

    async def append(self, entries: Sequence[Entry]) -> int:
        if not entries:
            return 0
        database = self.database
        await self._open_days(entries)
        texts = ([escape(getattr(entry, name)) for entry in entries] for name in _TEXTS)
        id, type, source, correlation_id, causationid, field, key, topic = texts
        found = await database.read(
            SQL.append, database.now, id, type, source, correlation_id, causationid, [entry.time for entry in entries],
            field, key, topic, [entry.body for entry in entries],
        )  # fmt: skip
        return len(found)

    async def event(self, id: str) -> Entry | None:
        found = await self.database.read(SQL.event, escape(id))
        return _made(Entry, found[0]) if found else None

    async def events_of(self, correlation_id: str) -> list[Entry]:
        return [_made(Entry, row) for row in await self.database.read(SQL.events_of, escape(correlation_id))]

    async def instances_of(self, field: str, value: str, type: str | None = None, limit: int = 100) -> list[str]:
        wanted = None if type is None else escape(type)
        return [unescape(id) for (id,) in await self.database.read(SQL.instances_of, escape(value), escape(field), wanted, limit)]

    async def latest_of(self, correlation_ids: Collection[str]) -> dict[str, int]:
        found = await self.database.read(SQL.latest_of, [escape(id) for id in correlation_ids])
        return {unescape(id): number for id, number in found}

    async def since(self, number: int, limit: int) -> list[Entry]:
        return [_made(Entry, row) for row in await self.database.read(SQL.since, number, limit)]

    async def tell(self, fates: Sequence[Fate]) -> int:
        return len(await self.database.read(SQL.tell, self.database.now, *_columns(Fate, fates))) if fates else 0

    async def fates_of(self, correlation_id: str) -> list[Fate]:
        return [_made(Fate, row) for row in await self.database.read(SQL.fates_of, escape(correlation_id))]

    async def stand(self, standings: Sequence[Standing], upto: int) -> None:
        latest: dict[str, Standing] = {}  # a statement takes each instance once
        for one in standings:
            if one.correlation_id not in latest or latest[one.correlation_id].number <= one.number:
                latest[one.correlation_id] = one
        async with self._alone() as connection:
            await self.database.run(connection, SQL.stand, *_columns(Standing, tuple(latest.values())))
            await self.database.run(connection, SQL.stand_upto, upto)

    async def stood(self) -> int:
        ((number,),) = await self.database.read(SQL.stood)
        return int(number)

    async def standings(
        self, *, workflow: str | None = None, states: Collection[str] = (), since: float | None = None, limit: int = 100
    ) -> list[Standing]:
        wanted = None if workflow is None else escape(workflow)
        found = await self.database.read(SQL.standings, wanted, list(states), BEFORE_ALL if since is None else since, limit)
        return [_made(Standing, row) for row in found]

    async def standing_of(self, correlation_ids: Collection[str]) -> dict[str, Standing]:
        found = await self.database.read(SQL.standing_of, [escape(id) for id in correlation_ids])
        return {one.correlation_id: one for one in (_made(Standing, row) for row in found)}

    async def counts(self) -> Mapping[tuple[str, str], int]:
        return {(unescape(workflow), state): count for workflow, state, count in await self.database.read(SQL.counts)}

    async def changing(self, until: float, limit: int) -> list[str]:
        return [unescape(id) for (id,) in await self.database.read(SQL.changing, until, limit)]

    async def alert(self, alerts: Sequence[Alert]) -> list[Alert]:
        first: dict[str, Alert] = {}  # a statement takes each key once
        for alert in alerts:
            first.setdefault(alert.key, alert)
        found = await self.database.read(SQL.alert, *_columns(Alert, tuple(first.values()))[:-1])
        new = {unescape(key) for (key,) in found}
        return [alert for key, alert in first.items() if key in new]

    async def resolve(self, keys: Collection[str], at: float) -> list[Alert]:
        found = await self.database.read(SQL.resolve, [escape(key) for key in keys], at)
        over = {alert.key: alert for alert in (_made(Alert, row) for row in found)}
        return [over[key] for key in dict.fromkeys(keys) if key in over]

    async def told(self, alerts: Sequence[Alert]) -> None:
        keys = [escape(alert.key) for alert in alerts]
        await self.database.read(SQL.told, keys, [one.at for one in alerts], [one.resolved for one in alerts])

    async def owed(self, before: float, at: float, limit: int) -> list[Alert]:
        return [_made(Alert, row) for row in await self.database.read(SQL.owed, before, at, limit)]

    async def alerts(self, *, resolved: bool = False, limit: int = 100) -> list[Alert]:
        found = await self.database.read(SQL.alerts_over if resolved else SQL.alerts_open, limit)
        return [_made(Alert, row) for row in found]

    async def purge(self, older_than: float, limit: int) -> int:
        database, age = self.database, round(older_than * 1000)
        by_days = older_than >= BY_DAYS
        if by_days and await self._drop_day(age):
            return limit  # there may be another
        events = await self._next(SQL.old_other if by_days else SQL.old, "", age, limit)
        fates = await self._next(SQL.old_fates, "@fates", age, limit)
        looked = max(len(events), len(fates))
        if looked:
            async with self._alone() as connection:
                if by_days:  # the others go with their day
                    fates = [id for (id,) in await database.run(connection, SQL.emptied, fates)]
                await self._forget(connection, await self._quiet(connection, {*events, *fates}, age))
        await database.read(SQL.forget_resolved, database.now, age)
        return looked

    async def thin(self, type: str, older_than: float, limit: int) -> int:
        database, age = self.database, round(older_than * 1000)
        events = await self._next(SQL.old_of, type, age, limit, escape(type))
        if events:
            async with self._alone() as connection:
                quiet = await self._quiet(connection, set(events), age)
                await database.run(connection, SQL.thin_fates, quiet, escape(type))
                await database.run(connection, SQL.thin, quiet, escape(type))
                await self._forget(connection, [id for (id,) in await database.run(connection, SQL.emptied, quiet)])
        return len(events)

    async def _open_days(self, entries: Sequence[Entry]) -> None:
        """Make the partitions that these need. Where that cannot be done now, they are kept among the others, and moved later."""
        world = self._world
        if self._today != (today := int(world.time() // DAY)):
            self._today, self._days = today, set()
        days = {int(entry.time // DAY) for entry in entries if entry.time is not None and abs(entry.time) < FAR_OFF} - self._days
        if not days or world.monotonic() < self._not_before:
            return
        try:
            await self.database.read(SQL.open_days, self.database.now, sorted(days), EARLIER)
        except StoreError:  # somebody reads for long, or this user may make no tables
            self._not_before = world.monotonic() + REST
        else:
            self._days |= days

    async def _drop_day(self, age: int) -> bool:
        """Forget the oldest day that is over for so long, but for the instances that go on; gives whether there was one."""
        database = self.database
        found = await database.read(SQL.days_over, database.now, age)
        for (day,) in found:
            async with self._alone() as connection:
                quiet = [id for (id,) in await database.run(connection, SQL.quiet_of_day, database.now, day, age)]
                await database.run(connection, SQL.forget_elsewhere, quiet, day)
                for statement in (SQL.forget_fates, SQL.forget_standings, SQL.forget_alerts):
                    await database.run(connection, statement, quiet)
                await database.run(connection, SQL.drop_day, quiet, day)
        return bool(found)

    async def _next(self, statement: Statement, what: str, age: int, limit: int, *more: str) -> list[str]:
        """The instances of the next old events, or fates; after the last of them it begins again."""
        found = await self.database.read(statement, self.database.now, self._looked_to.get(what, 0), age, limit, *more)
        self._looked_to[what] = found[-1][1] if len(found) == limit else 0
        return [id for id, _ in found]

    async def _quiet(self, connection: Any, instances: set[str], age: int) -> list[str]:
        """Those of which nothing was recorded lately."""
        found = await self.database.run(connection, SQL.quiet, self.database.now, list(instances), age)
        return [id for (id,) in found]

    async def _forget(self, connection: Any, instances: list[str]) -> None:
        """All that is known of these, inside the open transaction."""
        for statement in (SQL.forget, SQL.forget_fates, SQL.forget_standings, SQL.forget_alerts):
            await self.database.run(connection, statement, instances)

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[Any]:
        """A transaction that forgets instances, or says where they are: one at a time, so that nothing is said of what is forgotten."""
        database = self.database
        async with database.connection() as connection:
            await database.control(connection, "begin", "BEGIN ISOLATION LEVEL READ COMMITTED")
            try:
                await database.run(connection, SQL.alone)
                yield connection
            except BaseException:
                with contextlib.suppress(StoreError):  # where the connection is lost, so is what it began
                    await database.control(connection, "rollback", "ROLLBACK")
                raise
            await database.control(connection, "commit", "COMMIT")

    async def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            await database.close()


_TEXTS = ("id", "type", "source", "correlation_id", "causationid", "field", "key", "topic")


def _columns(cls: type[N], rows: Sequence[N]) -> list[Any]:
    """The fields of all, column by column."""
    columns = zip(*(readable(row) for row in rows), strict=True) if rows else ((),) * len(cls.__struct_fields__)
    return [[escape(value) if isinstance(value, str) else value for value in column] for column in columns]


def _made(cls: type[T], row: Sequence[Any]) -> T:
    values: list[Any] = [unescape(value) if isinstance(value, str) else value for value in row]
    return cls(**dict(zip(cls.__struct_fields__, values, strict=True)))
