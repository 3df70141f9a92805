"""Dead letters in words and in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from farandole.cli.output import data_of, envelope_of, key_of, plain
from farandole.model.wire import Wire
from farandole.stores.base import Edit, InboxRow
from farandole.words import stamp

__all__ = ["as_json", "as_text", "group"]


def group(rows: Iterable[tuple[str, InboxRow]]) -> list[dict[str, Any]]:
    """Dead letters that failed alike, together; most frequent first. `ids` from the oldest to the newest."""
    groups: dict[tuple[str, str, str | None, str | None], list[InboxRow]] = {}
    for service, row in rows:
        groups.setdefault((service, row.reaction, row.error, row.place), []).append(row)
    found = []
    for (service, reaction, error, place), alike in groups.items():
        alike.sort(key=lambda row: row.handled_at)
        found.append(
            {
                "service": service,
                "reaction": reaction,
                "error": error,
                "place": place,
                "count": len(alike),
                "oldest": alike[0].handled_at,
                "newest": alike[-1].handled_at,
                "reason": alike[-1].reason,
                "ids": [row.id for row in alike],
            }
        )
    return sorted(found, key=lambda entry: -entry["count"])


def as_json(service: str, row: InboxRow, wire: Wire, edits: Iterable[Edit]) -> dict[str, Any]:
    """One dead letter, and how it was changed; `event` is None where the bytes are no CloudEvent, `data` where its type is unknown here."""
    envelope = envelope_of(row.body)
    event: dict[str, Any] | None = None
    if envelope is not None:
        names = ("id", "source", "type", "time", "subject", "correlationid", "causationid", "partitionkey", "depth")
        event = {name: value for name in names if (value := getattr(envelope, name)) is not None}
        if "partitionkey" in event:
            event["partitionkey"] = key_of(envelope, event["partitionkey"], wire)
        event["data"] = data_of(envelope, wire)
    return {
        "service": service,
        "reaction": row.reaction,
        "id": row.id,
        "key": row.key if row.key in (row.id, row.place) else key_of(envelope, row.key, wire),
        "topic": row.topic,
        "state": row.state,
        "attempts": row.attempts,
        "died": stamp(row.handled_at),
        "holds_key": row.blocks,
        "error": row.error,
        "reason": row.reason,
        "place": row.place,
        "event": event,
        "bytes": len(row.body),
        "edits": [{"at": stamp(edit.at), "who": edit.who, "why": edit.why} for edit in edits],
    }


def as_text(told: dict[str, Any]) -> Text:
    """One dead letter as `as_json` tells it, one line for each thing known."""
    event = told["event"]
    text = Text()
    text.append(f"{plain(told['id'])}", style="bold")
    text.append(f"  {plain(told['reaction'])}  ", style="bold red")
    for name, value in told.items():
        if name not in ("id", "reaction", "event", "edits") and value is not None:
            text.append(f"\n  {name}: {plain(value)}")
    for edit in told["edits"]:
        text.append(f"\n  edited: {edit['at']} by {plain(edit['who'])}: {plain(edit['why'])}")
    if event is None:
        text.append("\n  event: these bytes are no CloudEvent; not shown", style="yellow")
        return text
    data = event["data"]
    for name, value in event.items():
        if name != "data":
            text.append(f"\n  event.{name}: {plain(value)}", style="dim")
    if data is None:
        text.append("\n  event.data: of an unknown or unreadable type; not shown", style="yellow")
    for name, value in (data or {}).items():
        text.append(f"\n  event.data.{plain(name)}: {plain(value)}")
    return text
