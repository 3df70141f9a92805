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

_HERE = Path(__file__).parent


def _files(what: str = "") -> dict[int, Path]:
    folder = _HERE / (f"{what}_migrations" if what else "migrations")
    return {int(found[0]): file for file in folder.iterdir() if (found := re.match(r"\d+", file.name))}


def latest() -> int:
    """The schema that this version wants."""
    return max(_files())


def migrate(access: Access, what: str = "") -> None:
    """Apply the numbered migrations that are missing, inside the open transaction.

    Parameters
    ----------
    what:
        `"record"`: the tables of a record, which have versions of their own.

    Raises
    ------
    NewerDatabase
        The database has a migration that this version does not know.
    """
    cursor = access.database.cursor
    table = f"farandole_{what}_schema" if what else "farandole_schema"
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} (version INTEGER NOT NULL)")
    cursor.execute(f"DELETE FROM {table} WHERE false")  # changes nothing, but fails where the file cannot be written
    (current,) = cursor.execute(f"SELECT coalesce(max(version), 0) FROM {table}").fetchone()
    files = _files(what)
    if current > max(files):
        raise NewerDatabase(
            f"{access.database.name} has schema {current}, written by a newer Farandole; this one knows {max(files)}. "
            f"Upgrade this process: pip install --upgrade farandole"
        )
    for version in sorted(version for version in files if version > current):
        for statement in split(files[version].read_text()):
            cursor.execute(statement)
        cursor.execute(f"INSERT INTO {table} VALUES (?)", (version,))


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
    else:
        from farandole.stores.alchemy import create_all
        from farandole.stores.sqlite.alchemy import handles
        from farandole.stores.sqlite.transaction import Inline

        await create_all(tables, lambda: handles(access.database, Inline(access.database.writer)))
