"""Bring a PostgreSQL database to the schema of this version, and make the service's own tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from farandole.errors import ConfigurationError, NewerDatabase
from farandole.stores.postgres.database import Database

if TYPE_CHECKING:
    from farandole.stores.postgres.store import PostgresStore

__all__ = ["check", "create_tables", "latest", "migrate", "version_of"]

_HERE = Path(__file__).parent
_ONE_AT_A_TIME = 0x666172616E646F6C  # "farandol"


def _files(what: str = "") -> dict[int, Path]:
    folder = _HERE / (f"{what}_migrations" if what else "migrations")
    return {int(found[0]): file for file in folder.iterdir() if (found := re.match(r"\d+", file.name))}


def _table(what: str) -> str:
    return f"farandole_{what}_schema" if what else "farandole_schema"


def latest(what: str = "") -> int:
    """The schema that this version wants; `what` is as in `migrate`."""
    return max(_files(what))


async def version_of(connection: Any, what: str = "") -> int:
    """The schema that the database has; 0: none."""
    table = _table(what)
    if await connection.own_fetch("SELECT to_regclass($1) AS name", table) == [(None,)]:
        return 0
    return int((await connection.own_fetch(f"SELECT coalesce(max(version), 0) FROM {table}"))[0][0])


async def check(database: Database, connection: Any, what: str = "") -> None:
    """Refuse a database whose tables are not up to date, where the URL says that nobody may change them.

    Raises
    ------
    ConfigurationError
        With what to run first.
    """
    current = await version_of(connection, what)
    if current != latest(what):
        raise ConfigurationError(
            f"{database.name} has schema {current}; this version needs {latest(what)}, and its URL says migrate=no. "
            + ("Open it once without migrate=no first" if what else "Run `farandole db upgrade` first")
        )


async def migrate(database: Database, connection: Any, what: str = "") -> None:
    """Apply the numbered migrations that are missing, inside the open transaction; several processes may try at once.

    Parameters
    ----------
    what:
        `"record"`: the tables of a record, which have versions of their own.

    Raises
    ------
    NewerDatabase
        The database has a migration that this version does not know.
    ConfigurationError
        The user may not make tables there.
    """
    schema = database.settings.schema
    try:
        await connection.own_fetch("SELECT pg_advisory_xact_lock($1)", _ONE_AT_A_TIME)
        if schema is not None and not await connection.own_fetch("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
            await connection.own_execute(f'CREATE SCHEMA "{schema}"')
        current = await version_of(connection, what)
        if current > latest(what):
            raise NewerDatabase(
                f"{database.name} has schema {current}, written by a newer Farandole; this one knows {latest(what)}. "
                f"Upgrade this process: pip install --upgrade farandole"
            )
        if not current:
            await connection.own_execute(f"CREATE TABLE {_table(what)} (version integer NOT NULL)")
        for version, file in sorted(_files(what).items()):
            if version > current:
                await connection.own_execute(file.read_text())
                await connection.own_fetch(f"INSERT INTO {_table(what)} VALUES ($1)", version)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError) as error:
        raise ConfigurationError(
            f"{database.name}: {error}. Grant CREATE on its schema, or let an administrator run `farandole db upgrade`"
        ) from error


async def create_tables(store: PostgresStore, connection: Any, tables: Any) -> None:
    """Make the service's own tables where they lack, inside the open transaction.

    Parameters
    ----------
    tables:
        SQL statements in one string, or a SQLAlchemy `MetaData`.

    Raises
    ------
    ConfigurationError
        A statement fails, or `tables` is something else.
    """
    if isinstance(tables, str):
        try:
            await connection.own_execute(tables)
        except asyncpg.PostgresError as error:
            raise ConfigurationError(f"the service's tables=: {error}. In: {tables.strip()[:200]}") from error
    else:
        from farandole.stores.alchemy import create_all
        from farandole.stores.postgres.transaction import Straight

        await create_all(tables, lambda: store.handles(Straight(connection)))
