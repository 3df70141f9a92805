"""Figures as Prometheus reads them: its text format, or OpenMetrics where that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from farandole.errors import ConfigurationError
from farandole.observe.metrics.book import Distribution, Sample
from farandole.observe.metrics.catalog import Instrument, label_name

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["exposition"]


def exposition(samples: Iterable[Sample], fixed: Mapping[str, str], accept: str = "") -> tuple[bytes, str]:
    """The text of these figures, and its content type.

    Parameters
    ----------
    fixed:
        Values of labels that all series of a metric share, where the metric itself leaves them open.
    accept:
        What the asker takes, as its header says.

    Raises
    ------
    ConfigurationError
        The library is not installed.
    """
    try:
        from prometheus_client.exposition import choose_encoder
    except ImportError:
        raise ConfigurationError('/metrics needs prometheus-client. Install it: pip install "farandole[metrics]"') from None
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is none
        encode, content_type = choose_encoder("")
    text: bytes = encode(_Families(samples, fixed))
    return text, content_type


class _Families:
    """What the library's encoders take for a registry."""

    def __init__(self, samples: Iterable[Sample], fixed: Mapping[str, str]) -> None:
        self._fixed = fixed
        self._series: dict[Instrument, list[Sample]] = {}
        for sample in samples:
            self._series.setdefault(sample.instrument, []).append(sample)

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        makers: dict[str, Any] = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
        for instrument, samples in sorted(self._series.items(), key=lambda one: one[0].name):
            names = [label_name(label) for label in (*instrument.labels, *(name for name, _ in instrument.fixed))]
            family = makers[instrument.kind](instrument.family, instrument.help, labels=names)
            more = [value or self._fixed.get(name, "") for name, value in instrument.fixed]
            for sample in samples:
                value = sample.value
                labels = [*sample.labels, *more]
                if isinstance(value, Distribution):
                    family.add_metric(labels, buckets=value.buckets(), sum_value=value.total)
                else:
                    family.add_metric(labels, value)
            yield family
