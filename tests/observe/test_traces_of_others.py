"""Trace contexts of foreign producers, and trouble with spans, which disturbs no service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from tests.observe.traced import Heard, Place, of, run, shop, traced

from farandole import Context, World
from farandole.model.envelope import Envelope, Message
from farandole.observe import spans
from farandole.observe.traces import Traces


@pytest.fixture
def heard() -> Heard:
    return Heard()


FOREIGN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def foreign(world: World, heard: Heard, traceparent: str | None) -> None:
    async with traced(shop(), world, Traces(heard.provider)) as app:
        said = {"specversion": "1.0", "id": "1", "source": "/elsewhere", "type": "shop.Placed.v1", "partitionkey": "k"}
        said |= {} if traceparent is None else {"traceparent": traceparent, "tracestate": "vendor=1"}
        body = json.dumps({**said, "data": {"order_id": "k", "email": "x"}}, indent=1).encode()
        await app.broker.publish([Message("shop.orders", "k", "1", "shop.Placed.v1", body)])
        await app.idle()


async def test_a_foreign_producers_trace_goes_on(world: World, heard: Heard) -> None:
    await foreign(world, heard, FOREIGN)
    charge = heard.one("charge_card Placed")
    assert charge.parent is not None and f"{charge.parent.span_id:016x}" == FOREIGN[36:52]
    assert {f"{span.context.trace_id:032x}" for span in heard.spans} == {FOREIGN[3:35]}


WRONG = [
    "", "rubbish", FOREIGN.upper(), FOREIGN[:-1], FOREIGN + "-more", FOREIGN + "\n", "ff" + FOREIGN[2:],
    f"00-{'0' * 32}-{FOREIGN[36:]}", f"00-{FOREIGN[3:35]}-{'0' * 16}-01",
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_malformed_traceparent_is_as_good_as_none(wrong: str) -> None:
    assert spans.read(wrong) is None


@pytest.mark.parametrize("wrong", [None, WRONG[1]])
async def test_without_a_readable_traceparent_each_reaction_begins_a_trace(world: World, heard: Heard, wrong: str | None) -> None:
    await foreign(world, heard, wrong)
    charge, pack = heard.one("charge_card Placed"), heard.one("pack_goods Placed")
    assert charge.parent is None and pack.parent is None
    assert heard.one("ship Paid + Packed").parent is not None


def test_a_later_version_of_traceparent_is_read_as_far_as_it_is_known() -> None:
    found = spans.read("01" + FOREIGN[2:] + "-more")
    assert found is not None and f"{found.trace_id:032x}" == FOREIGN[3:35]
    assert spans.read("01" + FOREIGN[2:] + "more") is None


async def test_an_event_that_cannot_be_read_disturbs_nobody(world: World, heard: Heard) -> None:
    async with traced(shop(), world, Traces(heard.provider)) as app:
        await app.broker.publish([Message("shop.orders", "k", "1", "shop.Placed.v1", b"{no json")])
        await app.send(Place(order_id="1"))
        await app.idle()
        assert app.counters["trouble"] == 0
    assert heard.named("create Shipped")


async def test_a_tracer_that_raises_is_trouble_and_every_order_is_shipped(world: World) -> None:
    class Broken(TracerProvider):
        def get_tracer(self, *what: Any, **more: Any) -> Any:
            return Raising()

    class Raising(trace.Tracer):
        def start_span(self, *what: Any, **more: Any) -> Any:
            raise ZeroDivisionError

        def start_as_current_span(self, *what: Any, **more: Any) -> Any:
            raise ZeroDivisionError

    heard = Heard()
    heard.provider = Broken(shutdown_on_exit=False)
    app = await run(shop(), world, heard)
    assert app.counters["trouble"] > 0
    assert app.counters["published"] == 4


async def test_a_span_that_cannot_be_made_for_a_message_does_not_fail_its_handler(world: World, heard: Heard) -> None:
    class Half(Traces):
        def traceparent(self, *what: Any) -> str | None:
            raise ZeroDivisionError

    async with traced(shop(), world, Half(heard.provider)) as app:
        await app.send(Place(order_id="1"))
        await app.idle()
        assert (app.counters["published"], app.counters["dead"]) == (4, 0)


async def test_what_was_never_told_of_is_closed_with_the_app(world: World, heard: Heard) -> None:
    traces = Traces(heard.provider)
    async with traced(shop(), world, traces):
        envelope = Envelope(specversion="1.0", id="1", source="/s", type="shop.Placed.v1")
        context = Context("stock.pack_goods", envelope, 1, world)
        traces.begins(context)
        traces.ended(context, None, None)
        assert heard.spans == ()
    assert of(heard.one("pack_goods Placed"))["farandole.state"] == "unknown"
