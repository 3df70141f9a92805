"""SQLAlchemy's sessions and connections that join a store's transaction.

A store gives the DBAPI connection; BEGIN, COMMIT and ROLLBACK never pass it: SQLAlchemy keeps its own account of a transaction, and the
store does the rest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine.base import RootTransaction
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only, greenlet_spawn

from farandole.errors import ConfigurationError, StoreError
from farandole.stores.guard import caller
from farandole.stores.owned import OwnedAsyncConnection, OwnedAsyncSession, OwnedConnection, OwnedSession

__all__ = ["Engines", "Handles", "Home", "InlineRoute", "Nowhere", "RoutedDBAPI", "create_all", "wait_for", "went_on"]


class Home(Protocol):
    """Where a database lives: statements run on this loop, in this thread."""

    loop: asyncio.AbstractEventLoop
    thread: int


class InlineRoute(Protocol):
    """Where the statements of a user's handle go."""

    inline: bool
    """Whether they never suspend."""


class Nowhere:
    """The route of nobody."""

    inline = False
    raw: Any = None

    async def execute(self, sql: str, *_: Any) -> NoReturn:
        """Refuse."""
        raise StoreError(f"{caller()} executes {sql[:40]!r} on no connection at all")

    async def run(self, sql: str, *_: Any, writes: bool) -> NoReturn:
        """Refuse."""
        await self.execute(sql)


class RoutedDBAPI(Protocol):
    """A DBAPI connection whose statements a store sends; it cannot end the transaction."""

    ended_by: str | None
    """Who went on after a rollback or a failed flush."""
    over: bool
    """Whether the transaction is."""

    @property
    def route(self) -> InlineRoute: ...

    def at_once(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Make a call that somebody awaits, without a greenlet. Only on an inline route."""
        ...


def wait_for(home: Home, coroutine: Any) -> Any:
    """The result of a coroutine, for code that is not async: in a greenlet of the loop, or in a thread."""
    if threading.get_ident() == home.thread:
        return await_only(coroutine)
    return asyncio.run_coroutine_threadsafe(coroutine, home.loop).result()


class Engines:
    """A pair of engines, for the loop and for threads, with the statements that they have compiled.

    Parameters
    ----------
    make:
        Makes both, from the options that an engine takes.
    first:
        Makes a connection that leads nowhere, for them to look around.
    """

    def __init__(self, make: Callable[[dict[str, Any]], tuple[AsyncEngine, Engine]], first: Callable[[], RoutedDBAPI]) -> None:
        self._next = threading.local()
        self.for_loop, self.for_threads = make({"creator": self._create, "pool_reset_on_return": None})
        # At the first connection an engine looks around, and rolls back. The async one takes an async lock for that, which needs a
        # greenlet, though it never waits.
        look = greenlet_spawn(self._look_around, first)
        with suppress(StopIteration):
            look.send(None)

    def _look_around(self, first: Callable[[], RoutedDBAPI]) -> None:
        for is_async in (True, False):
            Connection.close(self.connect(first(), is_async=is_async))

    def _create(self) -> Any:
        made = self._next.__dict__.pop("connection", None)
        if made is None:
            raise StoreError(
                "this engine is the store's own: take the AsyncConnection or AsyncSession that the reaction is given"
            )
        return made

    def connect(self, dbapi: RoutedDBAPI, *, is_async: bool) -> OwnedConnection:
        """A connection whose statements go along the route of `dbapi`; its transaction is begun."""
        self._next.connection = dbapi
        connection = OwnedConnection(self.for_loop.sync_engine if is_async else self.for_threads)
        connection.dbapi = dbapi
        Connection.begin(connection)
        return connection


class _Pair:
    """A connection and its session."""

    def __init__(self, engines: Engines, dbapi: RoutedDBAPI, *, is_async: bool) -> None:
        self.dbapi = dbapi
        self.connection = engines.connect(dbapi, is_async=is_async)
        self.transaction: RootTransaction = self.connection.get_transaction()  # type: ignore[assignment]
        self.session: Any = None
        self.handle = OwnedAsyncConnection(engines.for_loop, self.connection) if is_async else self.connection

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
    engines:
        Of the store.
    dbapi:
        Makes a DBAPI connection whose statements go into the transaction.
    """

    def __init__(self, engines: Engines, dbapi: Callable[[], RoutedDBAPI]) -> None:
        self._engines = engines
        self._dbapi = dbapi
        self._pairs: dict[bool, _Pair] = {}

    def resource(self, kind: str) -> Any:
        """A `session`, `connection`, `sync_session` or `sync_connection`."""
        is_async = not kind.startswith("sync_")
        pair = self._pairs.get(is_async)
        if pair is None:
            pair = self._pairs[is_async] = _Pair(self._engines, self._dbapi(), is_async=is_async)
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


def went_on() -> str:
    """What to note when SQLAlchemy rolls back: it does so too when a flush fails. The store looks at it before it commits."""
    return f"{caller()} went on after a rollback() or a failed flush"


async def create_all(tables: Any, handles: Callable[[], Handles]) -> None:
    """Make the service's own tables where they lack, by its `MetaData`, inside the open transaction.

    Raises
    ------
    ConfigurationError
        `tables` is something else.
    """
    if not hasattr(tables, "create_all"):
        raise ConfigurationError(f"a service's tables= is a SQLAlchemy MetaData or a string of SQL statements, got: {tables!r}")
    users = handles()
    try:
        await greenlet_spawn(tables.create_all, users.resource("connection").sync_connection, checkfirst=True)
    finally:
        users.end()
