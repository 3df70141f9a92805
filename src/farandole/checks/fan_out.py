"""Hint: one event that becomes many, without a bound."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.checks.workflows import after
from farandole.graph import Graph, Reaction

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Lists of events that lead back to their own reaction, or into calls to the outside."""
    names = names_of(graph)
    for reaction in graph.reactions:
        for tp in reaction.many:
            name, who = names.message(tp), names.reaction(reaction.id)
            if reaction.id in after(graph, [tp]).reactions:
                yield _finding(
                    reaction,
                    f"{who} emits a list of {name}, and each of them may lead back to it: the number of events multiplies each time round.",
                    f"Let {who} emit one {name} a time, or let the loop end before it.",
                )
            elif outside := [node for node in graph.consumers.get(tp, ()) if node.outside]:
                callee = names.reaction(outside[0].id)
                yield _finding(
                    reaction,
                    f"{who} emits a list of {name}, and {callee} calls the outside for each: one event becomes any number of calls.",
                    f"Let {callee} take all of them in one event, or bound the list and the concurrency of {callee}.",
                )


def _finding(reaction: Reaction, what: str, fix: str) -> Finding:
    return Finding(RULE.id, reaction.place, what, fix, reaction.id)


RULE = Rule(
    "fan-out",
    "hint",
    "warning",
    "one event that becomes any number",
    "A single large order floods a provider or a partition, and everything behind it waits.",
    check,
)
