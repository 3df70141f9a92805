"""A chain as a tree for people, in the columns of a terminal or of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from farandole.drawing.letters import lines, plain
from farandole.drawing.paint import Piece, cut, painted, spread
from farandole.observe.chain.chain import Chain
from farandole.observe.chain.tree import Node
from farandole.observe.chain.words import LOOKS, called, counted, delayed, fate, heading, notes
from farandole.words import clock

__all__ = ["FAN", "MOST", "ended", "tree"]

MOST, FAN = 200, 12
"""So many events are shown, and so many effects of one event, unless all are asked for."""
_DELAY, _CLOCK = 9, 12  # columns

Data = Callable[[Node], Sequence[str]]


@dataclass(slots=True)
class _Line:
    """A line: what stands on the left; for events delay, time and id on the right."""

    left: list[Piece]
    delay: str = ""
    time: str = ""
    id: str = ""
    hang: list[Piece] = field(default_factory=list)
    """What further lines begin with, where the text is broken into several; without it, it is cut."""


def tree(
    chain: Chain,
    *,
    width: int | None = 100,
    colour: bool = False,
    ids: bool = False,
    data: Data | None = None,
    whole: bool = False,
    status: bool = True,
) -> str:
    """The tree, with its heading and where the instance is.

    Parameters
    ----------
    width:
        In columns; None: lines are as long as they are.
    colour:
        With a terminal's colours.
    ids:
        With the ids of events.
    data:
        Gives lines about an event's data.
    whole:
        Every event, however many they are.
    status:
        With the status at its end.
    """
    first, *more = heading(chain)
    found = [_painted(cut([(first, "bold")], width or 10_000), colour=colour)]
    found += [painted(line, "amber", colour=colour) for line in more]
    body = list(_Tree(chain, data, whole=whole, width=width).lines(ids=ids))
    right = _DELAY + _CLOCK + 3 + (max((len(line.id) for line in body), default=0) + 2 if ids else 0)
    longest = max((spread(line.left) for line in body if line.time), default=0)
    column = longest if width is None else max(24, min(longest, width - right))
    found += [text for line in body for text in _written(line, column, width, colour=colour)]
    return "\n".join([*found, *(ended(chain, width, colour=colour) if status else ())])


def ended(chain: Chain, width: int | None, *, colour: bool) -> Iterator[str]:
    """Where the instance is, in the last lines: these are seen first."""
    status = chain.status
    if status is None or (status.workflow is None and not status.expected):
        return
    first, *more = str(status).splitlines()
    style = {"succeeded": "green", "failed": "red", "stalled": "red"}.get(status.state, "bold")
    for text, look in ((first, style), *((line, "") for line in more)):
        indent = "  " if text.startswith(" ") else ""
        broken = [plain(text)] if width is None else lines(plain(text), width - 4)
        for number, line in enumerate(broken):
            yield indent + "  " * (number > 0) + painted(line, look, colour=colour)


def _written(line: _Line, column: int, width: int | None, *, colour: bool) -> Iterator[str]:
    if line.hang:
        head, words, style = line.left[:-1], line.left[-1][0], line.left[-1][1]
        room = max(20, width - max(spread(head), spread(line.hang))) if width is not None else 100_000
        for number, text in enumerate(lines(words, room) or [""]):
            yield _painted([*(line.hang if number else head), (text, style)], colour=colour)
        return
    left = line.left if width is None else cut(line.left, column if line.time else width)
    if line.delay or line.time.strip() or line.id:
        gap = " " * max(0, column - spread(left))
        left = [*left, (f"{gap} {line.delay:>{_DELAY}}  ", ""), (f"{line.time:<{_CLOCK}}" if line.id else line.time, "dim")]
        left += [(f"  {line.id}", "dim")] if line.id else []
    yield _painted(left, colour=colour)


def _painted(line: Sequence[Piece], *, colour: bool) -> str:
    return "".join(painted(text, style, colour=colour) for text, style in line).rstrip()


class _Tree:
    def __init__(self, chain: Chain, data: Data | None, *, whole: bool, width: int | None) -> None:
        self._chain = chain
        self._data = data
        self._most, self._fan = (10**9, 10**9) if whole else (MOST, FAN)
        self._below: dict[int, tuple[int, int]] = {}
        self._homes: dict[str, Node] = {}
        deepest = self._count()
        room = (width or 120) // 3
        self._step = 3 if deepest * 3 <= room else 2
        self._deepest = max(4, room // self._step)

    def _count(self) -> int:
        """How many events stand in and below each node, and how many of them are in trouble; gives the greatest depth."""
        found: list[tuple[Node, Node | None]] = []
        depths: dict[int, int] = {}
        for node, above in self._chain.walk():
            found.append((node, above))
            depths[id(node)] = 0 if above is None else depths[id(above)] + 1
            if above is not None and node.kind == "event":
                self._homes[node.id] = above
        for node, above in reversed(found):
            below, trouble = self._below.get(id(node), (0, 0))
            below += node.kind == "event"
            trouble += any(one.is_trouble for one in node.handled)
            self._below[id(node)] = below, trouble
            if above is not None:
                others, their = self._below.get(id(above), (0, 0))
                self._below[id(above)] = others + below, their + trouble
        return max(depths.values(), default=0)

    def lines(self, *, ids: bool) -> Iterator[_Line]:
        """Those of the body, from the top down."""
        shown = 0
        stack: list[tuple[Node | str, str, bool | None, int]] = [(root, "", None, 0) for root in reversed(self._chain.roots)]
        left = sum(self._below[id(root)][0] for root in self._chain.roots)
        while stack:
            node, bars, is_last, depth = stack.pop()
            joint = "" if is_last is None else ("└" if is_last else "├") + "─" * (self._step - 2) + " "
            if isinstance(node, str):
                yield _Line([(bars + joint, "dim"), (node, "dim")])
                continue
            if shown >= self._most and left:
                yield _Line([(f"… {counted(left, 'event')} more: --all shows them", "amber")])
                return
            shown += 1
            left -= node.kind == "event"
            under = bars + ("" if is_last is None else (" " if is_last else "│").ljust(self._step))
            yield self._event(node, bars + joint, depth, ids=ids)
            if node.kind == "again" and not node.children:
                continue
            children = node.children if len(node.children) <= self._fan + 2 else node.children[: self._fan]
            hidden = node.children[len(children) :]
            yield from self._about(node, under + ("│" if node.children else " ").ljust(self._step - 1) + " ")
            if depth + 1 > self._deepest:
                under, below = bars, [(child, bars, is_last, depth + 1) for child in children]
            else:
                below = [(child, under, number == len(node.children), depth + 1) for number, child in enumerate(children, 1)]
            stack += [(self._folded(hidden), under, True, depth + 1)] if hidden else []
            left -= sum(self._below[id(child)][0] for child in hidden)
            stack += reversed(below)

    def _folded(self, nodes: Sequence[Node]) -> str:
        """Effects of one event that are not shown, in words."""
        kinds = Counter(called(node) for node in nodes).most_common(3)
        words = ", ".join(f"{number:,} {name}" for name, number in kinds)
        below = sum(self._below[id(node)][0] for node in nodes)
        trouble = sum(self._below[id(node)][1] for node in nodes)
        told = f"… {len(nodes):,} more: {words}" + (", …" if sum(number for _, number in kinds) < len(nodes) else "")
        if below > len(nodes):
            told += f", with {counted(below - len(nodes), 'event')} below them"
        return told + (f"; {trouble:,} of them in trouble" if trouble else "")

    def _event(self, node: Node, joint: str, depth: int, *, ids: bool) -> _Line:
        deeper = depth - self._deepest
        left: list[Piece] = [(joint, "dim")] + ([(f"({deeper} deeper) ", "dim")] if deeper > 0 else [])
        if node.kind == "again":
            home = self._homes.get(node.id)
            where = "stands elsewhere" if home is None else f"stands under {called(home)}"
            where = "of another instance" if node.children else where
            return _Line([*left, (called(node), "dim"), (f"  {where}", "dim")], time=" ", id=plain(node.id) if ids else "")
        left += [(called(node), "red" if node.kind == "missing" else "bold")]
        left += [(f"  {plain(node.service)}", "")] if node.service else []
        left += [(f"  {text}", style) for text, style in notes(node)]
        time = " " if node.time is None else clock(node.time, fine=True)
        own = "" if not ids or (node.kind == "missing" and not node.name) else plain(node.id)
        return _Line(left, delayed(node), time, own)

    def _about(self, node: Node, bars: str) -> Iterator[_Line]:
        """What became of it, what is expected of it, and its data."""
        for one in node.handled:
            sign, style = LOOKS.get(one.state, ("·", ""))
            if one.unsaid:
                sign, style = "!", "amber"
            words = fate(one, node, self._chain.now)
            look = "" if one.is_trouble else "dim"
            left: list[Piece] = [(bars, "dim"), (f"{sign} ", style), (f"{plain(one.reaction)}  ", look), (words, look)]
            yield _Line(left, hang=[(bars + "    ", "dim")])
        for expected in node.expected:
            words = plain(expected.tell(self._chain.now))
            yield _Line([(bars, "dim"), ("○ ", "cyan"), (f"expected: {words}", "cyan")], hang=[(bars + "    ", "dim")])
        for text in self._data(node) if self._data is not None and node.entry is not None else ():
            yield _Line([(bars, "dim"), ("  ", ""), (plain(text), "dim")], hang=[(bars + "    ", "dim")])
