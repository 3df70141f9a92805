"""`farandole dead edit` and `edits`: change the data of a dead letter, and look at what was changed."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from farandole.cli import FINDINGS, FINE
from farandole.cli.draft import Draft
from farandole.cli.letterbox import Which, read
from farandole.cli.output import console, data_of, envelope_of, plain, print_json, user
from farandole.cli.target import Target, find
from farandole.errors import ConfigurationError
from farandole.model.wire import Wire
from farandole.stores.base import Edit, InboxRow
from farandole.words import stamp
from farandole.world import World

__all__ = ["edit", "edits"]


@Parameter(name="*")
@dataclass(kw_only=True)
class Change:
    """How a letter is edited.

    Parameters
    ----------
    reason
        Why; it is kept.
    file
        Read the new data from here, - for standard input; left out, the editor that $VISUAL or $EDITOR names opens.
    whole
        The file has the whole event as CloudEvents JSON, not only its data.
    by
        Who edits; left out, the user's login name.
    yes
        Store it without asking.
    dry_run
        Only check, and show what would change.
    json
        Print JSON.
    """

    reason: str
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    whole: bool = False
    by: str | None = None
    yes: bool = False
    dry_run: bool = False
    json: bool = False


def edit(id: str, /, change: Change, which: Which | None = None) -> int:
    """Change the data of a dead letter; retry it afterwards.

    It is checked against the class of the event, and the difference is shown before it is stored. The bytes before are kept, see
    `farandole dead edits`. Only the letter changes: what others have got of this event stays.

    Parameters
    ----------
    id
        The event.
    """
    which = which or Which()
    who = _who(change)
    which.id, which.limit = id, None
    target, found = read(which)
    if not found:
        console(stderr=True).print("no dead letter matches")
        return FINDINGS
    if len(found) > 1:
        names = ", ".join(sorted(row.reaction for _, row in found))
        raise ConfigurationError(f"dead edit: event {id} is dead in {names}. Say which one with --reaction")
    ((service, row),) = found
    draft = Draft(service, row, Wire(target.choreography))
    body = _new_body(draft, change)
    lines = draft.difference(body)
    if not change.json:
        _print(lines)
    if body == row.body:
        return _say(change, row, lines, "nothing was changed: this is what it says already", edited=False)
    if change.dry_run:
        return _say(change, row, lines, "", edited=False, code=FINE)
    if not change.yes and not _agreed(change):
        return _say(change, row, lines, "nothing was changed", edited=False)
    edited, why = asyncio.run(_store(target, service, row, body, (who, change.reason)))
    if not edited:
        return _say(change, row, lines, f"not stored: {why}. Look again: farandole dead show {plain(row.id)}", edited=False)
    return _say(change, row, lines, f"edited. Let it run: farandole dead retry {plain(row.id)}", edited=True, code=FINE)


def edits(
    id: str | None = None,
    /,
    *,
    service: list[str] | None = None,
    reaction: str | None = None,
    app: str | None = None,
    database: str | None = None,
    json: bool = False,
) -> int:
    """Show what was edited: who, when, why, and the data before. Sensitive fields are blotted out.

    Parameters
    ----------
    id
        Only this event.
    service
        Only of these services; may be repeated.
    reaction
        Only of this reaction, such as payments.charge.
    app
        The choreography, as module:variable; it may come from the configuration.
    database
        The URL of a service's database, with {service} for its name.
    json
        Print JSON.
    """
    target = find(app, service, None, database)

    async def look() -> list[tuple[str, Edit]]:
        async with target.stores(World()) as stores:
            return [(name, one) for name, store in stores.items() for one in await store.edits(id)]

    found = [(name, one) for name, one in asyncio.run(look()) if reaction in (None, one.reaction)]
    wire = Wire(target.choreography)
    if json:
        print_json([_as_json(name, one, wire) for name, one in found])
    for name, one in [] if json else found:
        told = _as_json(name, one, wire)
        text = Text(f"{told['at']}  {plain(one.who)}  {plain(one.reaction)}  {plain(one.id)}")
        text.append(f"\n  why: {plain(one.why)}")
        for field, value in (told["before"] or {}).items():
            text.append(f"\n  before.{plain(field)}: {plain(value)}", style="dim")
        if told["before"] is None:
            text.append("\n  before: of an unknown or unreadable type; not shown", style="yellow")
        console().print(text)
    if not found and not json:
        console().print("nothing was edited")
    return FINE


def _as_json(service: str, one: Edit, wire: Wire) -> dict[str, Any]:
    envelope = envelope_of(one.body)
    before = None if envelope is None else data_of(envelope, wire)
    return {"service": service, "reaction": one.reaction, "id": one.id, "at": stamp(one.at), "who": one.who, "why": one.why} | {
        "before": before,
        "bytes": len(one.body),
    }


def _who(change: Change) -> str:
    if not change.reason.strip():
        raise ConfigurationError("--reason: expected a text that tells others why, got an empty one")
    if change.whole and change.file is None:
        raise ConfigurationError(
            "--whole: what is sensitive in a whole event could be seen in an editor. Give it with --file FILE"
        )
    who = user(change.by)
    if who is None:
        raise ConfigurationError("dead edit: nobody can tell who you are. Say it with --by NAME; it is kept with the edit")
    return who


def _new_body(draft: Draft, change: Change) -> bytes:
    if change.file is None:
        return _in_editor(draft)
    try:
        given = sys.stdin.buffer.read() if change.file == "-" else Path(change.file).read_bytes()
        return draft.with_bytes(given) if change.whole else draft.with_data(given.decode())
    except OSError as error:
        raise ConfigurationError(f"--file: cannot read {change.file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--file: {change.file} is no text in UTF-8") from None


def _in_editor(draft: Draft) -> bytes:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        raise ConfigurationError(
            "dead edit: which editor? Set $EDITOR, or give the new data with --file FILE (- for standard input)"
        )
    text = draft.text
    handle, name = tempfile.mkstemp(prefix="farandole-", suffix=".json")  # for this user's eyes only
    path = Path(name)
    os.close(handle)
    path.write_text(text, encoding="utf-8")
    try:
        code = subprocess.run([*shlex.split(command), name], check=False).returncode  # noqa: S603 - the user's own editor
    except (OSError, ValueError) as error:
        path.unlink()
        raise ConfigurationError(f"dead edit: cannot run the editor {command!r}: {error}. Set $EDITOR, or use --file") from None
    if code:
        path.unlink()
        raise ConfigurationError(f"dead edit: the editor {command!r} ended with {code}, so nothing was changed")
    try:
        body = draft.with_data(path.read_text(encoding="utf-8"))
    except (ConfigurationError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{error}. Your text is kept: correct it and give it with --file {name}") from None
    path.unlink()
    return body


def _print(lines: list[str]) -> None:
    styles = {"+": "green", "-": "red"}
    for line in lines:
        console().print(Text(plain(line), style=styles.get(line[0], "dim")))


def _agreed(change: Change) -> bool:
    if change.json or change.file == "-" or not sys.stdin.isatty():
        raise ConfigurationError(
            "dead edit: nobody can be asked here whether to store this. Say --yes, or look first with --dry-run"
        )
    console(stderr=True).print("store this? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _store(target: Target, service: str, row: InboxRow, body: bytes, note: tuple[str, str]) -> tuple[bool, str]:
    """Whether it was stored; where not, why."""
    who, why = note
    async with target.stores(World(), [service]) as stores:
        store = stores[service]
        if await store.edit_dead(row, body, who=who, why=why):
            return True, ""
        states = [one.state for one in await store.fates([row.id]) if one.reaction == row.reaction]
        if states != ["dead"]:
            return False, f"it is dead no more, but {states[0] if states else 'gone'}"
        last = [one for one in await store.edits(row.id) if one.reaction == row.reaction][-1]
        return False, f"{plain(last.who)} edited it meanwhile ({plain(last.why)})"


def _say(change: Change, row: InboxRow, lines: list[str], words: str, *, edited: bool, code: int = FINDINGS) -> int:
    if change.json:
        print_json({"id": row.id, "reaction": row.reaction, "edited": edited, "difference": lines, "message": words})
    elif words:
        console(stderr=code != FINE).print(words)
    return code
