"""SQLAlchemy over the inline connection: sessions and connections that join the store's transaction.

The DBAPI connection below sends statements along a `Route`. BEGIN, COMMIT and ROLLBACK never pass it: SQLAlchemy keeps its
own account of a transaction, and the store does the rest. A route that never waits is called at once; where one may wait, SQLAlchemy
runs its coroutines in a greenlet, and a plain `def` reaction's thread hands them to the loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Any, NoReturn, Protocol

from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.engine.base import RootTransaction
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only, greenlet_spawn

from farandole.errors import StoreError
from farandole.stores.sqlite.guard import caller, refuse
from farandole.stores.sqlite.owned import OwnedAsyncConnection, OwnedAsyncSession, OwnedConnection, OwnedSession

__all__ = ["Handles", "Route"]

_STATEMENTS = 5000
"""How many compiled statements are kept; SQLAlchemy's own 500 are for one database, and this is for all of a process."""


class Route(Protocol):
    """Where the statements of a user's handle go."""

    raw: sqlite3.Connection | None
    inline: bool
    """Whether `execute` never suspends."""

    async def execute(self, sql: str, parameters: Any, many: bool) -> sqlite3.Cursor:
        """Execute on the loop, and give a cursor whose rows can be fetched."""
        ...


class Nowhere:
    """The route of nobody."""

    raw: sqlite3.Connection | None = None
    inline = False

    async def execute(self, sql: str, parameters: Any, many: bool) -> NoReturn:
        raise StoreError(f"{caller()} executes {sql[:40]!r} on no connection at all")


class _Cursor:
    """A DBAPI cursor; its rows are fetched at once."""

    def __init__(self, connection: RoutedConnection) -> None:
        self._dbapi = connection
        self._rows: Iterator[Any] = iter(())
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    def execute(self, sql: str, parameters: Any = ()) -> None:
        self._run(sql, parameters, False)

    def executemany(self, sql: str, parameters: Any) -> None:
        self._run(sql, parameters, True)

    def _run(self, sql: str, parameters: Any, many: bool) -> None:
        cursor, rows = self._dbapi.wait(_fetched(self._dbapi.route, sql, parameters, many))
        self._rows = iter(rows)
        self.description = cursor.description
        self.rowcount = cursor.rowcount
        self.lastrowid = cursor.lastrowid

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return list(islice(self._rows, size or self.arraysize))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def setinputsizes(self, *_: Any) -> None:
        """Nothing to do: SQLite's types follow the values."""

    def close(self) -> None:
        self._rows = iter(())

    async def _async_soft_close(self) -> None:
        """Nothing to do: nothing is open."""


async def _fetched(route: Route, sql: str, parameters: Any, many: bool) -> tuple[sqlite3.Cursor, list[Any]]:
    cursor = await route.execute(sql, parameters, many)
    return cursor, cursor.fetchall() if cursor.description else []


def _result(coroutine: Any) -> Any:
    """The result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("an inline route has suspended")


class RoutedConnection(AdaptedConnection):
    """A DBAPI connection along a route; it cannot end the transaction."""

    def __init__(self, route: Route, home: Home) -> None:
        self.route = route
        self._home = home
        self._connection = route.raw  # type: ignore[assignment]  # a sqlite3 connection, or None where there is none yet
        self.ended_by: str | None = None
        self.over = False
        self._at_once = False

    def at_once(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Make a call that somebody awaits, without the greenlet, which costs more than most statements. Only on an inline route."""
        self._at_once = True
        try:
            return call(*args, **options)
        finally:
            self._at_once = False

    def wait(self, coroutine: Any) -> Any:
        """The result of a coroutine, for code that is not async."""
        if self._at_once:
            return _result(coroutine)
        if threading.get_ident() == self._home.thread:
            return await_only(coroutine)
        return asyncio.run_coroutine_threadsafe(coroutine, self._home.loop).result()

    def cursor(self, *_: Any) -> _Cursor:
        return _Cursor(self)

    def commit(self) -> None:
        """Refuse; whoever comes here went around `OwnedConnection`."""
        if not self.over:
            refuse("commit()")

    def rollback(self) -> None:
        """Note it: SQLAlchemy calls this too, when a flush fails. The store looks at it before it commits."""
        if not self.over and self.ended_by is None:
            self.ended_by = f"{caller()} went on after a rollback() or a failed flush"

    def close(self) -> None:
        """Nothing to do: the connection is the store's."""


class InlineSQLite(SQLiteDialect_pysqlite):
    """SQLAlchemy's SQLite, for use in a thread."""

    driver = "farandole"
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: Any) -> type[NullPool]:  # noqa: ARG003 - SQLAlchemy's signature
        return NullPool

    def on_connect(self) -> None:  # type: ignore[override]
        """Nothing: the store has set its connections up already."""

    def get_driver_connection(self, connection: Any) -> Any:
        return connection.driver_connection

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return "SERIALIZABLE"

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        return "SERIALIZABLE"

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        return False


