"""Small graphs, made from nodes: for what Python refuses to declare, and for documents of others."""

from __future__ import annotations

from typing import Any

from farandole.checks.base import Finding
from farandole.checks.registry import rules
from farandole.graph import Graph, Message, Place, Reaction, Service, Trigger, Workflow

HERE = Place("services.py", 1)


def at(line: int) -> Place:
    return Place("services.py", line)


def service(name: str, **more: Any) -> Service:
    return Service(f"shop.{name}", more.pop("place", HERE), **more)


def event(name: str, owner: str, **more: Any) -> Message:
    return Message(f"shop.{name}.v1", f"shop.{owner}", more.pop("place", HERE), topic=more.pop("topic", f"shop.{owner}"), **more)


def reader(name: str, who: str, owner: str, **more: Any) -> Message:
    return event(name, who, role="reader", topic=f"shop.{owner}", **more)


def reaction(id: str, *received: str, emits: tuple[str, ...] = (), kind: Any = "event", **more: Any) -> Reaction:
    who, _, name = id.partition(".")
    return Reaction(
        f"shop.{id}",
        f"shop.{who}",
        name,
        more.pop("place", HERE),
        Trigger(kind, tuple(f"shop.{tp}.v1" for tp in received)),
        emits=tuple(f"shop.{tp}.v1" for tp in emits),
        **more,
    )


def graph(*nodes: Service | Message | Reaction | Workflow) -> Graph:
    return Graph(
        "shop",
        tuple(node for node in nodes if isinstance(node, Service)),
        tuple(node for node in nodes if isinstance(node, Message)),
        tuple(node for node in nodes if isinstance(node, Reaction)),
        tuple(node for node in nodes if isinstance(node, Workflow)),
    )


def found(rule: str, *nodes: Any) -> list[Finding]:
    """What one rule finds."""
    return list(rules()[rule].check(graph(*nodes)))


def said(rule: str, *nodes: Any) -> list[str]:
    """The sentences of what it finds."""
    return [finding.what for finding in found(rule, *nodes)]
