"""The listener `traces`: OpenTelemetry spans for what commands and events set off, in one trace from the first caller to the last reaction.

    place PlaceOrder                     a command at the door, below the caller's own span
      create OrderPlaced                 what a handler returned; its context travels in the envelope's `traceparent`
        send OrderPlaced                 the relay published it
        receive shop.orders              a lane fetched it; of several at once, a trace of its own that links to each
        charge OrderPlaced               a reaction: current in its handler, so that the user's own spans are below it
          create PaymentCompleted

A span of a handler ends when that returns, but is told of once it is clear what became of the run: committed, failed, or rolled back.
Nothing of an event's data is in any span; the reasons of failures are those of dead letters, without sensitive values.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    set_span_in_context,
)

from farandole.graph import short
from farandole.model.envelope import Envelope, Joined
from farandole.observe import spans
from farandole.observe.observer import Listener, Observed
from farandole.observe.otel import provider_for
from farandole.observe.scenery import Scenery, service_of
from farandole.runtime.signals import Emitted, Run
from farandole.world import World

if TYPE_CHECKING:
    from farandole.brokers.base import Delivery
    from farandole.model.envelope import Message
    from farandole.runtime.context import Context

__all__ = ["Traces"]

MANY = 10_000
"""So many runs are remembered that nothing was told of yet, and so many that failed and may be tried again."""
_CALM = ("TooEarly",)
"""What is tried again without having failed."""

_Key = tuple[str, str]


class _Open:
    """A run whose end is not known yet."""

    __slots__ = ("context", "created", "ended", "error", "keys", "span", "token")

    def __init__(self, span: Span, keys: Sequence[_Key]) -> None:
        self.span = span
        self.keys = keys
        self.context: Any = None
        self.token: Any = None
        self.ended: int | None = None
        self.error: str | None = None
        self.created: list[tuple[Span, int]] = []


class Traces(Listener):
    """Makes spans.

    Parameters
    ----------
    provider:
        Where they go. Default: the process's own, if it has set one up; else one that is set up from the OTEL_* variables.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._scenery = Scenery()
        self._world = World()
        self._open: OrderedDict[_Key, _Open] = OrderedDict()
        self._failed: OrderedDict[_Key, SpanContext] = OrderedDict()

    def prepare(self, app: Observed) -> None:
        """Set the SDK up, where nobody has.

        Raises
        ------
        ConfigurationError
            It is not installed, or a variable asks for something that is not.
        """
        self._world = app.world
        self._scenery = Scenery(app.choreography, app.broker, self._provider or provider_for(app.choreography.name))

    async def close(self) -> None:
        """Tell of what is open, and give what is in hand to the exporter, which has a few seconds."""
        for run in list(self._open.values()):
            self._end(run, "unknown")
        self._open.clear()
        await self._scenery.flush()

    # ---- handlers ----------------------------------------------------------------------------------------------------------

    def begins(self, context: Context) -> None:
        """A span, current where the handler runs."""
        envelope = context.envelope
        scene = self._scenery.of(context.reaction)
        keys = [(scene.row, envelope.id)]
        parts: Sequence[Envelope] = (envelope,)
        if isinstance(envelope, Joined):
            parts = envelope.parts
            keys = [(scene.row, part.id) for part in parts]
        for key in keys:
            if (before := self._open.get(key)) is not None:  # it ran, nothing came of it, and it runs again
                self._close(before, "rolled back")
        run = _Open(self._start(context, parts, keys), keys)
        for key in keys:
            self._open[key] = run
        if len(self._open) > MANY:
            self._close(next(iter(self._open.values())), "unknown")
        run.context = set_span_in_context(run.span, scene.context)
        run.token = contexts.attach(run.context)

    def _start(self, context: Context, parts: Sequence[Envelope], keys: Sequence[_Key]) -> Span:
        envelope, scene = context.envelope, self._scenery.of(context.reaction)
        parent = spans.read(envelope.traceparent)
        if parent is not None and not parent.trace_flags.sampled and scene.follows:
            return NonRecordingSpan(parent)  # what is decided already costs little
        links = spans.linked([*(spans.read(part.traceparent) for part in parts), *(self._failed.get(key) for key in keys)])
        name = f"{scene.name} {spans.names_of(parts)}"
        said = scene.said_of(envelope, context.attempt)
        return scene.tracer.start_span(name, spans.above(parent), scene.kind_of(envelope), said, links, self._now())

    def ended(self, context: Context, value: Any, error: BaseException | None) -> None:
        """What it was is known once it is committed; when it ended, now."""
        run = self._run(context.reaction, context.envelope)
        if run is None or run.token is None:
            return
        if contexts.get_current() is run.context:  # else somebody ends a handler that another began
            contexts.detach(run.token)
        run.context, run.token, run.ended = None, None, self._now()
        run.error = None if error is None else type(error).__qualname__

    def traceparent(self, reaction: str, cause: Envelope, emitted: Emitted) -> str | None:
        """A span for each message, so that whoever takes it is below it."""
        run = self._run(reaction, cause)
        if run is None:
            return cause.traceparent
        if not run.span.is_recording():
            return spans.passed_on(run.span, cause.traceparent)
        scene = self._scenery.of(reaction)
        said = scene.said_of_message("create", emitted.topic, emitted.type, emitted.id, cause.correlationid)
        name, now = f"create {short(emitted.type)}", self._now()
        span = scene.tracer.start_span(name, spans.above(run.span), SpanKind.PRODUCER, said, start_time=now)
        run.created.append((span, now))
        return spans.write(span)

    def ran(self, runs: Sequence[Run]) -> None:
        """What became of handlers; and spans of what had none, but for what was known or only waits."""
        for run in runs:
            key = (run.reaction, run.id)
            if run.state == "parked" and run.reason is None:
                continue
            found = self._open.get(key)
            if found is None and run.state != "duplicate":
                found = self._instant(run)
            if found is None:
                continue
            again = run.state == "parked" and found.span.is_recording()
            self._remember(key, found.span.get_span_context() if again else None)
            self._close(found, run.state, run)

    # ---- brokers -----------------------------------------------------------------------------------------------------------

    def received(self, lane: str, deliveries: Sequence[Delivery]) -> None:
        """One span for what was fetched at once, in a moment: how long the lane waited for it says nothing.

        A topic has all events of its owner; what the lane passes over is not told of.
        """
        takes = self._scenery.takes(lane)
        told = ((delivery, spans.told_of(delivery.body)) for delivery in deliveries)
        some = [
            (delivery, context)
            for delivery, one in told
            if one.type in takes and (context := one.context) and context.trace_flags.sampled
        ]
        if not some:
            return
        first = some[0][0]
        links = spans.linked(context for _, context in some)
        topics = {delivery.topic for delivery, _ in some}
        alone = len(some) == 1
        said = self._scenery.said_of_batch(lane, topics, len(deliveries))
        if alone:
            said |= {"messaging.message.id": first.id, "messaging.destination.partition.id": str(first.partition)}
        name = f"receive {first.topic}" if len(topics) == 1 else "receive"
        now = self._now()
        tracer = self._scenery.tracer(service_of(lane))
        tracer.start_span(name, spans.above(some[0][1] if alone else None), SpanKind.CLIENT, said, links, now).end(now)

    def sent(self, service: str, messages: Sequence[Message], began: float) -> None:
        """A span for each message that was published."""
        now = self._now()
        start = now - int((self._world.monotonic() - began) * 1e9)
        for message in messages:
            above = spans.told_of(message.body).context
            if above is not None and above.trace_flags.sampled:
                self._send(service, message.topic, message.type, message.id, above, start).end(now)

    def _send(self, service: str, topic: str, type: str, id: str, above: SpanContext, start: int) -> Span:
        said = self._scenery.said_of_message(service, "send", topic, type, id)
        name = f"send {short(type)}"
        return self._scenery.tracer(service).start_span(
            name, spans.above(above), SpanKind.CLIENT, said, spans.linked([above]), start
        )

    # ---- ends --------------------------------------------------------------------------------------------------------------

    def _run(self, reaction: str, envelope: Envelope) -> _Open | None:
        id = envelope.parts[-1].id if isinstance(envelope, Joined) else envelope.id
        return self._open.get((self._scenery.of(reaction).row, id))

    def _instant(self, run: Run) -> _Open | None:
        """What became of an event without a handler: it was noted, refused by a guard, could not be read, or not be published."""
        envelope = run.envelope
        above = None if envelope is None else spans.read(envelope.traceparent)
        if envelope is None or above is None or not above.trace_flags.sampled:
            return None
        if run.reaction == "(relay)":
            service = envelope.source.rsplit("/", 1)[-1]
            topic = self._scenery.topics.get(envelope.type, "")
            return _Open(self._send(service, topic, envelope.type, envelope.id, above, self._now()), ())
        scene = self._scenery.of(run.reaction)
        name, said = f"{scene.name} {short(envelope.type)}", scene.said_of(envelope, run.attempt)
        links, now = spans.linked([above, self._failed.get((run.reaction, run.id))]), self._now()
        span = scene.tracer.start_span(name, spans.above(above), scene.kind_of(envelope), said, links, now)
        return _Open(span, ())

    def _remember(self, key: _Key, failed: SpanContext | None) -> None:
        """The attempt before, for the next one to link to."""
        if failed is None:
            self._failed.pop(key, None)
            return
        self._failed[key] = failed
        if len(self._failed) > MANY:
            self._failed.popitem(last=False)

    def _close(self, run: _Open, state: str, told: Run | None = None) -> None:
        for key in run.keys:
            self._open.pop(key, None)
        self._end(run, state, told)

    def _end(self, run: _Open, state: str, told: Run | None = None) -> None:
        span = run.span
        if not span.is_recording():
            return
        span.set_attribute("farandole.state", state)
        error = run.error
        if told is not None:
            error = told.error
            for name in ("reason", "place", "due", "emitted"):
                if (value := getattr(told, name)) is not None:
                    span.set_attribute(f"farandole.{name}", value)
        if error is not None and error not in _CALM:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR, None if told is None else told.reason))
        end = self._now() if run.ended is None else run.ended
        for created, at in run.created:
            created.set_attribute("farandole.state", state)
            created.end(at)
        span.end(end)

    def _now(self) -> int:
        return int(self._world.time() * 1e9)