class AsyncInlineSQLite(InlineSQLite):
    """SQLAlchemy's SQLite, for use on the event loop."""

    driver = "farandole_async"
    supports_statement_cache = True
    is_async = True


registry.register("sqlite.farandole", __name__, "InlineSQLite")
registry.register("sqlite.farandole_async", __name__, "AsyncInlineSQLite")


class Home(Protocol):
    """Where a database lives: statements run on this loop, in this thread."""

    loop: asyncio.AbstractEventLoop
    thread: int


class Engines:
    """The engines of this process, with the statements that they have compiled; all stores share them."""

    def __init__(self) -> None:
        self._next = threading.local()
        how: dict[str, Any] = {"creator": self._create, "pool_reset_on_return": None, "query_cache_size": _STATEMENTS}
        self.for_loop = create_async_engine("sqlite+farandole_async://", **how)
        self.for_threads = create_engine("sqlite+farandole://", **how)
        # At the first connection an engine looks around, and rolls back. The async one takes an async lock for that, which needs a
        # greenlet, though it never waits.
        first = greenlet_spawn(self._connect_once)
        with suppress(StopIteration):
            first.send(None)

    def _connect_once(self) -> None:
        for is_async in (True, False):
            Connection.close(self.connect(RoutedConnection(Nowhere(), _Nobody()), is_async=is_async))

    def _create(self) -> Any:
        made = self._next.__dict__.pop("connection", None)
        if made is None:
            raise StoreError(
                "this engine is the store's own: take the AsyncConnection or AsyncSession that the reaction is given"
            )
        return made

    def connect(self, dbapi: RoutedConnection, *, is_async: bool) -> OwnedConnection:
        """A connection whose statements go along the route of `dbapi`; its transaction is begun."""
        self._next.connection = dbapi
        connection = OwnedConnection(self.for_loop.sync_engine if is_async else self.for_threads)
        connection.dbapi = dbapi
        Connection.begin(connection)
        return connection


@cache
def engines() -> Engines:
    """Made when first needed; in any thread."""
    return Engines()


class _Nobody:
    """The home of no database."""

    thread = 0
    loop: Any = None


class _Pair:
    """A connection and its session."""

    def __init__(self, home: Home, route: Route, *, is_async: bool) -> None:
        self.dbapi = RoutedConnection(route, home)
        self.connection = engines().connect(self.dbapi, is_async=is_async)
        self.transaction: RootTransaction = self.connection.get_transaction()  # type: ignore[assignment]
        self.session: Any = None
        self.handle = OwnedAsyncConnection(engines().for_loop, self.connection) if is_async else self.connection

    def open_session(self) -> Any:
        # With "rollback_only" the session neither commits nor needs a savepoint of its own.
        if self.session is None:
            kind: Any = OwnedSession if self.handle is self.connection else OwnedAsyncSession
            self.session = kind(self.handle, join_transaction_mode="rollback_only", expire_on_commit=False)
        return self.session

    async def flush(self) -> None:
        if self.session is not None and self.transaction.is_active:
            await greenlet_spawn(Session.flush, getattr(self.session, "sync_session", self.session))
        if not self.transaction.is_active or self.dbapi.ended_by is not None:
            raise StoreError(
                f"{self.dbapi.ended_by or 'the reaction'}: a database error was swallowed, and what was written before is lost. "
                f"Nothing is committed. Where a part may fail, use `async with session.begin_nested():` around it"
            )

    def end(self) -> None:
        self.dbapi.over = True
        if self.session is not None:
            Session.close(getattr(self.session, "sync_session", self.session))
        Connection.close(self.connection)


class Handles:
    """The SQLAlchemy handles on one transaction or savepoint, each made when first asked for.

    Parameters
    ----------
    home:
        The store's database.
    route:
        Where their statements go.
    """

    def __init__(self, home: Home, route: Route) -> None:
        self._home = home
        self._route = route
        self._pairs: dict[bool, _Pair] = {}

    def resource(self, kind: str) -> Any:
        """A `session`, `connection`, `sync_session` or `sync_connection`."""
        is_async = not kind.startswith("sync_")
        pair = self._pairs.get(is_async)
        if pair is None:
            pair = self._pairs[is_async] = _Pair(self._home, self._route, is_async=is_async)
        return pair.open_session() if kind.endswith("session") else pair.handle

    async def flush(self) -> None:
        """Write what the sessions hold; raise `StoreError` where the user broke the transaction."""
        for pair in self._pairs.values():
            await pair.flush()

    def end(self) -> None:
        """The transaction is over: the handles work no more."""
        for pair in self._pairs.values():
            pair.end()
        self._pairs.clear()
