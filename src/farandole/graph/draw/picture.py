"""What a drawing shows, whatever language it is written in: nodes in groups, arrows with a look, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from farandole.drawing.letters import plain
from farandole.graph.draw.ways import failing
from farandole.graph.graph import Graph
from farandole.graph.nodes import Reaction, Trigger, Workflow, short
from farandole.words import exactly, listed

__all__ = ["Arrow", "By", "Kind", "Look", "Node", "Picture", "picture_of"]

Pair = tuple[str, str]
By = Literal["reaction", "service", "domain"]
Look = Literal["usual", "fails", "undoes", "stops"]
Kind = Literal["event", "command", "reaction", "all", "any", "count", "deadline", "process", "service", "domain"]

_MOST = 160
"""So many messages and reactions are drawn one by one; more are drawn by service."""
_LANES = 24
"""So many services are drawn as columns side by side."""
_MOST_SERVICES = 60
"""So many services are drawn, if they are of several domains; more are drawn by domain."""
_MOST_NODES = 80
_MOST_ARROWS = 60
"""So many arrows between services or domains are drawn, or as many as two for each node: more would hide each other."""
_ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Node:
    """A box: a message, a reaction, a service or a domain.

    Attributes
    ----------
    label:
        What people call it.
    group:
        The service that it belongs to; "" for a service or a domain itself.
    notes:
        Short lines below its name.
    look:
        `"fails"` for a message that tells of a failure, `"undoes"` for a compensation.
    end:
        Whether a workflow ends with it, and how.
    outside:
        Whether it calls the outside.
    title:
        For whoever rests the pointer on it.
    """

    id: str
    kind: Kind
    label: str
    group: str = ""
    notes: tuple[str, ...] = ()
    look: Look = "usual"
    end: Literal["", "succeeds", "fails"] = ""
    outside: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """From a node to a node; `stops` is what keeps a deadline from firing."""

    tail: str
    head: str
    look: Look = "usual"
    label: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing before it is drawn.

    Attributes
    ----------
    subtitle:
        A line about it, or "".
    groups:
        What the groups are called, by id.
    left_out:
        A sentence for each thing that is not shown.
    """

    name: str
    by: By
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    groups: dict[str, str]
    subtitle: str = ""
    left_out: tuple[str, ...] = ()


def picture_of(
    graph: Graph, by: By | None = None, fails: frozenset[str] | None = None, chosen: frozenset[str] = frozenset()
) -> Picture:
    """What to draw of a graph.

    Parameters
    ----------
    by:
        What the nodes are: messages and reactions, services, or domains. None: the most detail that can be read.
    fails:
        The messages that tell of a failure; default: what `failing` says of this graph. For a part, what it says of the whole.
    chosen:
        Services to be shown one by one, whatever becomes of the others.
    """
    by = by or _readable(graph)
    fails = failing(graph) if fails is None else fails
    return _by_reaction(graph, fails) if by == "reaction" else _aggregated(graph, by, fails, chosen)


def _types(graph: Graph) -> list[str]:
    """The messages that somebody here declares, says or hears; a part may have workflows that begin or end elsewhere."""
    found = {node.type for node in graph.messages}
    for reaction in graph.reactions:
        found.update(reaction.trigger.receives, reaction.effects_of_all_ways)
    return sorted(found)


def _readable(graph: Graph) -> By:
    if len(_types(graph)) + len(graph.reactions) <= _MOST and len(graph.services) <= _LANES:
        return "reaction"
    domains = {service.domain for service in graph.services}
    return "domain" if len(graph.services) > _MOST_SERVICES and len(domains) > 1 else "service"


# ---- message by message, reaction by reaction ----------------------------------------------------------------------------


def _by_reaction(graph: Graph, fails: frozenset[str]) -> Picture:
    types = _types(graph)
    say = _sayer(types)
    nodes = [_message(graph, tp, _home(graph, tp), say(tp), fails) for tp in types]
    nodes += [_reaction(reaction) for reaction in graph.reactions]
    arrows = dict.fromkeys(arrow for reaction in graph.reactions for arrow in _arrows(reaction, fails))
    used = dict.fromkeys([*(service.id for service in graph.services), *(node.group for node in nodes)])
    filled = {node.group for node in nodes}
    name_service = _sayer([id for id in used if id != _ELSEWHERE])
    return Picture(
        plain(graph.name),
        "reaction",
        tuple(nodes),
        tuple(arrows),
        {id: name_service(id) for id in used if id in filled},
        _about(graph.workflows[0]) if len(graph.workflows) == 1 else "",
        _unread(graph),
    )


