"""The SQLite store: one service's database in a file, or in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from farandole.errors import StoreBusy, StoreError
from farandole.stores.base import DeadFilter, Edit, InboxRow, LateTransaction, OutboxRow, StoreStatus, Task, Transaction
from farandole.stores.rows import RELAY, conditions, edit_row, inbox_row, named
from farandole.stores.sqlite import inbox, outbox, sagas, tasks
from farandole.stores.sqlite.database import Access, Database
from farandole.stores.sqlite.inbox import array, millis
from farandole.stores.sqlite.migrate import create_tables, migrate
from farandole.stores.sqlite.transaction import Begin, LateSqlite
from farandole.world import World

if TYPE_CHECKING:
    from farandole.stores.alchemy import Handles
    from farandole.stores.sqlite.alchemy import Route

__all__ = ["SqliteStore"]


class SqliteStore:
    """One service's SQLite database; see `stores.base.Store`.

    Parameters
    ----------
    url:
        As the user wrote it.
    path:
        The file, absolute; None: in memory.
    world:
        Clock, chance and crash points.
    level:
        `PRAGMA synchronous` of durable transactions: 2 full, 1 normal, 0 off.
    tables:
        The service's own tables: a SQLAlchemy `MetaData`, SQL statements, or None.
    database:
        One that is open already, with all tables in it.
    """

    inline = True

    def __init__(
        self, url: str, *, path: str | None, world: World, level: int, tables: Any, database: Database | None = None
    ) -> None:
        self.url = url
        self._database = database
        self._path = path
        self._world = world
        self._level = level
        self._tables = tables
        self._access: Access | None = None
        self._passed = inbox.Passed(0, 0)

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        return self._access is not None

    @property
    def access(self) -> Access:
        """The way to the open database."""
        if self._access is None:
            raise StoreError(f"the store {self.url} is not open. Open it first, and use nothing after close()")
        return self._access

    async def open(self) -> None:
        """Connect, migrate, and make the service's tables. Several processes may do so at once."""
        if self._access is not None:
            return
        self._access = access = Access(self._path, self._world, self._level, self._database)
        if self._database is not None:
            return
        try:
            await access.prepare()
            async with self.access.transaction():
                migrate(access)
                inbox.free_orphans(access)
                if self._tables is not None:
                    await create_tables(access, self._tables)
        except sqlite3.DatabaseError as error:
            await self.close()
            raise access.unusable(error) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give the connections back; what is open on them is undone. Twice is fine."""
        if self._access is not None:
            self._access.database.leave()
            self._access = None

    def excuse(self, error: BaseException) -> StoreBusy | None:
        return None  # a transaction that is open has the file to itself

    def begin(self, *, durable: bool = True) -> AbstractAsyncContextManager[Transaction]:
        return Begin(self, durable=durable)

    def begin_late(self) -> LateTransaction:
        return LateSqlite(self)

    def handles(self, route: Route) -> Handles:
        """SQLAlchemy handles along a route; SQLAlchemy is imported when the first reaction wants it."""
        from farandole.stores.sqlite.alchemy import handles

        return handles(self.access.database, route)

    async def ingest(self, rows: Sequence[InboxRow], bound: Callable[[str], int]) -> tuple[int, int]:
        async with self.access.transaction() as access:
            return inbox.ingest(access, rows, bound)

    async def take(self, reactions: Collection[str], limit: int, lease: float) -> list[InboxRow]:
        first = await self.next_due(reactions)
        if first is None or first > 0 or limit < 1:
            return []  # so that a worker which looks in vain does not take the write lock
        async with self.access.transaction(durable=False) as access:
            return inbox.take(access, reactions, limit, lease)

    async def extend(self, rows: Sequence[InboxRow], lease: float) -> None:
        async with self.access.transaction(durable=False) as access:
            inbox.extend(access, rows, lease)

    async def give_back(self, rows: Sequence[InboxRow]) -> None:
        async with self.access.transaction(durable=False) as access:
            inbox.give_back(access, rows)

    async def next_due(self, reactions: Collection[str]) -> float | None:
        ((first,),) = await self.access.read(inbox.SQL.next_due, (array(list(reactions)),))
        return None if first is None else (first - round(self._world.time() * 1000)) / 1000

    async def waiting(self, reactions: Collection[str], most: int) -> int:
        ((count,),) = await self.access.read(inbox.SQL.waiting, (array(list(reactions)), millis(self._world.time()), most))
        return int(count)

    async def receipt(self, reaction: str, id: str) -> bytes | None:
        found = await self.access.read(inbox.SQL.receipt, (reaction, id))
        return found[0][0] if found else None

    async def lease_buckets(self, token: str, lease: float) -> list[int]:
        async with self.access.transaction(durable=False) as access:
            inbox.free_orphans(access)
            return outbox.lease(access, token, lease)

    async def release_buckets(self, token: str) -> None:
        async with self.access.transaction(durable=False) as access:
            outbox.release(access, named(token))

    async def outbox(self, buckets: Collection[int], limit: int) -> list[OutboxRow]:
        return await outbox.oldest(self.access, buckets, limit)

    async def published(self, seqs: Sequence[int]) -> None:
        if seqs:
            async with self.access.transaction(durable=False) as access:
                access.run(outbox.SQL.published, (array(seqs),))

    async def unpublishable(self, row: OutboxRow, reason: str) -> None:
        async with self.access.transaction() as access:
            outbox.bury(access, row, reason)

    async def purge(self, older_than: float, limit: int) -> int:
        now = self._world.time()
        before = now - older_than
        if self._passed.young < before * 1000:
            self._passed = inbox.Passed(0, round(now * 1000))
        deleted = 0
        while deleted < limit:
            page = await self.access.read(inbox.SQL.page, (self._passed.seq, limit))
            old, passed = inbox.purgeable(page, self._passed, round(before * 1000), limit - deleted)
            if passed is None:
                await self._forget(before, limit)
                break
            if old:
                async with self.access.transaction(durable=False) as access:
                    deleted += access.run(inbox.SQL.purge, (array(old), millis(before))).rowcount
            self._passed = passed
            await self._world.sleep(0)  # reading does not suspend: others have their turn
        return deleted

    async def _forget(self, before: float, limit: int) -> None:
        """What was kept of edits, tombstones of instances, and tasks that are done, go after their rows."""
        if (await self.access.read(sagas.SQL.any_over, (millis(before),)))[0][0]:
            async with self.access.transaction(durable=False) as access:
                sagas.forget(access, before, limit)
        if (await self.access.read(inbox.SQL.any_edits, (millis(before),)))[0][0]:
            async with self.access.transaction(durable=False) as access:
                access.run(inbox.SQL.forget_edits, (millis(before), limit))
        if (await self.access.read(tasks.SQL.any_old, (millis(before),)))[0][0]:
            async with self.access.transaction(durable=False) as access:
                tasks.forget(access, before, limit)

    async def status(self) -> StoreStatus:
        now = self._world.time()
        ((outbox_rows, oldest, *counts),) = await self.access.read(outbox.SQL.status, (millis(now),))
        return StoreStatus(outbox_rows, None if oldest is None else max(0.0, now - oldest / 1000), *counts)

    async def fates(self, ids: Collection[str]) -> list[InboxRow]:
        return [inbox_row(found) for found in await self.access.read(inbox.SQL.fates, (array(list(ids)),))]

    async def dead(self, which: DeadFilter, limit: int | None = None) -> list[InboxRow]:
        values = (*conditions(which), -1 if limit is None else limit)
        return [inbox_row(found) for found in await self.access.read(inbox.SQL.dead, values)]

    async def edit_dead(self, row: InboxRow, body: bytes, *, who: str, why: str) -> bool:
        async with self.access.transaction() as access:
            return inbox.edit(access, row, body, who, why)

    async def edits(self, id: str | None = None) -> list[Edit]:
        statement, values = (inbox.SQL.edits, ()) if id is None else (inbox.SQL.edits_of, (id,))
        return [edit_row(found) for found in await self.access.read(statement, values)]

    async def retry_dead(self, rows: Sequence[InboxRow], *, force: bool = False) -> int:
        async with self.access.transaction() as access:
            return sum(outbox.unbury(access, r) if r.reaction == RELAY else inbox.retry(access, r, force=force) for r in rows)

    async def discard_dead(self, rows: Sequence[InboxRow], reason: str, *, who: str = "(discarded)") -> int:
        async with self.access.transaction() as access:
            gone = [row for row in rows if inbox.discard(access, row, reason)]
            tasks.close(access, gone, who, reason)
            return len(gone)

    async def tasks(self, *, done: bool = False, id: int | None = None) -> list[Task]:
        return await tasks.tasks(self.access, id, done=done or id is not None)

    async def finish_task(self, id: int, *, who: str, why: str) -> bool:
        async with self.access.transaction() as access:
            return tasks.finish(access, id, who, why)
