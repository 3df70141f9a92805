"""What spans say of where they happen: worked out once per reaction, so that little is left to do per event."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from opentelemetry import context as contexts
from opentelemetry.trace import NoOpTracerProvider, SpanKind, Tracer, TracerProvider

from farandole.brokers.base import Broker
from farandole.model.choreography import Choreography
from farandole.model.envelope import Envelope, Joined
from farandole.model.reaction import Reaction
from farandole.model.resources import groups_of
from farandole.model.triggers import OnCommand, OnDeadline, OnEvents, OnUndo
from farandole.model.wire import Wire
from farandole.observe.observer import row_of
from farandole.observe.otel import SERVICE, Services, flush
from farandole.observe.spans import ROOT, SCHEMA
from farandole.version import __version__

__all__ = ["Scene", "Scenery", "service_of"]


class Scene:
    """One reaction, or its `exhausted` or `late` handler.

    Attributes
    ----------
    row:
        The name of the reaction itself: what becomes of a run is told under it.
    name:
        What it is called within its service: the operation's name.
    service, tracer:
        Whose it is, and what makes its spans.
    context:
        What is current around its handler, but for the span.
    follows:
        Whether its sampler leaves out whatever a caller left out, so that it need not be asked.
    """

    def __init__(self, scenery: Scenery, id: str) -> None:
        service, _, name = id.partition(".")
        self.row = row_of(id)
        self.name = name or id
        self.service = service
        self.context = contexts.set_value(SERVICE, (scenery.name, service), ROOT)
        self.tracer = scenery.tracer(service)
        sampler = getattr(self.tracer, "sampler", None)
        self.follows = sampler is not None and "remoteParentNotSampled:AlwaysOffSampler" in sampler.get_description()
        self._scenery = scenery
        self._is_command = self.row in scenery.commands
        self.kind = SpanKind.INTERNAL if self._is_command else SpanKind.CONSUMER
        self._said: dict[str, Any] = {
            "farandole.reaction": id,
            "farandole.service": service,
            "farandole.way": scenery.ways.get(self.row, "none"),
        }
        self._messaging: dict[str, Any] = {
            "messaging.system": scenery.system,
            "messaging.operation.name": self.name,
            "messaging.operation.type": "process",
        }
        if self.row in scenery.groups:
            self._messaging["messaging.consumer.group.name"] = scenery.groups[self.row]

    def kind_of(self, envelope: Envelope) -> SpanKind:
        """A command at the door is called; what another reaction handed over was kept, and is taken like an event."""
        return SpanKind.CONSUMER if envelope.depth else self.kind

    def said_of(self, envelope: Envelope, attempt: int) -> dict[str, Any]:
        """The attributes of one run."""
        said = {
            **self._said,
            "cloudevents.event_type": envelope.type,
            "farandole.attempt": attempt,
            "farandole.depth": envelope.depth,
        }
        if envelope.correlationid is not None:
            said["messaging.message.conversation_id"] = envelope.correlationid
        if self._is_command:
            return said | {"cloudevents.event_id": envelope.id}
        said |= self._messaging
        if (topic := self._scenery.topics.get(envelope.type)) is not None:
            said["messaging.destination.name"] = topic
        if isinstance(envelope, Joined):
            said["messaging.batch.message_count"] = len(envelope.parts)
        else:
            said["messaging.message.id"] = said["cloudevents.event_id"] = envelope.id
        return said

    def said_of_message(self, operation: str, topic: str, type: str, id: str, correlation: str | None) -> dict[str, Any]:
        """The attributes of a message that this reaction makes."""
        said = self._scenery.said_of_message(self.service, operation, topic, type, id)
        if correlation is not None:
            said["messaging.message.conversation_id"] = correlation
        return said


class Scenery:
    """A choreography on a broker, as spans tell of it.

    Parameters
    ----------
    choreography, broker:
        None: nothing is known yet.
    provider:
        Makes the tracers.
    """

    def __init__(
        self, choreography: Choreography | None = None, broker: Broker | None = None, provider: TracerProvider | None = None
    ) -> None:
        self.name = "" if choreography is None else choreography.name
        self.system = _system(broker)
        self.topics: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.commands: set[str] = set()
        self.ways: dict[str, str] = {}
        self._takes: dict[str, set[str]] = {}
        self._provider = provider or NoOpTracerProvider()
        self._scenes: dict[str, Scene] = {}
        self._tracers: dict[str, Tracer] = {}
        if choreography is not None:
            wire = Wire(choreography)
            self.topics = {binding.type: binding.topic for binding in wire.by_class.values() if binding.topic}
            self.ways = {reaction.id: _way(reaction) for reaction in choreography.reactions}
            self.commands = {id for id, way in self.ways.items() if way == "command"}
            for service in choreography.services.values():
                for group, reactions in groups_of(choreography.name, service).items():
                    self.groups |= dict.fromkeys((reaction.id for reaction in reactions), group)
                    self._takes[group] = {wire.by_class[event].type for reaction in reactions for event in reaction.events}

    def of(self, reaction: str) -> Scene:
        """The scene of a reaction."""
        scene = self._scenes.get(reaction)
        if scene is None:
            scene = self._scenes[reaction] = Scene(self, reaction)
        return scene

    def takes(self, lane: str) -> Collection[str]:
        """The wire types that a lane's reactions take."""
        return self._takes.get(lane, ())

    def tracer(self, service: str) -> Tracer:
        """The tracer of a service: where the process has one set of attributes for all of them, it is the same for each."""
        tracer = self._tracers.get(service)
        if tracer is None:
            provider = self._provider.of((self.name, service)) if isinstance(self._provider, Services) else self._provider
            tracer = self._tracers[service] = provider.get_tracer("farandole", __version__, SCHEMA)
        return tracer

    def said_of_message(self, service: str, operation: str, topic: str, type: str, id: str) -> dict[str, Any]:
        """The attributes of a message that is made or sent."""
        return {
            "messaging.system": self.system,
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": topic or service,
            "messaging.message.id": id,
            "cloudevents.event_id": id,
            "cloudevents.event_type": type,
            "farandole.service": service,
        }

    def said_of_batch(self, lane: str, topics: Collection[str], count: int) -> dict[str, Any]:
        """The attributes of what a lane fetched at once."""
        said: dict[str, Any] = {
            "messaging.system": self.system,
            "messaging.operation.name": "receive",
            "messaging.operation.type": "receive",
            "messaging.consumer.group.name": lane,
            "farandole.service": service_of(lane),
        }
        if count > 1:
            said["messaging.batch.message_count"] = count
        if len(topics) == 1:
            (said["messaging.destination.name"],) = topics
        return said

    async def flush(self) -> None:
        """Give the exporter what is in hand, where its setting up was ours."""
        if isinstance(self._provider, Services):
            await flush(self._provider)


def service_of(lane: str) -> str:
    """`payments` of `shop.payments.charge`."""
    return lane.split(".")[1] if "." in lane else lane


def _system(broker: Broker | None) -> str:
    """The messaging system's name, as the conventions have it or would: `kafka`, `rabbitmq`, `nats`, `postgresql`, …"""
    words = type(broker).__module__.split(".")
    name = words[2] if words[:2] == ["farandole", "brokers"] and len(words) > 2 else type(broker).__name__.lower()
    return "farandole" if broker is None else _SYSTEMS.get(name, name)


_SYSTEMS: Mapping[str, str] = {"postgres": "postgresql"}


def _way(reaction: Reaction[Any, Any, Any]) -> str:
    trigger = reaction.trigger
    if reaction.compensates is not None or isinstance(trigger, OnUndo):
        return "compensation"
    if isinstance(trigger, OnCommand):
        return "command"
    if isinstance(trigger, OnDeadline):
        return "deadline"
    return "reaction" if isinstance(trigger, OnEvents) else "join"
