"""One PostgreSQL database: its pool of connections, the statements of the framework, and what its errors mean."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import asyncpg

from farandole.errors import ConfigurationError, StoreBusy, StoreError
from farandole.sockets import watch
from farandole.stores.postgres.guard import OwnedConnection
from farandole.stores.statements import Statement
from farandole.world import World

if TYPE_CHECKING:
    from farandole.stores.alchemy import Engines

__all__ = ["PATIENCE", "TROUBLE", "Database", "Settings", "excuse", "is_lost"]

OLDEST = 12
"""The oldest major version of PostgreSQL that will do."""

PATIENCE = 30.0
"""How long, in seconds, we wait for a free connection."""

_GONE = ("08", "57P01", "57P02", "57P03", "53300")
"""Beginnings of SQLSTATEs that say: the connection, not the statement (PostgreSQL's appendix A)."""
_COLLISIONS = {"40001": "a serialization failure", "40P01": "a deadlock", "55P03": "a lock that could not be had"}
TROUBLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises."""
_LOGIN = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, asyncpg.InsufficientPrivilegeError)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to connect.

    Attributes
    ----------
    dsn:
        For asyncpg, with what it understands of the URL's options.
    name:
        The database in words, without the password.
    schema:
        Where the tables are; None: where the user's `search_path` says.
    pool:
        The most connections.
    begin:
        The statement that begins a transaction.
    options:
        asyncpg's own, that cannot stand in its DSN.
    """

    dsn: str
    name: str
    schema: str | None = None
    pool: int = 10
    begin: str = "BEGIN"
    options: dict[str, Any] = field(default_factory=dict)


class Database:
    """The connections to one database.

    Parameters
    ----------
    settings:
        How to connect.
    world:
        Clock and crash points. Where its clock is virtual, it takes the place of the server's.
    """

    def __init__(self, settings: Settings, world: World) -> None:
        self.settings = settings
        self.name = settings.name
        self.world = world
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.version = 0
        self._pool: Any = None

    async def open(self) -> None:
        """Connect.

        Raises
        ------
        ConfigurationError
            Nobody answers there, the login is refused, or the server is too old.
        """
        settings, path = self.settings, {}
        if settings.schema is not None:
            path["search_path"] = f'"{settings.schema}"'
        try:
            self._pool = await asyncpg.create_pool(
                settings.dsn, min_size=0, max_size=settings.pool, connection_class=OwnedConnection, init=watch,
                server_settings={"application_name": "farandole", **path}, **{"statement_cache_size": 1000, **settings.options},
            )  # fmt: skip
            async with self._pool.acquire() as connection:
                self.version = connection.get_server_version().major
        except _LOGIN as error:
            raise ConfigurationError(
                f"{self.name} refuses the login: {error}. Correct the database URL, or create what is missing"
            ) from None
        except (*TROUBLE, ValueError) as error:
            raise ConfigurationError(
                f"cannot connect to {self.name}: {str(error) or type(error).__name__}. Is PostgreSQL running there, and is the URL right?"
            ) from None
        if self.version < OLDEST:
            await self.close()
            raise ConfigurationError(f"{self.name} is PostgreSQL {self.version}; {OLDEST} or newer is needed. Upgrade the server")

    async def close(self) -> None:
        """Close the connections; what is open on them is undone."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    @cached_property
    def engines(self) -> Engines:
        """SQLAlchemy, imported when the first reaction wants it."""
        from farandole.stores.postgres.alchemy import make_engines

        return make_engines(self)

    @property
    def now(self) -> int | None:
        """The first parameter of statements that say `:now`: None lets the server's own clock decide."""
        return round(self.world.time() * 1000) if self.world.virtual else None

    def wait(self, due: float | None) -> int | None:
        """In how many milliseconds a time of our clock is."""
        return None if due is None else max(0, round((due - self.world.time()) * 1000))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """One of the pool's connections.

        Raises
        ------
        StoreError
            The database is away, or all connections are taken for too long.
        """
        connection = await self.acquire()
        try:
            yield connection
        finally:
            await self.release(connection)

    async def acquire(self) -> Any:
        """As `connection`, for those who release it themselves."""
        if self._pool is None:
            raise StoreError(f"the store on {self.name} is closed")
        try:
            return await self._pool.acquire(timeout=PATIENCE)
        except TimeoutError as error:
            if self._pool.get_size() < self.settings.pool:
                why = f" is away: no answer to a new connection for {PATIENCE:g} s"
            else:
                why = (
                    f": all {self.settings.pool} connections have been in use for {PATIENCE:g} s. "
                    f"Allow more with ?pool={2 * self.settings.pool}, or look for a reaction that holds one for long"
                )
            raise StoreBusy(f"{self.name}{why}", waited=True) from error
        except TROUBLE as error:
            raise self.failed("connect", error) from error

    async def release(self, connection: Any) -> None:
        """Give a connection back; one that is broken is replaced when the next is needed."""
        if self._pool is not None:
            try:
                await self._pool.release(connection)
            except TROUBLE:
                pass  # the pool has closed it

    async def run(self, connection: Any, statement: Statement, *values: Any) -> Sequence[Any]:
        """Execute a statement of ours between two crash points; gives its rows.

        Raises
        ------
        StoreError
            The database refused it.
        """
        self.world.point(statement.before)
        try:
            rows: Sequence[Any] = await self.alive(connection).own_fetch(statement.sql, *values)
        except TROUBLE as error:
            raise self.failed(statement.name, error) from error
        self.world.point(statement.after)
        return rows

    async def control(self, connection: Any, name: str, sql: str) -> str:
        """Execute transaction control; gives the tag of the last command."""
        self.world.point(f"store.{name}:before")
        try:
            tag: str = await self.alive(connection).own_execute(sql)
        except TROUBLE as error:
            raise self.failed(name, error) from error
        self.world.point(f"store.{name}:after")
        return tag

    def alive(self, connection: Any) -> OwnedConnection:
        """What the pool's proxy stands for.

        Raises
        ------
        StoreBusy
            The connection was lost.
        """
        if is_lost(connection):
            raise StoreBusy(f"{self.name} is away: the connection was lost. Nothing of this transaction was written")
        owned: OwnedConnection = connection._con
        return owned

    async def read(self, statement: Statement, *values: Any) -> Sequence[Any]:
        """The rows of a query outside any transaction."""
        async with self.connection() as connection:
            return await self.run(connection, statement, *values)

    def failed(self, name: str, error: BaseException) -> StoreError:
        """What to raise for a database error in a statement of ours."""
        excused = excuse(error, self.name)
        if excused is not None:
            return excused
        if isinstance(error, asyncpg.InFailedSQLTransactionError):
            return StoreError(
                "a reaction went on after a database error that it swallowed, and what was written before is lost. Nothing is committed. "
                "Where a part may fail, use `async with session.begin_nested():` (or connection.transaction()) around it"
            )
        return StoreError(f"{self.name} refused {name!r}: {_words(error)}. Nothing of this transaction was written")


def _words(error: BaseException) -> str:
    """The first line: those below quote values of the rows, which may be sensitive."""
    return str(error).partition("\n")[0]


def is_lost(connection: Any) -> bool:
    """Whether the pool's proxy stands for nothing any more."""
    return connection._con is None or connection.is_closed()


def excuse(error: BaseException, name: str) -> StoreBusy | None:
    """What to raise where an exception is the database's doing, not that of whoever asked: it is away, or two transactions collided."""
    seen: BaseException | None = error
    while seen is not None:
        state = str(getattr(seen, "sqlstate", None) or "")
        if state in _COLLISIONS:
            return StoreBusy(
                f"{name}: {_COLLISIONS[state]} ({_words(seen)}). Nothing of this transaction was written; it runs again"
            )
        if state.startswith(_GONE) or isinstance(seen, asyncpg.InterfaceError | asyncpg.InternalClientError | ConnectionError):
            return StoreBusy(
                f"{name} is away: {_words(seen)}. Nothing of this transaction was written, unless it was at its commit"
            )
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None
