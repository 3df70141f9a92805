"""Rule: a reaction that may be tried again after its inbox has forgotten the event."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph
from farandole.words import exactly, rounded_up

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Reactions to events whose retries take longer than the inbox of their service remembers."""
    names = names_of(graph)
    for reaction in graph.reactions:
        service = graph.service.get(reaction.service)
        if service is None or reaction.trigger.kind == "command" or reaction.horizon <= service.window:
            continue
        yield Finding(
            RULE.id,
            reaction.place,
            f"The retries of {names.reaction(reaction.id)} may take {exactly(reaction.horizon)}, but the inbox of "
            f"{names.service(service.id)} forgets an event after {exactly(service.window)}.",
            f"Set the window to {exactly(rounded_up(reaction.horizon))} or more, or let it retry for a shorter time.",
            reaction.id,
        )


RULE = Rule(
    "retry-beyond-window",
    "proof",
    "error",
    "retries longer than the inbox remembers",
    "An event that comes a second time after the inbox has forgotten it is handled a second time: paid, shipped or mailed twice.",
    check,
)
