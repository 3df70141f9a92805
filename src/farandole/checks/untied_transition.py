"""Hint: a change of state by an event that may be about another instance."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Move, Reaction
from farandole.words import listed

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Moves that do not say which field names the instance, where the event's key is not the one under which it was made."""
    names = names_of(graph)
    moves: dict[str, list[tuple[Reaction, Move]]] = {}
    for reaction in graph.reactions:
        for move in reaction.moves:
            moves.setdefault(move.entity, []).append((reaction, move))
    for entity, found in moves.items():
        makers = [(reaction, move) for reaction, move in found if not move.valid and move.to is not None]
        known = {key for reaction, move in makers for key in _keys(graph, reaction, move)}
        if not known:
            continue
        for reaction, move in found:
            other = [key for key in _keys(graph, reaction, move) if key not in known]
            if move.by is None and other and (reaction, move) not in makers:
                yield Finding(
                    RULE.id,
                    reaction.place,
                    f"{names.reaction(reaction.id)} changes {entity} by an event with the key {listed(other)}, but {entity} was made under "
                    f"{listed(sorted(known))}.",
                    f'Say which field of the event names the {entity}: Move("{entity}", …, by="{min(known)}").',
                    reaction.id,
                )


def _keys(graph: Graph, reaction: Reaction, move: Move) -> list[str]:
    """The fields that name the instance: what the move says, or the keys of what is received (for commands and makers, of what is emitted)."""
    if move.by is not None:
        return [move.by]
    heard = reaction.trigger.receives
    if reaction.trigger.kind == "command" or not move.valid:
        heard = reaction.emits or heard
    found = (graph.declared(reaction.service, tp) for tp in heard)
    return list(dict.fromkeys(node.key for node in found if node is not None and node.key is not None))


RULE = Rule(
    "untied-transition",
    "hint",
    "warning",
    "a change of state that may hit another instance",
    "A late or repeated event changes the wrong order, reservation or account.",
    check,
)
