"""Rule deadline-without-late: what comes after a deadline, or after a join's time, is dropped."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    names = names_of(graph)
    for reaction in graph.reactions:
        trigger = reaction.trigger
        late = trigger.unless if trigger.kind == "deadline" else trigger.receives
        if (
            reaction.late
            or reaction.process
            or trigger.within is None
            or trigger.kind not in ("deadline", "all", "count")
            or not late
        ):
            continue
        after = "its deadline" if trigger.kind == "deadline" else "its time"
        yield Finding(
            rule="deadline-without-late",
            place=reaction.place,
            what=f"{names.step(reaction.id)} has no late handler: {names.messages(late, 'or')} after {after} is "
            f"noted, and nobody acts on it.",
            fix=f"Declare @{reaction.name}.late, which undoes what came too late, or states it as an event.",
            subject=reaction.id,
        )


RULE = Rule(
    id="deadline-without-late",
    tier="proof",
    severity="warning",
    title="nobody minds what comes too late",
    why="What was given up on may still happen: a payment that arrives a minute late is money for a cancelled order.",
    check=_check,
)
