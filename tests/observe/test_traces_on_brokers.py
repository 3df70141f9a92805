"""Each message of a chain of three services has the right parent, whatever broker it went over: the context is in the envelope."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from tests.observe.traced import Heard, of
from tests.servers import server

import farandole
from farandole import Choreography, Command, Event, Service
from farandole.host import Options
from farandole.observe.traces import Traces


class Placed(Event, key="order_id"):
    order_id: str


class Paid(Event, key="order_id"):
    order_id: str


class Sent(Event, key="order_id"):
    order_id: str


class Place(Command):
    order_id: str


def chain(name: str) -> Choreography:
    orders, payments, shipping = Service("orders"), Service("payments"), Service("shipping")

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    @payments.on(Placed)
    async def charge(event: Placed) -> Paid:
        return Paid(order_id=event.order_id)

    @shipping.on(Paid)
    async def ship(event: Paid) -> Sent:
        return Sent(order_id=event.order_id)

    @orders.on(Sent)
    async def close(event: Sent) -> None:
        pass

    return Choreography(name, orders, payments, shipping)


ORDERS = ("1", "2", "3")


async def has_right_parents(broker: str, database: str, system: str) -> None:
    name, heard = f"t{secrets.token_hex(4)}", Heard()
    tracer = heard.provider.get_tracer("web")
    async with farandole.open(
        chain(name), broker=broker.replace("{run}", name), database=database, record="none", options=Options(),
        observe=[Traces(heard.provider)],
    ) as app:  # fmt: skip
        for order in ORDERS:
            with tracer.start_as_current_span(f"POST {order}"):
                await app.send(Place(order_id=order))
        await app.idle()
    spans = {span.context.span_id: span for span in heard.spans}

    def up(id: int | None) -> list[str]:
        span = None if id is None else spans.get(id)
        return [] if span is None else [span.name, *up(span.parent.span_id if span.parent else None)]

    for order in ORDERS:
        trace = heard.one(f"POST {order}").context.trace_id
        (last,) = (span for span in heard.named("close Sent") if span.context.trace_id == trace)
        assert up(last.context.span_id) == [
            "close Sent", "create Sent", "ship Paid", "create Paid", "charge Placed", "create Placed", "place Place", f"POST {order}",
        ]  # fmt: skip
        assert of(last)["messaging.system"] == system
        assert of(last)["messaging.destination.name"] == f"{name}.shipping"
    assert len(heard.named("send Placed", "send Paid", "send Sent")) == 3 * len(ORDERS)


@pytest.mark.real_time
async def test_in_memory_each_message_has_the_right_parent() -> None:
    await has_right_parents("memory://", "sqlite://", "memory")


@pytest.mark.real_time
async def test_over_a_file_each_message_has_the_right_parent(tmp_path: Path) -> None:
    await has_right_parents(f"sqlite:///{tmp_path}/broker.db", f"sqlite:///{tmp_path}/{{service}}.db", "sqlite")


@pytest.mark.real_time
async def test_over_postgresql_each_message_has_the_right_parent(schema: str) -> None:
    await has_right_parents(schema, "sqlite://", "postgresql")


@pytest.mark.servers
@pytest.mark.real_time
@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("kafka", ""), ("kafka", "?mode=binary"), ("nats", "?prefix={run}"), ("nats", "?prefix={run}&mode=binary"),
        ("rabbitmq", ""), ("rabbitmq", "?mode=binary"), ("redis", "?prefix={run}"), ("redis", "?prefix={run}&mode=binary"),
    ],
)  # fmt: skip
async def test_over_a_server_each_message_has_the_right_parent(name: str, option: str) -> None:
    await has_right_parents(server(name) + option, "sqlite://", name)
