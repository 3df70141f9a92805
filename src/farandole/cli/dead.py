"""Dead letters: events that a reaction gave up on. List, show, edit, retry or discard them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cyclopts import Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from farandole.cli import FINDINGS, FINE
from farandole.cli.edit import edit, edits
from farandole.cli.letterbox import Found, Which, read
from farandole.cli.letters import as_json, as_text, group
from farandole.cli.output import ago, console, plain, print_json, user
from farandole.cli.target import Target
from farandole.errors import ConfigurationError
from farandole.model.wire import Wire
from farandole.stores.base import Edit, InboxRow, Store
from farandole.world import World

__all__ = ["COMMANDS"]

Change = Callable[[Store, list[InboxRow]], Awaitable[int]]
SHOWN = 10  # letters
_CHUNK = 100  # rows per transaction: progress is seen, and running services get the write lock in between


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


def list_(which: Which | None = None, *, exhausted: bool = False, json: bool = False) -> int:
    """List dead letters, grouped by reaction, exception and place.

    Parameters
    ----------
    exhausted
        Also events that an `exhausted` handler has closed.
    json
        Print JSON.
    """
    _, rows = read(which or Which(), exhausted=exhausted)
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


def show(id: str | None = None, /, which: Which | None = None, *, exhausted: bool = False, json: bool = False) -> int:
    """Show dead letters in full: the event, the reason, the place; ten, unless --limit says another number.

    Sensitive fields are blotted out.

    Parameters
    ----------
    id
        Only this event.
    exhausted
        Also events that an `exhausted` handler has closed.
    json
        Print JSON.
    """
    which = which or Which()
    which.id, which.limit = id or which.id, which.limit or SHOWN
    target, rows = read(which, exhausted=exhausted)
    wire = Wire(target.choreography)
    told = [
        as_json(service, row, wire, changes)
        for (service, row), changes in zip(rows, asyncio.run(_edits(target, rows)), strict=True)
    ]
    if json:
        print_json(told)
    else:
        for letter in told:
            console().print(as_text(letter), end="\n\n")
    if not rows:
        console(stderr=True).print("no dead letter matches")
    return FINE if rows else FINDINGS


async def _edits(target: Target, rows: Found) -> list[list[Edit]]:
    """What was changed in each of these by hand."""
    async with target.stores(World(), {service for service, _ in rows}) as stores:
        return [[one for one in await stores[service].edits(row.id) if one.reaction == row.reaction] for service, row in rows]


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
    """Give dead letters up for good: they become skipped, with a reason. A task about one is done then.

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
        return await store.discard_dead(rows, reason, who=user(None) or "(discarded)")

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
    target, found = read(which, exhausted=exhausted)
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


async def _in_chunks(verb: str, target: Target, found: Found, change: Change) -> int:
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


COMMANDS = {"list": list_, "show": show, "edit": edit, "edits": edits, "retry": retry, "discard": discard}
