"""The listener `metrics`: counts what the runtime tells, once per batch, and gives it to Prometheus and OpenTelemetry.

Series cannot be made from outside: types and reactions that the choreography does not declare count as `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from farandole.model.resources import groups_of
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.observe.metrics.book import Book, Cell, Distribution, Sample
from farandole.observe.metrics.catalog import CATALOG, OTHER, SYSTEM, instruments_of
from farandole.observe.metrics.gauges import Gauges
from farandole.observe.metrics.otel import Meter
from farandole.observe.observer import Listener, Observed
from farandole.runtime.breaker import name_of
from farandole.runtime.signals import Run

if TYPE_CHECKING:
    from farandole.brokers.base import Delivery
    from farandole.model.envelope import Message

__all__ = ["Metrics"]

KINDS = 50
"""So many classes of errors are told apart."""


class _End(NamedTuple):
    """Where runs that ended alike are counted."""

    number: Cell
    spread: Distribution | None
    record: Callable[[float], None] | None
    unreadable: Cell | None


class Metrics(Listener):
    """Counts what it hears.

    Parameters
    ----------
    meter_provider:
        OpenTelemetry's; the global one of the process by default, as it is when the app is opened.
    """

    listens = True

    def __init__(self, meter_provider: Any = None) -> None:
        self.book = Book(CATALOG)
        self.fixed: dict[str, str] = {SYSTEM: ""}
        self.instruments = dict(CATALOG)
        self._gauges: Gauges | None = None
        self._meter = Meter(self, meter_provider)
        self._types: frozenset[str] = frozenset()
        self._topics: frozenset[str] = frozenset()
        self._reactions: dict[str, tuple[str, str, str]] = {}
        self._errors: set[str] = set()
        self._now: Any = None
        self._ends: dict[tuple[str, str, str | None, bool], _End] = {}
        self._fetched: dict[tuple[str, str, str], Cell] = {}
        self._published: dict[tuple[str, str, str], Cell] = {}

    async def begin(self, app: Observed) -> None:
        wire = Wire(app.choreography)
        self.fixed[SYSTEM] = system_of(app.broker)
        self._now = app.world.monotonic
        self._types = frozenset(binding.type for binding in wire.by_class.values())
        self._topics = frozenset(binding.topic for binding in wire.by_class.values())
        for service in app.choreography.services.values():
            self._know(service, groups_of(app.choreography.name, service), runs_here=service.name in app.services)
        self._reactions["(relay)"] = ("", "(relay)", "")
        self.instruments |= instruments_of(app.choreography.measures)
        self._gauges = Gauges(app)
        self._meter.begin()

    def _know(self, service: Service, groups: Mapping[str, Sequence[Any]], *, runs_here: bool) -> None:
        """Series of what runs here begin at 0, so that the first failure is an increase."""
        group_of = {reaction.id: group for group, reactions in groups.items() for reaction in reactions}
        for id in [*(reaction.id for reaction in service.reactions.values()), f"{service.name}.(envelope)"]:
            self._reactions[id] = (service.name, id, group_of.get(id, ""))
            if runs_here:
                for name in ("farandole.retries", "farandole.schema.violations"):
                    self.book.cell(name, (service.name, id))
                for state in ("done", "parked", "dead"):
                    self.book.cell("farandole.reactions", (service.name, id, state))
        if runs_here:
            for group in groups:
                self.book.cell("farandole.duplicates", (group,))
            for provided in service.provided:
                if provided.breaker is not None:
                    self.book.cell("farandole.breaker.open", (service.name, name_of(provided.type)))

    async def close(self) -> None:
        self._meter.close()

    async def samples(self) -> list[Sample]:
        """All figures as they are now; those that databases have to be asked for are a few seconds old at most."""
        asked = await self._gauges.ask() if self._gauges is not None else []
        return [*self.book.samples(), *asked]

    @property
    def gauges(self) -> Gauges | None:
        """Who asks brokers and databases; None before the app is open."""
        return self._gauges

    def ran(self, runs: Sequence[Run]) -> None:
        ends = self._ends
        for run in runs:
            seconds = run.seconds
            end = ends.get((run.reaction, run.state, run.error, seconds is None)) or self._end(run)
            end.number.value += 1
            if seconds is not None and end.spread is not None:
                end.spread.observe(seconds)
                if end.record is not None:
                    end.record(seconds)
            if run.attempt > 1 and run.state != "duplicate":
                self.book.cell("farandole.retries", self._who(run.reaction)[:2]).value += 1
            if end.unreadable is not None:
                end.unreadable.value += 1

    def _end(self, run: Run) -> _End:
        """Where runs that end like this one are counted."""
        error = run.error or ""
        if error and error not in self._errors:
            if len(self._errors) >= KINDS:
                error = OTHER
            self._errors.add(error)
        service, reaction, group = self._who(run.reaction)
        labels = (service, reaction, group, error)
        unreadable = run.error == "EnvelopeError" and run.state == "dead"
        end = _End(
            self.book.cell("farandole.reactions", (service, reaction, run.state)),
            None if run.seconds is None else self.book.distribution("messaging.process.duration", labels),
            self._meter.recorder("messaging.process.duration", labels),
            self.book.cell("farandole.schema.violations", (service, reaction)) if unreadable else None,
        )
        if OTHER not in (error, reaction):
            self._ends[run.reaction, run.state, run.error, run.seconds is None] = end
        return end

    def _who(self, reaction: str) -> tuple[str, str, str]:
        return self._reactions.get(reaction, (OTHER, OTHER, ""))

    def received(self, lane: str, deliveries: Sequence[Delivery]) -> None:
        fetched = self._fetched
        for delivery in deliveries:
            cell = fetched.get((lane, delivery.topic, delivery.type))
            if cell is None:
                cell = self._count(fetched, "messaging.client.consumed.messages", lane, delivery.topic, delivery.type)
            cell.value += 1

    def sent(self, service: str, messages: Sequence[Message], began: float) -> None:
        published = self._published
        for message in messages:
            cell = published.get((service, message.topic, message.type))
            if cell is None:
                cell = self._count(published, "messaging.client.sent.messages", service, message.topic, message.type)
            cell.value += 1
        if self._now is not None:
            seconds = max(0.0, self._now() - began)
            self.book.distribution("messaging.client.operation.duration", (service,)).observe(seconds)
            record = self._meter.recorder("messaging.client.operation.duration", (service,))
            if record is not None:
                record(seconds)

    def _count(self, known: dict[tuple[str, str, str], Cell], name: str, who: str, topic: str, type: str) -> Cell:
        """Where these are counted; what is declared is found at once the next time."""
        is_declared = topic in self._topics and type in self._types
        cell = self.book.cell(name, (who, topic if topic in self._topics else OTHER, type if type in self._types else OTHER))
        if is_declared:
            known[who, topic, type] = cell
        return cell

    def duplicates(self, lane: str, count: int) -> None:
        self.book.cell("farandole.duplicates", (lane,)).value += count

    def trouble(self, who: str, error: BaseException) -> None:
        self.book.cell("farandole.trouble", (who,)).value += 1

    def breaker(self, service: str, dependency: str, state: str, until: float) -> None:
        self.book.cell("farandole.breaker.open", (service, dependency)).value = float(state != "closed")


def system_of(broker: Any) -> str:
    """What `messaging.system` is for a broker."""
    name = type(broker).__module__.removeprefix("farandole.brokers.").partition(".")[0]
    return {"postgres": "postgresql"}.get(name, name)
