"""Looks into the shop's databases and the gateway's ledger from outside, whether the shop runs, stopped or crashed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from farandole import ConfigurationError

__all__ = ["LEDGER", "Databases", "Sight", "looking"]

LEDGER = "gateway"


class Sight(Protocol):
    """A look into the shop from outside, wherever it runs: each service's database, and the gateway's ledger."""

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query gives, in a service's database or the gateway's ledger (`LEDGER`)."""
        ...

    def one(self, service: str, sql: str, **values: Any) -> Any:
        """The first value of the first row, 0 where it is null."""
        ...


class Databases:
    """Where everything is.

    Parameters
    ----------
    database:
        A URL with `{service}` in it, or a URL per service, as the host takes it.
    ledger:
        The gateway's file.
    """

    def __init__(self, database: str | Mapping[str, str], ledger: Path) -> None:
        self._database = database
        self._ledger = ledger
        self._engines: dict[str, Engine] = {}

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query gives, in a service's database or the gateway's ledger (`LEDGER`).

        Raises
        ------
        ConfigurationError
            There is no such database.
        """
        if service != LEDGER and (url := self._url(service)).get_backend_name().startswith("postgres"):
            return _on_a_server(url, sql, values)
        if service not in self._engines:
            self._engines[service] = self._open(service)
        with self._engines[service].connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), values)]

    def one(self, service: str, sql: str, **values: Any) -> Any:
        """The first value of the first row, 0 where it is null."""
        return self.rows(service, sql, **values)[0][0] or 0

    def close(self) -> None:
        """Let go of what was opened."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    def _url(self, service: str) -> URL:
        named = self._database if isinstance(self._database, str) else self._database[service]
        return make_url(named.replace("{service}", service))

    def _open(self, service: str) -> Engine:
        ours = service == LEDGER
        url = (
            URL.create("sqlite", database=str(self._ledger)) if ours else self._url(service).set(query={})
        )  # options are the host's
        if not (url.database and Path(url.database).is_file()):
            raise ConfigurationError(f"{service}: there is no database at {url}. Run the shop first, on files")
        return create_engine(url, poolclass=NullPool)


def _on_a_server(url: URL, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Ask PostgreSQL, in a thread with a loop of its own: whoever looks may be in one already."""

    async def ask() -> list[tuple[Any, ...]]:
        options = {key: value for key, value in url.query.items() if key in ("host", "port")}
        path = {"server_settings": {"search_path": str(url.query.get("schema", "public"))}}
        engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg", query=options), connect_args=path, poolclass=NullPool
        )
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(sql), values)]

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, ask()).result()


@contextmanager
def looking(database: str | Mapping[str, str], ledger: Path) -> Iterator[Databases]:
    """Databases to look into, for as long as the `with` lasts."""
    databases = Databases(database, ledger)
    try:
        yield databases
    finally:
        databases.close()
