"""Tasks for people: what a compensation could not undo, and what else was given up on that asks for somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from farandole.cli import FINDINGS, FINE
from farandole.cli.letters import as_json as letter_of
from farandole.cli.output import ago, console, plain, print_json, user
from farandole.cli.target import Target, find
from farandole.errors import ConfigurationError
from farandole.model.event import HIDDEN, hides_key
from farandole.model.reaction import Reaction
from farandole.model.wire import Wire
from farandole.stores.base import InboxRow, Task
from farandole.words import stamp
from farandole.world import World

__all__ = ["COMMANDS"]

Found = list[tuple[str, Task]]
"""Tasks, each with its service."""


def list_(
    *,
    service: list[str] | None = None,
    state: Literal["open", "done", "all"] = "open",
    app: str | None = None,
    database: str | None = None,
    json: bool = False,
) -> int:
    """List tasks, the oldest first.

    Parameters
    ----------
    service
        Only of these services; may be repeated.
    state
        Those that are open, those that are done, or all.
    app
        The choreography, as module:variable; it may come from the configuration.
    database
        The URL of a service's database, with {service} for its name.
    json
        Print JSON.
    """
    target = find(app, service, None, database)
    found = _read(target, done=state != "open")
    found = sorted((one for one in found if state != "done" or one[1].done_at), key=lambda one: one[1].opened_at)
    if json:
        print_json([_as_json(target, *one) for one in found])
        return FINE
    if not found:
        console().print("no tasks" if state == "all" else f"no {state} tasks" if state == "done" else "no open tasks")
        return FINE
    now = World().time()
    table = Table(box=None, pad_edge=False)
    for title in ("id", "opened", "reaction", "key", "to do", "why", *(("done",) if state != "open" else ())):
        table.add_column(title, overflow="fold")
    for name, task in found:
        cells = [
            _id(name, task),
            f"{ago(now - task.opened_at)} ago",
            task.reaction,
            _key(target, name, task),
            task.text,
            task.reason,
        ]
        if state != "open":
            cells.append("" if task.done_at is None else f"{ago(now - task.done_at)} ago by {task.who}")
        table.add_row(*(Text(plain(cell)) for cell in cells))
    console().print(table)
    return FINE


def show(id: str, /, *, app: str | None = None, database: str | None = None, json: bool = False) -> int:
    """Show a task in full: what is to be done, the event, why it was given up on, and how to go on. Sensitive fields are blotted out.

    Parameters
    ----------
    id
        The task, as `list` names it, such as payments-3.
    app
        The choreography, as module:variable; it may come from the configuration.
    database
        The URL of a service's database, with {service} for its name.
    json
        Print JSON.
    """
    target, name, number = _one(id, app, database)

    async def look() -> tuple[list[Task], list[InboxRow]]:
        async with target.stores(World(), [name]) as stores:
            tasks = await stores[name].tasks(id=number) if name in stores else []
            rows = await stores[name].fates([task.event for task in tasks]) if tasks else []
            return tasks, rows

    tasks, rows = asyncio.run(look())
    if not tasks:
        return _unknown(id)
    (task,) = tasks
    row = next((row for row in rows if row.reaction == task.reaction), None)
    told = _as_json(target, name, task) | {
        "undoes": _action(_reaction(target, name, task)),
        "letter": None if row is None else letter_of(name, row, Wire(target.choreography), ()),
        "commands": [] if task.done_at else list(_commands(name, task, row)),
    }
    if json:
        print_json(told)
    else:
        console().print(_as_text(told))
    return FINE


def done(id: str, /, *, why: str, who: str | None = None, app: str | None = None, database: str | None = None) -> int:
    """Say that a task is done. Who, when and why are kept; nothing else changes.

    Parameters
    ----------
    id
        The task, as `list` names it, such as payments-3.
    why
        What was done, for whoever asks later.
    who
        By whom; left out, the user's login name.
    app
        The choreography, as module:variable; it may come from the configuration.
    database
        The URL of a service's database, with {service} for its name.
    """
    if not why.strip():
        raise ConfigurationError("--why: expected a text that tells others what was done, got an empty one")
    person = user(who)
    if person is None:
        raise ConfigurationError("tasks done: nobody can tell who you are. Say it with --who NAME; it is kept with the task")
    target, name, number = _one(id, app, database)

    async def finish() -> tuple[bool, list[Task]]:
        async with target.stores(World(), [name]) as stores:
            if name not in stores:
                return False, []
            return await stores[name].finish_task(number, who=person, why=why), await stores[name].tasks(id=number)

    finished, tasks = asyncio.run(finish())
    if not tasks:
        return _unknown(id)
    (task,) = tasks
    if not finished:
        at = stamp(task.done_at or 0.0)
        console(stderr=True).print(f"{id} is done already, by {plain(task.who)} at {at}: {plain(task.why)}")
        return FINDINGS
    console().print(f"{id} is done, by {plain(person)}")
    return FINE


def _read(target: Target, *, done: bool) -> Found:
    async def look() -> Found:
        async with target.stores(World()) as stores:
            return [(name, task) for name, store in stores.items() for task in await store.tasks(done=done)]

    return asyncio.run(look())


def _one(id: str, app: str | None, database: str | None) -> tuple[Target, str, int]:
    """Whose task it is, and its number there."""
    service, _, number = id.rpartition("-")
    if not service or not (number.isascii() and number.isdigit()) or len(number) > 18:
        raise ConfigurationError(f"expected a task as `farandole tasks list` names it, such as payments-3, got: {id}")
    return find(app, [service], None, database), service, int(number)


def _unknown(id: str) -> int:
    console(stderr=True).print(f"there is no task {plain(id)}. See: farandole tasks list --state all")
    return FINDINGS


def _id(service: str, task: Task) -> str:
    return f"{service}-{task.id}"


def _reaction(target: Target, service: str, task: Task) -> Reaction[Any, Any, Any] | None:
    return next((one for one in target.choreography.services[service].reactions.values() if one.id == task.reaction), None)


def _key(target: Target, service: str, task: Task) -> str:
    """The event's key, blotted out where it may be sensitive."""
    reaction = _reaction(target, service, task)
    hidden = reaction is None or any(map(hides_key, reaction.events))
    return HIDDEN if hidden and task.key != task.event else task.key


