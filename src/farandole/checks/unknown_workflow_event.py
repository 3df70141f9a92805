"""Rule: a workflow that names an event which nobody declares."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Starts and outcomes of workflows that no service declares, emits or consumes."""
    names = names_of(graph)
    known = {node.type for node in graph.messages} | set(graph.producers) | set(graph.consumers)
    for workflow in graph.workflows:
        for word, types in (
            ("starts with", workflow.starts),
            ("ends with", workflow.outcomes),
            ("expects", [tp for one in workflow.expects for tp in (one.after, *one.types)]),
        ):
            for tp in dict.fromkeys(types):
                if tp not in known:
                    near = get_close_matches(tp, sorted(known), 1, 0.6)
                    hint = f"Did you mean {near[0]}?" if near else "Name an event that some service emits."
                    yield Finding(
                        RULE.id,
                        workflow.place,
                        f"Workflow {workflow.name} {word} {names.message(tp)}, which no service declares.",
                        f"{hint} If its service is missing here, add it.",
                        workflow.name,
                        workflow.name,
                    )


RULE = Rule(
    "unknown-workflow-event",
    "proof",
    "error",
    "a workflow with an event that nobody declares",
    "Its instances never begin, or never end, so every one of them looks stuck, or none is seen at all.",
    check,
)