def _home(graph: Graph, tp: str) -> str:
    """The service whose message it is: its owner, or who says it, or who carries the command out."""
    if tp in graph.owned:
        return graph.owned[tp].service
    says = graph.producers.get(tp)
    return says[0].service if says else _ELSEWHERE


def _message(graph: Graph, tp: str, home: str, label: str, fails: frozenset[str]) -> Node:
    owned = graph.owned.get(tp)
    command = owned.kind == "command" if owned else any(r.trigger.kind == "command" for r in graph.consumers.get(tp, ()))
    if command and not owned:
        home = graph.consumers[tp][0].service
    ends = [(flow.name, "succeeds" if tp in flow.succeeds else "fails") for flow in graph.workflows if tp in flow.outcomes]
    doc = plain(owned.doc.strip().partition("\n")[0]) if owned else ""
    return Node(
        tp,
        "command" if command else "event",
        label,
        home,
        tuple(plain(f"{name} {way}") for name, way in ends),
        "fails" if tp in fails else "usual",
        "" if not ends else "fails" if ends[0][1] == "fails" else "succeeds",
        title=f"{plain(tp)}{f': {doc}' if doc else ''}",
    )


def _reaction(reaction: Reaction) -> Node:
    kind: Kind = "reaction" if reaction.trigger.kind in ("event", "command") else reaction.trigger.kind
    notes = _waits(reaction.trigger)
    if reaction.process:
        notes += (f"in {plain(short(reaction.process))}",)
    for undone in (reaction.compensates, *(reaction.trigger.after if reaction.undoes_step else ())):
        notes += (f"undoes {plain(short(undone))}",) if undone else ()
    doc = plain(reaction.doc.strip().partition("\n")[0])
    return Node(
        reaction.id,
        kind,
        plain(reaction.name),
        reaction.service,
        notes,
        "undoes" if _undoes(reaction) else "usual",
        outside=reaction.outside,
        title=f"{plain(reaction.id)}{f': {doc}' if doc else ''}{' Calls the outside.' if reaction.outside else ''}",
    )


def _undoes(reaction: Reaction) -> bool:
    return bool(reaction.compensates or reaction.undoes_step)


def _waits(trigger: Trigger) -> tuple[str, ...]:
    time = f" within {exactly(trigger.within)}" if trigger.within is not None else ""
    if trigger.kind == "deadline":
        return (f"after {exactly(trigger.within)}" if trigger.within is not None else "after some time",)
    if trigger.kind == "count":
        return (f"all {plain(trigger.expected or '')}{time}".replace("  ", " "),)
    return {"all": (f"all of {len(trigger.receives)}{time}",), "any": (f"the first{time}",)}.get(trigger.kind, ())


def _arrows(reaction: Reaction, fails: frozenset[str]) -> Iterator[Arrow]:
    for cause in reaction.causes:
        yield Arrow(cause, reaction.id, "undoes" if _undoes(reaction) else "fails" if cause in fails else "usual")
    for other in reaction.trigger.unless:
        yield Arrow(other, reaction.id, "stops")
    for other in reaction.trigger.receives if reaction.undoes_step else ():
        if other not in reaction.causes:
            yield Arrow(other, reaction.id, "undoes")
    for effect in reaction.emits:
        look: Look = "undoes" if _undoes(reaction) else "fails" if effect in fails else "usual"
        yield Arrow(reaction.id, effect, look, "later" if effect in reaction.delayed else "")
    for branch in (reaction.exhausted, reaction.late):
        for effect in branch.emits if branch else ():
            if effect not in reaction.emits:
                yield Arrow(reaction.id, effect, "undoes" if _undoes(reaction) else "fails")


def _about(workflow: Workflow) -> str:
    def named(types: Iterable[str]) -> str:
        return listed([plain(short(tp)) for tp in types], "or")

    parts = [f"starts with {named(workflow.starts)}", f"succeeds with {named(workflow.succeeds)}"]
    parts += [f"fails with {named(workflow.fails)}"] if workflow.fails else []
    parts += [f"takes at most {exactly(workflow.within)}"] if workflow.within is not None else []
    parts += [
        f"expects {named(one.types)} within {exactly(one.within)} after {plain(short(one.after))}" for one in workflow.expects
    ]
    return " · ".join(parts)


