"""Reads the graph from Python: from a choreography's declarations, without running anything."""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterable, Iterator
from typing import Any, cast

from farandole.graph.graph import Graph
from farandole.graph.nodes import AllowedCycle, Branch, Expectation, Message, Place, Reaction, Service, Trigger, Workflow
from farandole.model import triggers
from farandole.model.choreography import Choreography
from farandole.model.event import Meta
from farandole.model.policy import Settled
from farandole.model.reaction import Reaction as Declared
from farandole.model.resources import groups_of, is_outside
from farandole.model.service import Service as DeclaredService
from farandole.model.wire import names_of
from farandole.schema.of_class import schema_of
from farandole.schema.sensitive import sensitive_paths

__all__ = ["graph_of"]

_Declared = Declared[Any, Any, Any]
_KINDS: dict[type, Any] = {
    triggers.OnEvents: "event",
    triggers.OnCommand: "command",
    triggers.OnAll: "all",
    triggers.OnAny: "any",
    triggers.OnCount: "count",
    triggers.OnDeadline: "deadline",
    triggers.OnUndo: "process",
}


def graph_of(choreography: Choreography, *, root: str = "") -> Graph:
    """The graph that a choreography's declarations form.

    Parameters
    ----------
    root:
        A folder; places inside it are given relative to it.

    Raises
    ------
    DeclarationError
        An annotation cannot be read.
    """
    return _Reading(choreography, root).graph()


