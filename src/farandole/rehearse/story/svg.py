"""A sequence diagram as a picture: one SVG file that needs no other, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from farandole.drawing.ink import arrow_head, box, cross, line, page, shortened, text, wide
from farandole.drawing.letters import balanced, lines
from farandole.rehearse.beats import Beat
from farandole.rehearse.story.relevance import Fold
from farandole.rehearse.story.scene import Look, Row, Scene, scene
from farandole.rehearse.story.times import clock
from farandole.rehearse.story.words import sentences

__all__ = ["svg"]

_COLUMN, _LEFT, _TOP, _EDGE = 172, 74, 108, 24
_HEADING, _LEADING = 14, 17  # from the boxes to the first row; from line to line
_NOTE, _BANNER = 36, 8  # letters of a line in a note; units per letter in a banner

_COLOURS: dict[Look, str] = {
    "arrow": "blue",
    "again": "amber",
    "answer": "faint",
    "lost": "red",
    "says": "blue",
    "note": "ink",
    "failed": "red",
    "fault": "amber",
    "crash": "red",
    "restart": "green",
    "fold": "faint",
    "heal": "green",
    "violation": "red",
}
_TINTS = {
    "red": "redtint",
    "amber": "ambertint",
    "green": "greentint",
    "blue": "greytint",
    "ink": "greytint",
    "faint": "greytint",
}
_DASHES: dict[Look, str] = {"again": "8 5", "answer": "2 4"}


def svg(beats: Sequence[Beat | Fold]) -> str:
    """A picture of what matters, with its story as a description for those who do not see it."""
    return _Picture(scene(beats)).document("\n".join(sentences(beats)))


class _Picture:
    """Draws a scene."""

    def __init__(self, shown: Scene) -> None:
        self._scene = shown
        self._columns = {name: _LEFT + _COLUMN * place + _COLUMN / 2 for place, name in enumerate(shown.lifelines)}
        self._width = max(_LEFT + _COLUMN * len(shown.lifelines) + _EDGE, 480)
        self._tops: list[float] = []
        y = float(_TOP)
        for row in shown.rows:
            self._tops.append(y)
            y += self._height(row)
        self._bottom = y

    def document(self, description: str) -> str:
        rules = [row.label.partition(":")[0] for row in self._scene.rows if row.look == "violation"]
        title = f"How {rules[0]} was violated" if rules else "What happened"
        room = self._width - 2 * _EDGE
        size = round(max(13, min(21, room / wide(title, 1.1))), 1)
        parts = [text(_EDGE, 40, shortened(title, size, room), "ink", size=size, look='font-weight="bold"')]
        parts += self._lifelines()
        before = ""
        for row, top in zip(self._scene.rows, self._tops):
            time = clock(row.time)
            if time != before and row.look != "violation":
                parts.append(text(_LEFT - 10, top + self._middle(row) + 4, f"{time} s", "faint", size=11, anchor="end"))
            before = time
            parts += self._row(row, top)
        return page(self._width, self._bottom + 52, title, description, [*parts, *self._legend(self._bottom + 28)])

    # ---- where things are ------------------------------------------------------------------------------------------------

    def _height(self, row: Row) -> float:
        if row.look == "violation":
            return 46 + _LEADING * len(self._banner(row))
        if row.look in ("fold", "heal"):
            return 36
        if row.at != row.to:
            return 44
        return 22 + _LEADING * len(_noted(row))

    def _middle(self, row: Row) -> float:
        """How far below its top a row's line or mark is."""
        if row.look == "violation":
            return 34
        return 30 if row.at != row.to else 18 if row.at else 14

    def _banner(self, row: Row) -> list[str]:
        return lines(row.label.partition(": ")[2], int((self._width - 2 * _EDGE - 40) / _BANNER))

    # ---- lifelines -------------------------------------------------------------------------------------------------------

    def _lifelines(self) -> Iterator[str]:
        for name, x in self._columns.items():
            yield line(x, _TOP - _HEADING, x, self._last(), "rule")
            yield from self._spans(name, x)
            yield box(x - 68, 58, 136, 36, "head", edge="frame")
            size = 16 if wide(name, 16) <= 124 else 13
            shown = shortened(name, size, 118)
            yield text(x, 82, shown, "ink", size=size, anchor="middle", look='font-weight="bold"')

    def _last(self) -> float:
        """Where the lifelines end: at the violation, or at the bottom."""
        tops = [top for row, top in zip(self._scene.rows, self._tops) if row.look == "violation"]
        return tops[0] + 6 if tops else self._bottom

    def _spans(self, name: str, x: float) -> Iterator[str]:
        for span in self._scene.spans:
            if span.at != name:
                continue
            first = self._tops[span.first] + self._middle(self._scene.rows[span.first])
            past = span.last < len(self._scene.rows)
            last = (
                self._tops[span.last] + (self._middle(self._scene.rows[span.last]) if span.down else 0) if past else self._bottom
            )
            last = min(last, self._last())
            if span.down:
                yield line(x, first, x, last, "paper", width=4)
                yield line(x, first, x, last, "red", dash="2 6", look='stroke-linecap="round"')
            else:
                yield line(x, first, x, last, "amber", width=7, look='opacity="0.45" stroke-linecap="round"')

    # ---- rows ------------------------------------------------------------------------------------------------------------

    def _row(self, row: Row, top: float) -> Iterator[str]:
        if row.look == "violation":
            yield from self._violation(row, top)
        elif not row.at:
            yield from self._across(row, top)
        elif row.at != row.to:
            yield from self._arrow(row, top)
        else:
            yield from self._mark(row, top)

    def _arrow(self, row: Row, top: float) -> Iterator[str]:
        colour, start, end, y = _COLOURS[row.look], self._columns[row.at], self._columns[row.to], top + self._middle(row)
        side = 1 if start < end else -1
        short = 30 if row.look == "lost" else 10
        yield line(
            start, y, end - short * side, y, colour, width=1.5 if row.look == "answer" else 2, dash=_DASHES.get(row.look, "")
        )
        yield cross(end - 24 * side, y, 5) if row.look == "lost" else arrow_head(end - 2 * side, y, side, colour)
        yield f'<circle cx="{start:.1f}" cy="{y:.1f}" r="3.5" class="f-{colour}"/>'
        yield self._label(row, start, end, y - (12 if row.look == "lost" else 9))

    def _label(self, row: Row, start: float, end: float, y: float) -> str:
        """Over the middle of its arrow, or over its beginning where it is longer."""
        look = 'font-style="italic"' if row.look == "answer" else 'font-weight="bold"'
        size = 12.5 if row.look == "answer" else 13.5
        words = shortened(row.label, size, self._width - 2 * _EDGE)
        half = wide(words, size) / 2
        middle = max(_EDGE + half, min((start + end) / 2, self._width - _EDGE - half))
        return text(middle, y, words, _COLOURS[row.look], size=size, anchor="middle", look=look, halo=True)

    def _mark(self, row: Row, top: float) -> Iterator[str]:
        """A mark on the lifeline, and a note beside it."""
        colour, x, y = _COLOURS[row.look], self._columns[row.at], top + self._middle(row)
        noted = _noted(row)
        width = max(wide(words, 14 if row.look == "crash" else 13) for words in noted) + 20
        left = x + 16 if x + 16 + width <= self._width - 8 else x - 16 - width
        yield box(
            left,
            top + 4,
            width,
            10 + _LEADING * len(noted),
            _TINTS[colour],
            edge=colour if row.look in ("crash", "fault") else "",
        )
        for place, words in enumerate(noted):
            yield text(
                left + 10, top + 22 + _LEADING * place, words, colour, look='font-weight="bold"' if row.look == "crash" else ""
            )
        yield _symbol(row.look, x, y, colour)

    def _across(self, row: Row, top: float) -> Iterator[str]:
        y, colour = top + self._middle(row), _COLOURS[row.look]
        words = shortened(row.label, 13, self._width - _LEFT - 3 * _EDGE)
        yield line(_LEFT, y, self._width - _EDGE, y, colour, width=1.5, dash="" if row.look == "heal" else "1 5")
        middle = (_LEFT + self._width - _EDGE) / 2
        half = wide(words, 13) / 2 + 8
        yield box(middle - half, y - 10, 2 * half, 20, "paper", round=0)
        yield text(middle, y + 4.5, words, colour, anchor="middle", look='font-style="italic"')

    def _violation(self, row: Row, top: float) -> Iterator[str]:
        banner = self._banner(row)
        rule = shortened(row.label.partition(": ")[0], 16, self._width - 2 * _EDGE - 130)
        yield box(_EDGE, top + 10, self._width - 2 * _EDGE, 36 + _LEADING * len(banner), "alarm", round=8)
        yield text(_EDGE + 18, top + 34, f"✗ {rule}", "onalarm", size=16, look='font-weight="bold"')
        yield text(self._width - _EDGE - 18, top + 34, f"{clock(row.time)} s", "onalarm", size=12, anchor="end")
        for place, words in enumerate(banner):
            yield text(_EDGE + 18, top + 55 + _LEADING * place, words, "onalarm", size=14)

    def _legend(self, y: float) -> Iterator[str]:
        """What the lines mean, as far as they appear."""
        used = {row.look for row in self._scene.rows}
        x = float(_LEFT)
        for look, words in (
            ("arrow", "an event, a command, a call"),
            ("again", "once more"),
            ("answer", "an answer"),
            ("lost", "lost"),
        ):
            width = 50 + wide(words, 12) + 24
            if look not in used or x + width > self._width:
                continue
            colour: str = _COLOURS[look]
            yield line(x, y, x + 32, y, colour, dash=_DASHES.get(look, ""))
            yield cross(x + 36, y, 4) if look == "lost" else arrow_head(x + 42, y, 1, colour)
            yield text(x + 50, y + 4, words, "faint", size=12)
            x += width


def _noted(row: Row) -> list[str]:
    return balanced(row.label, _NOTE) or [" "]


def _symbol(look: Look, x: float, y: float, colour: str) -> str:
    if look == "crash":
        return cross(x, y, 8)
    if look == "restart":
        triangle = f"{x - 4:.1f},{y - 6:.1f} {x - 4:.1f},{y + 6:.1f} {x + 7:.1f},{y:.1f}"
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="12" class="f-paper s-{colour}" stroke-width="2"/><polygon points="{triangle}" class="f-{colour}"/>'
    if look == "fault":
        bolt = f"{x + 2:.1f},{y - 11:.1f} {x - 7:.1f},{y + 2:.1f} {x - 1:.1f},{y + 2:.1f} {x - 2:.1f},{y + 11:.1f} {x + 7:.1f},{y - 2:.1f} {x + 1:.1f},{y - 2:.1f}"
        return f'<polygon points="{bolt}" class="f-{colour} s-paper" stroke-width="1"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="f-{colour} s-paper" stroke-width="2"/>'