def _unread(graph: Graph) -> tuple[str, ...]:
    vague = sorted(plain(service.name) for service in graph.services if not service.complete)
    return (f"{listed(vague)}: what causes what is not declared, so arrows are missing.",) if vague else ()


# ---- from further away ---------------------------------------------------------------------------------------------------


def _aggregated(graph: Graph, by: By, fails: frozenset[str], chosen: frozenset[str]) -> Picture:
    """Services, or domains, and what they tell each other."""

    def of(service: str) -> str:
        return service if by == "service" or service in chosen else service.rpartition(".")[0] or service

    told: dict[Pair, dict[str, Look]] = {}
    for tp, reactions in graph.consumers.items():
        tellers = [reaction.service for reaction in graph.producers.get(tp, ())] or [
            node.service for node in graph.messages if node.type == tp and node.role == "owner" and node.kind == "event"
        ]
        for teller in dict.fromkeys(map(of, tellers)):
            for reaction in reactions:
                hearer = of(reaction.service)
                if teller == hearer:
                    continue
                look: Look = "undoes" if reaction.compensates else "fails" if tp in fails else "usual"
                said = told.setdefault((teller, hearer), {})
                said[tp] = look if said.get(tp, look) == look else "usual"
    names = dict.fromkeys(of(service.id) for service in graph.services)
    for pair in told:
        names.update(dict.fromkeys(pair))
    busy = Counter(end for pair, said in told.items() for end in pair for _ in said)
    kept = set(sorted(names, key=lambda name: (-busy[name], name))[:_MOST_NODES])
    pairs = [pair for pair in told if kept.issuperset(pair)]
    drawn = _strongest(pairs, told, 2 * len(kept))
    say = _sayer(list(names))
    return Picture(
        plain(graph.name),
        by,
        tuple(_crowd(graph, name, say(name)) for name in names if name in kept),
        tuple(Arrow(*pair, look=_common(told[pair].values()), label=_said(told[pair])) for pair in sorted(drawn)),
        {},
        f"by {'service and domain' if chosen and by == 'domain' else by}: {_many(len(graph.services), 'service')}, {_many(len(_types(graph)), 'message')}, "
        f"{_many(len(graph.reactions), 'reaction')}",
        _left_out(len(names) - len(kept), len(told) - len(drawn), by) + _unread(graph),
    )


def _strongest(pairs: Sequence[Pair], told: Mapping[Pair, Collection[str]], wanted: int) -> list[Pair]:
    """As many pairs as are wanted, those that tell each other most; each end has one at least."""
    by_weight = sorted(pairs, key=lambda pair: (-len(told[pair]), pair))
    first: dict[str, Pair] = {}
    for pair in by_weight:
        for end in pair:
            first.setdefault(end, pair)
    return list(dict.fromkeys([*first.values(), *by_weight]))[: max(_MOST_ARROWS, wanted, len(set(first.values())))]


def _crowd(graph: Graph, name: str, label: str) -> Node:
    if name in graph.service:
        return Node(name, "service", label, notes=(_many(len(graph.of_service.get(name, ())), "reaction"),))
    members = sum(service.domain == name for service in graph.services)
    return Node(name, "domain", label, notes=(_many(members, "service"),))


def _common(looks: Iterable[Look]) -> Look:
    found = set(looks)
    return found.pop() if len(found) == 1 else "usual"


def _said(types: Iterable[str]) -> str:
    names = [plain(short(tp)) for tp in types]
    return names[0] if len(names) == 1 else f"{len(names)} messages"


def _left_out(nodes: int, arrows: int, by: By) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    if nodes:
        found += (f"{_many(nodes, by)} with fewer connections left out: name with --service what you want to see.",)
    if arrows:
        found += (f"{_many(arrows, 'arrow')} that stand for fewer messages left out.",)
    return found


# ---- words ---------------------------------------------------------------------------------------------------------------


def _sayer(names: list[str]) -> Callable[[str], str]:
    """How to say each of these names: short, where that means one of them only."""
    counts = Counter(map(short, names))
    return lambda name: plain(short(name) if counts[short(name)] < 2 else name)


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
