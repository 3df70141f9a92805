"""Whether versions of services may go where others are deployed already, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from farandole.graph import Graph
from farandole.manifest.diff import Change, diff

__all__ = ["Plan", "Step", "part_of", "plan", "with_part"]

TRIED = 200
"""How many sets of services that went first are tried. The first order is nearly always right; where there is none, this ends the search."""


@dataclass(frozen=True, slots=True)
class Step:
    """One service that goes, and what changes for all when it does.

    Attributes
    ----------
    service, version:
        Who goes.
    changes:
        The differences that it makes where it goes, what breaks first.
    """

    service: str
    version: str
    changes: tuple[Change, ...]

    @property
    def breaking(self) -> tuple[Change, ...]:
        """Why it may not go; () if it may."""
        return tuple(change for change in self.changes if change.weight == "breaking")


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go, in this order, and what may not.

    Attributes
    ----------
    steps:
        Those that may go, one after the other.
    blocked:
        Those that may not, even after all the others have.
    """

    steps: tuple[Step, ...] = ()
    blocked: tuple[Step, ...] = field(default=())


def part_of(graph: Graph, service: str, version: str) -> Graph:
    """What one service says, complete in itself: what it reads of others with their classes is written down with it.

    So it can be kept beside other versions of other services, and still tells what this one can read.

    Parameters
    ----------
    service:
        Its id.
    version:
        Under which it is known from now on.
    """
    reactions = graph.of_service.get(service, ())
    own = [message for message in graph.messages if message.service == service]
    said = {message.type for message in own}
    for tp in sorted({tp for reaction in reactions for tp in reaction.trigger.receives} - said):
        known = graph.owned.get(tp)
        if known is not None:
            own.append(replace(known, service=service, role="reader", public=False, former=(), examples=()))
    return Graph(
        name=graph.name,
        services=(replace(graph.service[service], version=version),),
        messages=tuple(own),
        reactions=reactions,
        workflows=tuple(flow for flow in graph.workflows if _begins_with(flow.starts, graph, service)),
        cycles=tuple(cycle for cycle in graph.cycles if _begins_with(cycle.types, graph, service)),
    )


def _begins_with(types: tuple[str, ...], graph: Graph, service: str) -> bool:
    """Whether what these types begin belongs to a service: it says one of them. What nobody here says belongs to all."""
    owners = {graph.owned[tp].service for tp in types if tp in graph.owned}
    return service in owners or not owners


def with_part(deployed: Graph, part: Graph) -> Graph:
    """What is deployed after this one has gone there, in the place of its earlier version."""
    [service] = part.services
    flows = {flow.name for flow in part.workflows}
    cycles = {frozenset(cycle.types) for cycle in part.cycles}

    def stays(types: tuple[str, ...]) -> bool:
        owners = {deployed.owned[tp].service for tp in types if tp in deployed.owned}
        return owners != {service.id}

    return Graph(
        name=deployed.name,
        services=(*(one for one in deployed.services if one.id != service.id), service),
        messages=(*(one for one in deployed.messages if one.service != service.id), *part.messages),
        reactions=(*(one for one in deployed.reactions if one.service != service.id), *part.reactions),
        workflows=(*(one for one in deployed.workflows if one.name not in flows and stays(one.starts)), *part.workflows),
        cycles=(*(one for one in deployed.cycles if frozenset(one.types) not in cycles and stays(one.types)), *part.cycles),
    )


def plan(deployed: Graph, parts: Sequence[Graph]) -> Plan:
    """In which order these may go, one after the other, so that nothing breaks at any time.

    Where several orders are possible, those go first that are the least risky at that time: readers before what they read.
    Where there is none, as many go as can.

    Parameters
    ----------
    deployed:
        Everything that is there now.
    parts:
        Those that are to go, from `part_of`.
    """
    best: tuple[Step, ...] = ()
    best_blocked: tuple[Step, ...] = ()
    seen: set[frozenset[int]] = set()
    todo: list[tuple[Graph, frozenset[int], tuple[Step, ...]]] = [(deployed, frozenset(), ())]
    while todo and len(seen) < TRIED:
        now, gone, steps = todo.pop()
        if gone in seen:
            continue
        seen.add(gone)
        left = {index: _step(now, parts[index]) for index in range(len(parts)) if index not in gone}
        if len(steps) > len(best) or not best_blocked:
            best, best_blocked = steps, tuple(left.values())
        if not left:
            return Plan(steps)
        free = [index for index, step in left.items() if not step.breaking]
        free.sort(key=lambda index: (sum(change.weight == "risky" for change in left[index].changes), left[index].service))
        # The last one in is tried first, so the best one goes in last.
        todo += [(with_part(now, parts[index]), gone | {index}, (*steps, left[index])) for index in reversed(free)]
    return Plan(best, best_blocked)


def _step(now: Graph, part: Graph) -> Step:
    [service] = part.services
    return Step(service.id, service.version, tuple(diff(now, with_part(now, part))))
