"""Rule cycle: events that cause themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import AllowedCycle, Graph
from farandole.graph.net import Net, net_of
from farandole.graph.paths import components, shortest_cycle

__all__ = ["RULE"]

_MOST = 5
"""How many ways round are shown of one knot; whoever has more begins with these."""
_COMBINATIONS = 256
"""How many combinations of types from allowed cycles are tried."""


def _check(graph: Graph) -> Iterator[Finding]:
    net = net_of(graph)
    successors = _successors(net)
    knots = [_Knot(net, nodes, successors) for nodes in _knots(successors)]
    allowed = [(cycle, [net.number[tp] for tp in cycle.types if tp in net.number]) for cycle in graph.cycles]
    for cycle, types in allowed:
        if len(types) < len(cycle.types) or not any(knot.nodes.issuperset(types) for knot in knots):
            yield _idle(graph, cycle)
    for knot in knots:
        covers = [types for cycle, types in allowed if len(types) == len(cycle.types) and knot.nodes.issuperset(types)]
        for ring in islice(knot.rings(covers), _MOST):
            yield _finding(graph, net, ring)


class _Knot:
    """A strongly connected component of types and arms, with its arrows, which are taken away one by one."""

    def __init__(self, net: Net, nodes: list[int], successors: Sequence[Sequence[int]]) -> None:
        self.net = net
        self.nodes = frozenset(nodes)
        self.arrows = {node: [other for other in successors[node] if other in self.nodes] for node in nodes}

    def rings(self, covers: list[list[int]]) -> Iterator[list[int]]:
        """Ways round that no allowed cycle covers: each misses one type of every allowed cycle."""
        for missed in islice(product(*covers), _COMBINATIONS):
            while ring := self._ring(set(missed)):
                self.arrows[ring[-2]].remove(ring[-1])  # so that the next way round is another one
                if not self._compensates_itself(ring):
                    yield ring

    def _ring(self, missed: set[int]) -> list[int] | None:
        """A short way round, begun at the type by which one comes in, ended by the same."""
        nodes = [node for node in self.arrows if node not in missed]
        place = {node: index for index, node in enumerate(nodes)}
        successors = [[place[other] for other in self.arrows[node] if other in place] for node in nodes]
        for knot in _knots(successors):
            inside = set(knot)
            if ring := shortest_cycle(successors, knot, inside.__contains__):
                return self._turned([nodes[index] for index in ring[:-1]])
        return None

    def _turned(self, ring: list[int]) -> list[int]:
        net, count = self.net, len(self.net.types)
        types = [node for node in ring if node < count]
        inside = {net.arms[node - count].reaction.id for node in ring if node >= count}
        doors = [tp for tp in types if any(net.arms[arm].reaction.id not in inside for arm in net.makes[tp])]
        starts = [tp for tp in types for workflow in net.graph.workflows if net.types[tp] in workflow.starts]
        first = ring.index(min(starts or doors or types, key=lambda tp: net.types[tp]))
        return [*ring[first:], *ring[:first], ring[first]]

    def _compensates_itself(self, ring: list[int]) -> bool:
        """Whether a compensation sets off its own action again at once: rule compensation-chain tells that."""
        count = len(self.net.types)
        reactions = [self.net.arms[node - count].reaction for node in ring if node >= count]
        return any(one.compensates == other.id for one, other in zip(reactions, [*reactions[1:], reactions[0]]))


def _successors(net: Net) -> list[list[int]]:
    """The arrows from types to arms and back; types come first."""
    count = len(net.types)
    successors: list[list[int]] = [[] for _ in range(count + len(net.arms))]
    for index, arm in enumerate(net.arms, start=count):
        for part in arm.causes:
            successors[part].append(index)
        successors[index] += sorted(arm.emits)
    return successors


def _knots(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """The components with more than one node. An arrow leads from a type to an arm or back, so that no node is its own successor."""
    members: dict[int, list[int]] = {}
    for node, number in enumerate(components(successors)):
        members.setdefault(number, []).append(node)
    return sorted(nodes for nodes in members.values() if len(nodes) > 1)


def _finding(graph: Graph, net: Net, ring: list[int]) -> Finding:
    names, count = names_of(graph), len(net.types)
    trail = tuple(net.types[node] if node < count else net.arms[node - count].reaction.id for node in ring)
    types = [net.types[node] for node in ring[:-1] if node < count]
    closing = graph.reaction[trail[-2]]
    return Finding(
        rule="cycle",
        place=closing.place,
        what=f"{names.step(types[0])} causes itself: {' -> '.join(names.step(step) for step in trail)}.",
        fix=f"Cut it, such as by a check in {names.step(closing.id)} that ends it, or, if it is meant, say so: "
        f"allow_cycle({', '.join(names.step(tp) for tp in types)}, at_most=...).",
        subject="+".join(sorted(types)),
        trail=trail,
    )


def _idle(graph: Graph, cycle: AllowedCycle) -> Finding:
    names = names_of(graph)
    said = f"allow_cycle({', '.join(names.step(tp) for tp in cycle.types)})"
    return Finding(
        rule="cycle",
        place=cycle.place,
        what=f"{said} allows a cycle that is not there.",
        fix="Remove it, or name events that lie on one cycle.",
        subject=f"allow_cycle({', '.join(cycle.types)})",
    )


RULE = Rule(
    id="cycle",
    tier="proof",
    severity="error",
    title="events that cause themselves",
    why="One event becomes an endless stream: it fills the brokers and costs money until the limit on causes, or somebody, stops it.",
    check=_check,
)
