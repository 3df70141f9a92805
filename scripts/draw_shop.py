"""Draws a choreography as a score: a box and a line per service, a row per event, from the declarations alone.

    python -m scripts.draw_shop        writes docs/shop.svg

Each row begins with a dot at the service that says something, and ends in an arrow at every service that reacts; the reaction's name
stands at the arrow. Failures are dashed red; a reaction that undoes another is reached by dotted violet.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from farandole.model.choreography import Choreography

__all__ = ["draw"]

COLUMN, ROW, TOP, LEFT = 150, 44, 110, 120
STYLES = {
    "usual": ("#1f5f8b", ""),
    "fails": ("#b3261e", "7 4"),
    "undoes": ("#6a3fa0", "2 4"),
}


@dataclass
class Row:
    """One event or command: who says it, and who reacts how."""

    cls: type
    style: str
    speakers: list[int] = field(default_factory=list)
    listeners: dict[int, list[tuple[str, str]]] = field(default_factory=dict)  # column -> (reaction, style)
    end: str = ""


def draw(choreography: Choreography) -> str:
    """The picture as an SVG document."""
    rows = _rows(choreography)
    width = LEFT + COLUMN * len(choreography.services) - 20
    bottom = TOP + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 46}" font-family="Helvetica, Arial, sans-serif">',
        f"<title>{choreography.name}: who says what, and who reacts</title>",
        f'<rect width="{width}" height="{bottom + 46}" fill="#ffffff"/>',
    ]
    for column, name in enumerate(choreography.services):
        x = _x(column)
        parts += [
            f'<line x1="{x}" y1="62" x2="{x}" y2="{bottom}" stroke="#d5d9de" stroke-width="2"/>',
            f'<rect x="{x - 60}" y="24" width="120" height="38" rx="6" fill="#f2f5f8" stroke="#33475b" stroke-width="1.5"/>',
            f'<text x="{x}" y="48" font-size="17" font-weight="bold" text-anchor="middle" fill="#14202b">{name}</text>',
        ]
    for number, row in enumerate(rows):
        parts += _draw_row(row, TOP + ROW * number, _x(len(choreography.services) - 1))
    parts += _legend(bottom + 24)
    return "\n".join([*parts, "</svg>", ""])


def _rows(choreography: Choreography) -> list[Row]:
    """Each command, and after it what it sets off: an event stands with the command that is the fewest steps away."""
    nearest: dict[type, tuple[int, type]] = {command: (0, command) for command in choreography.commands}
    todo = list(choreography.commands)
    for cls in todo:  # it grows: breadth first
        steps, command = nearest[cls]
        for effect in _effects(choreography, cls):
            if effect not in nearest:
                nearest[effect] = (steps + 1, command)
                todo.append(effect)
    rows: dict[type, Row] = {}
    stack = list(reversed(choreography.commands))
    while stack:  # depth first: it reads like a story
        cls = stack.pop()
        if cls not in rows:
            rows[cls] = _row(choreography, cls)
            command = nearest[cls][1]
            stack += [effect for effect in reversed(_effects(choreography, cls)) if nearest[effect][1] is command]
    return list(rows.values())


def _effects(choreography: Choreography, cls: type) -> list[type]:
    return list(dict.fromkeys(edge.effect for edge in choreography.edges if edge.cause is cls and edge.effect is not None))


def _row(choreography: Choreography, cls: type) -> Row:
    columns = {name: number for number, name in enumerate(choreography.services)}
    row = Row(cls, _style(choreography, cls), end=_end(choreography, cls))
    row.speakers = [columns[name] for name in choreography.owners.get(cls, ())]
    for edge in choreography.edges:
        if edge.cause is cls and not edge.exhausted:
            said = row.listeners.setdefault(columns[edge.service], [])
            heard = (edge.reaction, "undoes" if edge.compensates else row.style)
            if heard not in said:
                said.append(heard)
    return row


def _style(choreography: Choreography, cls: type) -> str:
    """It is a failure where a workflow says so, where retries are used up, and where what follows undoes, or ends badly."""
    edges = choreography.edges
    fatal: set[Any] = {event for workflow in choreography.workflows for event in (workflow.fails or ())}  # type: ignore[union-attr]
    causes = [edge for edge in edges if edge.cause is cls]
    effects = [edge for edge in edges if edge.effect is cls]
    ends_badly = any(edge.effect in fatal for edge in causes if not edge.exhausted)
    fails = cls in fatal or ends_badly or any(edge.exhausted for edge in effects) or any(edge.compensates for edge in causes)
    return "fails" if fails else "usual"


def _end(choreography: Choreography, cls: type) -> str:
    for workflow in choreography.workflows:
        if cls in workflow.outcomes:
            return f"{workflow.name} {'succeeds' if cls in workflow.succeeds else 'fails'}"  # type: ignore[operator]
    return ""


def _x(column: int) -> int:
    return LEFT + COLUMN * column


def _draw_row(row: Row, y: int, last: int) -> list[str]:
    color, _ = STYLES[row.style]
    starts = [_x(column) for column in row.speakers]
    parts: list[str] = []
    for column, reactions in row.listeners.items():
        x, style = _x(column), reactions[0][1]
        start = min(starts, key=lambda s: abs(s - x)) if starts else x - 70
        below = 7 if style != row.style else 0
        parts.append(_arrow(start, x, y + below, style))
        place, anchor = (x + 66, "start") if start == x else (x - 8, "end") if start < x else (x + 8, "start")
        names = " · ".join(name for name, _ in reactions)
        parts.append(_text(place, y + 16 + below, names, STYLES[style][0], size=12, anchor=anchor, look='font-style="italic"'))
    parts += [f'<circle cx="{x}" cy="{y}" r="5" fill="{color}"/>' for x in starts]
    place, anchor = _label(row, starts, last)
    parts.append(_text(place, y - 9, row.cls.__name__, color, size=14, anchor=anchor, look='font-weight="bold"'))
    if row.end:
        parts.append(_text(place, y + 18, f"■ {row.end}", color, size=12, anchor=anchor))
    return parts


def _label(row: Row, starts: list[int], last: int) -> tuple[int, str]:
    """Where the event's name stands: over its arrows, towards its listeners; inside the picture where there are none."""
    if not starts:
        return _x(next(iter(row.listeners))) - 70, "start"
    others = [_x(column) for column in row.listeners if _x(column) not in starts]
    leftwards = max(others) < starts[0] if others else starts[0] == last
    return (starts[0] - 8, "end") if leftwards else (starts[0] + 8, "start")


