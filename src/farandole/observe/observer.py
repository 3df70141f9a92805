"""The observer: hears the runtime's signals, adds how long each handler took, and passes them on to listeners."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from farandole.observe.correlation import CURRENT
from farandole.runtime.plan import flat
from farandole.runtime.signals import Counters, Emitted, Run, Signals

if TYPE_CHECKING:
    from farandole.brokers.base import Broker, Delivery
    from farandole.model.choreography import Choreography
    from farandole.model.envelope import Envelope, Message
    from farandole.observe.measures import Figure
    from farandole.observe.record import Recorder
    from farandole.runtime.context import Context
    from farandole.stores.base import Store
    from farandole.world import World

__all__ = ["Listener", "Observed", "Observer", "row_of"]

_SEVERAL = (list, tuple, type(None))
REMEMBERED = 10_000
"""So many handlers that ended, and are not committed yet."""


class Observed(Protocol):
    """What a listener may ask of the app that it listens to; see `farandole.App`."""

    choreography: Choreography
    broker: Broker
    world: World

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that run in this process."""
        ...

    @property
    def stores(self) -> Mapping[str, Store]:
        """The open databases, by service."""
        ...

    @property
    def recorder(self) -> Recorder | None:
        """Who records here, with its `record`; None: nobody."""
        ...

    async def figures(self, patience: float | None = None) -> dict[str, Figure]:
        """What the measures of the choreography say, by name."""
        ...

    async def lag(self) -> dict[str, dict[str, int]]:
        """How many events the lanes here have not acknowledged, by service and lane."""
        ...


class Listener(Signals):
    """One who listens; see `Signals` for what there is to hear. `ran` comes with times."""

    def prepare(self, app: Observed) -> None:
        """The app opens, and nothing was heard yet: of what it has, the choreography, the broker and the world are there."""

    async def begin(self, app: Observed) -> None:
        """The app is open; nothing was heard yet but what happened while it opened."""

    async def close(self) -> None:
        """Nothing more comes. What is still in hand is to be delivered now, in a few seconds at most."""


def row_of(handler: str) -> str:
    """The reaction under which it is told what became of a handler: its `exhausted` and `late` handlers have no rows of their own."""
    return handler.removesuffix(".exhausted").removesuffix(".late")


class _Note(msgspec.Struct, gc=False):
    began: float
    seconds: float = 0.0
    emitted: int | None = None


class Observer(Counters):
    """Passes on what it hears, to each listener in turn. One that raises is told of as trouble, and does not keep the others from hearing.

    Parameters
    ----------
    listeners:
        Who hears it.
    world:
        Its clock.
    """

    def __init__(self, listeners: Sequence[Signals], world: World) -> None:
        super().__init__()
        self.listeners = tuple(listeners)
        self.listens = bool(self.listeners)
        self._world = world
        self._notes: OrderedDict[tuple[str, str], _Note] = OrderedDict()
        self._hooks = {name: [getattr(one, name) for one in self.listeners if _hears(one, name)] for name in _HOOKS}
        self._tracers = [one for one in self.listeners if _hears(one, "traceparent")]

    def prepare(self, app: Observed) -> None:
        """The app opens."""
        for listener in self.listeners:
            if isinstance(listener, Listener):
                listener.prepare(app)

    async def begin(self, app: Observed) -> None:
        """The app is open."""
        for listener in self.listeners:
            if isinstance(listener, Listener):
                await listener.begin(app)

    async def close(self) -> None:
        """Nothing more comes."""
        for listener in self.listeners:
            if isinstance(listener, Listener):
                try:
                    await listener.close()
                except Exception as error:
                    self.trouble(f"{type(listener).__name__}.close", error)

    def begins(self, context: Context) -> None:
        CURRENT.set(context)
        self._notes[row_of(context.reaction), context.envelope.id] = _Note(self._world.monotonic())
        if len(self._notes) > REMEMBERED:
            self._notes.popitem(last=False)
        if self._hooks["begins"]:
            self._pass_on("begins", context)

    def ended(self, context: Context, value: Any, error: BaseException | None) -> None:
        reaction, id = row_of(context.reaction), context.envelope.id
        note = self._notes.get((reaction, id))
        if note is not None:
            note.seconds = self._world.monotonic() - note.began
            note.emitted = None if error is not None else len(flat(value)) if isinstance(value, _SEVERAL) else 1
            if "," in id:  # a join is told of under the part that came last
                for part in id.split(","):
                    self._notes[reaction, part] = note
        if self._hooks["ended"]:
            self._pass_on("ended", context, value, error)
        CURRENT.set(None)

    def ran(self, runs: Sequence[Run]) -> None:
        now, notes = self._world.time(), self._notes
        for run in runs:
            run.at = now
            note = None if run.state == "duplicate" else notes.pop((run.reaction, run.id), None)
            if note is not None:
                run.seconds, run.emitted = note.seconds, note.emitted
        self._pass_on("ran", runs)

    def received(self, lane: str, deliveries: Sequence[Delivery]) -> None:
        self._pass_on("received", lane, deliveries)

    def sent(self, service: str, messages: Sequence[Message], began: float) -> None:
        self._pass_on("sent", service, messages, began)

    def traceparent(self, reaction: str, cause: Envelope, emitted: Emitted) -> str | None:
        for listener in self._tracers:
            try:
                if (found := listener.traceparent(reaction, cause, emitted)) != cause.traceparent:
                    return found
            except Exception as error:  # it would be the handler's failure
                self.trouble(f"{type(listener).__name__}.traceparent", error)
        return cause.traceparent

    def handled(self, lane: str, count: int) -> None:
        super().handled(lane, count)
        self._pass_on("handled", lane, count)

    def duplicates(self, lane: str, count: int) -> None:
        super().duplicates(lane, count)
        self._pass_on("duplicates", lane, count)

    def failed(self, reaction: str, event_id: str, state: str, reason: str) -> None:
        super().failed(reaction, event_id, state, reason)
        self._pass_on("failed", reaction, event_id, state, reason)

    def retried(self, reaction: str, count: int) -> None:
        super().retried(reaction, count)
        self._pass_on("retried", reaction, count)

    def published(self, service: str, count: int) -> None:
        super().published(service, count)
        self._pass_on("published", service, count)

    def breaker(self, service: str, dependency: str, state: str, until: float) -> None:
        super().breaker(service, dependency, state, until)
        self._pass_on("breaker", service, dependency, state, until)

    def trouble(self, who: str, error: BaseException) -> None:
        super().trouble(who, error)
        self._pass_on("trouble", who, error)

    def _pass_on(self, name: str, *what: Any) -> None:
        for hook in self._hooks[name]:
            try:
                hook(*what)
            except Exception as error:  # the observed never notice
                if name != "trouble":
                    self.trouble(f"{type(getattr(hook, '__self__', hook)).__name__}.{name}", error)


_HOOKS = (
    "begins", "ended", "ran", "received", "sent", "handled", "duplicates", "failed", "retried", "published", "breaker", "trouble",
)  # fmt: skip


def _hears(listener: Signals, name: str) -> bool:
    """Whether it does anything when it hears this."""
    return getattr(type(listener), name) is not getattr(Signals, name)
