"""Looks into an example's databases, and into the books of whoever is outside, whether it runs, stopped or crashed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from farandole import ConfigurationError

__all__ = ["Databases", "Sight", "looking"]

T = TypeVar("T")


class Sight(Protocol):
    """A look from outside, wherever the services run: each one's database, and the books of whoever is outside."""

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query gives, in a service's database or in the books of that name."""
        ...

    def one(self, service: str, sql: str, **values: Any) -> Any:
        """The first value of the first row; 0 where it is null or there is none."""
        ...


class Databases:
    """Where everything is.

    Parameters
    ----------
    database:
        A URL with `{service}` in it, or a URL per service, as the host takes it.
    books:
        The SQLite files of whoever is outside, by name.
    """

    def __init__(self, database: str | Mapping[str, str], books: Mapping[str, Path] | None = None) -> None:
        self._database = database
        self._books = dict(books or {})
        self._engines: dict[str, Engine | _Server] = {}

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query gives, in a service's database or in the books of that name.

        Raises
        ------
        ConfigurationError
            There is no such database.
        """
        if service not in self._engines:
            self._engines[service] = self._open(service)
        engine = self._engines[service]
        if isinstance(engine, _Server):
            return engine.rows(sql, values)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), values)]

    def one(self, service: str, sql: str, **values: Any) -> Any:
        """The first value of the first row; 0 where it is null or there is none."""
        found = self.rows(service, sql, **values)
        return (found[0][0] if found else 0) or 0

    def close(self) -> None:
        """Let go of what was opened."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    def _url(self, service: str) -> URL:
        named = self._database if isinstance(self._database, str) else self._database[service]
        return make_url(named.replace("{service}", service))

    def _open(self, service: str) -> Engine | _Server:
        books = self._books.get(service)
        if books is None and self._url(service).get_backend_name().startswith("postgres"):
            return _Server(self._url(service))
        # Options are the host's.
        url = self._url(service).set(query={}) if books is None else URL.create("sqlite", database=str(books))
        if not (url.database and Path(url.database).is_file()):
            raise ConfigurationError(f"{service}: there is no database at {url}. Run the example first, on files")
        return create_engine(url, poolclass=NullPool)


class _Server:
    """A PostgreSQL, asked in a thread with a loop of its own: whoever looks may be in one already. It keeps its connection."""

    def __init__(self, url: URL) -> None:
        options = {key: value for key, value in url.query.items() if key in ("host", "port")}
        path = {"server_settings": {"search_path": str(url.query.get("schema", "public"))}}
        place = url.set(drivername="postgresql+asyncpg", query=options)
        self._engine = create_async_engine(place, connect_args=path, pool_size=1, max_overflow=0, pool_pre_ping=True)
        self._loop = asyncio.new_event_loop()
        self._thread = ThreadPoolExecutor(1)

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self._do(self._ask(sql, values))

    async def _ask(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        async with self._engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(sql), values)]

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._loop.run_until_complete, work).result()

    def dispose(self) -> None:
        self._do(self._engine.dispose())
        self._thread.shutdown()
        self._loop.close()


@contextmanager
def looking(database: str | Mapping[str, str], books: Mapping[str, Path] | None = None) -> Iterator[Databases]:
    """Databases to look into, for as long as the `with` lasts."""
    databases = Databases(database, books)
    try:
        yield databases
    finally:
        databases.close()
