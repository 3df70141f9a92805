"""Rule too-deep: a chain of causes that is longer than a service on it bears."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph
from farandole.graph.net import Net, net_of
from farandole.graph.nodes import DEPTH
from farandole.graph.paths import components

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    net, names = net_of(graph), names_of(graph)
    depth, before = _depths(net)
    limit = {service.id: service.depth for service in graph.services}
    refused = [depth[index] > limit.get(arm.reaction.service, DEPTH) and bool(arm.emits) for index, arm in enumerate(net.arms)]
    seen = set()
    for index, arm in enumerate(net.arms):
        reaction = arm.reaction
        chain = _chain(before, index) if refused[index] else []
        if not chain or reaction.id in seen or any(refused[other] for other in chain[:-1]):
            continue  # what follows a refused step never happens
        seen.add(reaction.id)
        trail = [step for other in chain for step in (net.types[_link(net, before, other)], net.arms[other].reaction.id)]
        most = limit.get(reaction.service, DEPTH)
        yield Finding(
            rule="too-deep",
            place=reaction.place,
            what=f"{names.step(reaction.id)} may emit at depth {depth[index]}, and "
            f"{names.service(reaction.service)} bears a chain of {most} causes at most.",
            fix=f"Shorten the chain that begins with {names.step(trail[0])}, or raise the depth of "
            f"{names.service(reaction.service)}.",
            subject=reaction.id,
            trail=(*trail, net.types[min(arm.emits)]),
        )


def _depths(net: Net) -> tuple[list[int], list[int]]:
    """How deep each arm emits on the longest chain to it, and the arm before it, or -1. A cycle counts as one step."""
    count = len(net.types)
    successors: list[list[int]] = [[] for _ in range(count + len(net.arms))]
    for index, arm in enumerate(net.arms):
        for part in arm.causes:
            successors[part].append(count + index)
        successors[count + index] = sorted(arm.emits)
    component = components(successors)
    size = [0] * len(successors)
    for number in component:
        size[number] += 1
    depth = [0] * len(successors)  # of a component: at what depth its types come, or its arm emits
    last = [-1] * len(successors)  # the arm by which that depth was reached
    before = [-1] * len(net.arms)
    for node in sorted(range(len(successors)), key=lambda node: -component[node]):  # causes first
        here = component[node]
        index = node - count
        if index >= 0:
            before[index] = last[here]
            if size[here] == 1:
                depth[here] += net.arms[index].kind != "command"  # what a command's handler emits has no cause
        for other in successors[node]:
            there = component[other]
            if there == here:
                continue
            reached = depth[here] + (index >= 0 and size[here] > 1)
            by = index if index >= 0 else last[here]
            if reached > depth[there] or (last[there] < 0 <= by):
                depth[there], last[there] = reached, by
    return [depth[component[count + index]] for index in range(len(net.arms))], before


def _chain(before: list[int], index: int) -> list[int]:
    """The arms on the longest chain to this one, itself included."""
    found = [index]
    while before[found[-1]] >= 0 and before[found[-1]] not in found:
        found.append(before[found[-1]])
    return found[::-1]


def _link(net: Net, before: list[int], index: int) -> int:
    """The type by which an arm follows from the one before it."""
    parts = net.arms[index].causes
    earlier = net.arms[before[index]].emits if before[index] >= 0 else set(parts)
    return next((part for part in parts if part in earlier), parts[0])


RULE = Rule(
    id="too-deep",
    tier="proof",
    severity="error",
    title="a chain of causes longer than the limit",
    why="The runtime ends chains at their limit, since they are mostly cycles: the last steps of this one become dead letters.",
    check=_check,
)
