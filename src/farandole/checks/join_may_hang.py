"""Rule join-may-hang: a join that waits for ever, because one of its parts does not come."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.hanging import hangs
from farandole.checks.words import names_of
from farandole.graph import Graph

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    names = names_of(graph)
    for hang in hangs(graph):
        if hang.join is None or hang.missing is None:
            continue
        flow, types = hang.flow, hang.flow.net.types
        join = flow.arm(hang.join)
        missing = types[hang.missing]
        there = next(part for part in join.parts if part in hang.world.came)
        if hang.arm is None:
            cause = "one excludes the other"
        else:
            cause = (
                f"{names.step(flow.arm(hang.arm).reaction.id)} may answer {names.messages(types[tp] for tp in hang.way)} instead"
            )
        yield Finding(
            rule="join-may-hang",
            place=join.reaction.place,
            what=f"{names.step(join.reaction.id)} may wait for {names.step(missing)} for ever when "
            f"{names.step(types[there])} is there: {cause}, "
            f"and {flow.workflow.name} has no other way to an outcome.",
            fix=f"Give the join within= and a late handler, or let what comes instead of {names.step(missing)} end the workflow.",
            subject=join.reaction.id,
            workflow=flow.workflow.name,
            trail=(*hang.world.trail(flow.net, there), join.reaction.id),
        )


RULE = Rule(
    id="join-may-hang",
    tier="proof",
    severity="error",
    title="a join that may wait for ever",
    why="A half-filled join says nothing: the workflow hangs, and each one leaves a row that nobody takes away.",
    check=_check,
)
