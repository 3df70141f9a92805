"""Bring a database to the schema of this version, and make the service's own tables."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

from farandole.errors import ConfigurationError, NewerDatabase
from farandole.stores.sqlite.database import Access
from farandole.stores.statements import split

__all__ = ["create_tables", "latest", "migrate"]

_FOLDER = Path(__file__).parent / "migrations"


def _files() -> dict[int, Path]:
    return {int(found[0]): file for file in _FOLDER.iterdir() if (found := re.match(r"\d+", file.name))}


def latest() -> int:
    """The schema that this version wants."""
    return max(_files())


def migrate(access: Access) -> None:
    """Apply the numbered migrations that are missing, inside the open transaction.

    Raises
    ------
    NewerDatabase
        The database has a migration that this version does not know.
    """
    cursor = access.database.cursor
    cursor.execute("CREATE TABLE IF NOT EXISTS farandole_schema (version INTEGER NOT NULL)")
    cursor.execute("DELETE FROM farandole_schema WHERE false")  # changes nothing, but fails where the file cannot be written
    (current,) = cursor.execute("SELECT coalesce(max(version), 0) FROM farandole_schema").fetchone()
    files = _files()
    if current > max(files):
        raise NewerDatabase(
            f"{access.database.name} has schema {current}, written by a newer Farandole; this one knows {max(files)}. "
            f"Upgrade this process: pip install --upgrade farandole"
        )
    for version in sorted(version for version in files if version > current):
        for statement in split(files[version].read_text()):
            cursor.execute(statement)
        cursor.execute("INSERT INTO farandole_schema VALUES (?)", (version,))


async def create_tables(access: Access, tables: Any) -> None:
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
        for statement in split(tables):
            try:
                access.database.cursor.execute(statement)
            except sqlite3.Error as error:
                raise ConfigurationError(f"the service's tables=: {error}, in: {statement.strip()}") from error
    elif hasattr(tables, "create_all"):
        from sqlalchemy.util import greenlet_spawn

        from farandole.stores.sqlite.alchemy import handles
        from farandole.stores.sqlite.transaction import Inline

        users = handles(access.database, Inline(access.database.writer))
        try:
            await greenlet_spawn(tables.create_all, users.resource("connection").sync_connection, checkfirst=True)
        finally:
            users.end()
    else:
        raise ConfigurationError(f"a service's tables= is a SQLAlchemy MetaData or a string of SQL statements, got: {tables!r}")
