"""SQLite: the embedded store, and the one to begin with. See `database` for its discipline."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import parse_qsl, unquote

from farandole.errors import ConfigurationError
from farandole.stores.base import Store
from farandole.stores.record import Record
from farandole.stores.sqlite.record import SqliteRecord
from farandole.stores.sqlite.store import SqliteStore
from farandole.world import World

__all__ = ["connect", "connect_record", "schema_of"]

_LEVELS = {"off": 0, "normal": 1, "full": 2}


def connect(url: str, world: World, *, tables: Any = None) -> Store:
    """The store of a SQLite URL, not yet opened.

    Parameters
    ----------
    url:
        `sqlite:///relative.db`, `sqlite:////absolute.db`, or `sqlite://` for one in memory. `?synchronous=normal` gives up the last
        commits on a loss of power (never on a crash of the process) for speed; `off` may lose the whole file then.
    world:
        Clock, chance and crash points.
    tables:
        The service's own tables: a SQLAlchemy `MetaData`, SQL statements, or None.

    Raises
    ------
    ConfigurationError
        The URL is malformed.
    """
    path, level = _read(url)
    return SqliteStore(url, path=path, world=world, level=level, tables=tables)


def connect_record(url: str, world: World) -> Record:
    """The record of a SQLite URL, not yet opened; see `connect`."""
    path, level = _read(url)
    return SqliteRecord(url, path=path, world=world, level=level)


def _read(url: str) -> tuple[str | None, int]:
    """The absolute path (None: in memory), and how a commit reaches the disk."""
    place, _, query = url.partition("?")
    rest = place.removeprefix("sqlite:")
    if rest.strip("/") and not rest.startswith("///"):
        raise ConfigurationError(
            f"{url!r}: a SQLite URL has three slashes before a relative path and four before an absolute one, "
            f"for example sqlite:///{rest.strip('/')}"
        )
    path = unquote(rest.removeprefix("///")) if rest.startswith("///") else ""
    level = _LEVELS["full"]
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != "synchronous" or value not in _LEVELS:
            raise ConfigurationError(f"{url!r}: expected ?synchronous=full, normal or off, got: {name}={value}")
        level = _LEVELS[value]
    return None if path in ("", ":memory:") else os.path.realpath(path), level


async def schema_of(url: str, world: World) -> tuple[int, int]:
    """See `stores.schema_of`."""
    from farandole.stores.sqlite.migrate import latest

    path = getattr(connect(url, world), "_path", None)
    if path is None or not os.path.exists(path):  # noqa: PTH110
        return 0, latest()
    with closing(sqlite3.connect(path)) as connection:
        try:
            (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM farandole_schema").fetchone()
        except sqlite3.DatabaseError:
            return 0, latest()
    return int(version), latest()
