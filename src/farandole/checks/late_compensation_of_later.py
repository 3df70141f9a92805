"""Rule late-compensation-of-later: a compensation that is not tied to the instance that it undoes."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Reaction

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    names = names_of(graph)
    for compensation in graph.reactions:
        action = graph.reaction.get(compensation.compensates or "")
        if action is None or compensation.trigger.by is not None:
            continue
        instances = {field for tp in action.causes if (field := _instance(graph, action, tp))}
        for tp in compensation.causes:
            field = _instance(graph, compensation, tp)
            if instances and field and field not in instances:
                (own, *_) = sorted(instances)
                yield Finding(
                    rule="late-compensation-of-later",
                    place=compensation.place,
                    what=f"{names.step(compensation.id)} is set off per {field} by {names.step(tp)}, and "
                    f"{names.step(action.id)} acts per {own}: "
                    f"when it comes late, it may undo what was done for a later {own}.",
                    fix=f'Give {names.step(tp)} the key {own}, or say by="{own}" and undo that one only.',
                    subject=compensation.id,
                    trail=(tp, compensation.id),
                )
                break


def _instance(graph: Graph, reaction: Reaction, type: str) -> str | None:
    """The field by which a reaction tells instances apart; None where nothing says it."""
    message = graph.declared(reaction.service, type)
    return reaction.trigger.by or (message.key if message else None)


RULE = Rule(
    id="late-compensation-of-later",
    tier="hint",
    severity="warning",
    title="a compensation that may undo a later action",
    why="A cancellation that is delivered late releases the reservation that the customer has made since.",
    check=_check,
)
