"""A sequence diagram for a terminal, in box-drawing characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from farandole.drawing.letters import cells, fit, lines
from farandole.rehearse.beats import Beat
from farandole.rehearse.story.canvas import Line
from farandole.rehearse.story.relevance import Fold
from farandole.rehearse.story.scene import Look, Row, Scene, scene
from farandole.rehearse.story.times import clock
from farandole.rehearse.story.words import told

__all__ = ["NARROWEST", "diagram", "drawing", "listing"]

NARROWEST = 30
"""Columns that are used even where there are fewer."""

_GUTTER = 10  # columns for the time, and a gap
_LEAST, _MOST = 8, 22  # columns from lifeline to lifeline

_STYLES: dict[Look, str] = {
    "arrow": "blue",
    "again": "amber",
    "answer": "dim",
    "lost": "red",
    "says": "blue",
    "note": "",
    "failed": "red",
    "fault": "amber",
    "crash": "red",
    "restart": "green",
    "fold": "dim",
    "heal": "green",
    "violation": "red",
}
_MARKS: dict[Look, str] = {"says": "●", "note": "•", "failed": "!", "fault": "↯", "crash": "✗", "restart": "↻"}
_LIFELINES = {"up": "│", "hindered": "┊", "down": " "}
_LEGEND = {"again": "╌▶ once more", "lost": "─✗ lost", "crash": "✗ crash", "restart": "↻ restart", "fault": "↯ fault"}


def diagram(beats: Sequence[Beat | Fold], *, width: int = 100, colour: bool = False) -> str:
    """A sequence diagram of what matters.

    Parameters
    ----------
    width:
        The columns of the terminal, from 30. Where they are too few for the lifelines, it is a list with times instead.
    colour:
        Whether to write a terminal's codes for colours.
    """
    return drawing(beats, width=width, colour=colour) or listing(beats, width=width)


def listing(beats: Sequence[Beat | Fold], *, width: int = 100) -> str:
    """The sentences, each with its time."""
    width = max(width, NARROWEST)
    written: list[str] = []
    for sentence in told(beats):
        first, *more = lines(sentence.text, width - _GUTTER) or [""]
        written += [f"{clock(sentence.time):>8}  {first}", *(" " * _GUTTER + line for line in more)]
    return "\n".join(written)


def drawing(beats: Sequence[Beat | Fold], *, width: int = 100, colour: bool = False) -> str | None:
    """The diagram, or None where the lifelines do not fit, or there are none."""
    width = max(width, NARROWEST)
    shown = scene(beats)
    if not shown.lifelines or (width - _GUTTER) // len(shown.lifelines) < _LEAST:
        return None
    return "\n".join(line.text(colour=colour) for line in _Drawing(shown, width).lines())


class _Drawing:
    """Draws a scene on lines."""

    def __init__(self, shown: Scene, width: int) -> None:
        self._scene = shown
        self._width = width
        self._step = min((width - _GUTTER) // len(shown.lifelines), _MOST)
        self._columns = {name: _GUTTER + self._step // 2 + self._step * place for place, name in enumerate(shown.lifelines)}

    def lines(self) -> Iterator[Line]:
        yield self._heading()
        before = ""
        for number, row in enumerate(self._scene.rows):
            time = clock(row.time)
            drawn = list(
                self._across(row) if not row.at else self._mark(number, row) if row.at == row.to else self._arrow(number, row)
            )
            if time != before:
                drawn[0].write(_GUTTER - 2 - cells(time), time, "dim")
            before = time
            yield from drawn
        yield from self._legend()

    def _heading(self) -> Line:
        line = Line(self._width)
        for name, short in zip(self._columns, _shortened(list(self._columns), self._step - 1)):
            line.write(self._columns[name] - cells(short) // 2, short, "bold")
        return line

    def _empty(self, number: int) -> Line:
        """A line with nothing but lifelines."""
        line = Line(self._width)
        for name, column in self._columns.items():
            line.write(column, _LIFELINES[self._scene.state(name, number)], "dim")
        return line

    # ---- arrows ----------------------------------------------------------------------------------------------------------

    def _arrow(self, number: int, row: Row) -> Iterator[Line]:
        """One line where the label fits in the arrow or beside it; else the label stands above."""
        start, end = self._columns[row.at], self._columns[row.to]
        left, right = min(start, end), max(start, end)
        size, style = cells(row.label), _STYLES[row.look]
        if size + 4 <= right - left - 2:
            place = left + 2 + (right - left - 3 - size) // 2
        elif right + 2 + size <= self._width:
            place = right + 2
        elif left - 2 - size >= _GUTTER:
            place = left - 2 - size
        else:
            above = self._empty(number)
            label = fit(row.label, self._width - _GUTTER)
            above.write(max(_GUTTER, min(left + 2, self._width - cells(label))), label, style)
            yield above
            place = -1
        line = self._empty(number)
        self._shaft(line, row, start, end)
        if place >= 0:
            inside = left < place < right
            line.write(place - inside, f" {row.label} " if inside else row.label, style)
        yield line

    def _shaft(self, line: Line, row: Row, start: int, end: int) -> None:
        style, forth = _STYLES[row.look], start < end
        left, right = min(start, end), max(start, end)
        line.write(left + 1, ("╌" if row.look == "again" else "·" if row.look == "answer" else "─") * (right - left - 1), style)
        line.write(start, "├" if forth else "┤", style)
        head = "✗" if row.look == "lost" else "▶" if forth else "◀"
        line.write(end - 1 if forth else end + 1, head, style)

    # ---- marks -----------------------------------------------------------------------------------------------------------

    def _mark(self, number: int, row: Row) -> Iterator[Line]:
        """A mark on a lifeline, and words beside it, on the side where they fit."""
        column, style = self._columns[row.at], _STYLES[row.look]
        mark = _MARKS.get(row.look, "╌" if row.look == "again" else "◀")
        right, left = self._width - column - 2, column - 2 - _GUTTER
        label = row.label if row.look in _MARKS else f"╯ {row.label}"
        rightwards = cells(label) <= right or right >= left
        for place, words in enumerate(lines(label, right if rightwards else left) or [""]):
            line = self._empty(number)
            if place == 0:
                line.write(column, mark, style)
            line.write(column + 1 if rightwards else column - 2 - cells(words), f" {words} ", style)
            yield line

    def _across(self, row: Row) -> Iterator[Line]:
        """A line across all lifelines."""
        rule = {"violation": "═", "heal": "─"}.get(row.look, "┄")
        room = self._width - _GUTTER - 6
        for place, words in enumerate(lines(f"✗ {row.label}" if row.look == "violation" else row.label, room)):
            line = Line(self._width)
            if place == 0:
                line.write(_GUTTER, rule * (self._width - _GUTTER), _STYLES[row.look])
            line.write(_GUTTER + 2, f" {words} ", _STYLES[row.look])
            yield line

    def _legend(self) -> Iterator[Line]:
        used = {row.look for row in self._scene.rows}
        parts = [words for look, words in _LEGEND.items() if look in used]
        parts += ["┊ cut off, or paused"] if any(not span.down for span in self._scene.spans) else []
        if parts:
            line = Line(self._width)
            line.write(_GUTTER, "   ".join(parts), "dim")
            yield line


def _shortened(names: Sequence[str], width: int) -> list[str]:
    """Headings that fit; where two would look alike, they keep their ends."""
    short = [fit(name, width) for name in names]
    return [name if cells(name) <= width or short.count(cut) == 1 else _ends(name, width) for name, cut in zip(names, short)]


def _ends(name: str, width: int) -> str:
    tail = ""
    for char in reversed(name):
        if cells(char + tail) > (width - 1) // 2:
            break
        tail = char + tail
    return fit(name, width - cells(tail)) + tail
