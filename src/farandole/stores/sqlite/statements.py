"""Named SQL statements, read from the .sql files beside this module: `-- name: a sentence` stands above each."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

__all__ = ["Statement", "Statements", "split"]

_HEAD = re.compile(r"^-- (\w+): .*$", re.MULTILINE)


class Statement:
    """One statement, with the names of the crash points around it."""

    __slots__ = ("after", "before", "name", "sql")

    def __init__(self, name: str, sql: str) -> None:
        self.name = name
        self.sql = sql
        self.before = f"store.{name}:before"
        self.after = f"store.{name}:after"


class Statements:
    """The statements of one file, as attributes."""

    def __init__(self, file: str) -> None:
        parts = _HEAD.split((Path(__file__).parent / file).read_text())
        self.all = {
            name: Statement(name, sql.strip().removesuffix(";")) for name, sql in zip(parts[1::2], parts[2::2], strict=True)
        }

    def __getattr__(self, name: str) -> Statement:
        try:
            return self.__dict__["all"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None


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
