"""Named SQL statements, read from the .sql files beside the stores: `-- name: a sentence` stands above each."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

__all__ = ["Statement", "Statements", "split"]

_NUMBERED = re.compile(r"\?(\d+)")
_HEAD = re.compile(r"^-- (\w+): .*$", re.MULTILINE)


class Statement:
    """One statement, with the names of the crash points around it.

    Its file may number the placeholders (`?2`), which reads well where a value is used twice. Python's sqlite3 takes sequences for
    plain ones only (from 3.14 on it refuses the others), so they are put in order here.
    """

    __slots__ = ("_order", "after", "before", "name", "sql")

    def __init__(self, name: str, sql: str) -> None:
        self.name = name
        self.sql = _NUMBERED.sub("?", sql)
        self._order = tuple(int(number) - 1 for number in _NUMBERED.findall(sql))
        self.before = f"store.{name}:before"
        self.after = f"store.{name}:after"

    def arrange(self, parameters: Sequence[Any]) -> Sequence[Any]:
        """Parameters in the order of the plain placeholders."""
        return [parameters[number] for number in self._order] if self._order else parameters


class Statements:
    """The statements of one file, as attributes.

    Parameters
    ----------
    file:
        Where they stand.
    words:
        What takes the place of some words, such as `:now`.
    """

    def __init__(self, file: Path, words: Mapping[str, str] = MappingProxyType({})) -> None:
        text = file.read_text()
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        parts = _HEAD.split(text)
        self.all = {
            name: Statement(name, sql.strip().removesuffix(";")) for name, sql in zip(parts[1::2], parts[2::2], strict=True)
        }
        self.__dict__.update(self.all)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Statement: ...


def split(script: str) -> list[str]:
    """The statements of a script, one by one (`executescript` would commit)."""
    found, piece = [], ""
    for part in re.split(r"(?<=;)", script):
        piece += part
        if sqlite3.complete_statement(piece):
            found.append(piece)
            piece = ""
    if piece.strip():
        found.append(piece)
    return found
