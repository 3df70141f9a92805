"""What commands print: tables for people, JSON for programs, and nothing that may not be seen."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console

from farandole.errors import EnvelopeError
from farandole.model.envelope import Envelope, decode
from farandole.model.event import redacted
from farandole.model.wire import Wire

__all__ = ["ago", "console", "data_of", "envelope_of", "moment", "plain", "print_json"]

_WIDE = 1000  # columns when the output is no terminal: a pipe has no edge


def console(*, stderr: bool = False) -> Console:
    """A console; in a pipe it is wide, so that tables keep their lines."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _WIDE, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def plain(text: object) -> str:
    """Text that a stranger wrote, without what would steer a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def ago(seconds: float | None) -> str:
    """A span of time in few letters."""
    if seconds is None:
        return "-"
    if seconds < 0:
        return f"-{ago(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 2:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def moment(seconds: float) -> str:
    """A time in UTC, of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def envelope_of(body: bytes) -> Envelope | None:
    """The envelope in these bytes, or None where there is none."""
    try:
        return decode(body)
    except EnvelopeError:
        return None


def data_of(envelope: Envelope, wire: Wire) -> dict[str, Any] | None:
    """An event's fields with sensitive ones blotted out; None where its class is not known here: then nobody can tell which are."""
    for binding in wire.by_class.values():
        if binding.type == envelope.type:
            try:
                event = binding.decode(bytes(envelope.data))
            except EnvelopeError:
                return None
            return {name: msgspec.to_builtins(value, str_keys=True, enc_hook=str) for name, value in redacted(event).items()}
    return None
