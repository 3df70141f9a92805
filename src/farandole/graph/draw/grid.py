"""Where each node stands: in which row and column of a grid, so that arrows lead down and are short."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from farandole.graph.draw.picture import Arrow, Node, Picture

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
    for root in sorted(nodes, key=lambda id: id in led_to):
        stack = [(root, iter(heads[root]))] if root not in entered else []
        entered.add(root)
        while stack:
            node, rest = stack[-1]
            head = next(rest, None)
            if head is None:
                stack.pop()
                done.add(node)
                finished.append(node)
            elif head not in entered:
                entered.add(head)
                stack.append((head, iter(heads[head])))
            elif head not in done:
                back.add((node, head))
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
    lanes = _near(list(picture.groups), [(_groups(picture)[a.tail], _groups(picture)[a.head]) for a in picture.arrows])
    column = {group: number for number, group in enumerate(lanes)}
    before: dict[str, list[str]] = defaultdict(list)
    for arrow in picture.arrows:
        if by_depth[arrow.tail] < by_depth[arrow.head]:
            before[arrow.head].append(arrow.tail)
    cells: Cells = {}
    taken: set[tuple[int, int]] = set()
    order = {id: number for number, id in enumerate(by_depth)}
    for node in sorted(picture.nodes, key=lambda node: (by_depth[node.id], node.look != "usual", -order[node.id])):
        row = max((cells[tail][0] + 1 for tail in before[node.id]), default=0)
        while (row, column[node.group]) in taken:
            row += 1
        cells[node.id] = (row, column[node.group])
        taken.add(cells[node.id])
    return cells, lanes


def _told(picture: Picture) -> list[str]:
    """The nodes in an order to tell them: commands first, and failures last."""
    return [node.id for node in sorted(picture.nodes, key=lambda node: (node.kind != "command", node.look != "usual"))]


def _groups(picture: Picture) -> dict[str, str]:
    return {node.id: node.group for node in picture.nodes}


def _near(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """An order in which what is connected stands near each other: names move as long as that makes arrows shorter."""
    weights: dict[tuple[str, str], int] = defaultdict(int)
    for one, other in pairs:
        if one != other:
            weights[min(one, other), max(one, other)] += 1

    def length(order: list[str]) -> int:
        at = {name: place for place, name in enumerate(order)}
        return sum(weight * abs(at[one] - at[other]) for (one, other), weight in weights.items())

    best = list(names)
    shortest = length(best)
    better = True
    while better:
        better = False
        for name in names:
            rest = [other for other in best if other != name]
            tried = min(([*rest[:at], name, *rest[at:]] for at in range(len(names))), key=length)
            if length(tried) < shortest:
                best, shortest, better = tried, length(tried), True
    return best


# ---- layers --------------------------------------------------------------------------------------------------------------


def _in_layers(picture: Picture) -> Cells:
    """Rows by depth, each in the order of what its nodes are connected with; long rows are broken."""
    arrows = [(arrow.tail, arrow.head) for arrow in picture.arrows]
    by_depth = depths([node.id for node in picture.nodes], arrows)
    connected = {end for pair in arrows for end in pair}
    layers: list[list[str]] = [[] for _ in range(max(by_depth.values(), default=0) + 1)]
    for id in reversed(by_depth):
        if id in connected:
            layers[by_depth[id]].append(id)
    _untangle(layers, arrows)
    rows = [part for layer in layers for part in _broken(layer)]
    rows += _broken([node.id for node in picture.nodes if node.id not in connected])  # what nobody hears stands at the end
    widest = max(map(len, rows), default=0)
    return {id: (row, (widest - len(ids)) // 2 + place) for row, ids in enumerate(rows) for place, id in enumerate(ids)}


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


def _broken(layer: list[str]) -> list[list[str]]:
    """As few rows as hold it, about equally long."""
    count = -(-len(layer) // _WIDEST)
    return [layer[len(layer) * k // count : len(layer) * (k + 1) // count] for k in range(count)]
