"""A graph as an SVG picture that needs no other file: services side by side, what they hear and say from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from farandole.drawing.ink import box, broken, line, page, shortened, text, wide
from farandole.graph.draw.grid import place
from farandole.graph.draw.picture import Arrow, Look, Node, Picture
from farandole.graph.draw.route import Plan, Point, plan

__all__ = ["svg"]

_EDGE, _ROUND = 20.0, 7.0
_ROOM, _SIZE, _SMALL = 132.0, 13.0, 11.0  # of a name: how wide it may be, and its letters; letters of notes
_LEADING, _NOTE = 16.0, 14.0
_ICON = 22.0
_HEAD = 46.0  # where columns have names
COLOURS: dict[Look, str] = {"usual": "blue", "fails": "red", "undoes": "plum", "stops": "faint"}
_DASHES: dict[Look, str] = {"usual": "", "fails": "7 4", "undoes": "1.5 4.5", "stops": ""}
_WORDS: dict[Look, str] = {
    "usual": "happy path",
    "fails": "failure",
    "undoes": "compensation",
    "stops": "keeps a deadline from firing",
}
_SIGNS = {
    "command": "command",
    "event": "event",
    "reaction": "reaction",
    "all": "join: when all have come",
    "any": "the first of several",
    "count": "as many as one says",
    "deadline": "deadline",
    "process": "process",
}

Link = Callable[[Node], str | None]


def svg(picture: Picture, link: Link | None = None) -> str:
    """Draw it.

    Parameters
    ----------
    link:
        Gives the address that a node leads to, or None.
    """
    return _Drawing(picture, link or (lambda node: None)).document()


class _Drawing:
    def __init__(self, picture: Picture, link: Link) -> None:
        self._picture, self._link = picture, link
        cells, self._lanes = place(picture)
        self._heads = {lane: broken(picture.groups[lane], 14, _ROOM + 10, 2) for lane in self._lanes}
        self._names = {node.id: broken(node.label, _SIZE, _ROOM) for node in picture.nodes}
        self._sizes = {node.id: self._size(node) for node in picture.nodes}
        # What stands in one column is equally wide, so that lines between them are straight and boxes look calm.
        widest = {c: max(self._sizes[i][0] for i, (_, at) in cells.items() if at == c) for c in {at for _, at in cells.values()}}
        for column, lane in enumerate(self._lanes):
            widest[column] = max(widest[column], *(wide(words, 14) * 1.05 for words in self._heads[lane]))
        self._sizes = {id: (widest[cells[id][1]], height) for id, (_, height) in self._sizes.items()}
        self._plan: Plan = plan(cells, self._sizes, picture.arrows, len(self._lanes))
        self._head = _HEAD + 17 * max((len(words) - 1 for words in self._heads.values()), default=0)
        self._top = 34.0 + (20 if picture.subtitle else 0) + (self._head if self._lanes else 0)

    def document(self) -> str:
        picture = self._picture
        legend, deep = self._legend()
        width = max(self._plan.width + 2 * _EDGE, 460.0)
        self._left = (width - self._plan.width) / 2
        bottom = self._top + self._plan.height
        room = width - 2 * _EDGE
        parts = [text(_EDGE, 30, shortened(picture.name, 17, room), "ink", size=17, look='font-weight="bold"')]
        about = broken(picture.subtitle, 12, room, 2) if picture.subtitle else []
        parts += (
            [text(_EDGE, 49, about[0] if len(about) == 1 else shortened(picture.subtitle, 12, room), "faint", size=12)]
            if about
            else []
        )
        parts += self._columns(bottom)
        parts += self._arrows()
        parts += [part for node in picture.nodes for part in self._node(node)]
        y = bottom + 14
        parts += legend(y, width)
        y += deep(width)
        for sentence in picture.left_out:
            for words in _sentence(sentence, room):
                parts.append(text(_EDGE, y + 12, words, "amber", size=12))
                y += 17
        return page(width, y + 12, picture.name, self._told(), parts)

    def _told(self) -> str:
        """For those who do not see it."""
        labels = {node.id: node.label for node in self._picture.nodes}
        ways = [f"{labels[arrow.tail]} → {labels[arrow.head]}" for arrow in self._picture.arrows]
        return "; ".join([self._picture.subtitle, *ways] if self._picture.subtitle else ways)

    # ---- boxes -----------------------------------------------------------------------------------------------------------

    def _size(self, node: Node) -> tuple[float, float]:
        lines = self._names[node.id]
        icon = _ICON if _has_icon(node) else 0.0
        notes = [wide(note, _SMALL) + (16 if node.end else 0) for note in self._notes(node)]
        width = max([wide(name, _SIZE) * 1.04 for name in lines] + notes) + 24 + icon
        height = 14 + _LEADING * len(lines) + _NOTE * len(notes)
        return max(width, 84.0), height + (6 if node.kind == "command" else 0)

    def _notes(self, node: Node) -> list[str]:
        return [line for note in node.notes for line in broken(note, _SMALL, _ROOM - (16 if node.end else 0), 2)]

    def _node(self, node: Node) -> Iterator[str]:
        x, y = self._at(self._plan.at[node.id])
        width, height = self._sizes[node.id][0], self._size(node)[1]
        link = self._link(node)
        yield f"<a href={quoteattr(link)}>" if link else "<g>"
        yield f"<title>{escape(node.title or node.label)}</title>"
        yield _outline(node, x, y, width, height)
        shift = _ICON / 2 if _has_icon(node) else 0.0
        if _has_icon(node):
            yield from _icon(node, x - width / 2 + 17, y)
        notes = self._notes(node)
        base = y - (_LEADING * len(self._names[node.id]) + _NOTE * len(notes)) / 2 + 12 - (3 if node.kind == "command" else 0)
        look = "" if node.kind in _SIGNS and node.kind not in ("event", "command") else 'font-weight="bold"'
        for name in self._names[node.id]:
            yield text(x + shift, base, name, "ink", size=_SIZE, anchor="middle", look=look)
            base += _LEADING
        for note in notes:
            colour = {"succeeds": "green", "fails": "red", "": "plum" if node.look == "undoes" else "faint"}[node.end]
            if node.end:
                yield _mark(node.end, x - wide(note, _SMALL) / 2 - 3, base - 5)
            yield text(x + shift + (7 if node.end else 0), base - 1, note, colour, size=_SMALL, anchor="middle")
            base += _NOTE
        if node.outside:
            yield _outside(x + width / 2 - 13, y - height / 2 + 9)
        yield "</a>" if link else "</g>"

    def _columns(self, bottom: float) -> Iterator[str]:
        for lane, (left, width) in zip(self._lanes, self._plan.columns):
            x, top = left + self._left - 7, self._top - self._head + 8
            yield box(x, top, width + 14, bottom - top + 2, "greytint", round=9)
            for number, name in enumerate(self._heads[lane]):
                middle, y = x + 7 + width / 2, top + 22 + 17 * number
                yield text(middle, y, name, "frame", size=14, anchor="middle", look='font-weight="bold"')

    def _at(self, point: Point) -> Point:
        return point[0] + self._left, point[1] + self._top

    # ---- arrows ----------------------------------------------------------------------------------------------------------

    def _arrows(self) -> Iterator[str]:
        """Faint ones first. What arrows of one tail share is drawn once, so that dashes stay dashes."""
        order = ("stops", "undoes", "fails", "usual")
        drawn: dict[tuple[str, Look], list[list[Point]]] = {}
        for arrow, way in sorted(
            zip(self._picture.arrows, self._plan.ways), key=lambda pair: (order.index(pair[0].look), -_weight(pair[0]))
        ):
            points = [self._at(point) for point in way]
            others = drawn.setdefault((arrow.tail, arrow.look), [])
            shared = max((_shared(points, other) for other in others), default=0.0)
            others.append(points)
            yield from _line(arrow, _without(points, max(shared - _ROUND, 0.0)), _weight(arrow))

    # ---- the legend ------------------------------------------------------------------------------------------------------

    def _legend(self) -> tuple[Callable[[float, float], Iterator[str]], Callable[[float], float]]:
        """What draws it, and how deep it is, at a width."""
        looks = [look for look in _WORDS if any(arrow.look == look for arrow in self._picture.arrows)]
        kinds = [kind for kind in _SIGNS if any(node.kind == kind for node in self._picture.nodes)]
        outside = any(node.outside for node in self._picture.nodes)
        entries = [(_WORDS[look], look) for look in looks] + [(_SIGNS[kind], kind) for kind in kinds]
        entries += [("calls the outside", "outside")] if outside else []
        entries += [("the wider, the more messages", "wide")] if any(" messages" in a.label for a in self._picture.arrows) else []

        def places(width: float) -> list[tuple[float, int]]:
            found, x, row = [], _EDGE, 0
            for words, _ in entries:
                size = 42 + wide(words, 12) + 18
                if x + size > width - _EDGE and x > _EDGE:
                    x, row = _EDGE, row + 1
                found.append((x, row))
                x += size
            return found

        def draw(y: float, width: float) -> Iterator[str]:
            for (words, sign), (x, row) in zip(entries, places(width)):
                yield from _sample(sign, x, y + 12 + 24 * row)
                yield text(x + 42, y + 16 + 24 * row, words, "faint", size=12)

        return draw, lambda width: 24.0 * (places(width)[-1][1] + 1) + 6 if entries else 0.0


def _sentence(words: str, room: float) -> list[str]:
    found = [""]
    for word in words.split():
        if found[-1] and wide(f"{found[-1]} {word}", 12) > room:
            found.append("")
        found[-1] += f" {word}" if found[-1] else word
    return found


def _has_icon(node: Node) -> bool:
    return node.kind in ("all", "any", "count", "deadline", "process")


def _outline(node: Node, x: float, y: float, width: float, height: float) -> str:
    """The shape tells what it is, the stroke on which path it lies."""
    colour = {"succeeds": "green", "fails": "red", "": COLOURS[node.look]}[node.end]
    left, top = x - width / 2, y - height / 2
    heavy = 2.8 if node.end else 1.6
    tint = {"succeeds": "greentint", "fails": "redtint", "": "redtint" if node.look == "fails" else "bluetint"}[node.end]
    fill = tint if node.kind in ("event", "service", "domain") else "paper"
    stroke = f'class="f-{fill} s-{colour}" stroke-width="{heavy}"' + (
        f' stroke-dasharray="{_DASHES[node.look]}"' if node.look != "usual" and not node.end else ""
    )
    if node.kind == "command":
        point = 8
        corners = (
            (left, top),
            (left + width, top),
            (left + width, top + height - point),
            (x, top + height),
            (left, top + height - point),
        )
        return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}" {stroke} stroke-linejoin="round"/>'
    if node.kind in ("event", "service", "domain"):
        return f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" {stroke}/>'
    stroke = stroke.replace(f"s-{colour}", "s-frame") if node.look == "usual" else stroke
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{min(height / 2, 18):.1f}" {stroke}/>'
    )


def _icon(node: Node, x: float, y: float) -> Iterator[str]:
    """In a circle: two hands of a clock for a deadline, lines that meet for a join, one of several, a count, a gear's hub."""
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" class="f-paper s-frame" stroke-width="1.5"/>'
    strokes = {
        "deadline": "M0 -6 V0 H4.5",
        "all": "M-5 -5 L0 1 L5 -5 M0 -6 V6",
        "any": "M-5 -4 H5 M-5 0 H5 M0 0 V6",
        "count": "M-4 -4 V4 M0 -4 V4 M4 -4 V4",
        "process": "M-3 0 A3 3 0 1 0 3 0 A3 3 0 1 0 -3 0",
    }[node.kind]
    yield f'<path transform="translate({x:.1f} {y:.1f})" d="{strokes}" class="s-frame" fill="none" stroke-width="1.5" stroke-linecap="round"/>'