class _Reading:
    """One reading: the names of classes on the wire, and places."""

    def __init__(self, choreography: Choreography, root: str) -> None:
        self._choreography = choreography
        self._domain = choreography.name
        self._root = root.rstrip("/") + "/" if root else ""
        self._emitters: dict[type, list[str]] = {}
        self._handlers: dict[type, list[str]] = {}
        for reaction in choreography.reactions:
            if isinstance(reaction.trigger, triggers.OnCommand):
                _add(self._handlers, reaction.trigger.command, reaction.service)
            for part in _parts(reaction):
                for cls in part.emits:
                    if _meta(cls).of is None and not _meta(cls).command:
                        _add(self._emitters, cls, reaction.service)

    def graph(self) -> Graph:
        choreography = self._choreography
        return Graph(
            name=self._domain,
            services=tuple(self._service(service) for service in choreography.services.values()),
            messages=tuple(self._messages()),
            reactions=tuple(
                self._reaction(service, group, reaction)
                for service in choreography.services.values()
                for group, reaction in self._by_group(service)
            ),
            workflows=tuple(
                Workflow(
                    workflow.name,
                    self._place(workflow.place),
                    self._types(cast("tuple[type, ...]", workflow.starts)),
                    self._types(cast("tuple[type, ...]", workflow.succeeds)),
                    self._types(cast("tuple[type, ...]", workflow.fails)),
                    None if workflow.within is None else triggers.seconds(workflow.name, workflow.within),
                    workflow.doc,
                    tuple(
                        Expectation(one.name, self._types((one.after,))[0], self._types(one.events), one.within)
                        for one in workflow.expects
                    ),
                )
                for workflow in choreography.workflows
            ),
            cycles=tuple(
                AllowedCycle(self._types(cycle.events), cycle.at_most, self._place(cycle.place), cycle.reason)
                for cycle in choreography.cycles
            ),
        )

    def _by_group(self, service: DeclaredService) -> Iterator[tuple[str | None, _Declared]]:
        """The reactions in the order of declaration, each with the consumer group that feeds it."""
        groups = groups_of(self._domain, service)
        fed = {reaction.id: group for group, reactions in groups.items() for reaction in reactions}
        for reaction in service.reactions.values():
            yield fed.get(reaction.id), reaction

    def _service(self, service: DeclaredService) -> Service:
        return Service(
            f"{self._domain}.{service.name}",
            self._place(service.place),
            version=service.version,
            team=service.team,
            cleared=service.cleared,
            doc=service.doc,
        )

    def _reaction(self, service: DeclaredService, group: str | None, reaction: _Declared) -> Reaction:
        settled = Settled.of(reaction.policy)
        undone, undoes = reaction.compensates, reaction.undoes
        return Reaction(
            id=f"{self._domain}.{reaction.id}",
            service=f"{self._domain}.{reaction.service}",
            name=reaction.name,
            place=self._place(reaction.place),
            trigger=self._trigger(reaction),
            emits=self._types(reaction.emits),
            answers=tuple(self._types(answer) for answer in reaction.signature.answers),
            many=self._types(reaction.signature.many),
            delayed=self._types(cls for cls in reaction.emits if cls not in reaction.signature.at_once),
            exhausted=self._branch(reaction.on_exhausted),
            late=self._branch(reaction.on_late),
            compensates=None if undone is None else f"{self._domain}.{undone.id}",
            undoes=None if undoes is None else self._type(undoes),
            outside=is_outside(reaction, service),
            effects=reaction.notes.effects,
            moves=reaction.notes.states,
            relies_on=self._types(reaction.notes.relies_on),
            formerly=reaction.formerly,
            horizon=_horizon(reaction) if group is not None or self._is_posted(reaction) else 0.0,  # a sender is told at once
            process=None if reaction.step is None else f"{self._domain}.{reaction.step.process.id}",
            parks=settled.park,
            group=group,
            doc=inspect.cleandoc(reaction.__doc__ or ""),
        )

    def _is_posted(self, reaction: _Declared) -> bool:
        trigger = reaction.trigger
        return isinstance(trigger, triggers.OnCommand) and trigger.command in self._choreography.posted

    def _trigger(self, reaction: _Declared) -> Trigger:
        trigger, step = reaction.trigger, reaction.step
        kind = _KINDS[type(trigger)]
        if isinstance(trigger, triggers.OnCommand):
            return Trigger(kind, (self._type(trigger.command),))
        received = self._types(trigger.events)
        if isinstance(trigger, triggers.OnUndo):
            return Trigger(kind, received, after=(self._type(trigger.step),), failing=self._failing(reaction))
        if isinstance(trigger, triggers.OnEvents):
            return Trigger(kind if step is None else "process", received, None if step is None else step.process.by)
        if isinstance(trigger, triggers.OnDeadline):
            return Trigger(
                kind, received, trigger.by, trigger.within, after=self._types(trigger.after), unless=self._types(trigger.unless)
            )
        expected = trigger.expected if isinstance(trigger, triggers.OnCount) else None
        return Trigger(kind, received, trigger.by, trigger.within, expected=expected)

    def _failing(self, undo: _Declared) -> tuple[str, ...]:
        """The types that make the process of this undo fail; where a timeout does, those that tell of it."""
        process = undo.step.process if undo.step is not None else None
        fails = [other for other in (process.reactions if process else ()) if other.step and other.step.role == "fails"]
        return self._types(
            cls for other in fails for cls in (other.emits if isinstance(other.trigger, triggers.OnDeadline) else other.causes)
        )

    def _branch(self, part: Declared[Any, ..., Any] | None) -> Branch | None:
        if part is None:
            return None
        answers = tuple(self._types(answer) for answer in part.signature.answers)
        return Branch(self._types(part.emits), self._place(part.place), answers)

    def _messages(self) -> Iterator[Message]:
        """What owners say, then what those say who read it with classes of their own, or whose owner is not here."""
        for cls, services in self._emitters.items():
            for service in services:
                yield self._message(cls, service, "owner")
        for cls, services in self._handlers.items():
            for service in services:
                yield self._message(cls, service, "owner")
        readers: dict[type, list[str]] = {}
        for reaction in self._choreography.reactions:
            for cls in reaction.events:
                if cls not in self._emitters and cls not in self._handlers:
                    _add(readers, cls, reaction.service)
        for cls, services in readers.items():
            for service in services:
                yield self._message(cls, service, "reader")
        for cls in self._told_by_workflows(readers):
            yield self._message(cls, _meta(cls).of or "", "reader")

    def _told_by_workflows(self, readers: Container[type]) -> Iterator[Any]:
        """What workflows alone name and say the owner of: without it, nobody could tell these from events that do not exist."""
        named = (
            cls
            for workflow in self._choreography.workflows
            for cls in (*cast("tuple[type, ...]", workflow.starts), *workflow.outcomes)
        )
        for cls in dict.fromkeys(named):
            if _meta(cls).of is not None and not any(cls in known for known in (self._emitters, self._handlers, readers)):
                yield cls

    def _message(self, cls: Any, service: str, role: Any) -> Message:
        meta = _meta(cls)
        name, topic = names_of(meta, self._domain, service if role == "owner" else None)
        schema = schema_of(cls)
        return Message(
            type=name,
            service=service if "." in service else f"{self._domain}.{service}",
            place=self._place(meta.place),
            role=role,
            kind="command" if meta.command else "event",
            version=meta.version,
            topic=topic or None,
            key=meta.key,
            schema=schema,
            sensitive=sensitive_paths(schema),
            public=meta.public,
            doc=inspect.cleandoc(cls.__dict__.get("__doc__") or ""),
        )

    def _type(self, cls: Any) -> str:
        return names_of(_meta(cls), self._domain, None)[0]

    def _types(self, classes: Iterable[Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._type(cls) for cls in classes))

    def _place(self, place: str) -> Place:
        file, _, line = place.rpartition(":")
        return Place(file.removeprefix(self._root), int(line))


def _parts(reaction: _Declared) -> Iterator[Declared[Any, ..., Any]]:
    yield reaction
    for part in (reaction.on_exhausted, reaction.on_late):
        if part is not None:
            yield part


def _horizon(reaction: _Declared) -> float:
    """How long its retries may take; what runs when they are used up is retried as often."""
    return Settled.of(reaction.policy).retry.horizon * (2 if reaction.on_exhausted else 1)


def _meta(cls: Any) -> Meta:
    meta: Meta = cls.__farandole__
    return meta


def _add(found: dict[type, list[str]], cls: type, service: str) -> None:
    services = found.setdefault(cls, [])
    if service not in services:
        services.append(service)
