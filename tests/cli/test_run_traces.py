"""`farandole run` with `observe = ["traces"]`, and a receiver of OTLP over HTTP: what it is told, and what happens where it is down."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.cli.kit import CAFE, Project
from tests.cli.test_run import PATIENCE, STARTED, lines_until, running
from tests.counts import FULL
from tests.observe.otlp import Receiver, receiver

import farandole

TRACED = CAFE.replace("import asyncio, sys", "import asyncio, sys\nfrom opentelemetry import trace").replace(
    '        if order_id.startswith("bad"):',
    '        with trace.get_tracer("bank").start_as_current_span("ask the bank"):\n'
    "            pass\n"
    '        if order_id.startswith("bad"):',
)


@pytest.fixture
def traced(project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("FARANDOLE_OBSERVE", "traces")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # milliseconds
    return project(TRACED)


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def order(project: Project) -> str:
    """Place an order from this process, within a span of its own; gives the id of its trace."""
    module = project.module()

    async def send() -> None:
        async with farandole.open(module.shop, services=(), observe=()) as app:
            receipt = await app.send(module.PlaceOrder(order_id="4711", email="me@home.example"))
            await app.outcome(receipt.correlation_id, timeout=PATIENCE)

    with TracerProvider(shutdown_on_exit=False).get_tracer("web").start_as_current_span("POST /orders") as span:
        asyncio.run(send())
        return f"{span.get_span_context().trace_id:032x}"


@pytest.mark.real_time
def test_the_receiver_is_told_of_each_service_by_its_name_and_of_the_users_own_spans_in_theirs(
    traced: Project, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    with running(traced) as process:
        lines_until(process.stderr, STARTED)
        trace = order(traced)
        collector.wait("confirm PaymentCompleted", "ask the bank", "notify OrderPlaced", "send OrderConfirmed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    mine = [span for span in collector.spans if span.trace == trace]
    assert {span.name: span.service for span in mine}.items() >= {
        "charge OrderPlaced": "payments",
        "ask the bank": "payments",
        "notify OrderPlaced": "email",
        "confirm PaymentCompleted": "orders",
        "create OrderConfirmed": "orders",
    }.items()
    assert {span.namespace for span in collector.spans} == {"shop"}
    assert collector.one("ask the bank").parent == collector.one("charge OrderPlaced").id
    assert collector.one("confirm PaymentCompleted").parent == collector.one("create PaymentCompleted").id
    assert "me@home.example" not in str(collector.spans)


@pytest.mark.real_time
@pytest.mark.parametrize("trouble", ["deaf", "refused", "503"] if FULL else ["deaf"])
def test_a_receiver_that_is_down_holds_up_neither_the_orders_nor_the_end(
    traced: Project, collector: Receiver, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        if trouble == "deaf":
            deaf.listen()
        collector.answer = 503
        url = collector.url if trouble == "503" else f"http://127.0.0.1:{deaf.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with running(traced) as process:
            lines_until(process.stderr, STARTED)
            order(traced)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
    assert collector.spans == []


@pytest.mark.real_time
def test_an_exporter_that_is_not_installed_is_refused_with_those_that_are(
    traced: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with running(traced) as process:
        assert process.wait(PATIENCE) == 2
        assert process.stderr is not None
        said = process.stderr.read()
    assert "OTEL_TRACES_EXPORTER" in said and "otlp_proto_http" in said and "Traceback" not in said
