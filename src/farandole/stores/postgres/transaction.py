"""Open transactions on PostgreSQL: of a batch, and of one outside reaction, whose transaction opens when it first writes.

The framework's savepoint lies under everything: a reaction that ended the transaction, and began another, by a way that the guard
does not see, has removed it; then the commit fails, and nothing is acknowledged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from farandole.errors import StoreError
from farandole.model.envelope import Message
from farandole.stores.base import InboxRow, Instance, Verdict
from farandole.stores.guard import OWN
from farandole.stores.late import Late
from farandole.stores.postgres import inbox, outbox, sagas, tasks
from farandole.stores.postgres.database import TROUBLE, Database, is_lost
from farandole.stores.postgres.guard import OwnedConnection
from farandole.stores.postgres.text import escape

if TYPE_CHECKING:
    from farandole.stores.alchemy import Handles
    from farandole.stores.postgres.store import PostgresStore

__all__ = ["Begin", "LatePostgres", "PostgresTransaction"]

_RELAXED = "SET LOCAL synchronous_commit = off; "
_COMMIT = f"RELEASE SAVEPOINT {OWN}; COMMIT"


async def begin(database: Database, connection: Any, *, durable: bool = True) -> bool:
    """Begin, in one round trip; gives whether any key waits at all."""
    relaxed, owned = "" if durable else _RELAXED, database.alive(connection)
    prepare, look = _looking(owned, database)
    tag = await database.control(connection, "begin", f"{database.settings.begin}; {relaxed}SAVEPOINT {OWN}; {prepare}{look}")
    if prepare:
        owned.look = look
    database.alive(connection).hold(True)
    return not tag.endswith(" 0")


def _looking(connection: OwnedConnection, database: Database) -> tuple[str, str]:
    """How to ask this connection whether any key waits: what prepares the question, once, and the question.

    A control string is parsed and planned anew each time, which costs more than all the rest of it. Each attempt to prepare has a name of
    its own: one that was cancelled may have succeeded.
    """
    if connection.look is not None:
        return "", connection.look
    if database.settings.options.get("statement_cache_size") == 0:  # nothing can be prepared: a pooler stands between
        return "", inbox.SQL.look.sql
    connection.looked += 1
    name = f"farandole_look_{connection.looked}"
    return f"PREPARE {name} AS {inbox.SQL.look.sql}; ", f"EXECUTE {name}"


async def commit(database: Database, connection: Any) -> None:
    """Commit. Where that fails, nothing was written, or all of it.

    Raises
    ------
    StoreError
        A constraint that is checked at the end, a collision, a lost connection, …
    """
    owned = database.alive(connection)
    owned.hold(False)
    database.world.point("store.commit:before")
    try:
        await owned.own_execute(_COMMIT)
    except asyncpg.InvalidSavepointSpecificationError as error:
        raise StoreError(
            f"a reaction ended the transaction of {database.name} by itself. What it committed stays; the rest, and what is emitted, is "
            f"lost. Leave COMMIT and ROLLBACK to the store"
        ) from error
    except TROUBLE as error:
        if is_lost(connection) or isinstance(error, OSError):
            raise StoreError(
                f"{database.name} did not confirm the commit: {error}. Whether the transaction was written is unknown"
            ) from error
        raise database.failed("commit", error) from error
    database.world.point("store.commit:after")


async def rollback(connection: Any) -> None:
    """Undo what was written since `begin`. Never fails: the server undoes what belongs to a connection that is gone."""
    if not is_lost(connection):
        owned = connection._con
        owned.hold(False)
        try:
            await owned.own_execute("ROLLBACK")
        except TROUBLE:
            pass  # with its connection


class Straight:
    """The route of an open transaction: all statements go to its connection."""

    inline = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def run(self, sql: str, action: Callable[[Any], Awaitable[None]], *, writes: bool) -> None:
        await action(self._connection)


class PostgresTransaction:
    """An open transaction; see `stores.base.Transaction`.

    Parameters
    ----------
    store:
        Whose it is.
    connection:
        On which it is open.
    waiting:
        Whether any key waits.
    handles:
        The user's handles, where there are some already.
    """

    def __init__(self, store: PostgresStore, connection: Any, *, waiting: bool = True, handles: Handles | None = None) -> None:
        self._store = store
        self._connection = connection
        self._waiting = waiting
        self._handles = handles
        self._over = False

    @property
    def _access(self) -> tuple[Database, Any]:
        if self._over:
            raise StoreError("this transaction is over. Begin another")
        return self._store.database, self._connection

    async def claim(self, marks: Sequence[tuple[str, str]]) -> Collection[tuple[str, str]]:
        return await inbox.claim(*self._access, marks)

    async def blocked(self, reactions: Collection[str]) -> dict[tuple[str, str], int]:
        return await inbox.blocked(*self._access, reactions) if self._waiting else {}

    async def park(self, rows: Sequence[InboxRow]) -> None:
        self._waiting = True
        await inbox.park(*self._access, rows)
        for row in rows:
            if row.task is not None:
                await tasks.follow(*self._access, row, row.state, row.reason)

    async def settle(self, row: InboxRow, verdict: Verdict) -> None:
        await inbox.settle(*self._access, row, verdict)
        if row.task is not None:
            await tasks.follow(*self._access, row, verdict.state, verdict.reason)

    async def take_next(self, rows: Sequence[InboxRow], lease: float) -> list[InboxRow]:
        return await inbox.take_next(*self._access, rows, lease)

    async def emit(self, messages: Sequence[Message]) -> None:
        if messages:
            await outbox.emit(*self._access, messages)

    async def keep_receipt(self, reaction: str, id: str, receipt: bytes) -> None:
        database, connection = self._access
        if not await database.run(connection, inbox.SQL.keep_receipt, receipt, escape(reaction), escape(id)):
            raise StoreError(f"keep_receipt: event {id} of {reaction} has no inbox row. Claim it first")

    async def instance(self, reaction: str, key: str) -> Instance:
        return await sagas.instance(*self._access, reaction, key)

    async def keep(self, instance: Instance, *, happened: bool = False) -> None:
        await sagas.keep(*self._access, instance, happened=happened)

    async def standing(self, instances: Collection[tuple[str, str]]) -> list[Instance]:
        return await sagas.standing(*self._access, instances)

    async def hasten(self, reactions: Collection[str], id: str) -> None:
        await sagas.hasten(*self._access, reactions, id)

    async def add_part(self, instance: Instance, id: str, body: bytes) -> bool:
        return await sagas.add_part(*self._access, instance, id, body)

    async def parts(self, instance: Instance) -> list[bytes]:
        return await sagas.parts(*self._access, instance)

    async def state_of(self, reaction: str, id: str) -> str | None:
        return await sagas.state_of(*self._access, reaction, id)

    async def drop(self, reaction: str, id: str, reason: str) -> None:
        await sagas.drop(*self._access, reaction, id, reason)

    async def wake(self, reaction: str, id: str) -> None:
        await sagas.wake(*self._access, reaction, id)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[PostgresTransaction]:
        await self.flush()
        database, connection = self._access
        await database.control(connection, "savepoint", f"SAVEPOINT {OWN}")
        part = PostgresTransaction(self._store, connection)
        try:
            yield part
            await part.flush()
            await database.control(connection, "release", f"RELEASE SAVEPOINT {OWN}")
        except BaseException:
            if not is_lost(connection):
                try:
                    await connection.own_execute(f"ROLLBACK TO {OWN}; RELEASE {OWN}")
                except TROUBLE as error:
                    raise database.failed("undo", error) from error
            raise
        finally:
            part.end()

    def resource(self, kind: str) -> Any:
        _, connection = self._access
        if kind == "driver":
            return connection
        if self._handles is None:
            self._handles = self._store.handles(Straight(connection))
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


class Begin(AbstractAsyncContextManager[PostgresTransaction]):
    """Opens a transaction; commits on leaving, rolls back where something was raised."""

    def __init__(self, store: PostgresStore, *, durable: bool) -> None:
        self._store = store
        self._durable = durable

    async def __aenter__(self) -> PostgresTransaction:
        database = self._store.database
        self._connection = await database.acquire()
        try:
            waiting = await begin(database, self._connection, durable=self._durable)
        except BaseException:
            await self._leave(rollback)
            raise
        self._transaction = PostgresTransaction(self._store, self._connection, waiting=waiting)
        return self._transaction

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._transaction.end()
            await self._leave(rollback)
            return
        try:
            await self._transaction.flush()
        except BaseException:
            await self._leave(rollback)
            raise
        finally:
            self._transaction.end()
        try:
            await commit(self._store.database, self._connection)
        except BaseException:
            await self._leave(rollback)
            raise
        await self._leave()

    async def _leave(self, first: Callable[[Any], Awaitable[None]] | None = None) -> None:
        connection = self._connection
        try:
            if first is not None:
                await first(connection)
        finally:
            await self._store.database.release(connection)


class LatePostgres(Late["PostgresStore"]):
    """Until something writes, each statement goes into a read-only transaction."""

    driver = "asyncpg.Connection"

    def __init__(self, store: PostgresStore) -> None:
        super().__init__(store)
        self._connection: Any = None

    async def run(self, sql: str, action: Callable[[Any], Awaitable[None]], *, writes: bool) -> None:
        """The route of the handles."""
        self._in_use()
        if self._phase == "reading":
            if not writes and sql.lstrip()[:9].upper() != "SAVEPOINT" and await self._read(action):
                return
            await self._write()
        await action(self._connection)

    async def _read(self, action: Callable[[Any], Awaitable[None]]) -> bool:
        """Do it in a read-only transaction of its own; False where it wants to write."""
        database = self._store.database
        async with database.connection() as connection:
            await database.control(connection, "look", "BEGIN READ ONLY")
            database.alive(connection).hold(True)
            try:
                await action(connection)
            except Exception as error:
                if _would_write(error):
                    return False
                raise
            finally:
                await rollback(connection)
        return True

    async def _write(self) -> None:
        database = self._store.database
        self._connection = await database.acquire()
        try:
            await begin(database, self._connection)
        except BaseException:
            connection, self._connection = self._connection, None
            await database.release(connection)
            raise
        self._phase = "writing"

    @asynccontextmanager
    async def finish(self) -> AsyncIterator[PostgresTransaction]:
        await self._finishing()
        transaction = PostgresTransaction(self._store, self._connection, handles=self._handles)
        try:
            await transaction.flush()
            yield transaction
            await transaction.flush()
        except BaseException:
            await self._undo()
            raise
        else:
            self._phase = "over"
            try:
                await commit(self._store.database, self._connection)
            except BaseException:
                await rollback(self._connection)
                raise
            finally:
                await self._give_back()
        finally:
            transaction.end()

    async def _undo(self) -> None:
        if self._phase == "writing":
            await rollback(self._connection)
            await self._give_back()
        self._phase = "over"

    async def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._store.database.release(connection)


def _would_write(error: BaseException | None) -> bool:
    """Whether a statement failed since its transaction may only read (SQLSTATE 25006)."""
    while error is not None:
        if getattr(error, "sqlstate", None) == "25006":
            return True
        error = getattr(error, "orig", None) or error.__cause__
    return False
