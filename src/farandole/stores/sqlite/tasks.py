"""What people are asked to do about events that were given up on; see `stores.base.Task`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from farandole.stores.base import InboxRow, Task
from farandole.stores.rows import BY_RETRY, RETRIED, asked, is_answered, is_asked, task_row
from farandole.stores.sqlite.database import Access
from farandole.stores.sqlite.inbox import millis
from farandole.stores.statements import Statements

__all__ = ["close", "finish", "follow", "forget", "tasks"]

SQL = Statements(Path(__file__).with_name("tasks.sql"))


def follow(access: Access, row: InboxRow, state: str, reason: str | None) -> None:
    """A row comes into this state: where it was given up on, somebody is asked; where it ended otherwise, nobody is needed any more."""
    if is_asked(row, state):
        access.run(SQL.open, (millis(access.world.time()), *asked(row, state, reason)))
    elif is_answered(row, state):
        close(access, [row], RETRIED, reason or BY_RETRY)


def close(access: Access, rows: Iterable[InboxRow], who: str, why: str) -> None:
    """Nobody is needed for these any more."""
    now = millis(access.world.time())
    access.run_many(SQL.close, [(now, who, why, row.reaction, row.id) for row in rows])


def finish(access: Access, id: int, who: str, why: str) -> bool:
    """Somebody did it; False: it is not open."""
    return access.run(SQL.finish, (millis(access.world.time()), who, why, id)).rowcount > 0


async def tasks(access: Access, id: int | None, *, done: bool) -> list[Task]:
    """Open ones, and those that are done, or one of them."""
    return [task_row(found) for found in await access.read(SQL.listed, (done, id))]


def forget(access: Access, before: float, limit: int) -> None:
    """Delete some that were done before this moment."""
    access.run(SQL.forget, (millis(before), limit))
