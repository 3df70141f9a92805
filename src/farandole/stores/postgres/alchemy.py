"""SQLAlchemy over the store's asyncpg connection: its own asyncpg dialect, with the store's transaction in place of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import asyncpg
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    AsyncAdapt_asyncpg_cursor,
    AsyncAdapt_asyncpg_dbapi,
    AsyncAdapt_asyncpg_ss_cursor,
    PGDialect_asyncpg,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from farandole.stores.alchemy import Engines, Handles, Nowhere, wait_for, went_on
from farandole.stores.guard import refuse

if TYPE_CHECKING:
    from farandole.stores.postgres.database import Database

__all__ = ["Route", "handles", "make_engines"]

_DBAPI: Any = AsyncAdapt_asyncpg_dbapi(asyncpg)  # type: ignore[no-untyped-call]


class Route(Protocol):
    """Where the statements of a user's handle go."""

    inline: bool

    async def run(self, sql: str, action: Callable[[Any], Awaitable[None]], *, writes: bool) -> None:
        """Do something with the asyncpg connection that this statement belongs on; `writes`: it certainly needs the transaction."""
        ...


class _Routed:
    """What a cursor does on whatever connection the route says; also for threads."""

    server_side = False
    _adapt_connection: RoutedConnection
    _prepare_and_execute: Callable[..., Awaitable[None]]
    _executemany: Callable[..., Awaitable[None]]

    def execute(self, operation: str, parameters: Any = None) -> None:
        async def action(connection: Any) -> None:
            self._use(connection)
            await self._prepare_and_execute(operation, parameters)

        self._adapt_connection.wait(self._adapt_connection.route.run(operation, action, writes=self.server_side))

    def executemany(self, operation: str, seq_of_parameters: Any) -> None:
        async def action(connection: Any) -> None:
            self._use(connection)
            await self._executemany(operation, seq_of_parameters)

        self._adapt_connection.wait(self._adapt_connection.route.run(operation, action, writes=True))

    def _use(self, connection: Any) -> None:
        self._connection = self._adapt_connection._connection = connection


class _Cursor(_Routed, AsyncAdapt_asyncpg_cursor):  # type: ignore[misc]
    """Its rows are fetched at once."""


class _StreamingCursor(_Routed, AsyncAdapt_asyncpg_ss_cursor):  # type: ignore[misc]
    """Its rows are fetched as they are asked for."""

    server_side = True


class RoutedConnection(AsyncAdapt_asyncpg_connection):
    """SQLAlchemy's DBAPI connection along a route; it cannot end the transaction."""

    _cursor_cls = _Cursor
    _ss_cursor_cls = _StreamingCursor

    def __init__(self, route: Route, database: Database) -> None:
        super().__init__(_DBAPI, None, prepared_statement_cache_size=0)  # type: ignore[no-untyped-call]  # asyncpg keeps them, see `OwnedConnection.prepare`
        self.route = route
        self.ended_by: str | None = None
        self.over = False
        self._database = database
        self._transaction: Any = True  # begun, by the store

    def wait(self, coroutine: Any) -> Any:
        """The result of a coroutine, for code that is not async."""
        return wait_for(self._database, coroutine)

    def at_once(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Never: statements wait for the server."""
        raise AssertionError("not an inline route")

    def _handle_exception(self, error: Exception) -> NoReturn:
        self._handle_exception_no_connection(self.dbapi, error)

    def set_isolation_level(self, level: str) -> None:
        refuse(f"isolation_level={level!r}", "it is begun already; the store's URL says how, with ?isolation=")

    def commit(self) -> None:
        """Refuse; whoever comes here went around `OwnedConnection`."""
        if not self.over:
            refuse("commit()")

    def rollback(self) -> None:
        """Note it: the store looks at it before it commits."""
        if not self.over and self.ended_by is None:
            self.ended_by = went_on()

    def close(self) -> None:
        """Nothing to do: the connection is the store's."""

    def terminate(self) -> None:
        """Nothing to do, as above."""


class OnLoop(PGDialect_asyncpg):
    """SQLAlchemy's PostgreSQL, for use on the event loop."""

    driver = "farandole_async"
    supports_statement_cache = True
    supports_native_json_deserialization = False  # so that asyncpg's own handles find JSON as asyncpg's users know it
    dialect_injects_custom_json_deserializer = False

    @classmethod
    def import_dbapi(cls) -> Any:
        return _DBAPI

    def on_connect(self) -> None:
        """Nothing: the store sets its connections up."""

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        return self.version

    def _get_default_schema_name(self, connection: Any) -> str:
        return self.schema

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        return "READ COMMITTED"

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return "READ COMMITTED"

    def initialize(self, connection: Any) -> None:
        """What SQLAlchemy asks a server at the first connection; the store knows."""
        database: Database = connection.connection.dbapi_connection._database
        self.version, self.schema = (database.version, 0), database.settings.schema or "public"
        super().initialize(connection)  # type: ignore[no-untyped-call]

    def _set_backslash_escapes(self, connection: Any) -> None:
        self._backslash_escapes = False


class InThreads(OnLoop):
    """The same, for plain `def` reactions."""

    driver = "farandole"
    supports_statement_cache = True
    is_async = False


registry.register("postgresql.farandole_async", __name__, "OnLoop")
registry.register("postgresql.farandole", __name__, "InThreads")


def make_engines(database: Database) -> Engines:
    """The engines of one database."""

    def make(options: dict[str, Any]) -> tuple[AsyncEngine, Engine]:
        options |= {"poolclass": NullPool, "query_cache_size": 2000}
        return create_async_engine("postgresql+farandole_async://", **options), create_engine(
            "postgresql+farandole://", **options
        )

    return Engines(make, lambda: RoutedConnection(Nowhere(), database))


def handles(database: Database, route: Route) -> Handles:
    """SQLAlchemy handles whose statements go along a route."""
    return Handles(database.engines, lambda: RoutedConnection(route, database))
