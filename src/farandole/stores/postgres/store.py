"""The PostgreSQL store: one service's database on a server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from farandole.errors import StoreBusy, StoreError
from farandole.stores.base import DeadFilter, Edit, InboxRow, LateTransaction, OutboxRow, StoreStatus, Task, Transaction
from farandole.stores.postgres import inbox, outbox, sagas, tasks
from farandole.stores.postgres.database import Database, Settings, excuse
from farandole.stores.postgres.migrate import check, create_tables, latest, migrate, version_of
from farandole.stores.postgres.text import escape
from farandole.stores.postgres.transaction import Begin, LatePostgres, begin, commit, rollback
from farandole.stores.rows import RELAY, conditions, named
from farandole.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from farandole.stores.alchemy import Handles
    from farandole.stores.postgres.alchemy import Route

__all__ = ["PostgresStore"]


class PostgresStore:
    """One service's PostgreSQL database; see `stores.base.Store`.

    Parameters
    ----------
    url:
        As the user wrote it.
    settings:
        How to connect.
    world:
        Clock, chance and crash points.
    tables:
        The service's own tables: a SQLAlchemy `MetaData`, SQL statements, or None.
    migrate:
        Whether opening brings the tables up to date.
    """

    inline = False

    def __init__(self, url: str, settings: Settings, world: World, *, tables: Any, migrate: bool = True) -> None:
        self.url = url
        self._settings = settings
        self._world = world
        self._tables = tables
        self._migrate = migrate
        self._database: Database | None = None
        self._purged_to = 0

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        return self._database is not None

    @property
    def database(self) -> Database:
        """The open database."""
        if self._database is None:
            raise StoreError(f"the store on {self._settings.name} is not open. Open it first, and use nothing after close()")
        return self._database

    async def open(self) -> None:
        """Connect, migrate, and make the service's tables. Several processes may do so at once."""
        if self._database is not None:
            return
        database = Database(self._settings, self._world)
        await database.open()
        self._database = database
        try:
            await self._prepare()
        except BaseException:
            await self.close()
            raise

    async def _prepare(self) -> None:
        database = self.database
        async with database.connection() as connection:
            if not self._migrate:
                await check(database, connection)
            await database.control(connection, "prepare", "BEGIN; SAVEPOINT farandole")
            try:
                if self._migrate:
                    await migrate(database, connection)
                await inbox.free_orphans(database, connection)
                if self._tables is not None:
                    await create_tables(self, connection, self._tables)
                await commit(database, connection)
            except BaseException:
                await rollback(connection)
                raise

    async def schema(self) -> tuple[int, int]:
        """The schema that the database has, and the one that this version wants."""
        database = Database(self._settings, self._world)
        await database.open()
        try:
            async with database.connection() as connection:
                return await version_of(connection), latest()
        finally:
            await database.close()

    async def close(self) -> None:
        """Close the connections; what is open on them is undone. Twice is fine."""
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    def excuse(self, error: BaseException) -> StoreBusy | None:
        return excuse(error, self._settings.name)

    def begin(self, *, durable: bool = True) -> AbstractAsyncContextManager[Transaction]:
        return Begin(self, durable=durable)

    def begin_late(self) -> LateTransaction:
        return LatePostgres(self)

    def handles(self, route: Route) -> Handles:
        """SQLAlchemy handles along a route; SQLAlchemy is imported when the first reaction wants it."""
        from farandole.stores.postgres.alchemy import handles

        return handles(self.database, route)

    @asynccontextmanager
    async def _alone(self, *, durable: bool) -> AsyncIterator[tuple[Database, Any]]:
        """A transaction of the framework's own."""
        database = self.database
        async with database.connection() as connection:
            try:
                await begin(database, connection, durable=durable)
                yield database, connection
                await commit(database, connection)
            except BaseException:
                await rollback(connection)
                raise

    async def ingest(self, rows: Sequence[InboxRow], bound: Callable[[str], int]) -> tuple[int, int]:
        async with self._alone(durable=True) as access:
            return await inbox.ingest(*access, rows, bound)

    async def take(self, reactions: Collection[str], limit: int, lease: float) -> list[InboxRow]:
        first = await self.next_due(reactions)
        if first is None or first > 0 or limit < 1:
            return []
        async with self._alone(durable=True) as access:  # its attempts count, also where the machine dies
            return await inbox.take(*access, reactions, limit, lease)

    async def extend(self, rows: Sequence[InboxRow], lease: float) -> None:
        async with self._alone(durable=False) as access:
            await inbox.extend(*access, rows, lease)

    async def give_back(self, rows: Sequence[InboxRow]) -> None:
        async with self._alone(durable=False) as access:
            await inbox.give_back(*access, rows)

    async def next_due(self, reactions: Collection[str]) -> float | None:
        database = self.database
        ((wait,),) = await database.read(inbox.SQL.next_due, database.now, [escape(reaction) for reaction in reactions])
        return None if wait is None else int(wait) / 1000

    async def waiting(self, reactions: Collection[str], most: int) -> int:
        database = self.database
        ((count,),) = await database.read(inbox.SQL.waiting, database.now, [escape(reaction) for reaction in reactions], most)
        return int(count)

    async def receipt(self, reaction: str, id: str) -> bytes | None:
        found = await self.database.read(inbox.SQL.receipt, escape(reaction), escape(id))
        return found[0][0] if found else None

    async def lease_buckets(self, token: str, lease: float) -> list[int]:
        async with self._alone(durable=False) as access:
            await inbox.free_orphans(*access)
            return await outbox.lease(*access, token, lease)

    async def release_buckets(self, token: str) -> None:
        await self.database.read(outbox.SQL.release, named(token))

    async def outbox(self, buckets: Collection[int], limit: int) -> list[OutboxRow]:
        return await outbox.oldest(self.database, buckets, limit)

    async def published(self, seqs: Sequence[int]) -> None:
        if seqs:
            await self.database.read(outbox.SQL.published, list(seqs))

    async def unpublishable(self, row: OutboxRow, reason: str) -> None:
        async with self._alone(durable=True) as access:
            await outbox.bury(*access, row, reason)

    async def purge(self, older_than: float, limit: int) -> int:
        database = self.database
        age = round(older_than * 1000)
        ((deleted, last),) = await database.read(inbox.SQL.purge, database.now, age, limit, self._purged_to)
        self._purged_to = last if deleted == limit else 0
        if deleted < limit:
            await database.read(inbox.SQL.forget_edits, database.now, age, limit)
            await database.read(sagas.SQL.over, database.now, age, limit)
            await database.read(tasks.SQL.forget, database.now, age, limit)
        return int(deleted)

    async def status(self) -> StoreStatus:
        database = self.database
        ((waiting, age, *counts),) = await database.read(outbox.SQL.status, database.now)
        return StoreStatus(waiting, None if age is None else max(0.0, int(age) / 1000), *counts)

    async def fates(self, ids: Collection[str]) -> list[InboxRow]:
        return [inbox.row(found) for found in await self.database.read(inbox.SQL.fates, [escape(id) for id in ids])]

    async def dead(self, which: DeadFilter, limit: int | None = None) -> list[InboxRow]:
        *names, error, place, text, since, until, exhausted = conditions(which)
        names = [None if name is None else escape(name) for name in names]
        found = await self.database.read(inbox.SQL.dead, *names, error, place, text, since, until, exhausted, limit)
        return [inbox.row(one) for one in found]

    async def edit_dead(self, row: InboxRow, body: bytes, *, who: str, why: str) -> bool:
        return await inbox.edit(self.database, row, body, who, why)

    async def edits(self, id: str | None = None) -> list[Edit]:
        statement, values = (inbox.SQL.edits, ()) if id is None else (inbox.SQL.edits_of, (escape(id),))
        return [inbox.edit_of(found) for found in await self.database.read(statement, *values)]

    async def retry_dead(self, rows: Sequence[InboxRow], *, force: bool = False) -> int:
        async with self._alone(durable=True) as access:
            return sum(
                [
                    await outbox.unbury(*access, row) if row.reaction == RELAY else await inbox.retry(*access, row, force=force)
                    for row in _sorted(rows)
                ]
            )

    async def discard_dead(self, rows: Sequence[InboxRow], reason: str, *, who: str = "(discarded)") -> int:
        async with self._alone(durable=True) as access:
            gone = [row for row in _sorted(rows) if await inbox.discard(*access, row, reason)]
            await tasks.close(*access, gone, who, reason)
            return len(gone)

    async def tasks(self, *, done: bool = False, id: int | None = None) -> list[Task]:
        return await tasks.tasks(self.database, id, done=done or id is not None)

    async def finish_task(self, id: int, *, who: str, why: str) -> bool:
        return await tasks.finish(self.database, id, who, why)


def _sorted(rows: Sequence[InboxRow]) -> list[InboxRow]:
    """In the order in which everybody takes the locks of their queues."""
    return sorted(rows, key=lambda row: inbox.lock_of((row.reaction, row.key)))
