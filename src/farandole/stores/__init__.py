"""Stores: one service's database, found by the scheme of its URL."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from farandole.errors import UnknownScheme
from farandole.stores.base import Store
from farandole.world import World

__all__ = ["open_store"]

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
    scheme = url.partition(":")[0]
    if scheme not in _ADAPTERS or ":" not in url:
        known = ", ".join(f"{name}:" for name in _ADAPTERS)
        raise UnknownScheme(f"no database answers to {url!r}. Known are {known} for example sqlite:///payments.db")
    store: Store = import_module(_ADAPTERS[scheme]).connect(url, world, tables=tables)
    return store
