"""Metrics: what is counted of a running choreography, for Prometheus and for OpenTelemetry."""

from farandole.observe.metrics.listener import Metrics

__all__ = ["Metrics"]
