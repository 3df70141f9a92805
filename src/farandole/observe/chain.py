"""The causal trees of envelopes: which event caused which. Pure.

An event names its causes (`causationid`); the events of one workflow instance share a `correlationid`. What a foreign producer
wrote may have gaps, repeats and even cycles: each event still stands in exactly one place of exactly one tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from farandole.model.envelope import Envelope

__all__ = ["Chain", "Node", "build_chains"]


@dataclass(slots=True, eq=False)
class Node:
    """One place of a tree.

    Attributes
    ----------
    id:
        The event's id.
    envelope:
        The event; None where only its id is known.
    kind:
        `"event"`; `"command"`, which began the instance and is no event of the log; `"missing"`, a cause that is not in the
        log; `"again"`, an event that stands in full elsewhere (a join under its other causes, or the end of a cycle).
    children:
        What it caused, by time.
    delay:
        Seconds since the latest of its causes; None where that is not known.
    copies:
        How often the log has it.
    cyclic:
        It causes itself, by way of others; the tree begins here for want of a beginning.
    """

    id: str
    envelope: Envelope | None = None
    kind: Literal["event", "command", "missing", "again"] = "event"
    children: list[Node] = field(default_factory=list)
    delay: float | None = None
    copies: int = 1
    cyclic: bool = False


@dataclass(slots=True, eq=False)
class Chain:
    """One workflow instance.

    Attributes
    ----------
    correlationid:
        Its id.
    roots:
        Where it begins: the command, or events without a cause, or causes that are not in the log.
    events:
        How many events it has, repeats not counted.
    """

    correlationid: str
    roots: list[Node]
    events: int

    def walk(self) -> Iterator[tuple[Node, Node | None]]:
        """All nodes, each with the one above it (None for a root), from the top down."""
        stack: list[tuple[Node, Node | None]] = [(root, None) for root in reversed(self.roots)]
        while stack:
            node, above = stack.pop()
            yield node, above
            stack.extend((child, node) for child in reversed(node.children))


def build_chains(envelopes: Iterable[Envelope]) -> list[Chain]:
    """The causal trees, one chain per correlation id, in the order of their first events.

    Parameters
    ----------
    envelopes:
        Events in any order; repeats of an id count as copies of the first. One without a `correlationid` belongs to the
        instance of its causes, or begins one under its own id.
    """
    nodes: dict[str, Node] = {}
    for envelope in envelopes:
        node = nodes.setdefault(envelope.id, Node(envelope.id, envelope))
        node.copies += node.envelope is not envelope
    instances: dict[str, list[Node]] = {}
    names: dict[str, str] = {}
    for node in nodes.values():
        instances.setdefault(_name_instance(node, nodes, names), []).append(node)
    found = [_chain(correlationid, members, nodes) for correlationid, members in instances.items()]
    return sorted(found, key=lambda chain: _moment(next(node for node, _ in chain.walk() if node.envelope is not None)))


def _name_instance(node: Node, nodes: dict[str, Node], names: dict[str, str]) -> str:
    """The correlation id of an event: its own, or that of its nearest cause that has one, or the id of the first of them."""
    path: dict[str, None] = {}
    while (name := names.get(node.id) or _known(node).correlationid) is None:
        path[node.id] = None
        causes = _known(node).causes
        cause = next((nodes[id] for id in causes if id in nodes), None)
        if cause is None:
            name = causes[0] if causes else node.id
            break
        if cause.id in path:
            walked = list(path)
            name = min(walked[walked.index(cause.id) :])  # a cycle without any correlation id: all of it must agree on one
            break
        node = cause
    names |= dict.fromkeys(path, name)
    return name


def _chain(correlationid: str, members: list[Node], nodes: dict[str, Node]) -> Chain:
    """Hang each event under its causes; then begin where nothing is above, and last where only a cycle is left."""
    members.sort(key=_moment)
    inside = {node.id for node in members}
    effects: dict[str, list[Node]] = {}
    for node in members:
        causes = dict.fromkeys(_known(node).causes)
        for cause in causes:
            effects.setdefault(cause, []).append(node)
        node.delay = _delay(node, [nodes[cause] for cause in causes if cause in nodes])
    outside: dict[str, Node] = {
        cause: Node(cause, nodes[cause].envelope if cause in nodes else None, _kind(cause, correlationid, nodes))
        for cause in effects
        if cause not in inside
    }
    placed: set[str] = set()
    starts = [*outside.values(), *(node for node in members if not _known(node).causes)]
    roots = [_plant(start, effects, placed) for start in starts]
    for node in members:
        if node.id not in placed:
            node.cyclic = True
            roots.append(_plant(node, effects, placed))
    return Chain(correlationid, sorted(roots, key=lambda root: root.kind != "command"), len(members))


def _kind(cause: str, correlationid: str, nodes: dict[str, Node]) -> Literal["command", "missing", "again"]:
    if cause in nodes:
        return "again"  # of another instance, where it stands in full
    return "command" if cause == correlationid else "missing"


def _plant(root: Node, effects: dict[str, list[Node]], placed: set[str]) -> Node:
    """Grow the tree under a node, without recursion: foreign chains may be deep."""
    placed.add(root.id)
    stack = [root]
    while stack:
        node = stack.pop()
        grown: list[Node] = []
        for effect in effects.get(node.id, ()):
            if effect.id in placed:
                node.children.append(Node(effect.id, effect.envelope, "again"))
            else:
                placed.add(effect.id)
                node.children.append(effect)
                grown.append(effect)
        stack.extend(reversed(grown))
    return root


def _delay(node: Node, causes: list[Node]) -> float | None:
    moment = _known(node).time
    before = [time for cause in causes if (time := _known(cause).time) is not None]
    return (moment - max(before)).total_seconds() if moment is not None and before else None


def _moment(node: Node) -> float:
    """For sorting; what has no time comes last."""
    time: datetime | None = _known(node).time
    return time.timestamp() if time is not None else float("inf")


def _known(node: Node) -> Envelope:
    assert node.envelope is not None
    return node.envelope