def _action(reaction: Reaction[Any, Any, Any] | None) -> dict[str, str] | None:
    """What a compensation should have undone."""
    if reaction is None or reaction.compensates is None:
        return None
    action = reaction.compensates
    said = (action.__doc__ or "").strip().partition("\n")[0].strip()
    return {
        "reaction": action.id,
        "event": reaction.undoes.__name__ if reaction.undoes else "",
        "doc": said,
        "place": action.place,
    }


def _commands(service: str, task: Task, row: InboxRow | None) -> Iterable[str]:
    """How to go on."""
    if task.correlation:
        yield f"farandole trace {plain(task.correlation)}"
    which = f"{plain(task.event)} --reaction {plain(task.reaction)}"
    if row is not None and row.state == "dead":
        yield f"farandole dead retry {which}"
        yield f'farandole dead discard {which} --reason "…"'
    elif row is not None and row.state == "exhausted":
        yield f"farandole dead retry {which} --force"
    yield f'farandole tasks done {_id(service, task)} --why "…"'


def _as_json(target: Target, service: str, task: Task) -> dict[str, Any]:
    return {
        "id": _id(service, task),
        "service": service,
        "state": "open" if task.done_at is None else "done",
        "opened": stamp(task.opened_at),
        "to_do": task.text,
        "reaction": task.reaction,
        "event": task.event,
        "key": _key(target, service, task),
        "correlation": task.correlation,
        "kind": task.kind,
        "reason": task.reason,
        "done": stamp(task.done_at),
        "who": task.who,
        "why": task.why,
    }


def _as_text(told: dict[str, Any]) -> Text:
    text = Text()
    text.append(f"{plain(told['id'])}", style="bold")
    text.append(f"  {plain(told['to_do'])}", style="bold red" if told["state"] == "open" else "bold green")
    for name, value in told.items():
        if name not in ("id", "to_do", "undoes", "letter", "commands") and value not in (None, ""):
            text.append(f"\n  {name}: {plain(value)}")
    if undoes := told["undoes"]:
        said = f": {undoes['doc']}" if undoes["doc"] else ""
        text.append(
            f"\n  should have undone: {plain(undoes['event'])} of {plain(undoes['reaction'])} ({plain(undoes['place'])}){plain(said)}"
        )
    letter = told["letter"]
    event = letter["event"] if letter else None
    if letter is None or not letter["bytes"]:
        text.append("\n  the event is not kept any more", style="dim")
    elif event is None:
        text.append("\n  event: these bytes are no CloudEvent; not shown", style="yellow")
    if letter is not None:
        text.append(f"\n  runs: {letter['attempts']}; the event is {letter['state']} now")
        if letter["place"]:
            text.append(f"\n  place: {plain(letter['place'])}")
    for name, value in (event or {}).items():
        if name != "data":
            text.append(f"\n  event.{name}: {plain(value)}", style="dim")
    if event and event["data"] is None:
        text.append("\n  event.data: of an unknown or unreadable type; not shown", style="yellow")
    for name, value in ((event or {}).get("data") or {}).items():
        text.append(f"\n  event.data.{plain(name)}: {plain(value)}")
    for command in told["commands"]:
        text.append(f"\n  $ {command}", style="cyan")
    return text


COMMANDS = {"list": list_, "show": show, "done": done}
