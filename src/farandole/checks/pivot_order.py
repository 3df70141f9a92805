"""Hint: steps of a saga on the wrong side of the step that decides it."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.checks.workflows import after, flows_of
from farandole.graph import Graph, Reaction

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Compensatable steps after a pivot, and retriable ones before it; ways through compensations do not count."""
    names = names_of(graph)
    said: set[tuple[str, str]] = set()
    for workflow, flow in flows_of(graph).items():
        steps = {id: _step(node) for id, node in flow.reactions.items() if _step(node) and not node.compensates}
        for pivot in (flow.reactions[id] for id, step in steps.items() if step == "pivot"):
            later = after(graph, pivot.emits, undoing=False).reactions
            for id, step in steps.items():
                node = flow.reactions[id]
                wrong = id in later and step == "compensatable"
                if not wrong and step == "retriable" and id not in later:
                    wrong = pivot.id in after(graph, node.emits, undoing=False).reactions
                if not wrong or (id, pivot.id) in said:
                    continue
                said.add((id, pivot.id))
                side, other = ("after", "before") if step == "compensatable" else ("before", "after")
                yield Finding(
                    RULE.id,
                    node.place,
                    f"{names.reaction(id)} is {step} and comes {side} {names.reaction(pivot.id)}, which decides the saga.",
                    f"Move it {other} the pivot, or make it "
                    + ("retriable: what comes after the pivot must succeed in the end." if side == "after" else "compensatable."),
                    id,
                    workflow,
                )


def _step(reaction: Reaction) -> str | None:
    return reaction.effects.step if reaction.effects else None


RULE = Rule(
    "pivot-order",
    "hint",
    "warning",
    "a saga's steps in the wrong order",
    "After the pivot nothing is undone any more, so a step there that fails for good leaves the saga half done; "
    "a step before it that cannot be undone stays done when the saga is given up.",
    check,
)
