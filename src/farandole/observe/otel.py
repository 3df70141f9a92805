"""OpenTelemetry's SDK for tracing, set up from the standard OTEL_* variables where the process has not set it up itself.

A process may run several services, and a resource has one `service.name`. So each service has a provider of its own, all with the same
exporters, and the process's provider leads to the one of the service whose handler runs: the user's own spans are in the right service too.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Tracer, TracerProvider

from farandole.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as RealProvider
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["SERVICE", "Home", "Services", "flush", "provider_for"]

SERVICE = contexts.create_key("farandole.service")
"""Where in a context the choreography and the service stand whose handler runs."""
PATIENCE = 3.0
"""Seconds that the exporter has at the end; it may be down."""
Home: TypeAlias = tuple[str, str]
_GROUP = "opentelemetry_traces_exporter"
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def provider_for(choreography: str) -> TracerProvider:
    """The process's provider; set up now, where there is none.

    Raises
    ------
    ConfigurationError
        The SDK is not installed, or a variable asks for an exporter that is not.
    """
    found = trace.get_tracer_provider()
    if not isinstance(found, trace.ProxyTracerProvider):
        return found
    services = Services(choreography)
    trace.set_tracer_provider(services)
    return services


class Services(TracerProvider):
    """A provider per service.

    Parameters
    ----------
    choreography:
        The `service.name` of spans that are made outside of handlers.
    """

    def __init__(self, choreography: str) -> None:
        try:
            from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise ConfigurationError(
                'observe: "traces" needs the OpenTelemetry SDK. Install it: pip install "farandole[otel]"; or set up a provider of your own'
            ) from None
        self._processor = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
        for exporter in _exporters():
            self._processor.add_span_processor(BatchSpanProcessor(exporter))
        self._here: Home = ("", choreography)
        self._providers: dict[Home, RealProvider] = {}
        self._lock = threading.Lock()
        self.of(self._here)
        self._is_down = False
        atexit.register(self._end)

    def of(self, home: Home) -> RealProvider:
        """The provider of a service."""
        with self._lock:
            provider = self._providers.get(home)
            if provider is None:
                provider = self._providers[home] = self._make(home)
            return provider

    def _make(self, home: Home) -> RealProvider:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider as Real

        namespace, service = home
        ours: dict[str, Any] = {"service.name": service} | ({"service.namespace": namespace} if namespace else {})
        said = OTELResourceDetector().detect().attributes  # what the environment says comes first
        resource = Resource.create({**ours, **said})
        return Real(resource=resource, shutdown_on_exit=False, active_span_processor=self._processor)

    def here(self, context: Context | None) -> RealProvider:
        """The provider of the service whose handler runs."""
        home: Any = contexts.get_value(SERVICE, context) or contexts.get_value(SERVICE)
        return self.of(home or self._here)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> Tracer:
        """A tracer that makes its spans in the service whose handler runs."""
        return _Here(self, (instrumenting_module_name, instrumenting_library_version, schema_url, attributes))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is in hand; give whether that could be done in time.

        In a thread that ends with the process, as an exporter that is down keeps whoever waits for it, whatever time it was given.
        """
        done = threading.Event()

        def work() -> None:
            self._processor.force_flush(timeout_millis)
            done.set()

        threading.Thread(target=work, name="farandole traces", daemon=True).start()
        self._is_down = not done.wait(timeout_millis / 1000)
        return not self._is_down

    def _end(self) -> None:
        """The process ends. Where the exporter is down, there is no use in waiting for it once more."""
        if not self._is_down and self.force_flush(int(PATIENCE * 1000)):
            self._processor.shutdown()


class _Here(Tracer):
    def __init__(self, services: Services, what: tuple[Any, ...]) -> None:
        self._services = services
        self._what = what

    def start_span(self, name: str, context: Context | None = None, *more: Any, **named: Any) -> Span:
        return self._tracer(context).start_span(name, context, *more, **named)

    def start_as_current_span(self, name: str, context: Context | None = None, *more: Any, **named: Any) -> Any:
        return self._tracer(context).start_as_current_span(name, context, *more, **named)

    def _tracer(self, context: Context | None) -> Tracer:
        return self._services.here(context).get_tracer(*self._what)


def _exporters() -> Iterator[SpanExporter]:
    """Those that OTEL_TRACES_EXPORTER names; OTLP by default."""
    said = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    for name in dict.fromkeys(part.strip() for part in said.split(",")):
        if name in ("none", ""):
            continue
        wanted = _otlp() if name == "otlp" else name
        entry = next(iter(entry_points(group=_GROUP, name=wanted)), None)
        if entry is None:
            known = ", ".join(sorted({one.name for one in entry_points(group=_GROUP)} | {"none"}))
            raise ConfigurationError(
                f"OTEL_TRACES_EXPORTER: no exporter {wanted!r} is installed. Install the package that brings it, or take one of: {known}"
            )
        yield entry.load()()


def _otlp() -> str:
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := os.environ.get(variable):
            if protocol not in _PROTOCOLS:
                raise ConfigurationError(f"{variable}: expected {' or '.join(_PROTOCOLS)}, got: {protocol!r}")
            return _PROTOCOLS[protocol]
    return _PROTOCOLS["http/protobuf"]


async def flush(services: Services) -> None:
    """Export what is in hand, for a few seconds at most; others have their turn meanwhile."""
    await asyncio.to_thread(services.force_flush, int(PATIENCE * 1000))
