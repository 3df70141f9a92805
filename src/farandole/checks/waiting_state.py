"""Hint: a state that is entered and never left, and that is not an end."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Move, Reaction

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """States of entities with a move in, none out, and no reason to be final.

    Final are the states of reactions that end a workflow, that hear of its end, or that undo something.
    """
    names = names_of(graph)
    outcomes = {tp for workflow in graph.workflows for tp in workflow.outcomes}
    entered: dict[tuple[str, str], Reaction] = {}
    final: set[tuple[str, str]] = set()
    moves: dict[str, list[Move]] = {}
    for reaction in graph.reactions:
        for move in reaction.moves:
            moves.setdefault(move.entity, []).append(move)
            if move.to is not None:
                entered.setdefault((move.entity, move.to), reaction)
                ends = outcomes.intersection(reaction.effects_of_all_ways + reaction.trigger.receives)
                if ends or reaction.compensates:
                    final.add((move.entity, move.to))
    for (entity, state), reaction in entered.items():
        if (entity, state) in final or any(state in move.valid and move.to not in (None, state) for move in moves[entity]):
            continue
        yield Finding(
            RULE.id,
            reaction.place,
            f'{names.reaction(reaction.id)} puts {entity} into "{state}", and no reaction moves it on.',
            f'Move it on: states=Move("{entity}", valid=("{state}",), to=…). If it is an end, let the reaction emit an outcome of a workflow.',
            reaction.id,
        )


RULE = Rule(
    "waiting-state",
    "hint",
    "warning",
    "a state that is never left and is no end",
    "Things pile up there, and nobody looks for them.",
    check,
)
