"""Hint: events that carry a whole aggregate."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.fields import objects, written
from farandole.checks.words import names_of
from farandole.graph import Graph

__all__ = ["RULE"]

FIELDS = 15
"""More at one level is a table's row rather than a fact."""
OBJECTS = 3
"""More nested objects than this are an aggregate."""


def check(graph: Graph) -> Iterator[Finding]:
    """Events with many fields or many nested objects."""
    names = names_of(graph)
    for message in graph.owned.values():
        service = graph.service.get(message.service)
        if message.kind != "event" or not message.schema or service is None or not service.complete:
            continue
        found = list(objects(message.schema))
        path, most = max(found, key=lambda pair: len(pair[1]["properties"]), default=(None, None))
        count = len(most["properties"]) if most else 0
        if count <= FIELDS and len(found) - 1 <= OBJECTS:
            continue
        where = f" in {written(path)}" if path else ""
        much = f"{count} fields{where}" if count > FIELDS else f"{len(found) - 1} nested objects"
        yield Finding(
            RULE.id,
            message.place,
            f"{names.message(message.type)} carries {much}.",
            "Send what changed and the ids; whoever needs more keeps a copy of its own, or asks. "
            "If readers need all of it, say so with this rule off for this event.",
            message.type,
        )


RULE = Rule(
    "fat-event",
    "hint",
    "warning",
    "an event that carries a whole aggregate",
    "Every change of the aggregate becomes a change of the contract, and readers come to depend on the owner's tables.",
    check,
)
