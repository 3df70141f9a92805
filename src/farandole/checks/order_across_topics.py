"""Rule: a reaction that relies on an order that nobody keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from farandole.checks.base import Finding, Rule
from farandole.checks.words import Names, names_of
from farandole.graph import Graph, Message, Reaction

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Reactions whose `relies_on` names a type on another topic, or under another key, than what they receive."""
    names = names_of(graph)
    for reaction in graph.reactions:
        for earlier in reaction.relies_on:
            for later in dict.fromkeys(reaction.trigger.receives):
                if later != earlier and (why := _why_not(graph, names, reaction, earlier, later)):
                    yield Finding(
                        RULE.id,
                        reaction.place,
                        f"{names.reaction(reaction.id)} relies on {names.message(earlier)} having come before {names.message(later)}, "
                        f"but {why}.",
                        f"Wait for both with all_of({names.message(earlier)}, {names.message(later)}), handle {names.message(later)} "
                        "so that it may come first, or let one owner emit both on one topic under one key.",
                        reaction.id,
                    )


def _why_not(graph: Graph, names: Names, reaction: Reaction, earlier: str, later: str) -> str:
    """Why these two may come in either order; "" where they cannot, or where nobody can tell."""
    a, b = graph.declared(reaction.service, earlier), graph.declared(reaction.service, later)
    if a is None or b is None:
        return ""
    topic_a, topic_b = _said(graph, a, "topic"), _said(graph, b, "topic")
    if topic_a and topic_b and topic_a != topic_b:
        return f"they come on two topics, {topic_a} and {topic_b}: order is kept within one only"
    key_a, key_b = _said(graph, a, "key"), _said(graph, b, "key")
    for message, key in ((a, key_a), (b, key_b)):
        if key is None and _is_told(graph, message):
            return f"{names.message(message.type)} has no key: order is kept under one key only"
    if key_a and key_b and key_a != key_b:
        return f"they have two keys, {key_a} and {key_b}: order is kept under one only"
    return ""


def _said(graph: Graph, message: Message, what: Literal["topic", "key"]) -> str | None:
    """What the owner says, or else the reader."""
    owner = graph.owned.get(message.type, message)
    return (owner.topic or message.topic) if what == "topic" else (owner.key or message.key)


def _is_told(graph: Graph, message: Message) -> bool:
    """Whether an owner that says no key means that there is none: an incomplete one may have left it out."""
    owner = graph.owned.get(message.type)
    return owner is not None and owner.service in graph.service and graph.service[owner.service].complete


RULE = Rule(
    "order-across-topics",
    "proof",
    "error",
    "an order that nobody keeps",
    "Events of two topics, or under two keys, overtake each other under load. What works on one machine fails on the busiest day.",
    check,
)
