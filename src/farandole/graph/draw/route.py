"""The ways of arrows between boxes: down the gutters between columns and along the channels between rows, never across a box.

A channel lies above each row, and one below the last; a gutter lies left of each column, and one right of the last. Arrows of one tail
and look are one net and share their way as far as they can. Different nets never lie on each other, but where they reach the same box
in a crowd; they cross at right angles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from farandole.graph.draw.grid import Cells
from farandole.graph.draw.picture import Arrow

__all__ = ["Plan", "Point", "plan"]

Point = tuple[float, float]
Net = tuple[str, str]
Rail = tuple[str, int]  # ("column", 2) or ("gutter", 2): where something runs up or down

_GAP = 9.0  # between two lines side by side
_OVER, _UNDER = 10.0, 20.0  # in a channel, over its first line, and under its last, where the heads of arrows are
_BESIDE = 12.0  # in a gutter, beside its lines


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is.

    Attributes
    ----------
    at:
        The middle of each node.
    ways:
        The corners of each arrow, in the order given.
    columns:
        Left edge and width of each column.
    """

    at: dict[str, Point]
    ways: list[list[Point]]
    columns: list[tuple[float, float]]
    width: float
    height: float


@dataclass(slots=True)
class _Run:
    """A vertical piece of a net in one column or gutter. Levels: channel k is 4k, the top of row k is 4k + 1, its bottom 4k + 3."""

    net: Net
    first: int
    last: int
    track: int = 0

    def meets(self, other: _Run) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(slots=True)
class _Bar:
    """A horizontal piece of a net in one channel: where it begins and ends, and where it is left upwards and downwards."""

    net: Net
    up: set[float] = field(default_factory=set)
    down: set[float] = field(default_factory=set)
    track: int = 0

    @property
    def left(self) -> float:
        return min(self.up | self.down)

    @property
    def right(self) -> float:
        return max(self.up | self.down)


def plan(cells: Cells, sizes: dict[str, tuple[float, float]], arrows: Sequence[Arrow], columns: int = 0) -> Plan:
    """Lay out a grid.

    Parameters
    ----------
    sizes:
        Width and height of each node.
    columns:
        How many columns there are at least.
    """
    return _Planner(cells, sizes, arrows, columns).plan()