def _mark(end: str, x: float, y: float) -> str:
    path, colour = ("M-4 0 L-1 3.5 L5 -4", "green") if end == "succeeds" else ("M-4 -4 L4 4 M4 -4 L-4 4", "red")
    return f'<path transform="translate({x:.1f} {y:.1f})" d="{path}" class="s-{colour}" fill="none" stroke-width="2" stroke-linecap="round"/>'


def _outside(x: float, y: float) -> str:
    return f'<path transform="translate({x:.1f} {y:.1f})" d="M-3 4 L4 -3 M-1 -3 H4 V2" class="s-frame" fill="none" stroke-width="1.6" stroke-linecap="round"/>'


def _weight(arrow: Arrow) -> float:
    count = arrow.label.partition(" ")[0].replace(",", "")
    if arrow.look == "stops":
        return 1.2
    return min(1.4 + 0.4 * math.log2(int(count)), 5.0) if count.isdigit() else 1.6


def _line(arrow: Arrow, points: Sequence[Point], weight: float) -> Iterator[str]:
    colour, dash = COLOURS[arrow.look], _DASHES[arrow.look]
    x, y = points[-1]
    ends = 7 if arrow.look != "stops" else 2
    yield (
        f'<path d="{_path([*points[:-1], (x, y - ends)])}" class="s-{colour}" fill="none" stroke-width="{weight:.1f}"'
        + (f' stroke-dasharray="{dash}"' if dash else "")
        + (' stroke-linecap="round"' if arrow.look == "undoes" else "")
        + (f"><title>{escape(arrow.label)}</title></path>" if arrow.label else "/>")
    )
    if arrow.look == "stops":
        yield line(x - 6, y - 2.5, x + 6, y - 2.5, colour, width=2.5)
    else:
        yield f'<polygon points="{x:.1f},{y:.1f} {x - 4.5:.1f},{y - 9:.1f} {x + 4.5:.1f},{y - 9:.1f}" class="f-{colour}"/>'


