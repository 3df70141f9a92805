"""Rule unreachable: reactions that nothing can ever set off."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Message
from farandole.graph.net import Net, net_of
from farandole.graph.paths import components, reachable

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    net = net_of(graph)
    dry = _dry(graph, net)
    came, set_off = _flood(net, dry)
    dead = [index for index, arm in enumerate(net.arms) if not set_off[index] and arm.kind != "late"]
    if not dead:
        return
    place = {
        tp: number
        for number, tp in enumerate(sorted({part for index in dead for part in net.arms[index].parts if not came[part]}))
    }
    count = len(place)
    successors: list[list[int]] = [[] for _ in range(count + len(dead))]
    for number, index in enumerate(dead, start=count):
        for part in net.arms[index].parts:
            if part in place:
                successors[place[part]].append(number)
        successors[number] = [place[tp] for tp in sorted(net.arms[index].emits) if tp in place]
    types = list(place)
    for root in _roots(successors):
        behind = reachable(successors, root)
        direct = {other for node in root if node < count for other in successors[node]} if len(root) == 1 else set()
        reactions = list(
            dict.fromkeys(
                net.arms[dead[n - count]].reaction for n in range(count, len(successors)) if behind[n] and n not in direct
            )
        )
        awaited = [net.types[types[node]] for node in root if node < count]
        if reactions and awaited:  # what waits for nothing at all is a document that says too little
            yield _finding(graph, awaited, [reaction.id for reaction in reactions])


def _dry(graph: Graph, net: Net) -> set[int]:
    """Types that nobody emits, though nothing says that they come from elsewhere; rule unemitted tells of them."""
    begun = {tp for workflow in graph.workflows for tp in workflow.starts}
    said: dict[str, list[Message]] = {name: [] for tp, name in enumerate(net.types) if not net.makes[tp] and name not in begun}
    for message in graph.messages:
        if message.type in said:
            said[message.type].append(message)
    return {net.number[name] for name, messages in said.items() if not _comes_from_elsewhere(graph, name, messages)}


def _comes_from_elsewhere(graph: Graph, tp: str, said: list[Message]) -> bool:
    """Whether it may come from outside of what is declared here: commands do, and events whose owner is not here, or not in full."""
    owner = graph.owned.get(tp)
    if any(message.kind == "command" or message.public for message in said) or any(
        reaction.trigger.kind == "command" for reaction in graph.consumers.get(tp, ())
    ):
        return True
    if owner is not None:
        return owner.service not in graph.service or not graph.service[owner.service].complete
    return bool(said) and not any(message.topic in graph.service for message in said)


def _flood(net: Net, dry: set[int]) -> tuple[bytearray, bytearray]:
    """What can come from any door, and which arms can be set off."""
    came, set_off = bytearray(len(net.types)), bytearray(len(net.arms))
    lack = [arm.need for arm in net.arms]
    begun = {net.number[tp] for workflow in net.graph.workflows for tp in workflow.starts}
    stack = [tp for tp in range(len(net.types)) if tp not in dry and (not net.makes[tp] or tp in begun)]
    while stack:
        tp = stack.pop()
        if came[tp]:
            continue
        came[tp] = 1
        for index in net.feeds[tp]:
            lack[index] -= 1
            if lack[index] == 0:
                set_off[index] = 1
                stack += net.arms[index].emits
    return came, set_off


def _roots(successors: list[list[int]]) -> list[list[int]]:
    """The components that no other leads to."""
    component = components(successors)
    members: dict[int, list[int]] = {}
    for node, number in enumerate(component):
        members.setdefault(number, []).append(node)
    led = {component[other] for node, others in enumerate(successors) for other in others if component[other] != component[node]}
    return sorted(nodes for number, nodes in members.items() if number not in led)


def _finding(graph: Graph, types: list[str], reactions: list[str]) -> Finding:
    names = names_of(graph)
    first, *more = reactions
    others = f" (and {len(more)} more behind it)" if more else ""
    if len(types) > 1 or set(graph.reaction[first].causes) & set(types):
        each = "only follow from each other" if len(types) > 1 else "only follows from itself"
        what = f"Nothing can set off {names.step(first)}{others}: {names.messages(types)} {each}."
        fix = f"Let a command, or an event that comes from outside, lead to {names.step(types[0])}, or remove what cannot run."
    else:
        what = f"Nothing can set off {names.step(first)}{others}: it is behind {names.step(types[0])}, which nobody emits."
        fix = f"Emit {names.step(types[0])}, or remove what is behind it."
    return Finding(rule="unreachable", place=graph.reaction[first].place, what=what, fix=fix, subject=first, trail=())


RULE = Rule(
    id="unreachable",
    tier="proof",
    severity="error",
    title="a reaction that can never run",
    why="Code that looks like part of the flow and is not: a step that everybody believes in never happens.",
    check=_check,
)
