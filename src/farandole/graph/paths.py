"""Ways through a graph of numbered nodes: what can be reached, what is entangled, the shortest way round. Iterative: depth is no limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

__all__ = ["components", "reachable", "shortest_cycle", "way"]

Successors = Sequence[Sequence[int]]


def reachable(successors: Successors, sources: Iterable[int]) -> bytearray:
    """One byte per node: 1 where it can be reached from a source, or is one."""
    seen = bytearray(len(successors))
    stack = []
    for node in sources:
        if not seen[node]:
            seen[node] = 1
            stack.append(node)
    while stack:
        for node in successors[stack.pop()]:
            if not seen[node]:
                seen[node] = 1
                stack.append(node)
    return seen


def components(successors: Successors) -> list[int]:
    """The number of each node's strongly connected component; a component's successors have smaller numbers (Tarjan, 1972)."""
    count = len(successors)
    order = [0] * count  # when a node was first seen, from 1
    low = [0] * count
    component = [-1] * count
    path: list[int] = []
    clock = found = 0
    for root in range(count):
        if order[root]:
            continue
        clock += 1
        order[root] = low[root] = clock
        path.append(root)
        work = [(root, iter(successors[root]))]
        while work:
            node, rest = work[-1]
            for other in rest:
                if not order[other]:
                    clock += 1
                    order[other] = low[other] = clock
                    path.append(other)
                    work.append((other, iter(successors[other])))
                    break
                if component[other] < 0:
                    low[node] = min(low[node], order[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    while component[node] < 0:
                        component[path.pop()] = found
                    found += 1
    return component


def way(successors: Successors, start: int, goal: int, allowed: Callable[[int], bool]) -> list[int] | None:
    """A shortest way of one step or more through allowed nodes, both ends included; None where there is none."""
    before: dict[int, int] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for other in successors[node]:
            if other == goal:
                found = [goal, node]
                while found[-1] != start:
                    found.append(before[found[-1]])
                return found[::-1]
            if other not in before and other != start and allowed(other):
                before[other] = node
                queue.append(other)
    return None


def shortest_cycle(
    successors: Successors, nodes: Iterable[int], allowed: Callable[[int], bool], *, tries: int = 64
) -> list[int] | None:
    """A short cycle through allowed nodes, its first node once more at its end; the shortest through the first `tries` of `nodes`."""
    best: list[int] | None = None
    for node in nodes:
        if tries == 0 and best:
            break
        tries = max(0, tries - 1)
        found = way(successors, node, node, allowed)
        if found and (best is None or len(found) < len(best)):
            best = found
    return best
