"""The causal trees of recorded events: which event caused which. Pure.

An event names its causes (`causationid`); the events of one workflow instance share a correlation id. What a foreign producer
wrote may have gaps, repeats and even cycles: each event still stands in exactly one place of exactly one tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Literal

from farandole.observe.chain.handled import Handled
from farandole.observe.expected import Expected
from farandole.stores.record import Entry

__all__ = ["Forest", "Node", "plant"]

NEVER = float("inf")


@dataclass(slots=True, eq=False)
class Node:
    """One place of a tree.

    Attributes
    ----------
    id:
        The event's id.
    entry:
        The event as it was recorded; None where only its id is known.
    kind:
        `"event"`; `"command"`, which is no event of the log; `"missing"`, a cause that was not recorded; `"again"`, an event that
        stands in full elsewhere (a join under its other causes, or the end of a cycle).
    causes:
        The ids of its causes, each once.
    children:
        What it caused, each after its own causes.
    copies:
        How often it was found.
    cyclic:
        It causes itself, by way of others; the tree begins here for want of a beginning.
    name, service:
        What people call it, and who said it.
    delay:
        Seconds since the latest of its causes; None where that is not known, as where the clocks do not agree.
    at_most:
        The delay is a bound from above: the clock of the cause's service is known to be behind.
    handled:
        What became of it, by reaction.
    undoes:
        The events whose work it undoes.
    undone:
        Whether another event undoes it.
    expected:
        What must still follow from it.
    """

    id: str
    entry: Entry | None = None
    kind: Literal["event", "command", "missing", "again"] = "event"
    causes: tuple[str, ...] = ()
    children: list[Node] = field(default_factory=list)
    copies: int = 1
    cyclic: bool = False
    name: str = ""
    service: str = ""
    delay: float | None = None
    at_most: bool = False
    handled: list[Handled] = field(default_factory=list)
    undoes: tuple[Node, ...] = ()
    undone: bool = False
    expected: list[Expected] = field(default_factory=list)

    @property
    def time(self) -> float | None:
        """When it was emitted, by the clock of its service, in seconds since 1970."""
        return None if self.entry is None else self.entry.time


@dataclass(slots=True, eq=False)
class Forest:
    """The trees of one workflow instance.

    Attributes
    ----------
    correlation_id:
        Its id.
    roots:
        Where it begins: the command, or events without a cause, or causes that were not recorded.
    members:
        Its events, each after its causes, whatever their clocks say.
    """

    correlation_id: str
    roots: list[Node]
    members: list[Node]

    def walk(self) -> Iterator[tuple[Node, Node | None]]:
        """All nodes, each with the one above it (None for a root), from the top down."""
        stack: list[tuple[Node, Node | None]] = [(root, None) for root in reversed(self.roots)]
        while stack:
            node, above = stack.pop()
            yield node, above
            stack.extend((child, node) for child in reversed(node.children))


def plant(entries: Iterable[Entry], of: str | None = None) -> list[Forest]:
    """The causal trees, one forest per workflow instance, in the order of their first events.

    Parameters
    ----------
    entries:
        Events in any order; repeats of an id count as copies of the first. One that names no instance belongs to that of its causes, or
        begins one under its own id.
    of:
        The instance of all of them, where that is known.
    """
    nodes: dict[str, Node] = {}
    for entry in entries:
        known = nodes.get(entry.id)
        if known is None:
            causes = entry.causes
            nodes[entry.id] = Node(entry.id, entry, "event", causes if len(causes) < 2 else tuple(dict.fromkeys(causes)))
        else:
            known.copies += 1
    instances: dict[str, list[Node]] = {}
    names: dict[str, str] = {}
    for node in nodes.values():
        instances.setdefault(of or _instance_of(node, nodes, names), []).append(node)
    found = [_forest(name, members, nodes) for name, members in instances.items()]
    return sorted(found, key=lambda forest: min(map(_moment, forest.members)))


def _instance_of(node: Node, nodes: dict[str, Node], names: dict[str, str]) -> str:
    """The correlation id of an event: its own, or that of its nearest cause that has one, or the id of the first of them."""
    path: dict[str, None] = {}
    while (name := names.get(node.id) or _named(node)) is None:
        path[node.id] = None
        causes = node.causes
        cause = next((nodes[id] for id in causes if id in nodes), None)
        if cause is None:
            name = causes[0] if causes else node.id
            break
        if cause.id in path:
            walked = list(path)
            name = min(walked[walked.index(cause.id) :])  # a cycle without any correlation id: all of it must agree on one
            break
        node = cause
    if path:
        names |= dict.fromkeys(path, name)
    return name


def _named(node: Node) -> str | None:
    """The instance that an event names; one that is recorded under its own id named none, unless it begins one."""
    assert node.entry is not None
    correlation_id = node.entry.correlation_id
    return None if correlation_id == node.id and node.entry.causationid else correlation_id


def _forest(correlation_id: str, members: list[Node], nodes: dict[str, Node]) -> Forest:
    """Hang each event under its causes: in full under the latest of them, which set it off, and as a mention under the others.

    It begins where nothing is above; of a cycle, with the event that comes first in the order of causes.
    """
    members = _by_cause(members)
    place = {node.id: number for number, node in enumerate(members)}
    outside: dict[str, Node] = {}
    roots: list[Node] = []
    for number, node in enumerate(members):
        causes = node.causes
        home = max((at for cause in causes if (at := place.get(cause, number)) < number), default=None)
        for cause in causes:
            if (above := place.get(cause)) is not None:
                members[above].children.append(node if above == home else Node(node.id, node.entry, "again"))
                continue
            if cause not in outside:
                outside[cause] = _outsider(cause, correlation_id, nodes)
            is_home = home is None and cause == next(id for id in causes if id not in place)
            outside[cause].children.append(node if is_home else Node(node.id, node.entry, "again"))
        if not causes:
            roots.append(node)
        elif home is None and all(cause in place for cause in causes):
            node.cyclic = True
            roots.append(node)
    roots = [*outside.values(), *roots]
    return Forest(correlation_id, sorted(roots, key=lambda root: root.kind != "command"), members)


def _outsider(id: str, correlation_id: str, nodes: dict[str, Node]) -> Node:
    """A cause that is no event of the instance."""
    if id in nodes:
        return Node(id, nodes[id].entry, "again")  # of another instance, where it stands in full
    return Node(id, kind="command" if id == correlation_id else "missing")


def _by_cause(members: list[Node]) -> list[Node]:
    """Each event after its causes; among those that may come next, the earliest first.

    An event whose clock is behind that of its cause counts as if it came with it. Where only cycles are left, the earliest breaks one.
    """
    inside = {node.id: node for node in members}
    open_causes: dict[str, int] = {}
    effects: dict[str, list[Node]] = {}
    for node in members:
        known = [cause for cause in node.causes if cause in inside]
        open_causes[node.id] = len(known)
        for cause in known:
            effects.setdefault(cause, []).append(node)
    place = {node.id: number for number, node in enumerate(members)}
    since = {node.id: _moment(node) for node in members}
    ready = [(since[node.id], since[node.id], place[node.id], node) for node in members if not open_causes[node.id]]
    heapify(ready)
    order: list[Node] = []
    done: set[str] = set()
    broken = iter(sorted(members, key=_moment)) if len(ready) < len(members) else iter(())
    while len(order) < len(members):
        if ready:
            moment, _, _, node = heappop(ready)
        else:
            node = next(node for node in broken if node.id not in done)
            moment = since[node.id]
        if node.id in done:
            continue
        done.add(node.id)
        order.append(node)
        for effect in effects.get(node.id, ()):
            open_causes[effect.id] -= 1
            own = _moment(effect)
            if moment != NEVER:
                since[effect.id] = moment if own == NEVER else max(since[effect.id], moment)
            if not open_causes[effect.id] and effect.id not in done:
                heappush(ready, (since[effect.id], own, place[effect.id], effect))
    return order


def _moment(node: Node) -> float:
    """For sorting; what has no time comes last."""
    return NEVER if node.entry is None or node.entry.time is None else node.entry.time
