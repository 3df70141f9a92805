"""Rule: an event that nobody consumes."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Events of owners here that no reaction receives, that are not public, and that end no workflow.

    With one service alone nobody can tell: its consumers live in other repositories.
    """
    if len(graph.service) < 2:
        return
    names = names_of(graph)
    outcomes = {tp for workflow in graph.workflows for tp in workflow.outcomes}
    foreign_readers = {node.type for node in graph.messages if node.role == "reader" and not _complete(graph, node.service)}
    public = {node.type for node in graph.messages if node.public}
    for message in graph.owned.values():
        quiet = message.type in outcomes or message.type in foreign_readers or message.type in public
        if message.kind != "event" or quiet or message.type in graph.consumers or message.type not in graph.producers:
            continue
        by = graph.producers[message.type][0]
        name = names.message(message.type)
        yield Finding(
            RULE.id,
            message.place,
            f"{name}, which {names.reaction(by.id)} emits, is consumed by nobody.",
            f"React to it, name it an outcome of a workflow, or, if others outside consume it, say so: "
            f"class {name}(Event, public=True). Otherwise delete it.",
            message.type,
        )


def _complete(graph: Graph, service: str) -> bool:
    return service not in graph.service or graph.service[service].complete


RULE = Rule(
    "unconsumed",
    "proof",
    "warning",
    "an event that nobody consumes",
    "Work that somebody counts on is not done, and nothing tells: an event without a consumer looks like one that went well.",
    check,
)
