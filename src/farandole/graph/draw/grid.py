"""Where each node stands: in which row and column of a grid, so that arrows lead down and are short."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from farandole.graph.draw.picture import Picture

__all__ = ["Cells", "depths", "place"]

Cells = dict[str, tuple[int, int]]
"""Row and column of each node, from 0."""

_WIDEST = 9
"""So many nodes stand beside each other, where no columns are given."""
_SWEEPS = 6


def place(picture: Picture) -> tuple[Cells, list[str]]:
    """The cells, and which group each column belongs to; () where there are no groups."""
    if picture.groups:
        return _in_lanes(picture)
    return _in_layers(picture), []


def depths(nodes: Iterable[str], arrows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many arrows the longest way to each node has; arrows that close a circle do not count.

    Nodes are visited in their order, those first to which nothing leads.
    """
    heads: dict[str, list[str]] = defaultdict(list)
    led_to = set()
    for tail, head in dict.fromkeys(arrows):
        if tail != head:
            heads[tail].append(head)
            led_to.add(head)
    finished: list[str] = []
    entered: set[str] = set()
    done: set[str] = set()
    back: set[tuple[str, str]] = set()
    for root in sorted(nodes, key=led_to.__contains__):
        stack = [(root, iter(heads[root]))] if root not in entered else []
        entered.add(root)
        while stack:
            node, rest = stack[-1]
            for head in rest:
                if head not in entered:
                    entered.add(head)
                    stack.append((head, iter(heads[head])))
                    break
                if head not in done:
                    back.add((node, head))
            else:
                stack.pop()
                done.add(node)
                finished.append(node)
    found = dict.fromkeys(finished, 0)
    for node in reversed(finished):  # causes before effects
        for head in heads[node]:
            if (node, head) not in back:
                found[head] = max(found[head], found[node] + 1)
    return found


# ---- columns that are services -------------------------------------------------------------------------------------------


def _in_lanes(picture: Picture) -> tuple[Cells, list[str]]:
    """A column for each group; a row holds one node of each group, below all that lead to it."""
    by_depth = depths(_told(picture), [(arrow.tail, arrow.head) for arrow in picture.arrows])
    group = {node.id: node.group for node in picture.nodes}
    lanes = _near(list(picture.groups), [(group[arrow.tail], group[arrow.head]) for arrow in picture.arrows])
    column = {name: number for number, name in enumerate(lanes)}
    before: dict[str, list[str]] = defaultdict(list)
    for arrow in picture.arrows:
        if by_depth[arrow.tail] < by_depth[arrow.head]:
            before[arrow.head].append(arrow.tail)
    ahead = _ahead(by_depth, before)
    bad = {node.id for node in picture.nodes if node.look == "fails"}
    bad |= {id for id, tails in before.items() if tails and bad.issuperset(tails)}
    cells: Cells = {}
    waiting: dict[str, list[str]] = {name: [] for name in lanes}
    for id in by_depth:
        waiting[group[id]].append(id)
    row = 0
    while any(waiting.values()):
        here = []
        for name, ids in waiting.items():
            ready = [id for id in ids if all(tail in cells for tail in before[id])]
            if ready:
                over = (row - 1, column[name])
                follows = {id for id in ready if any(cells[tail] == over for tail in before[id])}
                rank = {id: (id not in follows, id in bad, -ahead[id]) for id in ready}
                best = min(ready, key=rank.__getitem__)
                here.append((best, (row, column[name])))
                ids.remove(best)
        cells.update(here)  # not before: what stands in a row leads to nothing in that row
        row += 1
    return cells, lanes


def _ahead(by_depth: dict[str, int], before: dict[str, list[str]]) -> dict[str, int]:
    """How far the longest way on leads from each node: what goes on stands above what ends."""
    found = dict.fromkeys(by_depth, 0)
    for id in sorted(by_depth, key=by_depth.__getitem__, reverse=True):
        for tail in before[id]:
            found[tail] = max(found[tail], found[id] + 1)
    return found


def _told(picture: Picture) -> list[str]:
    """The nodes in an order to tell them: commands first, and failures last."""
    return [node.id for node in sorted(picture.nodes, key=lambda node: (node.kind != "command", node.look != "usual"))]


