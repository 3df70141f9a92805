"""What commands print: tables for people, JSON for programs, and nothing that may not be seen."""

from __future__ import annotations

import getpass
import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from farandole.errors import ConfigurationError, EnvelopeError
from farandole.model.envelope import Envelope, decode
from farandole.model.event import HIDDEN, hides_key, redacted
from farandole.model.wire import Wire
from farandole.observe.record.reading import read_kept
from farandole.words import roughly

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["ago", "console", "data_of", "envelope_of", "key_of", "plain", "plain_lines", "print_json", "user", "write"]

_WIDE = 1000  # columns when the output is no terminal: a pipe has no edge


def console(*, stderr: bool = False) -> Console:
    """A console; in a pipe it is wide, so that tables keep their lines."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _WIDE, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def plain(text: object) -> str:
    """Text that a stranger wrote, without what would steer a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def plain_lines(text: str) -> str:
    """As `plain`, line by line."""
    return "\n".join(map(plain, text.splitlines()))


def ago(seconds: float | None) -> str:
    """A span of time in few letters."""
    return "-" if seconds is None else roughly(seconds)


def write(text: str, path: Path | None, flag: str = "--output") -> None:
    """Write to a file; None: to standard output.

    Raises
    ------
    ConfigurationError
        The file that the flag names cannot be written.
    """
    if path is None:
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{flag}: {path} cannot be written: {error.strerror}") from None


def user(named: str | None) -> str | None:
    """Who says so: the name that was given, or else the user's login name; None: nobody can tell."""
    try:
        who = named if named is not None else getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
    return who if who.strip() else None


def envelope_of(body: bytes) -> Envelope | None:
    """The envelope in these bytes, or None where there is none."""
    try:
        return decode(body)
    except EnvelopeError:
        return None


def key_of(envelope: Envelope | None, key: str, wire: Wire) -> str:
    """An event's key, blotted out where it is sensitive, or where its class is not known here: then nobody can tell."""
    if envelope is not None and key in (envelope.id, ""):
        return key
    classes = [binding.cls for binding in wire.by_class.values() if envelope is not None and binding.type == envelope.type]
    return HIDDEN if not classes or any(map(hides_key, classes)) else key


def data_of(envelope: Envelope, wire: Wire) -> dict[str, Any] | None:
    """An event's fields with sensitive ones blotted out; None where its class is not known here: then nobody can tell which are."""
    for binding in wire.by_class.values():
        if binding.type == envelope.type:
            try:
                event = read_kept(binding, bytes(envelope.data))
            except EnvelopeError:
                return None
            return {name: msgspec.to_builtins(value, str_keys=True, enc_hook=str) for name, value in redacted(event).items()}
    return None
