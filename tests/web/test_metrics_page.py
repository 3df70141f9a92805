"""/metrics over HTTP, asked over a real socket."""

from __future__ import annotations

import asyncio

import pytest
from tests.observe.test_measures import SUMMED
from tests.observe.test_observer import Place, shop
from tests.web.test_health import free_port

import farandole
from farandole.cli.run import listeners
from farandole.config import Config
from farandole.web.health import serve
from farandole.web.observe import observe_app


async def get(port: int, accept: str = "*/*") -> tuple[str, str]:
    """The head and the body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return head, body


@pytest.mark.real_time
async def test_the_figures_are_at_metrics_in_the_format_that_is_asked_for() -> None:
    port = free_port()
    async with (
        farandole.open(shop(), broker="memory://", database="sqlite://", observe=["metrics"]) as app,
        serve(app, str(port)),
    ):
        head, body = await get(port)
        assert head.startswith("HTTP/1.1 200")
        assert "text/plain; version=" in head
        assert 'farandole_outbox_messages{farandole_service="orders"} 0.0' in body
        head, body = await get(port, "application/openmetrics-text; version=1.0.0")
        assert "application/openmetrics-text" in head
        assert body.endswith("# EOF\n")


@pytest.mark.real_time
async def test_where_nobody_counts_it_is_said_what_to_do() -> None:
    port = free_port()
    async with farandole.open(shop(), broker="memory://", database="sqlite://", observe=[]) as app, serve(app, str(port)):
        head, body = await get(port)
    assert head.startswith("HTTP/1.1 503")
    assert 'observe = ["metrics"]' in body


def test_run_counts_where_somebody_may_ask_unless_the_configuration_says_who_listens() -> None:
    assert listeners(Config(), "none", counts=True) == ("metrics",)
    assert listeners(Config(), "none", counts=False) == ()
    assert listeners(Config(), "sqlite:///record.db", counts=True) == ("fates", "metrics")
    assert listeners(Config(observe=("logs",)), "none", counts=True) == ("logs",)
    assert listeners(Config(observe=()), "none", counts=True) == ()


@pytest.mark.real_time
async def test_what_observes_tells_workflows_and_measures_too() -> None:
    port = free_port()
    urls = {"broker": "memory://", "database": "sqlite://", "record": "memory://"}
    async with farandole.open(SUMMED, **urls, observe=["metrics"]) as app, serve(app, str(port), observe_app, "--at"):
        await app.send(Place(order_id="1"))
        await app.idle()
        _, body = await get(port)
    assert 'farandole_measure_turnover{farandole_choreography="shop"} 0.0' in body
    assert 'farandole_measure_paid_reached_total{farandole_choreography="shop"} 1.0' in body
