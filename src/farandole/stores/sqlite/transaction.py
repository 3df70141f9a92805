"""Open transactions: of a batch, and of one outside reaction, whose database opens when it is used."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from farandole.errors import StoreError
from farandole.model.envelope import Message
from farandole.stores.base import InboxRow, Instance, Verdict
from farandole.stores.guard import OWN
from farandole.stores.late import Late
from farandole.stores.sqlite import inbox, outbox, sagas, tasks
from farandole.stores.sqlite.database import Access
from farandole.stores.sqlite.guard import denied
from farandole.stores.statements import Statement

if TYPE_CHECKING:
    from farandole.stores.alchemy import Handles
    from farandole.stores.sqlite.store import SqliteStore

__all__ = ["Begin", "LateSqlite", "SqliteTransaction"]

# The comments keep these apart from a user's own text in the statement cache, see `database`.
_SAVEPOINT, _RELEASE, _UNDO = (
    Statement(name, f"{sql} {OWN} /* by the store */")
    for name, sql in (("savepoint", "SAVEPOINT"), ("release", "RELEASE"), ("undo", "ROLLBACK TO"))
)


class Inline:
    """Statements go to the writer, whose transaction is open."""

    inline = True

    def __init__(self, writer: sqlite3.Connection) -> None:
        self.raw: sqlite3.Connection | None = writer
        self._writer = writer

    async def execute(self, sql: str, parameters: Any, many: bool) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self._writer.cursor()
        return cursor.executemany(sql, parameters) if many else cursor.execute(sql, parameters)


class SqliteTransaction:
    """An open transaction; see `stores.base.Transaction`.

    Parameters
    ----------
    store:
        Whose it is.
    handles:
        The user's handles, where there are some already.
    """

    def __init__(self, store: SqliteStore, handles: Handles | None = None) -> None:
        self._store = store
        self._handles = handles
        self._over = False

    @property
    def _access(self) -> Access:
        if self._over:
            raise StoreError("this transaction is over. Begin another")
        access = self._store.access
        if not access.database.writer.in_transaction:  # whatever ran now would commit by itself
            raise StoreError(
                "SQLite rolled the transaction back by itself (INSERT OR ROLLBACK in a reaction, or a full disk). "
                "Nothing of it is committed. Leave OR ROLLBACK out: what a reaction raises undoes its own part"
            )
        return access

    async def claim(self, marks: Sequence[tuple[str, str]]) -> Collection[tuple[str, str]]:
        return inbox.claim(self._access, marks)

    async def blocked(self, reactions: Collection[str]) -> dict[tuple[str, str], int]:
        return inbox.blocked(self._access, reactions)

    async def park(self, rows: Sequence[InboxRow]) -> None:
        inbox.park(self._access, rows)
        for row in rows:
            if row.task is not None:
                tasks.follow(self._access, row, row.state, row.reason)

    async def settle(self, row: InboxRow, verdict: Verdict) -> None:
        inbox.settle(self._access, row, verdict)
        if row.task is not None:
            tasks.follow(self._access, row, verdict.state, verdict.reason)

    async def take_next(self, rows: Sequence[InboxRow], lease: float) -> list[InboxRow]:
        return inbox.take_next(self._access, rows, lease)

    async def emit(self, messages: Sequence[Message]) -> None:
        if messages:
            outbox.emit(self._access, messages)

    async def keep_receipt(self, reaction: str, id: str, receipt: bytes) -> None:
        if not self._access.run(inbox.SQL.keep_receipt, (receipt, reaction, id)).rowcount:
            raise StoreError(f"keep_receipt: event {id} of {reaction} has no inbox row. Claim it first")

    async def instance(self, reaction: str, key: str) -> Instance:
        return sagas.instance(self._access, reaction, key)

    async def keep(self, instance: Instance, *, happened: bool = False) -> None:
        sagas.keep(self._access, instance, happened=happened)

    async def standing(self, instances: Collection[tuple[str, str]]) -> list[Instance]:
        return sagas.standing(self._access, instances)

    async def hasten(self, reactions: Collection[str], id: str) -> None:
        sagas.hasten(self._access, reactions, id)

    async def add_part(self, instance: Instance, id: str, body: bytes) -> bool:
        return sagas.add_part(self._access, instance, id, body)

    async def parts(self, instance: Instance) -> list[bytes]:
        return sagas.parts(self._access, instance)

    async def state_of(self, reaction: str, id: str) -> str | None:
        return sagas.state_of(self._access, reaction, id)

    async def drop(self, reaction: str, id: str, reason: str) -> None:
        sagas.drop(self._access, reaction, id, reason)

    async def wake(self, reaction: str, id: str) -> None:
        sagas.wake(self._access, reaction, id)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[SqliteTransaction]:
        await self.flush()
        access = self._access
        _own(access, _SAVEPOINT)
        part = SqliteTransaction(self._store)
        try:
            yield part
            await part.flush()
            _own(access, _RELEASE)
        except BaseException:
            if not access.database.closed and access.database.writer.in_transaction:
                _own(access, _UNDO)
                _own(access, _RELEASE)
            raise
        finally:
            part.end()

    def resource(self, kind: str) -> Any:
        access = self._access
        if kind == "driver":
            return access.database.writer
        if self._handles is None:
            self._handles = self._store.handles(Inline(access.database.writer))
        return self._handles.resource(kind)

    async def flush(self) -> None:
        if self._handles is not None:
            await self._handles.flush()
        _ = self._access

    def end(self) -> None:
        """It works no more, nor do its handles."""
        self._over = True
        if self._handles is not None:
            self._handles.end()
            self._handles = None


def _own(access: Access, statement: Statement) -> None:
    guard = access.database.writer.guard
    guard.own = True
    try:
        access.run(statement)
    finally:
        guard.own = False


class Begin(AbstractAsyncContextManager[SqliteTransaction]):
    """Opens a transaction; commits on leaving, rolls back where something was raised."""

    def __init__(self, store: SqliteStore, *, durable: bool, handles: Handles | None = None) -> None:
        self._store = store
        self._durable = durable
        self._handles = handles

    async def __aenter__(self) -> SqliteTransaction:
        await self._store.access.begin(durable=self._durable)
        self._transaction = SqliteTransaction(self._store, self._handles)
        return self._transaction

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        access = self._store.access
        if error is not None:
            access.rollback()
            self._transaction.end()
            return
        try:
            await self._transaction.flush()
        except BaseException:
            access.rollback()
            raise
        else:
            await access.commit()
        finally:
            self._transaction.end()


class LateSqlite(Late["SqliteStore"]):
    """Until something writes, statements go to the reader; the first one that writes takes the write lock."""

    raw: sqlite3.Connection | None = None
    driver = "sqlite3.Connection"

    async def execute(self, sql: str, parameters: Any, many: bool) -> sqlite3.Cursor:
        """The route of the handles."""
        self._in_use()
        if self._phase == "reading" and (many or sql.lstrip()[:9].upper() == "SAVEPOINT"):
            await self._write()
        if self._phase == "reading":
            found = await self._read(sql, parameters)
            if found is not None:
                return found
        cursor: sqlite3.Cursor = self._store.access.database.writer.cursor()
        return cursor.executemany(sql, parameters) if many else cursor.execute(sql, parameters)

    async def _write(self) -> None:
        await self._store.access.begin()
        self._phase = "writing"

    async def _read(self, sql: str, parameters: Any) -> sqlite3.Cursor | None:
        """The answer of a statement that only reads; None where it writes, and the transaction is open now."""
        access = self._store.access
        database = access.database
        reader = database.reader
        if reader is not None:
            try:
                return await access.patiently(lambda: _fetch(reader, sql, parameters))
            except sqlite3.DatabaseError as error:
                denied(reader.guard, error, sql)
                if not _would_write(error):
                    raise
        else:  # in memory there is one connection: no other transaction may be open while we look
            async with database.lock:
                own = database.writer.plain_cursor()
                own.execute("PRAGMA query_only = ON")
                try:
                    return _fetch(database.writer, sql, parameters)
                except sqlite3.DatabaseError as error:
                    denied(database.writer.guard, error, sql)
                    if not _would_write(error):
                        raise
                finally:
                    own.execute("PRAGMA query_only = OFF")
        await self._write()
        return None

    @asynccontextmanager
    async def finish(self) -> AsyncIterator[SqliteTransaction]:
        await self._finishing()
        access = self._store.access
        transaction = SqliteTransaction(self._store, self._handles)
        try:
            await transaction.flush()
            yield transaction
            await transaction.flush()
        except BaseException:
            await self._undo()
            raise
        else:
            self._phase = "over"
            await access.commit()
        finally:
            transaction.end()

    async def _undo(self) -> None:
        if self._phase == "writing":
            self._store.access.rollback()
        self._phase = "over"


class _Fetched(sqlite3.Cursor):
    """A cursor whose rows are here already, so that no read transaction stays open."""

    rows: list[Any]

    def fetchall(self) -> list[Any]:
        return self.rows


def _fetch(connection: sqlite3.Connection, sql: str, parameters: Any) -> sqlite3.Cursor:
    found = _Fetched(connection)
    found.execute(sql, parameters)
    found.rows = sqlite3.Cursor.fetchall(found)
    return found


def _would_write(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY
