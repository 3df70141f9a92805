"""Rule compensation-chain: compensations that undo each other in a circle, or set off again what they undo."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Reaction

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    names = names_of(graph)
    yield from _circles(graph)
    allowed = {tp for cycle in graph.cycles for tp in cycle.types}
    for compensation in graph.reactions:
        action = graph.reaction.get(compensation.compensates or "")
        if action is None:
            continue
        again = [tp for tp in compensation.effects_of_all_ways if tp in action.causes and tp not in allowed]
        if again:
            yield Finding(
                rule="compensation-chain",
                place=compensation.place,
                what=f"{names.step(compensation.id)} undoes {names.step(action.id)} and sets it off again with "
                f"{names.step(again[0])}.",
                fix=f"Emit another event than {names.step(again[0])}, or, if trying again is meant, "
                f"allow_cycle({names.step(again[0])}, at_most=...).",
                subject=compensation.id,
                trail=(compensation.id, again[0], action.id),
            )


def _circles(graph: Graph) -> Iterator[Finding]:
    """Reactions that compensate each other, each circle once, and itself at worst."""
    names = names_of(graph)
    done: set[str] = set()
    for first in graph.reactions:
        path: dict[str, Reaction] = {}
        node: Reaction | None = first
        while node is not None and node.id not in done and node.id not in path:
            path[node.id] = node
            node = graph.reaction.get(node.compensates or "")
        if node is not None and node.id in path:
            ids = list(path)
            ring = ids[ids.index(node.id) :]
            yield Finding(
                rule="compensation-chain",
                place=path[ring[-1]].place,
                what=f"Compensations undo each other in a circle: {' -> '.join(names.step(step) for step in [*ring, ring[0]])}.",
                fix="Let one of them be the action, and the others undo it.",
                subject=ring[-1],
                trail=(*ring, ring[0]),
            )
        done.update(path)


RULE = Rule(
    id="compensation-chain",
    tier="proof",
    severity="error",
    title="compensations without end",
    why="Done, undone, done again: two services keep each other busy, and the customer gets a mail each time.",
    check=_check,
)
