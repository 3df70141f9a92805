"""Figures as OpenTelemetry takes them: through the meter of its API. What becomes of them, the user's SDK says.

Counters and gauges are read when the SDK collects, and cost nothing before; only durations are told one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Any

from farandole.observe.metrics.book import Distribution, Sample
from farandole.observe.metrics.catalog import CATALOG, Instrument
from farandole.version import __version__

if TYPE_CHECKING:
    from farandole.observe.metrics.listener import Metrics

__all__ = ["Meter"]

PATIENCE = 3.0
"""Seconds that a collecting thread waits for the answers of databases."""
SCHEMA = "https://opentelemetry.io/schemas/1.44.0"


class Meter:
    """The way from the book to OpenTelemetry.

    Parameters
    ----------
    metrics:
        Whose figures.
    provider:
        Of meters; None: the one of the process.
    """

    def __init__(self, metrics: Metrics, provider: Any = None) -> None:
        self._metrics = metrics
        self._provider = provider
        self._histograms: dict[str, Any] = {}
        self._open = False

    def begin(self) -> None:
        """Register what there is to see, where an SDK is there to see it."""
        from opentelemetry import metrics as api

        provider = self._provider or api.get_meter_provider()
        if not _counts(provider):
            return
        meter = provider.get_meter("farandole", __version__, SCHEMA)
        self._open = True
        for instrument in self._metrics.instruments.values():
            if instrument.kind == "histogram" and instrument.name in CATALOG:
                self._histograms[instrument.name] = meter.create_histogram(
                    instrument.name, instrument.unit, instrument.help, explicit_bucket_boundaries_advisory=instrument.buckets
                )
            elif instrument.kind == "histogram":  # it is read as a whole, which no histogram of OpenTelemetry takes
                for part, unit in (("count", "{instance}"), ("sum", "s")):
                    reader = self._reader(instrument, part)
                    meter.create_observable_counter(f"{instrument.name}.{part}", [reader], unit, instrument.help)
            else:
                make = meter.create_observable_counter if instrument.kind == "counter" else meter.create_observable_gauge
                make(instrument.name, [self._reader(instrument)], instrument.unit, instrument.help)

    def close(self) -> None:
        """Tell nothing more."""
        self._open = False

    def recorder(self, name: str, labels: Sequence[str]) -> Callable[[float], None] | None:
        """Takes the durations of one series; None: nobody wants them."""
        histogram = self._histograms.get(name)
        if histogram is None:
            return None
        attributes = self._attributes(CATALOG[name], labels)
        return lambda seconds: histogram.record(seconds, attributes)

    def _reader(self, instrument: Instrument, part: str = "") -> Callable[[Any], Iterable[Any]]:
        from opentelemetry.metrics import Observation

        def read(_: Any) -> Iterable[Any]:
            if not self._open:
                return []
            return [
                Observation(_value(sample.value, part), self._attributes(instrument, sample.labels))
                for sample in self._samples(instrument)
            ]

        return read

    def _samples(self, instrument: Instrument) -> list[Sample]:
        gauges = self._metrics.gauges
        if instrument.name in CATALOG and (instrument.kind != "gauge" or instrument.name == "farandole.breaker.open"):
            return list(self._metrics.book.samples(instrument.name))
        if gauges is None:
            return []
        self._ask()
        return [sample for sample in gauges.latest if sample.instrument.name == instrument.name]

    def _ask(self) -> None:
        """Let the app's loop ask; wait for it where that is another thread's, as the SDK's readers are."""
        gauges = self._metrics.gauges
        if gauges is None or gauges.loop.is_closed():
            return
        try:
            mine: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            mine = None
        if mine is gauges.loop:
            gauges.remember(mine.create_task(gauges.ask()))
            return
        asking = gauges.ask()
        try:
            future = asyncio.run_coroutine_threadsafe(asking, gauges.loop)
        except RuntimeError:  # it was closed this moment
            asking.close()
            return
        with contextlib.suppress(FutureTimeout):  # then what was known before is told
            future.result(PATIENCE)

    def _attributes(self, instrument: Instrument, labels: Sequence[str]) -> dict[str, str]:
        fixed = [(name, value or self._metrics.fixed.get(name, "")) for name, value in instrument.fixed]
        return {name: value for name, value in (*zip(instrument.labels, labels, strict=True), *fixed) if value}


def _value(value: float | Distribution, part: str) -> float:
    if isinstance(value, Distribution):
        return float(sum(value.counts)) if part == "count" else value.total
    return value


def _counts(provider: Any) -> bool:
    """Whether it is an SDK's: the API's own have none to tell."""
    return not type(provider).__module__.startswith("opentelemetry.metrics")
