"""What people are asked to do about events that were given up on, in PostgreSQL; see `stores.base.Task`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from farandole.stores.base import InboxRow, Task
from farandole.stores.postgres import inbox
from farandole.stores.postgres.database import Database
from farandole.stores.postgres.text import clean, escape, unescape
from farandole.stores.rows import BY_RETRY, RETRIED, asked, is_answered, is_asked, task_row
from farandole.stores.statements import Statements

__all__ = ["close", "finish", "follow", "tasks"]

SQL = Statements(Path(__file__).with_name("tasks.sql"), inbox.NOW)


async def follow(database: Database, connection: Any, row: InboxRow, state: str, reason: str | None) -> None:
    """A row comes into this state: where it was given up on, somebody is asked; where it ended otherwise, nobody is needed any more."""
    if is_asked(row, state):
        reaction, event, key, correlation, *said = asked(row, state, reason)
        names = map(escape, (reaction, event, key, correlation))
        await database.run(connection, SQL.open, database.now, *names, *map(clean, said))
    elif is_answered(row, state):
        await close(database, connection, [row], RETRIED, reason or BY_RETRY)


async def close(database: Database, connection: Any, rows: Iterable[InboxRow], who: str, why: str) -> None:
    """Nobody is needed for these any more."""
    for row in rows:
        await database.run(connection, SQL.close, database.now, clean(who), clean(why), escape(row.reaction), escape(row.id))


async def finish(database: Database, id: int, who: str, why: str) -> bool:
    """Somebody did it; False: it is not open."""
    return bool(await database.read(SQL.finish, database.now, clean(who), clean(why), id))


async def tasks(database: Database, id: int | None, *, done: bool) -> list[Task]:
    """Open ones, and those that are done, or one of them."""
    found = await database.read(SQL.listed, done, id)
    return [_task(values) for values in found]


def _task(values: Any) -> Task:
    number, at, reaction, event, key, correlation, *rest = values
    return task_row((number, at, *map(unescape, (reaction, event, key, correlation)), *rest))
