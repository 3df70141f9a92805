"""Dead letters: events that a reaction gave up on. List, show, retry or discard them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cyclopts import Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from farandole.cli import FINDINGS, FINE
from farandole.cli.letters import as_json, as_text, group
from farandole.cli.output import ago, console, plain, print_json
from farandole.cli.target import Target, find
from farandole.errors import ConfigurationError
from farandole.model.wire import Wire
from farandole.stores.base import DeadFilter, InboxRow, Store
from farandole.world import World

__all__ = ["COMMANDS"]

Change = Callable[[Store, list[InboxRow]], Awaitable[int]]
_CHUNK = 100  # rows per transaction: progress is seen, and running services get the write lock in between


@Parameter(name="*")
@dataclass(kw_only=True)
class Which:
    """Which dead letters, and where they are.

    Parameters
    ----------
    service
        Only of these services; may be repeated.
    reaction
        Only of this reaction, such as payments.charge.
    error
        Only with this exception, such as TimeoutError.
    place
        Only raised here: the end of it is enough, such as payments.py:42.
    id
        Only this event.
    text
        Only with this text in the reason or the event.
    app
        The choreography, as module:variable; it may come from the configuration.
    database
        The URL of a service's database, with {service} for its name.
    """

    service: list[str] | None = None
    reaction: str | None = None
    error: str | None = None
    place: str | None = None
    id: str | None = None
    text: str | None = None
    app: str | None = None
    database: str | None = None

    @property
    def narrows(self) -> bool:
        """Whether there is any condition."""
        return any((self.service, self.reaction, self.error, self.place, self.id, self.text))


@Parameter(name="*")
@dataclass(kw_only=True)
class How:
    """How dead letters are changed.

    Parameters
    ----------
    all
        All of them: needed where nothing narrows them down.
    dry_run
        Only say what would be done.
    json
        Print JSON.
    """

    all: bool = False
    dry_run: bool = False
    json: bool = False


def _read(which: Which, *, exhausted: bool = False) -> tuple[Target, list[tuple[str, InboxRow]]]:
    """The dead letters, each with its service; `exhausted`: also what an exhausted handler has closed."""
    target = find(which.app, which.service, None, which.database)
    wanted = DeadFilter(reaction=which.reaction, id=which.id, error=which.error, text=which.text, exhausted=exhausted)

    async def read() -> list[tuple[str, InboxRow]]:
        async with target.stores(World()) as stores:
            return [(service, row) for service, store in stores.items() for row in await store.dead(wanted)]

    found = asyncio.run(read())
    return target, [(service, row) for service, row in found if (row.place or "").endswith(which.place or "")]


def list_(which: Which | None = None, *, exhausted: bool = False, json: bool = False) -> int:
    """List dead letters, grouped by reaction, exception and place.

    Parameters
    ----------
    exhausted
        Also events that an `exhausted` handler has closed.
    json
        Print JSON.
    """
    _, rows = _read(which or Which(), exhausted=exhausted)
    groups = group(rows)
    if json:
        print_json({"dead": len(rows), "groups": groups})
        return FINE
    if not groups:
        console().print("no dead letters")
        return FINE
    now = World().time()
    table = Table(box=None, pad_edge=False)
    table.add_column("count", justify="right")
    for title in ("reaction", "error", "place", "newest", "reason of the newest", "its id"):
        table.add_column(title, overflow="fold")
    for entry in groups:
        cells = (
            entry["reaction"],
            entry["error"],
            entry["place"],
            f"{ago(now - entry['newest'])} ago",
            entry["reason"],
            entry["ids"][-1],
        )
        table.add_row(str(entry["count"]), *(Text(plain(cell or "-")) for cell in cells))
    console().print(table)
    return FINE


def show(
    id: str | None = None, /, which: Which | None = None, *, exhausted: bool = False, limit: int = 10, json: bool = False
) -> int:
    """Show dead letters in full: the event, the reason, the place. Sensitive fields are blotted out.

    Parameters
    ----------
    id
        Only this event.
    exhausted
        Also events that an `exhausted` handler has closed.
    limit
        How many at most; 10 if left out.
    json
        Print JSON.
    """
    which = which or Which()
    which.id = id or which.id
    target, rows = _read(which, exhausted=exhausted)
    rows = rows[:limit]
    wire = Wire(target.choreography)
    if json:
        print_json([as_json(service, row, wire) for service, row in rows])
    else:
        for service, row in rows:
            console().print(as_text(service, row, wire), end="\n\n")
    return _found(rows)


def retry(id: str | None = None, /, which: Which | None = None, how: How | None = None, *, force: bool = False) -> int:
    """Try dead letters again, with all their attempts.

    Parameters
    ----------
    id
        Only this event.
    force
        Also what an `exhausted` handler has closed: others may have acted on its failure already.
    """

    async def again(store: Store, rows: list[InboxRow]) -> int:
        return await store.retry_dead(rows, force=force)

    return _change("retry", "retried", again, id, which or Which(), how or How(), exhausted=force)


def discard(id: str | None = None, /, which: Which | None = None, how: How | None = None, *, reason: str) -> int:
    """Give dead letters up for good: they become skipped, with a reason.

    Parameters
    ----------
    id
        Only this event.
    reason
        Why; it is kept.
    """
    if not reason.strip():
        raise ConfigurationError("--reason: expected a text that tells others why, got an empty one")

    async def away(store: Store, rows: list[InboxRow]) -> int:
        return await store.discard_dead(rows, reason)

    return _change("discard", "discarded", away, id, which or Which(), how or How())


def _change(
    verb: str, participle: str, change: Change, id: str | None, which: Which, how: How, *, exhausted: bool = False
) -> int:
    which.id = id or which.id
    if which.narrows == how.all:
        raise ConfigurationError(
            f"dead {verb}: --all and filters exclude each other"
            if how.all
            else f"dead {verb}: which ones? Give an id or a filter such as --reaction payments.charge, or --all"
        )
    target, found = _read(which, exhausted=exhausted)
    changed = 0 if how.dry_run or not found else asyncio.run(_in_chunks(verb, target, found, change))
    if how.json:
        ids = [row.id for _, row in found]
        print_json({"matched": len(found), participle: changed, "dry_run": how.dry_run, "ids": ids})
    elif how.dry_run:
        console().print(f"would {verb} {len(found)}: " + (", ".join(plain(row.id) for _, row in found) or "none match"))
    else:
        console().print(f"{participle} {changed} of {len(found)}")
    if not how.dry_run and changed < len(found):
        console(stderr=True).print("the rest is closed, or has changed meanwhile. See: farandole dead list")
    return FINE if found and (how.dry_run or changed == len(found)) else FINDINGS


async def _in_chunks(verb: str, target: Target, found: list[tuple[str, InboxRow]], change: Change) -> int:
    rows: dict[str, list[InboxRow]] = {}
    for service, row in found:
        rows.setdefault(service, []).append(row)
    out = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    changed = 0
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task(verb, total=len(found))
        async with target.stores(World(), rows) as stores:
            for service, store in stores.items():
                mine = rows[service]
                for start in range(0, len(mine), _CHUNK):
                    chunk = mine[start : start + _CHUNK]
                    changed += await change(store, chunk)
                    bar.advance(task, len(chunk))
    return changed


def _found(rows: list[Any]) -> int:
    if not rows:
        console(stderr=True).print("no dead letter matches")
    return FINE if rows else FINDINGS


COMMANDS = {"list": list_, "show": show, "retry": retry, "discard": discard}