def _path(points: Sequence[Point]) -> str:
    """A line through these corners, which are round."""
    found = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, (x, y), after in zip(points, points[1:], points[2:]):
        room = min(_ROUND, _distance(before, (x, y)) / 2, _distance((x, y), after) / 2)
        enter, leave = _towards((x, y), before, room), _towards((x, y), after, room)
        found.append(f"L{enter[0]:.1f} {enter[1]:.1f}Q{x:.1f} {y:.1f} {leave[0]:.1f} {leave[1]:.1f}")
    return "".join([*found, f"L{points[-1][0]:.1f} {points[-1][1]:.1f}"])


def _shared(points: Sequence[Point], other: Sequence[Point]) -> float:
    """How long two ways are one, from their beginning."""
    length = 0.0
    for a, b, c, d in zip(points, points[1:], other, other[1:]):
        if a != c:
            return length
        one, two = _distance(a, b), _distance(c, d)
        straight = _distance(_towards(a, b, 1.0), _towards(c, d, 1.0)) < 0.01
        length += min(one, two) if straight else 0.0
        if b != d:
            return length
    return length


def _without(points: Sequence[Point], length: float) -> list[Point]:
    """A way without so much of its beginning."""
    for number, (start, end) in enumerate(pairwise(points)):
        far = _distance(start, end)
        if length < far:
            return [_towards(start, end, length), *points[number + 1 :]]
        length -= far
    return list(points[-2:])


