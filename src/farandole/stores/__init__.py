"""Stores: one service's database, found by the scheme of its URL."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode

from farandole.errors import UnknownScheme
from farandole.stores.base import Store
from farandole.stores.record import Record
from farandole.stores.tables import metadata
from farandole.world import World

__all__ = ["metadata", "open_record", "open_store", "schema_of", "with_option"]

_ADAPTERS = {
    "sqlite": "farandole.stores.sqlite",
    "postgresql": "farandole.stores.postgres",
    "postgres": "farandole.stores.postgres",
}


def open_store(url: str, world: World, *, tables: Any = None) -> Store:
    """The adapter for a URL, not yet opened.

    Parameters
    ----------
    url:
        `sqlite:///path/to/file.db`, or `sqlite://` for one in memory, or `postgresql://user:password@host/database`; options follow a `?`.
    world:
        Its clock and chance.
    tables:
        The service's own tables, see `Service`.

    Raises
    ------
    UnknownScheme
        No adapter has this scheme.
    """
    store: Store = _adapter(url).connect(url, world, tables=tables)
    return store


def open_record(url: str, world: World) -> Record:
    """The record at a URL, not yet opened; the URL is as for a store.

    Raises
    ------
    UnknownScheme
        No adapter has this scheme.
    """
    record: Record = _adapter(url).connect_record(url, world)
    return record


async def schema_of(url: str, world: World) -> tuple[int, int]:
    """The schema that a database has (0: none), and the one that this version wants. Changes nothing."""
    found: tuple[int, int] = await _adapter(url).schema_of(url, world)
    return found


def with_option(url: str, name: str, value: str | None) -> str:
    """A URL with an option set, or without it (None)."""
    place, _, query = url.partition("?")
    options = {**dict(parse_qsl(query, keep_blank_values=True)), name: value}
    left = urlencode({key: text for key, text in options.items() if text is not None}, safe="{}/:")
    return f"{place}?{left}" if left else place


def _adapter(url: str) -> Any:
    scheme = url.partition(":")[0]
    if scheme not in _ADAPTERS or ":" not in url:
        known = ", ".join(f"{name}:" for name in _ADAPTERS)
        raise UnknownScheme(
            f"no database answers to {url.partition('@')[2] or url!r}. Known are {known} for example sqlite:///payments.db"
        )
    return import_module(_ADAPTERS[scheme])
