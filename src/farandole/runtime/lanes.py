"""Lanes: the consumer groups of a service as the runtime subscribes to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from farandole.brokers.base import Subscription
from farandole.model.choreography import Choreography
from farandole.model.reaction import Reaction
from farandole.model.resources import groups_of, is_outside
from farandole.model.service import Service
from farandole.model.wire import Wire

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
    lanes: list[Lane] = []
    for group, reactions in groups_of(choreography.name, service).items():
        topics = dict.fromkeys(wire.by_class[event].topic for reaction in reactions for event in reaction.events)
        outside = is_outside(reactions[0], service)
        lanes.append(Lane(group, tuple(topics), tuple(reactions), outside, first=not lanes))
    return lanes
