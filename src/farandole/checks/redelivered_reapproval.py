"""Rule redelivered-reapproval: a reaction that takes an entity out of a final state, or does not ask for its state at all."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Move, Reaction
from farandole.graph.net import net_of
from farandole.graph.paths import reachable
from farandole.words import listed

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    names = names_of(graph)
    moves: dict[str, list[tuple[Reaction, Move]]] = {}
    for reaction in graph.reactions:
        for move in reaction.moves:
            moves.setdefault(move.entity, []).append((reaction, move))
    outcomes = {tp for workflow in graph.workflows for tp in workflow.outcomes}
    later = _follows(graph, [reaction for several in moves.values() for reaction, move in several if not move.valid])
    for entity, several in moves.items():
        final = {move.to: reaction for reaction, move in several if move.to and outcomes.intersection(reaction.emits)}
        for reaction, move in several:
            left = sorted(state for state in final if state in move.valid and move.to not in (None, state))
            others = sorted(state for state, by in final.items() if by.id != reaction.id and state != move.to)
            if left:
                what = (
                    f"{names.step(reaction.id)} moves the {entity} to {move.to} out of {listed(left, 'or')}, "
                    f"in which {names.step(final[left[0]].id)} ended it."
                )
                fix = f"Take {listed(left, 'and')} out of valid=."
            elif not move.valid and move.to is not None and others and reaction.id in later.get(entity, set()):
                what = (
                    f"{names.step(reaction.id)} moves the {entity} to {move.to} whatever its state is, even from "
                    f"{listed(others, 'or')}, "
                    f"in which {names.step(final[others[0]].id)} ended it."
                )
                fix = f"Say in which states it may run: valid=(...), without {listed(others, 'and')}."
            else:
                continue
            yield Finding(
                rule="redelivered-reapproval",
                place=reaction.place,
                what=what,
                fix=fix,
                subject=f"{reaction.id}:{entity}",
            )


def _follows(graph: Graph, makers: list[Reaction]) -> dict[str, set[str]]:
    """By entity: the reactions that may follow from another one that makes it, so that they do not make a new one."""
    net = net_of(graph)
    count = len(net.types)
    successors: list[list[int]] = [list(map(count.__add__, arms)) for arms in net.feeds] + [sorted(arm.emits) for arm in net.arms]
    found: dict[str, set[str]] = {}
    for maker in makers:
        seen = reachable(successors, [tp for arm in net.arms_of.get(maker.id, ()) for tp in net.arms[arm].emits])
        ids = {net.arms[node - count].reaction.id for node in range(count, len(successors)) if seen[node]} - {maker.id}
        for move in maker.moves:
            found.setdefault(move.entity, set()).update(ids)
    return found


RULE = Rule(
    id="redelivered-reapproval",
    tier="hint",
    severity="warning",
    title="a move out of a final state",
    why="An event that is delivered again, or late, approves an order that was cancelled meanwhile; it is then paid and shipped.",
    check=_check,
)
