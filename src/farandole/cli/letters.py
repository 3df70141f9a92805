"""Dead letters in words and in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from farandole.cli.output import data_of, envelope_of, plain
from farandole.model.wire import Wire
from farandole.stores.base import InboxRow

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


def as_json(service: str, row: InboxRow, wire: Wire) -> dict[str, Any]:
    """One dead letter; `event` is None where the bytes are no CloudEvent, `data` where its type is unknown here."""
    envelope = envelope_of(row.body)
    event: dict[str, Any] | None = None
    if envelope is not None:
        names = ("id", "source", "type", "time", "subject", "correlationid", "causationid", "partitionkey", "depth")
        event = {name: value for name in names if (value := getattr(envelope, name)) is not None}
        event["data"] = data_of(envelope, wire)
    return {
        "service": service,
        "reaction": row.reaction,
        "id": row.id,
        "key": row.key,
        "topic": row.topic,
        "state": row.state,
        "attempts": row.attempts,
        "died": datetime.fromtimestamp(row.handled_at, UTC).isoformat(),
        "holds_key": row.blocks,
        "error": row.error,
        "reason": row.reason,
        "place": row.place,
        "event": event,
        "bytes": len(row.body),
    }


def as_text(service: str, row: InboxRow, wire: Wire) -> Text:
    """One dead letter, one line for each thing known."""
    told = as_json(service, row, wire)
    event = told.pop("event")
    text = Text()
    text.append(f"{plain(row.id)}", style="bold")
    text.append(f"  {plain(row.reaction)}  ", style="bold red")
    for name, value in told.items():
        if name not in ("id", "reaction") and value is not None:
            text.append(f"\n  {name}: {plain(value)}")
    if event is None:
        text.append("\n  event: these bytes are no CloudEvent; not shown", style="yellow")
        return text
    data = event.pop("data")
    for name, value in event.items():
        text.append(f"\n  event.{name}: {plain(value)}", style="dim")
    if data is None:
        text.append("\n  event.data: of an unknown or unreadable type; not shown", style="yellow")
    for name, value in (data or {}).items():
        text.append(f"\n  event.data.{plain(name)}: {plain(value)}")
    return text
