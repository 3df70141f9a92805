"""Logs: one line per event that was published, and per event and reaction that was run. Standard logging, and no handlers of ours.

The message is made to be read as it is; what is in it stands in attributes of the record as well (`extra`), for whoever writes JSON.
Whatever a stranger may have written is escaped, and the key of an event is told only where its class is known and does not hide it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from farandole.bell import end_all
from farandole.drawing.letters import plain
from farandole.errors import EnvelopeError
from farandole.model.envelope import parse
from farandole.model.wire import Wire
from farandole.observe.observer import Listener
from farandole.observe.record.reading import Reading
from farandole.words import roughly

if TYPE_CHECKING:
    from farandole.model.envelope import Envelope, Message
    from farandole.observe.observer import Observed
    from farandole.runtime.signals import Run

__all__ = ["Logs"]

WINDOW = 10.0
"""Failures of one kind within so many seconds are one storm."""
BURST = 5
"""So many of a storm are written out; the rest is counted, and told of in one line."""
LONGEST = 500
"""So many letters of a trouble are told."""

LEVELS = {
    "done": logging.INFO,
    "duplicate": logging.INFO,
    "skipped": logging.INFO,
    "parked": logging.WARNING,
    "exhausted": logging.WARNING,
    "refused": logging.WARNING,
    "dead": logging.ERROR,
}
WORDS = {"parked": "failed", "duplicate": "known already", "exhausted": "gave up, and said so"}

Kind = tuple[str, str, str]
"""Who, the state, and the class of the error: failures that are alike."""


class Logs(Listener):
    """Writes lines; events as `farandole.events`, troubles and breakers as `farandole.runtime`."""

    def __init__(self) -> None:
        self._events = logging.getLogger("farandole.events")
        self._runtime = logging.getLogger("farandole.runtime")
        self._reading: Reading | None = None
        self._storm: Counter[Kind] = Counter()
        self._levels: dict[Kind, int] = {}
        self._watch: asyncio.Task[None] | None = None

    async def begin(self, app: Observed) -> None:
        self._reading = Reading(Wire(app.choreography))
        self._watch = asyncio.create_task(self._sum_up_now_and_then(app), name="logs")

    async def close(self) -> None:
        if self._watch is not None:
            await end_all([self._watch])
        self._sum_up()

    async def _sum_up_now_and_then(self, app: Observed) -> None:
        while True:
            await app.world.sleep(WINDOW)
            self._sum_up()

    def _sum_up(self) -> None:
        """Tell how many were not written out."""
        for kind, count in self._storm.items():
            if count > BURST:
                who, state, error = kind
                words = f"{who}: {WORDS.get(state, state)} {count - BURST:,} more times, with {error}, within {WINDOW:g} s"
                extra = {"reaction": who, "state": state, "error_type": error, "count": count - BURST}
                self._events.log(self._levels[kind], words, extra=extra)
        self._storm.clear()

    def _is_written(self, kind: Kind, level: int) -> bool:
        self._storm[kind] += 1
        self._levels[kind] = level
        return self._storm[kind] <= BURST

    def sent(self, service: str, messages: Sequence[Message], began: float) -> None:
        if not self._events.isEnabledFor(logging.INFO):
            return
        for message in messages:
            try:
                envelope = parse(message.body)
            except EnvelopeError:  # nothing that a relay sends
                continue
            told, extra = self._of_event(envelope)
            self._events.info("%s: published %s", service, told, extra=extra | {"action": "published", "service": service})

    def ran(self, runs: Sequence[Run]) -> None:
        if self._events.isEnabledFor(logging.INFO):
            for run in runs:
                self._tell(run, logging.INFO if run.reason is None and run.state == "parked" else LEVELS[run.state])
        elif self._events.isEnabledFor(logging.ERROR):
            for run in runs:
                if (
                    (level := LEVELS[run.state]) >= logging.WARNING
                    and run.reason is not None
                    and self._events.isEnabledFor(level)
                ):
                    self._tell(run, level)

    def _tell(self, run: Run, level: int) -> None:
        if level >= logging.WARNING and not self._is_written((run.reaction, run.state, run.error or ""), level):
            return
        told, extra = _safe(run.id), dict[str, Any](event_id=_safe(run.id))
        if run.envelope is not None:
            told, extra = self._of_event(run.envelope)
        extra |= {"action": "consumed", "reaction": run.reaction, "state": run.state, "attempt": run.attempt}
        words = "waits behind another of its key" if run.state == "parked" and run.reason is None else WORDS.get(run.state)
        parts = [f"{run.reaction}: {words or run.state}, {told}"]
        if run.attempt > 1:
            parts.append(f"attempt {run.attempt}")
        if run.seconds is not None:
            extra["milliseconds"] = round(run.seconds * 1000, 3)
            parts.append(f"{run.seconds * 1000:.1f} ms")
        if run.emitted is not None:
            extra["emitted"] = run.emitted
        if run.due is not None:
            extra["due"] = run.due
            if run.at is not None:
                parts.append(f"again in {roughly(max(0.0, run.due - run.at))}")
        if run.service:
            extra["service"] = run.service
        text = ", ".join(parts)
        for name, value in (("reason", run.reason), ("error_type", run.error), ("place", run.place)):
            if value is not None:
                extra[name] = _safe(value)
        if run.reason is not None:
            text += f": {extra['reason']}"
            text += f" ({extra['place']})" if run.place is not None else ""
        self._events.log(level, "%s", text, extra=extra)

    def _of_event(self, envelope: Envelope) -> tuple[str, dict[str, Any]]:
        """An event in words, and what is known of it."""
        correlation, type, id = envelope.correlationid or envelope.id, _safe(envelope.type), _safe(envelope.id)
        extra: dict[str, Any] = {
            "event_id": id,
            "event_type": type,
            "event_source": _safe(envelope.source),
            "correlation_id": _safe(correlation),
        }
        if envelope.causationid:
            extra["causation_id"] = _safe(envelope.causationid)
        if envelope.traceparent and len(parts := envelope.traceparent.split("-")) == 4:
            extra["trace_id"] = _safe(parts[1])
        about = []
        key = envelope.partitionkey
        if key and key != envelope.id and self._reading is not None and self._reading.shows_key(envelope.type):
            extra["event_key"] = _safe(key)
            about.append(f"key {extra['event_key']}")
        about.append(f"instance {extra['correlation_id']}")
        return f"{type} {id} ({', '.join(about)})", extra

    def breaker(self, service: str, dependency: str, state: str, until: float) -> None:
        level = logging.WARNING if state == "open" else logging.INFO
        extra = {"action": "breaker", "service": service, "dependency": dependency, "state": state}
        self._runtime.log(level, "%s: the breaker of %s is %s now", service, dependency, state, extra=extra)

    def trouble(self, who: str, error: BaseException) -> None:
        name = type(error).__name__
        if not self._runtime.isEnabledFor(logging.WARNING) or not self._is_written((who, "trouble", name), logging.WARNING):
            return
        reason = _safe(str(error).partition("\n")[0])  # databases tell values in the lines below
        reason = reason if len(reason) <= LONGEST else reason[:LONGEST] + "…"
        extra = {"action": "trouble", "who": who, "error_type": name, "reason": reason}
        self._runtime.warning("%s: trouble, and it is tried again: %s: %s", who, name, reason, extra=extra)


def _safe(text: str) -> str:
    """On one line, and without what would steer a terminal."""
    return text if text.isprintable() else plain(text)