def _near(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """An order in which what is connected stands near each other: names move as long as that makes arrows shorter."""
    number = {name: place for place, name in enumerate(names)}
    weights: dict[tuple[int, int], int] = defaultdict(int)
    for tail, head in pairs:
        if tail != head:
            weights[number[tail], number[head]] += 1
    strings = [(one, other, weight) for (one, other), weight in weights.items()]

    def length(order: list[int]) -> int:
        at = [0] * len(order)
        for place, one in enumerate(order):
            at[one] = place
        return sum([weight * abs(at[one] - at[other]) for one, other, weight in strings])

    best = list(range(len(names)))
    shortest = length(best)
    better = True
    while better:
        better = False
        for one in number.values():
            rest = [other for other in best if other != one]
            for at in range(len(names)):
                tried = [*rest[:at], one, *rest[at:]]
                if (now := length(tried)) < shortest:
                    best, shortest, better = tried, now, True
    return [names[one] for one in best]


# ---- layers --------------------------------------------------------------------------------------------------------------


def _in_layers(picture: Picture) -> Cells:
    """Rows by depth, each in the order of what its nodes are connected with; long rows are broken.

    Nodes that lead to each other in a circle have one depth, whatever their order: they stand together as a block.
    """
    arrows = [(arrow.tail, arrow.head) for arrow in picture.arrows]
    connected = {end for pair in arrows for end in pair}
    order = depths([node.id for node in picture.nodes], arrows)
    circle = _circles(order, arrows)
    by_depth = depths(dict.fromkeys(circle.values()), [(circle[tail], circle[head]) for tail, head in arrows])
    layers: list[list[str]] = [[] for _ in range(max(by_depth.values(), default=0) + 1)]
    for id in sorted(order, key=order.__getitem__):
        if id in connected:
            layers[by_depth[circle[id]]].append(id)
    _untangle(layers, [pair for pair in arrows if circle[pair[0]] != circle[pair[1]]])
    rows = [part for layer in layers for part in _broken(layer, len(layer) - len({circle[id] for id in layer}))]
    rows += _broken([node.id for node in picture.nodes if node.id not in connected])  # what nobody hears stands at the end
    widest = max(map(len, rows), default=0)
    return {id: (row, (widest - len(ids)) // 2 + place) for row, ids in enumerate(rows) for place, id in enumerate(ids)}


def _circles(nodes: Iterable[str], arrows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each node one that stands for all that lead to it and are led to by it (Kosaraju's way)."""
    heads: dict[str, list[str]] = defaultdict(list)
    tails: dict[str, list[str]] = defaultdict(list)
    for tail, head in arrows:
        heads[tail].append(head)
        tails[head].append(tail)
    finished: list[str] = []
    seen: set[str] = set()
    for root in nodes:
        stack = [(root, iter(heads[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            node, rest = stack[-1]
            for head in rest:
                if head not in seen:
                    seen.add(head)
                    stack.append((head, iter(heads[head])))
                    break
            else:
                finished.append(node)
                stack.pop()
    found: dict[str, str] = {}
    for root in reversed(finished):
        todo = [] if root in found else [root]
        while todo:
            node = todo.pop()
            if node not in found:
                found[node] = root
                todo += tails[node]
    return found


def _untangle(layers: list[list[str]], arrows: Iterable[tuple[str, str]]) -> None:
    """Sort each layer by the mean place of its neighbours, down and up again (Sugiyama's barycentres)."""
    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for tail, head in arrows:
        above[head].append(tail)
        below[tail].append(head)
    at: dict[str, float] = {}
    for layer in layers:
        _number(layer, at)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            near = above if down else below
            mean = {id: sum(at[o] for o in near[id]) / len(near[id]) if near[id] else at[id] for id in layer}
            layer.sort(key=mean.__getitem__)
            _number(layer, at)


def _number(layer: list[str], at: dict[str, float]) -> None:
    """Places from 0 to 1, so that layers of different lengths can be compared."""
    for place, id in enumerate(layer):
        at[id] = (place + 0.5) / len(layer)


def _broken(layer: list[str], entangled: int = 0) -> list[list[str]]:
    """As few rows as hold it, about equally long; those that are entangled make a block."""
    widest = min(_WIDEST, math.ceil(1.4 * math.sqrt(len(layer)))) if entangled else _WIDEST
    count = -(-len(layer) // max(widest, 1))
    return [layer[len(layer) * k // count : len(layer) * (k + 1) // count] for k in range(count)]