def _arrow(start: int, end: int, y: int, style: str) -> str:
    color, dash = STYLES[style]
    stroke = f'stroke="{color}" stroke-width="2" fill="none"' + (f' stroke-dasharray="{dash}"' if dash else "")
    if start == end:  # to itself
        head = f"{end + 3},{y + 16} {end + 13},{y + 11} {end + 13},{y + 21}"
        path = f"M{end} {y} h60 v16 h-48"
    else:
        side = 1 if start < end else -1
        head = f"{end - 2 * side},{y} {end - 13 * side},{y - 5} {end - 13 * side},{y + 5}"
        path = f"M{start} {y} H{end - 12 * side}"
    return f'<path d="{path}" {stroke}/><polygon points="{head}" fill="{color}"/>'


def _text(x: int, y: int, words: str, color: str, *, size: int, anchor: str, look: str = "") -> str:
    """Text with a white halo, so that lines do not strike it through."""
    attributes = f'x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" {look}'.rstrip()
    halo = f'<text {attributes} fill="none" stroke="#ffffff" stroke-width="5">{escape(words)}</text>'
    return f'{halo}<text {attributes} fill="{color}">{escape(words)}</text>'


def _legend(y: int) -> list[str]:
    parts = []
    for number, (style, words) in enumerate(
        {"usual": "an event, or a command", "fails": "a failure", "undoes": "a compensation"}.items()
    ):
        x = 50 + 270 * number
        parts += [_arrow(x, x + 60, y, style), _text(x + 70, y + 5, words, STYLES[style][0], size=13, anchor="start")]
    return [*parts, _text(50 + 270 * 3, y + 5, "■ ends a workflow", "#33475b", size=13, anchor="start")]


def main() -> int:
    """Write the picture of the shop."""
    from examples.shop import shop

    Path("docs/shop.svg").write_text(draw(shop), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