class _Planner:
    def __init__(self, cells: Cells, sizes: dict[str, tuple[float, float]], arrows: Sequence[Arrow], columns: int) -> None:
        self._cells, self._sizes, self._arrows = cells, sizes, arrows
        self._filled = set(cells.values())
        self._rows = max((row for row, _ in self._filled), default=-1) + 1
        self._columns = max(max((column for _, column in self._filled), default=-1) + 1, columns)
        self._runs: dict[Rail, list[_Run]] = defaultdict(list)
        self._rails: list[Rail | None] = []

    def plan(self) -> Plan:
        for arrow in self._arrows:
            self._rails.append(self._choose(arrow))
        self._merge()
        for rail, runs in self._runs.items():
            self._part(rail, runs)
        lefts, widths, gutters = self._across()
        bars = self._bars(lefts, widths, gutters)
        for channel in bars.values():
            _stack(list(channel.values()))
        tops, heights, lines = self._down(bars)
        at = {id: (lefts[column] + widths[column] / 2, tops[row] + heights[row] / 2) for id, (row, column) in self._cells.items()}
        ways = [self._way(number, at, (lefts, widths, gutters), bars, lines) for number in range(len(self._arrows))]
        width = gutters[-1] + self._room(self._columns)
        return Plan(at, ways, list(zip(lefts, widths)), width, lines[-1] + _OVER + self._lines(bars, self._rows) * _GAP)

    # ---- which way -------------------------------------------------------------------------------------------------------

    def _choose(self, arrow: Arrow) -> Rail | None:
        """Where an arrow goes down, or up: the nearest gutter, or a column that is empty there. None: it need not."""
        (row, column), (to, target), net = self._cells[arrow.tail], self._cells[arrow.head], (arrow.tail, arrow.look)
        start, end = row + 1, to
        rail: Rail | None = None
        if start != end:
            free = [k for k in range(self._columns) if start < end and not any((r, k) in self._filled for r in range(start, end))]
            rails: list[Rail] = [("column", k) for k in free] + [("gutter", k) for k in range(self._columns + 1)]
            rail = min(rails, key=lambda one: self._cost(one, net, (start, end), (column, target)))
            if rail[0] == "gutter" or rail[1] not in (column, target):
                self._runs[rail].append(_Run(net, *sorted((4 * start, 4 * end))))
        if rail == ("column", target) == ("column", column) or (rail is None and column == target):
            self._runs["column", column].append(_Run(net, 4 * row + 3, 4 * to + 1))
        else:
            self._runs["column", column].append(_Run(net, 4 * row + 3, 4 * (end if rail == ("column", column) else start)))
            self._runs["column", target].append(_Run(net, 4 * (start if rail == ("column", target) else end), 4 * to + 1))
        return rail

    def _cost(self, rail: Rail, net: Net, channels: tuple[int, int], columns: tuple[int, int]) -> float:
        kind, number = rail
        place = 2 * number + (kind == "column")
        tail, head = (2 * column + 1 for column in columns)
        way = abs(place - tail) + abs(place - head)
        run = _Run(net, *sorted((4 * channels[0], 4 * channels[1])))
        shared = any(other.net == net and other.meets(run) for other in self._runs[rail])
        crowd = sum(other.net != net and other.meets(run) for other in self._runs[rail])
        corners = 0.0 if kind == "column" and number in columns else 0.6
        return way + corners + 0.2 * crowd - 0.5 * shared

    def _merge(self) -> None:
        """Pieces of one net that lie on each other are one."""
        for rail, runs in self._runs.items():
            merged: list[_Run] = []
            for run in sorted(runs, key=lambda run: (run.net, run.first)):
                if merged and merged[-1].net == run.net and merged[-1].meets(run):
                    merged[-1].last = max(merged[-1].last, run.last)
                else:
                    merged.append(run)
            self._runs[rail] = merged

    def _part(self, rail: Rail, runs: list[_Run]) -> None:
        """Give each run a track on which no other lies. A column has as many as its boxes are wide; in a crowd they are shared."""
        most = len(runs) if rail[0] == "gutter" else max(1, int((self._width(rail[1]) - 24) / _GAP))
        runs.sort(key=lambda run: (run.first - run.last, run.first, run.net))
        for number, run in enumerate(runs):
            used = {other.track for other in runs[:number] if other.meets(run)}
            run.track = next((track for track in range(most) if track not in used), number % most)

    # ---- where that is ---------------------------------------------------------------------------------------------------

    def _width(self, column: int) -> float:
        return max((self._sizes[id][0] for id, (_, at) in self._cells.items() if at == column), default=60.0)

    def _room(self, gutter: int) -> float:
        tracks = max((run.track + 1 for run in self._runs.get(("gutter", gutter), ())), default=0)
        return 2 * _BESIDE + max(tracks - 1, 0) * _GAP

    def _across(self) -> tuple[list[float], list[float], list[float]]:
        """Left edges of columns, their widths, and left edges of gutters."""
        lefts, widths, gutters, x = [], [], [], 0.0
        for column in range(self._columns):
            gutters.append(x)
            x += self._room(column)
            lefts.append(x)
            widths.append(self._width(column))
            x += widths[-1]
        return lefts, widths, [*gutters, x]

    def _x(self, rail: Rail, net: Net, level: int, across: tuple[list[float], list[float], list[float]]) -> float:
        lefts, widths, gutters = across
        kind, number = rail
        run = next(run for run in self._runs[rail] if run.net == net and run.first <= level <= run.last)
        if kind == "gutter":
            return gutters[number] + _BESIDE + run.track * _GAP
        side = 1 if run.track % 2 else -1
        return lefts[number] + widths[number] / 2 + side * ((run.track + 1) // 2) * _GAP

    def _stops(self, number: int, across: tuple[list[float], list[float], list[float]]) -> tuple[float, float | None, float]:
        """Where an arrow leaves its tail, goes down or up, and reaches its head."""
        arrow, rail = self._arrows[number], self._rails[number]
        (row, column), (to, target), net = self._cells[arrow.tail], self._cells[arrow.head], (arrow.tail, arrow.look)
        start = self._x(("column", column), net, 4 * row + 3, across)
        end = self._x(("column", target), net, 4 * to + 1, across)
        if rail is None or rail in (("column", column), ("column", target)):
            return start, {None: None, ("column", column): start, ("column", target): end}[rail], end
        return start, self._x(rail, net, 4 * (row + 1), across), end

    def _bars(self, *across: list[float]) -> dict[int, dict[Net, _Bar]]:
        """The horizontal pieces, by channel."""
        found: dict[int, dict[Net, _Bar]] = defaultdict(dict)
        for number, arrow in enumerate(self._arrows):
            net, first, last = (arrow.tail, arrow.look), self._cells[arrow.tail][0] + 1, self._cells[arrow.head][0]
            start, middle, end = self._stops(number, (across[0], across[1], across[2]))
            bar = found[first].setdefault(net, _Bar(net))
            bar.up.add(start)
            if first == last:
                bar.down.add(end)
                continue
            assert middle is not None
            (bar.down if first < last else bar.up).add(middle)
            bar = found[last].setdefault(net, _Bar(net))
            (bar.up if first < last else bar.down).add(middle)
            bar.down.add(end)
        return found

    def _lines(self, bars: dict[int, dict[Net, _Bar]], channel: int) -> int:
        return max((bar.track + 1 for bar in bars.get(channel, {}).values() if bar.left < bar.right), default=0)

    def _down(self, bars: dict[int, dict[Net, _Bar]]) -> tuple[list[float], list[float], list[float]]:
        """Tops of rows, their heights, and tops of channels."""
        tops, heights, channels, y = [], [], [], 0.0
        for row in range(self._rows):
            channels.append(y)
            y += _OVER + _UNDER + max(self._lines(bars, row) - 1, 0) * _GAP if row in bars else _OVER
            tops.append(y)
            heights.append(max((self._sizes[id][1] for id, (at, _) in self._cells.items() if at == row), default=0.0))
            y += heights[-1]
        return tops, heights, [*channels, y]

    def _way(
        self,
        number: int,
        at: dict[str, Point],
        across: tuple[list[float], list[float], list[float]],
        bars: dict[int, dict[Net, _Bar]],
        lines: list[float],
    ) -> list[Point]:
        arrow = self._arrows[number]
        net, first, last = (arrow.tail, arrow.look), self._cells[arrow.tail][0] + 1, self._cells[arrow.head][0]
        start, middle, end = self._stops(number, across)

        def y(channel: int) -> float:
            return lines[channel] + _OVER + bars[channel][net].track * _GAP

        top = at[arrow.tail][1] + self._sizes[arrow.tail][1] / 2
        bottom = at[arrow.head][1] - self._sizes[arrow.head][1] / 2
        between = [] if middle is None else [(middle, y(first)), (middle, y(last))]
        return _corners([(start, top), (start, y(first)), *between, (end, y(last)), (end, bottom)])


def _stack(bars: list[_Bar]) -> None:
    """Give the bars of a channel lines, from the top: few, and in an order with few crossings."""
    order = sorted((bar for bar in bars if bar.left < bar.right), key=lambda bar: (bar.left, bar.right, bar.net))
    if len(order) <= 60:
        better = True
        for _ in order:
            if not better:
                break
            better = False
            for k in range(len(order) - 1):
                one, other = order[k], order[k + 1]
                if _crossings(other, one) < _crossings(one, other):
                    order[k], order[k + 1], better = other, one, True
    for k, bar in enumerate(order):
        bar.track = 1 + max((o.track for o in order[:k] if o.left <= bar.right + _GAP and bar.left <= o.right + _GAP), default=-1)


def _crossings(over: _Bar, under: _Bar) -> int:
    """How often they cross if the first lies over the second."""
    return _inside(under.up, over) + _inside(over.down, under)


def _inside(places: Iterable[float], bar: _Bar) -> int:
    return sum(bar.left < x < bar.right for x in places)


def _corners(points: list[Point]) -> list[Point]:
    """The points at which it turns, with both ends."""
    found: list[Point] = []
    for point in points:
        if found and abs(found[-1][0] - point[0]) + abs(found[-1][1] - point[1]) < 0.01:
            continue
        if len(found) > 1 and (found[-2][0] == found[-1][0] == point[0] or found[-2][1] == found[-1][1] == point[1]):
            found[-1] = point
        else:
            found.append(point)
    return found
