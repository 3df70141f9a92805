"""One SQLite file in this process: its connections, its lock, and the discipline of transactions.

SQLite runs inline, without a thread. That is fast, and safe under one discipline:

* One writer connection per file and process, behind an asyncio lock; always `BEGIN IMMEDIATE`.
* SQLite itself never waits (`timeout=0`): when another process holds the write lock, we wait here, awaiting.
* Only the store begins and ends transactions (see `guard`).
"""

from __future__ import annotations

import asyncio
import math
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from farandole.errors import ConfigurationError, StoreBusy, StoreError
from farandole.stores.sqlite.guard import OwnedConnection
from farandole.stores.sqlite.simulated import answer_from
from farandole.stores.statements import Statement
from farandole.world import World

__all__ = ["NORMAL", "Access", "Database", "is_busy"]

FULL, NORMAL, OFF = 2, 1, 0
"""Levels of `PRAGMA synchronous`."""

PATIENCE = 30.0
"""How long, in seconds, we wait for another process that holds the write lock."""

T = TypeVar("T")

# The comment keeps these apart from a user's own text in sqlite3's statement cache, where the guard would not see it again.
_BEGIN, _COMMIT, _ROLLBACK = (f"{word} /* by the store */" for word in ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"))

_open: dict[str, Database] = {}


class Database:
    """The connections to one file, shared by all stores of this process that are open on it.

    Parameters
    ----------
    path:
        The file; None: a database in memory, which has one connection for reading and writing.
    world:
        Whom its connections ask for SQL's clock and chance, where it is simulated.

    Raises
    ------
    ConfigurationError
        The file cannot be opened, or is no SQLite database.
    """

    connections: type[OwnedConnection] = OwnedConnection
    cursors: type[sqlite3.Cursor] = sqlite3.Cursor

    def __init__(self, path: str | None, world: World) -> None:
        self.path = path
        self._world = world
        self.name = path or "the database in memory"
        self.lock = asyncio.Lock()
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.users = 0
        self.closed = False
        self.level = -1
        self.writer: OwnedConnection = _connect(path or ":memory:", world, self.connections)
        self.cursor: sqlite3.Cursor = self.cursors(self.writer)
        self.reader: OwnedConnection | None = None

    @classmethod
    def share(cls, path: str | None, world: World) -> Database:
        """The database of a path: the one that is open already, or a new one. Each sharer calls `leave`."""
        if path is None:
            database = cls(None, world)
        else:
            known = _open.get(path)
            if known is None or known.closed or known.loop is not asyncio.get_running_loop():
                known = _open[path] = cls(path, world)
            database = known
        database.users += 1
        return database

    def leave(self) -> None:
        """The last to leave closes the connections; SQLite undoes what is open on them."""
        self.users -= 1
        if self.users or self.closed:
            return
        self.closed = True
        if self.path is not None and _open.get(self.path) is self:
            del _open[self.path]
        for connection in (self.reader, self.writer):
            if connection is not None:
                sqlite3.Connection.close(connection)

    def own(self, sql: str) -> None:
        """Execute transaction control, which the guard refuses to everybody else."""
        guard = self.writer.guard
        guard.own = True
        try:
            self.cursor.execute(sql)
        finally:
            guard.own = False

    def open_reader(self) -> None:
        """Open the connection for reads outside the writer's transaction; the file must be in WAL mode by now."""
        if self.path is not None and self.reader is None:
            self.reader = _connect(self.path, self._world, self.connections)


def _connect(path: str, world: World, factory: type[OwnedConnection]) -> OwnedConnection:
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError(
            f"Python is linked to SQLite {sqlite3.sqlite_version}; 3.35 or newer is needed. Use a newer Python"
        )
    try:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, factory=factory, cached_statements=512)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"cannot open the database {path}: {error}. {_remedy(path)}") from error
    connection.create_function("regexp", 2, _regexp, deterministic=True)
    connection.create_function("floor", 1, math.floor, deterministic=True)
    if world.simulated:
        answer_from(world, connection)
    return connection.guarded()


def _regexp(pattern: str, text: str | None) -> bool | None:
    return None if text is None else re.search(pattern, text) is not None


def _remedy(path: str) -> str:
    if Path(path).is_dir():
        return f"It is a folder: name a file in it, such as sqlite:///{path}/payments.db"
    return f"Check that the folder {Path(path).parent} exists and can be written, or give another path in the database URL"


def is_busy(error: BaseException) -> bool:
    """Whether another connection is in the way, so that waiting helps."""
    code = getattr(error, "sqlite_errorcode", None)
    return (
        isinstance(error, sqlite3.OperationalError)
        and code is not None
        and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    )


