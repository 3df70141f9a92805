"""Choreographies in a few words, for tests of rules: `reaction("payments.charge", "OrderPlaced", "Paid | Declined")`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from farandole.checks import Finding, Rule
from farandole.graph import AllowedCycle, Branch, Graph, Message, Place, Reaction, Service, Trigger, Workflow

LINES: dict[str, int] = {}


def at(name: str) -> Place:
    """A place of its own for each thing that is declared."""
    return Place("shop.py", LINES.setdefault(name, len(LINES) + 1))


def wire(words: str) -> tuple[str, ...]:
    """`A, B` or `A | B`: wire types."""
    return tuple(f"shop.{word}.v1" for word in words.replace("|", ",").replace("+", ",").replace(" ", "").split(",") if word)


def answers(text: str) -> tuple[tuple[str, ...], ...]:
    """`A | B + C | None`: alternatives."""
    return tuple(() if part.strip() == "None" else wire(part) for part in text.split("|"))


def emitted(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tp for answer in answers(text) for tp in answer))


def branch(text: str, name: str) -> Branch:
    return Branch(emitted(text), at(name), answers(text))


def reaction(name: str, on: str, emits: str = "None", **more: Any) -> Reaction:
    """`on`: `A`, `A | B` (one of several), `A + B` (a join); `exhausted=` and `late=` as `emits`."""
    service, _, function = name.partition(".")
    kind = more.pop("kind", "all" if "+" in on else "event")
    words = {key: more.pop(key) for key in ("by", "within", "expected") if key in more}
    for word in ("exhausted", "late"):
        if word in more:
            more[word] = branch(more[word], f"{name}.{word}")
    if "compensates" in more:
        more["compensates"] = f"shop.{more['compensates']}"
    if "undoes" in more:
        (more["undoes"],) = wire(more["undoes"])
    return Reaction(
        id=f"shop.{name}",
        service=f"shop.{service}",
        name=function,
        place=at(name),
        trigger=more.pop("trigger", None) or Trigger(kind, wire(on), **words),
        emits=emitted(emits),
        answers=answers(emits),
        **more,
    )


def command(name: str, on: str, emits: str = "None", **more: Any) -> Reaction:
    return reaction(name, on, emits, kind="command", **more)


def deadline(name: str, after: str, unless: str, emits: str, **more: Any) -> Reaction:
    a, u = wire(after), wire(unless)
    return reaction(name, "", emits, trigger=Trigger("deadline", a + u, within=900.0, after=a, unless=u), **more)


def workflow(
    starts: str = "OrderPlaced", succeeds: str = "OrderConfirmed", fails: str = "OrderCancelled", name: str = "checkout"
):
    return Workflow(name, at(name), wire(starts), wire(succeeds), wire(fails))


def chart(*parts: Any, **more: Any) -> Graph:
    """A graph of reactions and workflows; services and messages follow from them, unless given."""
    reactions = tuple(part for part in parts if isinstance(part, Reaction))
    services = {part.id: part for part in parts if isinstance(part, Service)}
    messages = {(part.type, part.service): part for part in parts if isinstance(part, Message)}
    owned = {type for type, _ in messages}
    for part in reactions:
        services.setdefault(part.service, Service(part.service, at(part.service)))
        for tp in part.effects_of_all_ways:
            if tp not in owned:
                messages.setdefault((tp, part.service), Message(tp, part.service, at(tp), key="order_id"))
    return Graph(
        "shop",
        tuple(services.values()),
        tuple(messages.values()),
        reactions,
        tuple(part for part in parts if isinstance(part, Workflow)),
        tuple(part for part in parts if isinstance(part, AllowedCycle)),
        **more,
    )


def changed(graph: Graph, name: str, **changes: Any) -> Graph:
    """The same graph with one reaction changed."""
    swapped = tuple(replace(node, **changes) if node.id == f"shop.{name}" else node for node in graph.reactions)
    assert swapped != graph.reactions
    return replace(graph, reactions=swapped)


def without(graph: Graph, name: str) -> Graph:
    """The same graph without one reaction."""
    return replace(graph, reactions=tuple(node for node in graph.reactions if node.id != f"shop.{name}"))


def found(rule: Rule, graph: Graph) -> list[Finding]:
    findings = list(rule.check(graph))
    assert {finding.rule for finding in findings} <= {rule.id}
    return findings


def only(rule: Rule, graph: Graph) -> Finding:
    (finding,) = found(rule, graph)
    return finding
