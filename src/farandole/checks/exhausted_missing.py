"""Rule exhausted-missing: a call to the outside that may fail for good, and nothing states that as an event."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.hanging import innocents
from farandole.checks.words import names_of
from farandole.graph import Graph

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    names = names_of(graph)
    for others in innocents(graph):
        flow = others.flow
        seen = set()
        for index in sorted(flow.arms):
            arm = flow.arm(index)
            reaction = arm.reaction
            if not reaction.outside or reaction.id in seen or arm.kind not in ("runs", "deadline") or reaction.compensates:
                continue
            if (reaction.exhausted and reaction.exhausted.emits) or not any(tp in flow.leads for tp in arm.emits):
                continue
            world = others.silences(index, ())
            if world is None:
                continue
            seen.add(reaction.id)
            name = names.step(reaction.id)
            lacks = "its exhausted handler emits nothing" if reaction.exhausted else "it has no exhausted handler"
            yield Finding(
                rule="exhausted-missing",
                place=reaction.place,
                what=f"{name} calls the outside, and {lacks}: when its retries are used up, {flow.workflow.name} "
                f"reaches no outcome.",
                fix=f"Declare @{reaction.name}.exhausted, which states the failure as an event, so that the "
                f"workflow goes on and is undone.",
                subject=reaction.id,
                workflow=flow.workflow.name,
                trail=(*world.trail(flow.net, arm.parts[0]), reaction.id),
            )


RULE = Rule(
    id="exhausted-missing",
    tier="proof",
    severity="error",
    title="a call to the outside that may fail in silence",
    why="Retries end. Then the event is a dead letter, and every workflow that it belongs to hangs until somebody looks.",
    check=_check,
)
