"""PostgreSQL: the store for production. Statements go through asyncpg, the user's and the framework's over one connection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from farandole.errors import ConfigurationError
from farandole.stores.base import Store
from farandole.stores.record import Record
from farandole.world import World

if TYPE_CHECKING:
    from farandole.stores.postgres.database import Settings

__all__ = ["connect", "connect_record", "schema_of"]

_ISOLATION = {
    "read committed": "",
    "repeatable read": " ISOLATION LEVEL REPEATABLE READ",
    "serializable": " ISOLATION LEVEL SERIALIZABLE",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")
_NUMBERS = ("statement_cache_size", "max_cached_statement_lifetime", "max_cacheable_statement_size", "command_timeout", "timeout")
"""asyncpg's own options; all others stand in its DSN, or are settings of the server."""


def connect(url: str, world: World, *, tables: Any = None) -> Store:
    """The store of a PostgreSQL URL, not yet opened.

    Parameters
    ----------
    url:
        `postgresql://user:password@host:5432/database`. Ours are the options `schema` (all tables go there; it is made when missing), `pool`
        (the most connections; 10), `isolation` (`read committed`, `repeatable read`, `serializable`) and `migrate` (`no`: refuse to open a
        database whose tables are not up to date). All others go to asyncpg or the server as they are: `sslmode`, `sslrootcert`,
        `statement_cache_size=0` (for PgBouncer), `statement_timeout`, …
    world:
        Clock, chance and crash points.
    tables:
        The service's own tables: a SQLAlchemy `MetaData`, SQL statements, or None.

    Raises
    ------
    ConfigurationError
        The URL is malformed, or asyncpg is not installed.
    """
    settings, migrate = _read(url)
    from farandole.stores.postgres.store import PostgresStore

    return PostgresStore(url, settings, world, tables=tables, migrate=migrate)


def connect_record(url: str, world: World) -> Record:
    """The record of a PostgreSQL URL, not yet opened; see `connect`."""
    settings, migrate = _read(url)
    from farandole.stores.postgres.record import PostgresRecord

    return PostgresRecord(settings, world, migrate=migrate)


def _read(url: str) -> tuple[Settings, bool]:
    """How to connect, and whether the tables may be changed."""
    try:
        from farandole.stores.postgres.database import Settings
    except ImportError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigurationError('PostgreSQL needs asyncpg. Install it: pip install "farandole[postgres]"') from None
    _, place, path, query, _ = urlsplit(url)
    host = place.rpartition("@")[2]
    name = f"postgresql://{host}{path}"
    options = dict(parse_qsl(query, keep_blank_values=True))
    ours = {key: options.pop(key) for key in ("schema", "pool", "isolation", "migrate") if key in options}
    schema = ours.get("schema")
    if schema is not None and not _NAME.fullmatch(schema):
        raise ConfigurationError(f"{name}: expected ?schema= to be a name of letters, digits and _, got: {schema!r}")
    pool = ours.get("pool", "10")
    if not (pool.isascii() and pool.isdigit() and int(pool) >= 2):
        raise ConfigurationError(f"{name}: expected ?pool= to be a number from 2 on, got: {pool!r}")
    isolation = ours.get("isolation", "read committed").lower()
    if isolation not in _ISOLATION:
        raise ConfigurationError(f"{name}: expected ?isolation= to be one of {', '.join(_ISOLATION)}, got: {isolation!r}")
    if ours.get("migrate", "yes") not in ("yes", "no"):
        raise ConfigurationError(f"{name}: expected ?migrate= to be yes or no, got: {ours['migrate']!r}")
    try:
        numbers = {key: float(options.pop(key)) for key in _NUMBERS if key in options}
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}. Expected a number for one of {', '.join(_NUMBERS)}") from None
    own = {key: int(value) if key.endswith(("size", "lifetime")) else value for key, value in numbers.items()}
    dsn = urlunsplit(("postgresql", place, path, urlencode(options, quote_via=quote), ""))
    settings = Settings(
        dsn, name + (f" (schema {schema})" if schema else ""), schema, int(pool), "BEGIN" + _ISOLATION[isolation], own
    )
    return settings, ours.get("migrate") != "no"


async def schema_of(url: str, world: World) -> tuple[int, int]:
    """See `stores.schema_of`."""
    store: Any = connect(url, world)
    found: tuple[int, int] = await store.schema()
    return found
