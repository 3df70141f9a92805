"""Hint: a workflow that has outgrown choreography."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.workflows import Flow, flows_of
from farandole.graph import Graph, Workflow
from farandole.words import listed

__all__ = ["LIMITS", "RULE", "figures"]

LIMITS = {"steps in a row": 7, "services": 6, "branchings": 5, "compensations": 4, "joins and deadlines": 3}
"""Where a single one is passed, people still cope; where two are, one place that knows the state of the flow costs less than it saves."""


def figures(workflow: Workflow, flow: Flow) -> dict[str, int]:
    """How large a workflow is, in the terms of `LIMITS`; what follows after its outcomes does not count."""
    own = {id: node for id, node in flow.reactions.items() if not node.causes or not set(node.causes) <= set(workflow.outcomes)}
    waits = ("all", "any", "count", "deadline")
    return {
        "steps in a row": max((flow.types[tp] for tp in workflow.outcomes if tp in flow.types), default=0),
        "services": len({node.service for node in own.values()}),
        "branchings": sum(len(node.effects_of_all_ways) - len(node.many) > 1 for node in own.values()),
        "compensations": sum(node.compensates is not None for node in own.values()),
        "joins and deadlines": sum(node.trigger.kind in waits for node in own.values()),
    }


def check(graph: Graph) -> Iterator[Finding]:
    """Workflows that pass two limits or more."""
    for name, flow in flows_of(graph).items():
        workflow = graph.workflow[name]
        found = figures(workflow, flow)
        passed = [f"{count} {what} (up to {LIMITS[what]} are easy)" for what, count in found.items() if count > LIMITS[what]]
        if len(passed) > 1:
            yield Finding(
                RULE.id,
                workflow.place,
                f"Workflow {name} has {listed(passed)}.",
                "Let one service keep its state and decide the next step, as a process, or cut it into two workflows that meet in one event.",
                name,
                name,
            )


RULE = Rule(
    "advice",
    "hint",
    "warning",
    "a workflow that has outgrown choreography",
    "With many steps and many ways to fail, nobody can tell from one service alone what state an instance is in; "
    "a process in one place then costs less than it saves.",
    check,
)
