"""What is measured: every metric with its kind, unit, labels and meaning. The exporters, the dashboard and the alert rules read this list.

Names and labels are those of OpenTelemetry's semantic conventions for messaging, version 1.44.0 (in development there), where those have
one, and `farandole.…` for the rest. In Prometheus they are called as OpenTelemetry says: dots become underscores, seconds and counters say so
at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from farandole.model.measure import Measure

__all__ = ["BUCKETS", "CATALOG", "OTHER", "Instrument", "instruments_of", "label_name"]

OTHER = "other"
"""The label of what nobody declared, so that strangers cannot make series."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The conventions' bounds of durations, in seconds."""

SYSTEM, OPERATION = "messaging.system", "messaging.operation.name"
GROUP, TOPIC = "messaging.consumer.group.name", "messaging.destination.name"
SERVICE, REACTION, TYPE, ERROR = "farandole.service", "farandole.reaction", "farandole.event.type", "error.type"


class Instrument(msgspec.Struct, frozen=True):
    """One metric.

    Attributes
    ----------
    name:
        As OpenTelemetry says it.
    kind:
        How it behaves.
    unit:
        In UCUM: `s`, or what is counted, such as `{message}`; "1" for what has none.
    help:
        What it means.
    labels:
        The attributes that tell its series apart.
    fixed:
        Attributes that all its series share; an empty value is put in when the app is known.
    buckets:
        The upper bounds of a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def family(self) -> str:
        """Its name in Prometheus, without what a counter or a histogram adds."""
        return label_name(self.name) + ("_seconds" if self.unit == "s" else "")

    @property
    def samples(self) -> tuple[str, ...]:
        """The names that its samples have in Prometheus."""
        endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
        return tuple(self.family + ending for ending in endings[self.kind])


def label_name(name: str) -> str:
    """A name of OpenTelemetry in Prometheus."""
    return name.replace(".", "_").replace("-", "_")


def _messaging(operation: str) -> tuple[tuple[str, str], ...]:
    return ((SYSTEM, ""), (OPERATION, operation))


_ALL = (
    Instrument(
        "messaging.client.sent.messages", "counter", "{message}", "Events that the broker has taken from an outbox",
        (SERVICE, TOPIC, TYPE), _messaging("publish"),
    ),
    Instrument(
        "messaging.client.consumed.messages", "counter", "{message}", "Events that a lane has fetched",
        (GROUP, TOPIC, TYPE), _messaging("fetch"),
    ),
    Instrument(
        "messaging.client.operation.duration", "histogram", "s", "How long it took to publish a window of the outbox",
        (SERVICE,), _messaging("publish"), BUCKETS,
    ),
    Instrument(
        "messaging.process.duration", "histogram", "s", "How long the handler of a reaction took",
        (SERVICE, REACTION, GROUP, ERROR), _messaging("process"), BUCKETS,
    ),
    Instrument(
        "farandole.reactions", "counter", "{event}",
        "What became of events in reactions: done, skipped, parked, dead, exhausted, duplicate or refused",
        (SERVICE, REACTION, "farandole.state"),
    ),
    Instrument("farandole.retries", "counter", "{run}", "Runs after the first one of an event", (SERVICE, REACTION)),
    Instrument("farandole.duplicates", "counter", "{event}", "Events that came again and were dropped", (GROUP,)),
    Instrument(
        "farandole.schema.violations", "counter", "{event}", "Events that could not be read: no envelope, an unknown type, other data",
        (SERVICE, REACTION),
    ),
    Instrument("farandole.trouble", "counter", "{error}", "Work of the runtime that failed and is tried again", ("farandole.part",)),
    Instrument("farandole.breaker.open", "gauge", "1", "1: what is called is left alone now; 0: it is not", (SERVICE, "farandole.dependency")),
    Instrument("farandole.consumer.lag", "gauge", "{event}", "Events that a lane has not acknowledged, all processes together", (GROUP, SERVICE)),
    Instrument("farandole.outbox.messages", "gauge", "{message}", "Events that are committed and not published", (SERVICE,)),
    Instrument("farandole.outbox.age", "gauge", "s", "Age of the oldest event that is committed and not published", (SERVICE,)),
    Instrument("farandole.parked.events", "gauge", "{event}", "Events that wait to be run again, or behind one that does", (SERVICE,)),
    Instrument("farandole.parked.keys", "gauge", "{key}", "Keys that wait", (SERVICE,)),
    Instrument("farandole.dead.letters", "gauge", "{event}", "Events that were given up on and not seen to", (SERVICE,)),
    Instrument("farandole.open.tasks", "gauge", "{task}", "What people are asked to see to", (SERVICE,)),
    Instrument("farandole.workflows", "gauge", "{instance}", "Workflow instances by state, as far as the record knows them", ("farandole.workflow", "farandole.state")),
    Instrument("farandole.scrape.errors", "gauge", "1", "1: this source did not answer when it was asked for its figures; 0: it did", ("farandole.source",)),
)  # fmt: skip

CATALOG = {instrument.name: instrument for instrument in _ALL}


def instruments_of(measures: Iterable[Measure]) -> dict[str, Instrument]:
    """The metrics of measures, by name. A share has three: itself, and what it is a share of, to be looked at over any time."""
    found: list[Instrument] = []
    for measure in measures:
        name, labels = f"farandole.measure.{measure.name}", ("farandole.choreography",)
        help = measure.doc or _help_of(measure)
        if measure.kind == "time":
            found.append(Instrument(name, "histogram", "s", help, labels, (), measure.buckets))
            continue
        found.append(Instrument(name, "gauge", "{instance}" if measure.kind == "open" else "1", help, labels))
        if measure.kind == "share":
            found.append(Instrument(f"{name}.of", "counter", "{instance}", f"{help}: of so many", labels))
            found.append(Instrument(f"{name}.reached", "counter", "{instance}", f"{help}: so many", labels))
    return {instrument.name: instrument for instrument in found}


def _help_of(measure: Measure) -> str:
    begins, ends = (" or ".join(cls.__name__ for cls in classes) for classes in (measure.since, measure.until))
    if measure.kind == "open":
        return f"Instances with {begins} and without {ends}"
    if measure.kind == "time":
        return f"How long it takes from {begins} to {ends}"
    if measure.kind == "share":
        return f"The share of instances with {begins} that have {ends}"
    return f"The sum of {measure.field} of {begins}" + (f" without {ends}" if ends else "")
