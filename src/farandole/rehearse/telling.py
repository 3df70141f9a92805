"""Writes down what happens in a run as beats, where its story is to be told; otherwise nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farandole.brokers.base import Delivery
from farandole.errors import EnvelopeError
from farandole.model.envelope import Message, decode
from farandole.model.event import HIDDEN, hides_key
from farandole.rehearse.beats import Beat
from farandole.rehearse.dice import Strike
from farandole.runtime.lanes import lanes_of
from farandole.runtime.signals import Signals

if TYPE_CHECKING:
    from farandole.rehearse.ground import Ground

__all__ = ["Silence", "Telling"]

_CUTS = ("cut", "one_way")
_DATABASE = {"statement": "statement", "conflict": "refused", "doubt": "unknown", "busy": "slow"}
_TOLD_ELSEWHERE = {"crash", "restart", "upgrade", "freeze", "jump", "lost_call", "lost_answer", "slow_call", "slow"}


class Silence(Signals):
    """Nobody listens: most runs are fine."""

    def __init__(self) -> None:
        self.beats: list[Beat] = []

    def tell(self, kind: Any, who: str, what: str = "", **more: Any) -> None:
        """Nothing."""

    def done(self, handled: list[tuple[str, str]]) -> None:
        """Nothing."""


class Telling(Silence):
    """Listens to the dice, the broker and the runtime, and writes beats down."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self._ground = ground
        self._names = {binding.type: cls.__name__ for cls, binding in ground.wire.by_class.items()}
        self._taken = {
            lane.group: {ground.wire.by_class[cls].type for reaction in lane.reactions for cls in reaction.events}
            for service in ground.choreography.services.values()
            for lane in lanes_of(ground.choreography, service, ground.wire)
        }
        self._hiding = {binding.type for cls, binding in ground.wire.by_class.items() if hides_key(cls)}
        self._hidden: dict[str, str] = {}
        self._published = set[str]()
        ground.dice.listeners.append(self._struck)
        ground.cluster.listeners.append(self._stored)
        ground.cluster.receivers.append(self._delivered)

    def tell(self, kind: Any, who: str, what: str = "", **more: Any) -> None:
        """Write a beat down."""
        self.beats.append(Beat(self._ground.loop.time(), kind, who, what, **more))

    def done(self, handled: list[tuple[str, str]]) -> None:
        """These (reaction, event id) were handled and committed."""
        for reaction, id in handled:
            service, _, name = reaction.partition(".")
            self.tell("handled", service, name, id=id)

    def failed(self, reaction: str, event_id: str, state: str, reason: str) -> None:
        """What the runtime tells of a failure."""
        service, _, name = reaction.partition(".")
        self.tell({"dead": "dead", "skipped": "skipped"}.get(state, "parked"), service, name, id=event_id, note=reason)

    def _stored(self, message: Message) -> None:
        if message.id in self._published:
            return
        self._published.add(message.id)
        try:
            envelope = decode(message.body)
        except EnvelopeError:
            return
        who = envelope.source.rstrip("/").rpartition("/")[2]
        name = self._names.get(message.type, message.type)
        self.tell("published", who, name, id=message.id, key=self._key(message), cause=envelope.causationid or "")

    def _delivered(self, consumer: str, delivery: Delivery) -> None:
        group = consumer.rpartition("/")[0]
        if delivery.type in self._taken.get(group, ()):
            name, to = self._names.get(delivery.type, delivery.type), group.split(".")[1]
            self.tell("delivered", "broker", name, id=delivery.id, to=to, key=self._key(delivery), note=group)

    def _key(self, message: Message | Delivery) -> str:
        """A key that is sensitive has a number in its place: what belongs together can still be seen."""
        if message.type not in self._hiding:
            return message.key
        return self._hidden.setdefault(message.key, f"{HIDDEN}{len(self._hidden) + 1}")

    def _struck(self, strike: Strike) -> None:
        if strike.fault in _TOLD_ELSEWHERE:
            return
        who = self._who(strike.node)
        if strike.fault in _DATABASE:
            self.tell("database", who, _DATABASE[strike.fault], seconds=strike.size)
        else:
            self.tell("cut" if strike.fault in _CUTS else "fault", who, strike.fault, seconds=strike.size)

    def _who(self, node: str) -> str:
        """The service that a process runs, where it is one; else the process's own name."""
        services = [process.services for process in self._ground.processes if process.name == node]
        return services[0][0] if services and len(services[0]) == 1 else node
