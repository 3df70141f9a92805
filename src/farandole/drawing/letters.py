"""Letters: what may be shown of a text, how wide a terminal shows it, and how it is cut to a width."""

from __future__ import annotations

import unicodedata

__all__ = ["balanced", "cells", "fit", "lines", "plain"]


def plain(text: str) -> str:
    """Text on one line, without what would steer a terminal or spoil a document."""
    words = " ".join(text.split())
    return words if words.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in words)


def cells(text: str) -> int:
    """How many columns of a terminal it takes."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Cut to a width; `…` stands where something is missing."""
    if cells(text) <= width:
        return text
    kept, room = "", width - 1
    for char in text:
        room -= _cell(char)
        if room < 0:
            break
        kept += char
    return f"{kept.rstrip()}…" if width > 0 else ""


def lines(text: str, width: int) -> list[str]:
    """Broken at spaces into lines of at most a width; a longer word is cut into pieces."""
    found, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if cells(longer) <= width:
            line = longer
            continue
        found += [line] if line else []
        *pieces, line = _pieces(word, width)
        found += pieces
    return [*found, line] if line else found


def balanced(text: str, width: int) -> list[str]:
    """The same number of lines, of more equal lengths."""
    found = lines(text, width)
    for narrower in range(width - 1, width // 2, -1):
        tried = lines(text, narrower)
        if len(tried) != len(found):
            break
        found = tried
    return found


def _pieces(word: str, width: int) -> list[str]:
    pieces, piece, room = [], "", width
    for char in word:
        size = _cell(char)
        if size > room and piece:
            pieces.append(piece)
            piece, room = "", width
        piece += char
        room -= size
    return [*pieces, piece]
