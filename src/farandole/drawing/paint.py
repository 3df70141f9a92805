"""Paint: texts in the colours of a terminal, line by line of pieces."""

from __future__ import annotations

from collections.abc import Iterable

from farandole.drawing.letters import cells, fit

__all__ = ["STYLES", "Piece", "cut", "painted", "spread"]

STYLES = {"dim": "2", "bold": "1", "red": "1;31", "amber": "33", "green": "32", "blue": "34", "cyan": "36", "plum": "35"}
"""By name, the codes of a terminal (SGR)."""

Piece = tuple[str, str]
"""A text and its style; "" for none."""


def painted(text: str, style: str, *, colour: bool) -> str:
    """A text in a colour, or as it is."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if colour and style else text


def spread(line: Iterable[Piece]) -> int:
    """How many columns of a terminal a line takes."""
    return sum(cells(text) for text, _ in line)


def cut(line: Iterable[Piece], width: int) -> list[Piece]:
    """A line cut to a width; `…` stands where something is missing."""
    kept: list[Piece] = []
    room = width
    pieces = list(line)
    for number, (text, style) in enumerate(pieces):
        more = any(rest for rest, _ in pieces[number + 1 :])
        size = cells(text)
        if size > room or (size == room and more):
            kept.append((fit(f"{text} " if size == room else text, room), style))
            break
        kept.append((text, style))
        room -= size
    return kept
