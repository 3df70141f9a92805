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

__all__ = ["create_tables", "latest", "migrate", "version_of"]

_FOLDER = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = 0x666172616E646F6C  # "farandol"


def _files() -> dict[int, Path]:
    return {int(found[0]): file for file in _FOLDER.iterdir() if (found := re.match(r"\d+", file.name))}


def latest() -> int:
    """The schema that this version wants."""
    return max(_files())


async def version_of(connection: Any) -> int:
    """The schema that the database has; 0: none."""
    if await connection.own_fetch("SELECT to_regclass('farandole_schema') AS name") == [(None,)]:
        return 0
    return int((await connection.own_fetch("SELECT coalesce(max(version), 0) FROM farandole_schema"))[0][0])


async def migrate(database: Database, connection: Any) -> None:
    """Apply the numbered migrations that are missing, inside the open transaction; several processes may try at once.

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
        current = await version_of(connection)
        if current > latest():
            raise NewerDatabase(
                f"{database.name} has schema {current}, written by a newer Farandole; this one knows {latest()}. "
                f"Upgrade this process: pip install --upgrade farandole"
            )
        if not current:
            await connection.own_execute("CREATE TABLE farandole_schema (version integer NOT NULL)")
        for version, file in sorted(_files().items()):
            if version > current:
                await connection.own_execute(file.read_text())
                await connection.own_fetch("INSERT INTO farandole_schema VALUES ($1)", version)
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
    elif hasattr(tables, "create_all"):
        from sqlalchemy.util import greenlet_spawn

        from farandole.stores.postgres.transaction import Straight

        users = store.handles(Straight(connection))
        try:
            await greenlet_spawn(tables.create_all, users.resource("connection").sync_connection, checkfirst=True)
        finally:
            users.end()
    else:
        raise ConfigurationError(f"a service's tables= is a SQLAlchemy MetaData or a string of SQL statements, got: {tables!r}")
