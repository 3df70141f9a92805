"""Rule: a message that two services own, or of which two declarations contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import Names, names_of
from farandole.graph import Graph, Message
from farandole.words import listed

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Events with several owners, and declarations of one type with another topic, key or schema."""
    names = names_of(graph)
    by_type: dict[str, list[Message]] = {}
    for message in graph.messages:
        by_type.setdefault(message.type, []).append(message)
    for tp, declarations in by_type.items():
        owners = [node for node in declarations if node.role == "owner"]
        services = list(dict.fromkeys(node.service for node in owners))
        if len(services) > 1 and all(node.kind == "command" for node in owners):
            continue  # a command's owners are its handlers: rule command-handlers
        if len(services) > 1:
            yield _several(names, tp, services, next(node for node in owners if node.service != services[0]))
        else:
            yield from _contradictions(names, declarations)


def _several(names: Names, tp: str, services: list[str], second: Message) -> Finding:
    name = names.message(tp)
    return Finding(
        RULE.id,
        second.place,
        f"{name} has {len(services)} owners: {listed(map(names.service, services))} emit it.",
        f"Let {names.service(services[0])} alone emit it, and give what {listed(map(names.service, services[1:]))} says a name of its own.",
        tp,
    )


def _contradictions(names: Names, declarations: list[Message]) -> Iterator[Finding]:
    """What differs from the first owner's declaration; a reader's schema is another rule's business: incompatible-versions."""
    first = next((node for node in declarations if node.role == "owner"), declarations[0])
    for other in declarations:
        if other is first:
            continue
        differences = [
            f"{what} {theirs!r} and {ours!r}"
            for what, ours, theirs in (
                ("kind", first.kind, other.kind),
                ("topic", first.topic, other.topic),
                ("key", first.key, other.key),
            )
            if ours is not None and theirs is not None and ours != theirs
        ]
        schemas = [node.schema for node in (first, other) if node.role == "owner" and node.schema is not None]
        if len(schemas) == 2 and schemas[0] != schemas[1]:
            differences.append("other fields")
        if differences:
            name = names.message(first.type)
            yield Finding(
                RULE.id,
                other.place,
                f"{name} is declared twice, by {names.service(other.service)} and by {names.service(first.service)} ({first.place}), "
                f"with {listed(differences)}.",
                f"Say the same in both; {names.service(first.service)} owns it, so its word counts."
                if first.role == "owner"
                else "Say the same in both, as its owner does.",
                first.type,
            )


RULE = Rule(
    "two-owners",
    "proof",
    "error",
    "one type with two owners, or with contradictory declarations",
    "Two services that say one thing keep no common order and change it apart from each other; consumers read what neither meant.",
    check,
)