class Access:
    """One store's way to its database: every statement passes here, between two crash points.

    Parameters
    ----------
    path:
        The file, or None for a database in memory.
    world:
        Clock, chance and crash points.
    level:
        `PRAGMA synchronous` for transactions that must survive a loss of power.
    database:
        One that is open already; it stays open when the store closes.
    """

    def __init__(self, path: str | None, world: World, level: int, database: Database | None = None) -> None:
        self.world = world
        self.level = level
        if database is None:
            database = Database.share(path, world)
        else:
            database.users += 1
        self.database = database

    async def prepare(self) -> None:
        """Put the file into WAL mode, in which readers and the writer do not wait for each other."""
        database = self.database
        try:
            for pragma in ("journal_mode = WAL", "cache_size = -20000"):
                await self.patiently(lambda pragma=pragma: database.cursor.execute(f"PRAGMA {pragma}").fetchall())  # type: ignore[misc]
            database.open_reader()
            if (reader := database.reader) is not None:
                for pragma in ("query_only = ON", "cache_size = -20000"):
                    await self.patiently(lambda pragma=pragma: reader.plain_cursor().execute(f"PRAGMA {pragma}"))  # type: ignore[misc]
        except sqlite3.DatabaseError as error:
            raise self.unusable(error) from error

    def unusable(self, error: sqlite3.Error) -> ConfigurationError:
        """This file cannot serve as a database at all."""
        name = self.database.name
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
            return ConfigurationError(
                f"{name} is not a SQLite database. Give another path in the database URL, or move the file away"
            )
        return ConfigurationError(f"cannot use the database {name}: {error}. {_remedy(name)}")

    def run(self, statement: Statement, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement of ours on the writer. Fetch its rows before the next statement runs.

        Raises
        ------
        StoreError
            The database refused it.
        """
        self.world.point(statement.before)
        try:
            cursor = self.database.cursor.execute(statement.sql, statement.arrange(parameters))
        except sqlite3.Error as error:
            raise self.failed(statement.name, error) from error
        self.world.point(statement.after)
        return cursor

    def run_many(self, statement: Statement, rows: Sequence[Sequence[Any]]) -> int:
        """Execute one statement for each row; gives how many table rows changed."""
        self.world.point(statement.before)
        try:
            count = self.database.cursor.executemany(statement.sql, map(statement.arrange, rows)).rowcount
        except sqlite3.Error as error:
            raise self.failed(statement.name, error) from error
        self.world.point(statement.after)
        return count

    async def read(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows of a query outside any transaction: what is committed."""
        database = self.database
        if database.reader is None:
            async with database.lock:
                return self.run(statement, parameters).fetchall()
        self.world.point(statement.before)
        reader, values = database.reader, statement.arrange(parameters)
        try:
            rows = await self.patiently(lambda: reader.plain_cursor().execute(statement.sql, values).fetchall())
        except sqlite3.Error as error:
            raise self.failed(statement.name, error) from error
        self.world.point(statement.after)
        return rows

    @asynccontextmanager
    async def transaction(self, *, durable: bool = True) -> AsyncIterator[Access]:
        """A transaction of the framework's own; see `begin`."""
        await self.begin(durable=durable)
        try:
            yield self
        except BaseException:
            self.rollback()
            raise
        await self.commit()

    async def begin(self, *, durable: bool = True) -> None:
        """Take the lock and begin to write. Ended by `commit` or `rollback`.

        Parameters
        ----------
        durable:
            False: its commit need not reach the disk before it returns. A later durable one brings it there too.

        Raises
        ------
        StoreBusy
            Another process holds the write lock for too long.
        """
        database = self.database
        until = self.world.monotonic() + PATIENCE  # with the time in our own line: who stands far behind waits no longer
        await database.lock.acquire()
        try:
            self.world.point("store.begin:before")
            level = self.level if durable else min(self.level, NORMAL)
            await self.patiently(lambda: self._start(level), until)
            self.world.point("store.begin:after")
        except sqlite3.Error as error:
            self.rollback()
            raise self.failed("begin", error) from error
        except BaseException:
            self.rollback()
            raise

    def _start(self, level: int) -> None:
        database = self.database
        if database.level != level:  # not allowed inside a transaction
            database.cursor.execute(f"PRAGMA synchronous = {level}")
            database.level = level
        database.own(_BEGIN)

    async def commit(self) -> None:
        """Commit and give the lock back. Where that fails, nothing may have been written, or all of it.

        Raises
        ------
        StoreError
            A constraint that is checked at the end, a full disk, …
        """
        try:
            self.world.point("store.commit:before")
            await self.patiently(lambda: self.database.own(_COMMIT))
        except sqlite3.Error as error:
            undone = self.database.writer.in_transaction
            self.rollback()
            if undone:
                raise self.failed("commit", error) from error
            raise StoreError(
                f"{self.database.name} did not confirm the commit: {error}. Whether the transaction was written is unknown"
            ) from error
        except BaseException:
            self.rollback()
            raise
        self.database.lock.release()
        self.world.point("store.commit:after")

    def rollback(self) -> None:
        """Undo what was written since `begin`, and give the lock back. Never fails: SQLite undoes what it cannot finish."""
        database = self.database
        try:
            if not database.closed and database.writer.in_transaction:
                database.own(_ROLLBACK)
        finally:
            database.lock.release()

    async def patiently(self, action: Callable[[], T], until: float | None = None) -> T:
        """Do something that another process may hinder, again and again with growing pauses.

        Parameters
        ----------
        until:
            When to give up, by the world's monotonic clock; it is tried once all the same. None: after `PATIENCE`.

        Raises
        ------
        StoreBusy
            The other process was in the way all the time.
        """
        pause = 0.001
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                now = self.world.monotonic()
                until = until or now + PATIENCE
                if now >= until:
                    raise StoreBusy(
                        f"another process has held the write lock of {self.database.name} for {PATIENCE:g} s. "
                        f"Look for a long transaction there, such as a database browser with unsaved changes",
                        waited=True,
                    ) from error
            await self.world.sleep(pause * (0.5 + self.world.random()))
            pause = min(pause * 1.5, 0.05)

    def failed(self, name: str, error: sqlite3.Error) -> StoreError:
        """What to raise for a database error in a statement of ours."""
        if self.database.closed:
            return StoreError(f"the store on {self.database.name} is closed")
        return StoreError(f"{self.database.name} refused {name!r}: {error}. Nothing of this transaction was written")
