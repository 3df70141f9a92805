"""The SDK as it is set up from the environment: a provider per service, and what cannot be set up."""

from __future__ import annotations

import sys

import pytest
from opentelemetry import context as contexts
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ParentBased

from farandole import ConfigurationError
from farandole.observe.otel import SERVICE, Services


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    return Services("shop")


def whose(span: object) -> dict[str, object]:
    assert isinstance(span, ReadableSpan)
    return dict(span.resource.attributes)


def test_a_span_is_in_the_service_whose_handler_runs_and_elsewhere_in_the_choreography(services: Services) -> None:
    tracer = services.get_tracer("theirs")
    assert whose(tracer.start_span("one"))["service.name"] == "shop"
    token = contexts.attach(contexts.set_value(SERVICE, ("shop", "payments")))
    with tracer.start_as_current_span("two") as span:
        said = whose(span)
    contexts.detach(token)
    assert (said["service.name"], said["service.namespace"]) == ("payments", "shop")
    assert services.of(("shop", "payments")) is services.of(("shop", "payments"))


def test_what_the_environment_says_comes_first(monkeypatch: pytest.MonkeyPatch, services: Services) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "all-of-it")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=web,deployment.environment.name=test")
    said = dict(services.of(("shop", "payments")).resource.attributes)
    assert (said["service.name"], said["service.namespace"]) == ("all-of-it", "web")
    assert said["deployment.environment.name"] == "test"


def test_the_sampler_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, services: Services) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    provider = services.of(("shop", "payments"))
    assert isinstance(provider.sampler, ParentBased)
    assert not provider.get_tracer("x").start_span("one").is_recording()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "pigeon", "no exporter 'pigeon' is installed"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon", "expected http/protobuf or grpc, got: 'pigeon'"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "expected http/protobuf or grpc, got: 'http/json'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=said):
        Services("shop")


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match=r"farandole\[otel\]"):
        Services("shop")
