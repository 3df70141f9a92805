"""The graph: services, messages, reactions and workflows, with the questions that drawings and checks ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from farandole.graph.nodes import AllowedCycle, Edge, Message, Reaction, Service, Workflow

__all__ = ["Graph", "edges_of"]

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Graph:
    """A choreography as data.

    What is contradictory stays visible: several services may have one id, several owners one type. Look-ups by name give the first;
    the checks look at all.

    Attributes
    ----------
    name:
        For titles.
    messages:
        Every declaration of a message, by owners and by readers.
    """

    name: str
    services: tuple[Service, ...] = ()
    messages: tuple[Message, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    workflows: tuple[Workflow, ...] = ()
    cycles: tuple[AllowedCycle, ...] = ()

    @cached_property
    def service(self) -> dict[str, Service]:
        """Services by id."""
        return _first((node.id, node) for node in self.services)

    @cached_property
    def reaction(self) -> dict[str, Reaction]:
        """Reactions by id."""
        return _first((node.id, node) for node in self.reactions)

    @cached_property
    def workflow(self) -> dict[str, Workflow]:
        """Workflows by name."""
        return _first((node.name, node) for node in self.workflows)

    @cached_property
    def owned(self) -> dict[str, Message]:
        """What the owner says of each message type."""
        return _first((node.type, node) for node in self.messages if node.role == "owner")

    @cached_property
    def read(self) -> dict[tuple[str, str], Message]:
        """What (service, type) needs of a message, where the service has a reader class of its own."""
        return _first(((node.service, node.type), node) for node in self.messages if node.role == "reader")

    @cached_property
    def declarations(self) -> dict[str, tuple[Message, ...]]:
        """All that is said of each message type."""
        return _grouped((node.type, node) for node in self.messages)

    @cached_property
    def owns(self) -> dict[str, tuple[str, ...]]:
        """The message types of which each service is an owner."""
        return _grouped((node.service, node.type) for node in self.messages if node.role == "owner")

    @cached_property
    def place_of(self) -> dict[str, int]:
        """At which place each reaction is declared, by its id: the order in which to show several."""
        return _first((node.id, place) for place, node in enumerate(self.reactions))

    @cached_property
    def types(self) -> tuple[str, ...]:
        """All message types that anything names, sorted."""
        found = {node.type for node in self.messages}
        for reaction in self.reactions:
            trigger = reaction.trigger
            found.update(trigger.receives, trigger.after, trigger.unless, trigger.failing, reaction.effects_of_all_ways)
            found.update(*reaction.answers, reaction.relies_on, filter(None, [reaction.undoes]))
            for branch in filter(None, (reaction.exhausted, reaction.late)):
                found.update(*branch.answers)
        for workflow in self.workflows:
            found.update(workflow.starts, workflow.outcomes)
            for one in workflow.expects:
                found.update([one.after], one.types)
        return tuple(sorted(found))

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Every arrow from a cause to an effect."""
        return tuple(edge for reaction in self.reactions for edge in edges_of(reaction))

    @cached_property
    def consumers(self) -> dict[str, tuple[Reaction, ...]]:
        """The reactions that receive a type."""
        return _grouped((tp, reaction) for reaction in self.reactions for tp in dict.fromkeys(reaction.trigger.receives))

    @cached_property
    def caused(self) -> dict[str, tuple[Reaction, ...]]:
        """The reactions for which a type may be the cause of what they emit."""
        return _grouped((tp, reaction) for reaction in self.reactions for tp in dict.fromkeys(reaction.causes))

    @cached_property
    def producers(self) -> dict[str, tuple[Reaction, ...]]:
        """The reactions that may emit a type, in whatever way."""
        return _grouped((tp, reaction) for reaction in self.reactions for tp in reaction.effects_of_all_ways)

    @cached_property
    def compensations(self) -> dict[str, tuple[Reaction, ...]]:
        """The reactions that undo a reaction, by its id."""
        return _grouped((node.compensates or "", node) for node in self.reactions if node.compensates)

    @cached_property
    def undone(self) -> dict[str, tuple[Reaction, ...]]:
        """The reactions by which processes undo what a type says that was done."""
        return _grouped((tp, node) for node in self.reactions if node.undoes_step for tp in node.trigger.after)

    @cached_property
    def of_service(self) -> dict[str, tuple[Reaction, ...]]:
        """The reactions of each service."""
        return _grouped((reaction.service, reaction) for reaction in self.reactions)

    def kept(self, name: str, make: Callable[[], V]) -> V:
        """What `make` gives, made once and kept with the graph: what several checks derive from it."""
        if name not in self._kept:
            self._kept[name] = make()
        value: V = self._kept[name]
        return value

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return {}

    def declared(self, service: str, type: str) -> Message | None:
        """What a service knows of a message: its reader class, or else what the owner says."""
        return self.read.get((service, type)) or self.owned.get(type)


def edges_of(reaction: Reaction) -> Iterator[Edge]:
    """The arrows of one reaction."""
    for cause in reaction.causes:
        for effect in reaction.emits:
            yield Edge(cause, reaction.id, effect)
        for effect in reaction.exhausted.emits if reaction.exhausted else ():
            yield Edge(cause, reaction.id, effect, "exhausted")
    if reaction.late:
        for cause in reaction.trigger.unless or reaction.trigger.receives:
            for effect in reaction.late.emits:
                yield Edge(cause, reaction.id, effect, "late")


def _first(pairs: Iterable[tuple[K, V]]) -> dict[K, V]:
    found: dict[K, V] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}
