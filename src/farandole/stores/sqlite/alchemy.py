"""SQLAlchemy over the inline connection: the DBAPI that its handles use, see `stores.alchemy`.

The DBAPI connection below sends statements along a `Route`. A route that never waits is called at once; where one may wait, SQLAlchemy
runs its coroutines in a greenlet, and a plain `def` reaction's thread hands them to the loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from farandole.stores.alchemy import Engines, Handles, Home, Nowhere, wait_for, went_on
from farandole.stores.guard import refuse

__all__ = ["Route", "handles"]

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
        return wait_for(self._home, coroutine)

    def cursor(self, *_: Any) -> _Cursor:
        return _Cursor(self)

    def commit(self) -> None:
        """Refuse; whoever comes here went around `OwnedConnection`."""
        if not self.over:
            refuse("commit()")

    def rollback(self) -> None:
        if not self.over and self.ended_by is None:
            self.ended_by = went_on()

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


def handles(home: Home, route: Route) -> Handles:
    """SQLAlchemy handles whose statements go along a route."""
    return Handles(_engines(), lambda: RoutedConnection(route, home))


@cache
def _engines() -> Engines:
    """Those of this process: all stores share them. Made when first needed, in any thread."""
    return Engines(_make, lambda: RoutedConnection(Nowhere(), _Nobody()))


def _make(options: dict[str, Any]) -> tuple[AsyncEngine, Engine]:
    options["query_cache_size"] = _STATEMENTS
    return create_async_engine("sqlite+farandole_async://", **options), create_engine("sqlite+farandole://", **options)


class _Nobody:
    """The home of no database."""

    thread = 0
    loop: Any = None
