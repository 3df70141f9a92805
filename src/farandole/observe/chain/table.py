"""A chain as a table: a line for each event, each after its causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from farandole.drawing.letters import cells, fit, plain
from farandole.drawing.letters import lines as broken
from farandole.drawing.paint import Piece, cut, painted, spread
from farandole.observe.chain.chain import Chain
from farandole.observe.chain.text import MOST, ended
from farandole.observe.chain.tree import Node
from farandole.observe.chain.words import LOOKS, called, counted, delayed, fate, heading, notes
from farandole.words import clock

__all__ = ["rows", "table"]

_TITLES = ("time", "delay", "event", "service", "what became of it")
_GAP = "  "


def table(chain: Chain, *, width: int | None = 100, colour: bool = False, whole: bool = False) -> str:
    """The table, with its heading and where the instance is.

    Parameters
    ----------
    width:
        In columns; None: lines are as long as they are.
    colour:
        With a terminal's colours.
    whole:
        Every event, however many they are.
    """
    first, *more = heading(chain)
    found = [_written([(first, "bold")], width, colour=colour), *(painted(line, "amber", colour=colour) for line in more)]
    nodes = [root for root in chain.roots if root.kind in ("command", "missing")] + list(chain.events)
    shown = nodes if whole else nodes[:MOST]
    found += [_written(line, width, colour=colour) for line in rows(chain, shown, width)]
    if len(shown) < len(nodes):
        found.append(painted(f"… {counted(len(nodes) - len(shown), 'event')} more: --all shows them", "amber", colour=colour))
    return "\n".join([*found, *ended(chain, width, colour=colour)])


def rows(chain: Chain, nodes: Sequence[Node], width: int | None, *, titles: bool = True) -> Iterator[list[Piece]]:
    """The lines of these events; each reaction after the first of an event has a line of its own."""
    cells_of = [
        ("" if node.time is None else clock(node.time, fine=True), delayed(node), called(node), plain(node.service))
        for node in nodes
    ]
    sizes = [max([cells(title), *(cells(row[place]) for row in cells_of)]) for place, title in enumerate(_TITLES[:-1])]
    if width is not None:
        room = max(20, width * 6 // 10 - 12 - 9)
        sizes[2] = max(10, min(sizes[2], room * 6 // 10))
        sizes[3] = max(7, min(sizes[3], room * 4 // 10))
    if titles:
        yield [(_GAP.join([*(title.ljust(size) for title, size in zip(_TITLES, sizes)), _TITLES[-1]]), "dim")]
    for node, row in zip(nodes, cells_of):
        time, delay, name, service = (fit(text, size) for text, size in zip(row, sizes))
        line: list[Piece] = [(_padded(time, sizes[0]), "dim"), (_GAP + " " * (sizes[1] - cells(delay)) + delay + _GAP, "")]
        line += [(_padded(name, sizes[2]), "bold"), (_GAP + _padded(service, sizes[3]) + _GAP, "")]
        blank: list[Piece] = [(" " * spread(line), "")]
        told: list[list[Piece]] = [[(text, style)] for text, style in notes(node) if text != "command"]
        for one in node.handled:
            sign, style = LOOKS.get(one.state, ("·", ""))
            words = f"{plain(one.reaction)} {fate(one, node, chain.now)}".rstrip()
            told.append([(f"{sign} ", style), (words, "" if one.is_trouble else "dim")])
        told += [[("○ ", "cyan"), (f"expected: {plain(one.tell(chain.now))}", "cyan")] for one in node.expected]
        room = 10_000 if width is None else max(16, width - spread(blank) - 2)
        number = 0
        for *head, (words, look) in told or [[("", "")]]:
            for place, part in enumerate(broken(words, room) or [""]):
                yield [*(blank if number else line), *([("  ", "")] if place and head else head), (part, look)]
                number += 1


def _padded(text: str, size: int) -> str:
    return text + " " * (size - cells(text))


def _written(line: Sequence[Piece], width: int | None, *, colour: bool) -> str:
    pieces = line if width is None else cut(line, width)
    return "".join(painted(text, style, colour=colour) for text, style in pieces).rstrip()
