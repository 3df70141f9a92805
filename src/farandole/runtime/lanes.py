"""Lanes: which reactions of a service share a consumer group.

The local reactions of a service share one group, `domain.service`. An outside reaction has its own,
`domain.service.reaction`, so that a slow call holds up nobody else; `Policy(lane=…)` joins or parts them by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from farandole.brokers.base import Subscription
from farandole.model.choreography import Choreography
from farandole.model.reaction import OnEvents, Reaction
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.runtime.resources import is_outside

__all__ = ["Lane", "lanes_of"]


@dataclass(frozen=True, slots=True)
class Lane:
    """A consumer group of a service.

    Attributes
    ----------
    group, topics:
        What it subscribes to, and as whom.
    reactions:
        What it feeds.
    outside:
        Whether its events go through the inbox table to the scheduler, instead of in batches through the worker.
    first:
        Whether it is the service's first lane: the one that reports what no lane can read.
    """

    group: str
    topics: tuple[str, ...]
    reactions: tuple[Reaction[Any, Any, Any], ...]
    outside: bool
    first: bool

    @property
    def subscription(self) -> Subscription:
        """What the lane asks of the broker."""
        return Subscription(self.group, self.topics)


def lanes_of(choreography: Choreography, service: Service, wire: Wire | None = None) -> list[Lane]:
    """The lanes of a service, local ones first.

    Parameters
    ----------
    wire:
        The choreography's bindings, where they are at hand already.
    """
    wire = wire or Wire(choreography)
    groups: dict[tuple[bool, str], list[Reaction[Any, Any, Any]]] = {}
    for reaction in service.reactions.values():
        if not isinstance(reaction.trigger, OnEvents):
            continue
        outside = is_outside(reaction, service)
        own = f".{reaction.formerly or reaction.name}" if outside else ""
        name = f"{choreography.name}.{service.name}" + (f".{reaction.policy.lane}" if reaction.policy.lane else own)
        groups.setdefault((outside, name), []).append(reaction)
    lanes: list[Lane] = []
    for (outside, group), reactions in sorted(groups.items(), key=lambda item: item[0]):
        topics = dict.fromkeys(wire.by_class[event].topic for reaction in reactions for event in reaction.events)
        name = f"{group}.outside" if outside and any(lane.group == group for lane in lanes) else group
        lanes.append(Lane(name, tuple(topics), tuple(reactions), outside, first=not lanes))
    return lanes
