"""A chain as a picture: a sequence diagram in one SVG file that needs no other, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from farandole.drawing.ink import arrow_head, box, broken, cross, line, page, shortened, text, wide
from farandole.drawing.letters import balanced
from farandole.observe.chain.chain import Chain
from farandole.observe.chain.scene import Row, Scene, scene
from farandole.observe.chain.text import tree
from farandole.words import clock

__all__ = ["svg"]

_COLUMN, _LEFT, _EDGE = 168, 116, 24
_LABEL, _SMALL, _LEADING, _NOTE = 13.5, 11.5, 15, 46  # sizes of letters; from line to line; letters of a line in a note
_MOST_LINES = 6
_AGAIN = 24  # rows after which the names of the services stand once more


def svg(chain: Chain, *, whole: bool = False) -> str:
    """A picture of who said what to whom and when, with the tree as a description for those who do not see it."""
    shown = scene(chain, whole=whole)
    return _Picture(shown, chain).document(tree(chain, width=None, whole=whole, status=False))


class _Picture:
    """Draws a scene."""

    def __init__(self, shown: Scene, chain: Chain) -> None:
        self._scene = shown
        self._chain = chain
        self._columns = {name: _LEFT + _COLUMN * place + _COLUMN / 2 for place, name in enumerate(shown.lifelines)}
        self._width = max(_LEFT + _COLUMN * len(shown.lifelines) + _EDGE, 560)
        self._names = {name: broken(name, 14, 128, 2) for name in shown.lifelines}
        self._boxes = 34 + 16 * (max(map(len, self._names.values())) - 1)
        self._head = 62 + 18 * len(shown.about)
        self._notes = {number: [(at, _lines(words)) for at, words in row.notes] for number, row in enumerate(shown.rows)}
        self._tops: list[float] = []
        y = float(self._head + self._boxes + 20)
        for number in range(len(shown.rows)):
            y += 22 * (number > 0 and number % _AGAIN == 0)
            self._tops.append(y)
            y += 44 + sum(16 + _LEADING * len(words) for _, words in self._notes[number])
        self._bottom = y

    def document(self, description: str) -> str:
        room = self._width - 2 * _EDGE
        size = round(max(11.5, min(18, room / max(1.0, wide(self._scene.title, 1.1)))), 1)
        parts = [text(_EDGE, 36, shortened(self._scene.title, size, room), "ink", size=size, look='font-weight="bold"')]
        parts += [text(_EDGE, 58 + 18 * place, words, "amber", size=12.5) for place, words in enumerate(self._scene.about)]
        parts += self._lifelines()
        for number, (row, top) in enumerate(zip(self._scene.rows, self._tops)):
            parts += self._row(row, top, number)
        y = self._bottom + 26
        if self._scene.left_out:
            parts.append(text(_LEFT, y, f"… {self._scene.left_out}", "amber", size=12.5))
            y += 24
        return page(self._width, y + 24, self._scene.title, description, [*parts, *self._legend(y)])

    def _lifelines(self) -> Iterator[str]:
        for name, x in self._columns.items():
            yield line(x, self._head + self._boxes, x, self._bottom, "rule")
            yield box(x - 72, self._head, 144, self._boxes, "head", edge="frame")
            names = self._names[name]
            for place, words in enumerate(names):
                y = self._head + self._boxes / 2 + 5 + 16 * (place - (len(names) - 1) / 2)
                yield text(x, y, words, "ink", size=14, anchor="middle", look='font-weight="bold"')
            for top in self._tops[_AGAIN::_AGAIN]:
                yield text(x, top, shortened(name, 12, 140), "faint", size=12, anchor="middle", halo=True)

    def _row(self, row: Row, top: float, number: int) -> Iterator[str]:
        """A line with an event's time and name, from who says it to all who hear it; then what is to be noted."""
        y, start = top + 28, self._columns[row.at]
        if row.node.time is not None:
            yield text(_LEFT - 14, y + 4, clock(row.node.time, fine=True), "faint", size=_SMALL, anchor="end")
        colour = "plum" if row.undoes else "red" if row.node.kind == "missing" else "blue"
        ends = [(self._columns[heard.at], heard.lost) for heard in row.heard]
        title = escape(f"{row.label}: {row.node.id}")
        yield f"<g><title>{title}</title>"
        far = [x - 10 * _side(start, x) for x, _ in ends if x != start]
        if far:
            yield line(min(start, *far), y, max(start, *far), y, colour, dash="8 5" if row.undoes else "")
        for x, lost in ends:
            if x == start and lost:
                yield line(x, y, x + 16, y, colour) + cross(x + 22, y, 5)
            elif x == start:
                yield _loop(x, y, colour)
            elif lost:
                yield cross(x - 12 * _side(start, x), y, 5)
            else:
                yield arrow_head(x - 2 * _side(start, x), y, _side(start, x), colour)
        yield f'<circle cx="{start:.1f}" cy="{y:.1f}" r="4" class="f-{colour}"/>'
        yield self._label(row, [start, *(x for x, _ in ends)], y - 9, colour)
        yield "</g>"
        below = top + 42
        for at, words in self._notes[number]:
            yield from self._note(self._columns.get(at, start), below, words)
            below += 16 + _LEADING * len(words)

    def _label(self, row: Row, places: list[float], y: float, colour: str) -> str:
        """Over the line, beside where it begins, so that a long one is not mistaken for another's."""
        start, far = places[0], max(places, key=lambda x: abs(x - places[0]))
        words = shortened(row.label, _LABEL, self._width - 2 * _EDGE)
        size = wide(words, _LABEL)
        span = abs(far - start)
        middle = (start + far) / 2 if size < span - 12 or span == 0 else start + _side(start, far) * (size / 2 + 8)
        middle = max(_EDGE + size / 2, min(middle, self._width - _EDGE - size / 2))
        return text(middle, y, words, colour, size=_LABEL, anchor="middle", look='font-weight="bold"', halo=True)

    def _note(self, x: float, top: float, words: list[str]) -> Iterator[str]:
        first = words[0].lower()
        trouble = any(word in first for word in ("dead", "never taken", "exhausted", "refused", "itself"))
        colour, tint = ("red", "redtint") if trouble else ("amber", "ambertint")
        if first.startswith("expected"):
            colour, tint = "blue", "bluetint"
        width = max(wide(line, _SMALL + 0.5) for line in words) + 16
        left = max(8.0, min(x + 10, self._width - 8 - width))
        yield box(left, top, width, 8 + _LEADING * len(words), tint, round=4)
        for place, shown in enumerate(words):
            yield text(left + 8, top + 15 + _LEADING * place, shown, colour, size=_SMALL)

    def _legend(self, y: float) -> Iterator[str]:
        """What the lines mean, as far as they appear."""
        x = float(_LEFT)
        rows = self._scene.rows
        entries = (
            ("an event, to all who hear it", "blue", "", any(not row.undoes for row in rows), False),
            ("undoes something", "plum", "8 5", any(row.undoes for row in rows), False),
            ("never taken, or given up on", "blue", "", any(heard.lost for row in rows for heard in row.heard), True),
        )
        for words, colour, dash, is_there, lost in entries:
            width = 46 + wide(words, 12) + 22
            if not is_there or x + width > self._width:
                continue
            yield line(x, y, x + 30, y, colour, dash=dash)
            yield cross(x + 34, y, 4) if lost else arrow_head(x + 38, y, 1, colour)
            yield text(x + 46, y + 4, words, "faint", size=12)
            x += width


def _side(start: float, end: float) -> int:
    return 1 if end > start else -1


def _loop(x: float, y: float, colour: str) -> str:
    """An arrow from a lifeline to itself."""
    path = f"M{x:.1f} {y:.1f}h26v12h-16"
    return f'<path d="{path}" class="s-{colour}" fill="none" stroke-width="2"/>' + arrow_head(x + 2, y + 12, -1, colour)


def _lines(words: str) -> list[str]:
    found = balanced(words, _NOTE) or [" "]
    return found if len(found) <= _MOST_LINES else [*found[: _MOST_LINES - 1], f"{found[_MOST_LINES - 1]} …"]