def _distance(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(start: Point, end: Point, far: float) -> Point:
    length = _distance(start, end) or 1.0
    return start[0] + (end[0] - start[0]) * far / length, start[1] + (end[1] - start[1]) * far / length


def _sample(sign: str, x: float, y: float) -> Iterator[str]:
    """What the legend shows of a sign."""
    if sign in _WORDS:
        look: Look = sign
        yield from _flat(look, x, y)
    elif sign == "outside":
        yield _outside(x + 16, y)
    elif sign == "wide":
        yield line(x, y, x + 34, y, "blue", width=4)
    else:
        node = Node("", sign, "")  # type: ignore[arg-type]
        if _has_icon(node):
            yield from _icon(node, x + 17, y)
        else:
            yield _outline(node, x + 17, y, 32, 16)


def _flat(look: Look, x: float, y: float) -> Iterator[str]:
    yield line(
        x, y, x + 28, y, COLOURS[look], width=1.8, dash=_DASHES[look], look='stroke-linecap="round"' if look == "undoes" else ""
    )
    if look == "stops":
        yield line(x + 31, y - 6, x + 31, y + 6, COLOURS[look], width=2.5)
    else:
        yield f'<polygon points="{x + 36:.1f},{y:.1f} {x + 27:.1f},{y - 4.5:.1f} {x + 27:.1f},{y + 4.5:.1f}" class="f-{COLOURS[look]}"/>'
