"""Rule compensation-can-fail: a compensation that may fail for good, and nothing states that as an event."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    names = names_of(graph)
    outcomes = {tp for workflow in graph.workflows for tp in workflow.outcomes}
    heard = outcomes | {message.type for message in graph.messages if message.public} | graph.consumers.keys()
    for reaction in graph.reactions:
        undoes = reaction.compensates or (reaction.trigger.after[0] if reaction.undoes_step else None)
        if not undoes or not reaction.outside or (reaction.effects and reaction.effects.outside == "none"):
            continue
        name, spent = names.step(reaction.id), reaction.exhausted
        if spent is None:
            what = (
                f"{name} undoes {names.step(undoes)} by calling the outside, and it has no exhausted handler for when that fails."
            )
        elif not heard.intersection(spent.emits):
            said = f"{names.messages(spent.emits)}, which nobody hears" if spent.emits else "nothing"
            what = f"{name} undoes {names.step(undoes)} by calling the outside, and gives up with {said}."
        else:
            continue
        yield Finding(
            rule="compensation-can-fail",
            place=spent.place if spent else reaction.place,
            what=what,
            fix=f"Declare @{reaction.name}.exhausted with an event that ends the workflow, or that somebody "
            f"reacts to, such as a person's list.",
            subject=reaction.id,
        )


RULE = Rule(
    id="compensation-can-fail",
    tier="proof",
    severity="error",
    title="a compensation that may fail in silence",
    why="A saga has no second net: what a compensation does not undo stays done, and only a dead letter knows.",
    check=_check,
)
