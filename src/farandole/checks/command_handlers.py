"""Rule: a command without a handler, or with several."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Message, Reaction
from farandole.words import listed

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Commands that are not handled exactly once."""
    names = names_of(graph)
    handlers: dict[str, list[Reaction]] = {}
    for reaction in graph.reactions:
        if reaction.trigger.kind == "command":
            for tp in reaction.trigger.receives:
                handlers.setdefault(tp, []).append(reaction)
    for tp, found in handlers.items():
        if len(found) > 1:
            yield Finding(
                RULE.id,
                found[1].place,
                f"Command {names.message(tp)} has {len(found)} handlers: {listed(names.reaction(node.id) for node in found)}.",
                "Keep one of them. If both have work to do, let the one emit an event that the other reacts to.",
                tp,
            )
    for message in graph.messages:
        if message.kind != "command" or message.type in handlers or message is not graph.owned.get(message.type):
            continue
        if _is_complete(graph, message):
            name, service = names.message(message.type), names.service(message.service)
            yield Finding(
                RULE.id,
                message.place,
                f"Command {name} has no handler.",
                f"Handle it in {service}: @{service}.command, on a function whose first parameter is a {name}. Or delete it.",
                message.type,
            )


def _is_complete(graph: Graph, message: Message) -> bool:
    """Whether its owner declares its reactions; a plain AsyncAPI document does not."""
    service = graph.service.get(message.service)
    return service is not None and service.complete


RULE = Rule(
    "command-handlers",
    "proof",
    "error",
    "a command without a handler, or with several",
    "A command asks somebody to do something once. Without a handler it is refused; with two, nobody knows who did it.",
    check,
)
