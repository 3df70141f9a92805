"""Which messages belong to ways that fail: a drawing shows them otherwise than the happy path."""

from __future__ import annotations

from collections.abc import Iterable

from farandole.graph.graph import Graph

__all__ = ["failing"]


def failing(graph: Graph) -> frozenset[str]:
    """The messages that tell of a failure, as far as declarations show it.

    These are: what ends a workflow badly, what can end badly and not well, what is said when retries are used up or something came
    too late, what a compensation answers to, and what follows from those only. What may still end well is no failure, unless one of them says so.
    """
    good = _before(graph, (tp for workflow in graph.workflows for tp in workflow.succeeds))
    ends = {tp for workflow in graph.workflows for tp in workflow.fails}
    found = ends | (_before(graph, ends) - good)
    for reaction in graph.reactions:
        for branch in (reaction.exhausted, reaction.late):
            found.update(set(branch.emits) - good if branch else ())
        found.update(set(reaction.causes) - good if reaction.compensates else ())
    while more := {tp for tp in graph.producers if tp not in found and tp not in good and _follows_from(graph, tp, found)}:
        found |= more
    return frozenset(found)


def _follows_from(graph: Graph, tp: str, failures: set[str]) -> bool:
    """Whether only failures lead to it; a compensation's own event is none, it is how the undoing ends."""
    by = graph.producers[tp]
    return all(reaction.causes and set(reaction.causes) <= failures and not reaction.compensates for reaction in by)


def _before(graph: Graph, types: Iterable[str]) -> set[str]:
    """These types and all that may lead to them; compensations lead back, not on."""
    found: set[str] = set()
    todo = list(types)
    while todo:
        tp = todo.pop()
        if tp not in found:
            found.add(tp)
            todo += [
                cause
                for reaction in graph.producers.get(tp, ())
                if not reaction.compensates and tp in reaction.emits
                for cause in reaction.causes
            ]
    return found
