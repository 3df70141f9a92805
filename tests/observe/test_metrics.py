"""Metrics: what is counted, that strangers make no series, that a database that is down breaks nothing, and both ways out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.observe.promtool import promtool
from tests.observe.test_observer import Paid, Place, Placed, Shipped, shop

import farandole
from farandole import Breaker, Choreography, Policy, Retry, Service, Workflow, World
from farandole.brokers.base import Message
from farandole.host import App, Options
from farandole.model.envelope import Envelope, encode
from farandole.observe.metrics import Metrics
from farandole.observe.metrics.book import MOST, Book
from farandole.observe.metrics.catalog import CATALOG
from farandole.observe.metrics.gauges import EVERY, PATIENCE
from farandole.observe.metrics.listener import KINDS
from farandole.observe.metrics.prometheus import exposition
from farandole.runtime.signals import Run
from farandole.stores.record import Standing

LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)(?: \S+)?")


@asynccontextmanager
async def counted(choreography: Choreography, world: World, **more: Any) -> AsyncIterator[tuple[App, Metrics]]:
    metrics = Metrics(more.pop("meter_provider", None))
    async with farandole.open(
        choreography, broker="memory://", database="sqlite://", world=world, options=Options(), observe=[metrics], **more
    ) as app:
        yield app, metrics


async def text_of(metrics: Metrics, accept: str = "") -> str:
    return exposition(await metrics.samples(), metrics.fixed, accept)[0].decode()


async def figures(metrics: Metrics) -> dict[str, float]:
    """Each sample but those of buckets, as `name a b c`: its label values without the messaging system and empty ones."""
    found: dict[str, float] = {}
    for line in (await text_of(metrics)).splitlines():
        match = LINE.fullmatch(line)
        if match and not match[1].endswith("_bucket"):
            pairs = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            labels = [
                value for name, value in sorted(pairs.items()) if value and not name.startswith(("messaging_sys", "messaging_op"))
            ]
            found[" ".join([match[1], *labels])] = float(match[3])
    return found


async def test_what_happens_is_counted_by_type_lane_reaction_and_state(world: World) -> None:
    async with counted(shop(fails=1, skips=True), world) as (app, metrics):
        await app.send(Place(order_id="4711"), idempotency_key="one")
        await app.send(Place(order_id="4711"), idempotency_key="one")
        await app.idle()
        found = await figures(metrics)
    assert found["messaging_client_sent_messages_total shop.Placed.v1 orders shop.orders"] == 1
    assert found["messaging_client_consumed_messages_total shop.Placed.v1 shop.stock shop.orders"] == 1
    assert found["messaging_client_operation_duration_seconds_count orders"] == 1
    assert found["messaging_process_duration_seconds_count orders.place orders"] == 1
    assert found["messaging_process_duration_seconds_count OSError payments.charge payments shop.payments.charge"] == 1
    assert found["messaging_process_duration_seconds_count payments.charge payments shop.payments.charge"] == 1
    assert found["farandole_reactions_total orders.place orders duplicate"] == 1
    assert found["farandole_reactions_total payments.charge payments parked"] == 1
    assert found["farandole_reactions_total payments.charge payments done"] == 1
    assert found["farandole_reactions_total payments.charge payments dead"] == 0
    assert found["farandole_reactions_total stock.pack stock skipped"] == 1
    assert found["farandole_retries_total payments.charge payments"] == 1
    assert found["farandole_consumer_lag payments shop.payments.charge"] == 0
    assert found["farandole_outbox_age_seconds orders"] == 0


async def test_dead_letters_and_what_waits_are_told_per_service(world: World) -> None:
    async with counted(shop(fails=5), world) as (app, metrics):
        await app.send(Place(order_id="4711"))
        await world.sleep(0.3)  # tried once; the next try is due after a second
        found = await figures(metrics)
        assert (found["farandole_parked_events payments"], found["farandole_parked_keys payments"]) == (1, 1)
        await app.idle()
        await world.sleep(10)  # what was asked for a moment ago is not asked again
        found = await figures(metrics)
    assert (found["farandole_dead_letters payments"], found["farandole_dead_letters orders"]) == (1, 0)
    assert found["farandole_parked_events payments"] == 0
    assert found["farandole_reactions_total payments.charge payments dead"] == 1


async def test_prometheus_and_its_tool_read_both_formats(world: World) -> None:
    async with counted(shop(), world) as (app, metrics):
        await app.send(Place(order_id="4711"))
        await app.idle()
        plain = await text_of(metrics)
        open_metrics = await text_of(metrics, "application/openmetrics-text; version=1.0.0")
    assert promtool("check", "metrics", given=plain.encode()) == ""
    assert open_metrics.endswith("# EOF\n")
    names = {line.split("{")[0] for line in plain.splitlines() if line[0] != "#"}
    assert names <= {name for instrument in CATALOG.values() for name in instrument.samples}


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html", "application/openmetrics-text; version=x", "text/plain; version=,;;q", "\x00"]
)
async def test_an_asker_who_says_nonsense_gets_text(accept: str, world: World) -> None:
    async with counted(shop(), world) as (_, metrics):
        assert "# TYPE farandole_consumer_lag gauge" in await text_of(metrics, accept)


async def test_ten_thousand_made_up_types_make_a_bounded_number_of_series(world: World) -> None:
    one = Choreography("shop", *(service for name, service in shop().services.items() if name in ("orders", "stock")))
    async with counted(one, world) as (app, metrics):
        await app.send(Place(order_id="4711"))
        await app.idle()
        before = len(list(metrics.book.samples()))
        await app.broker.publish([_stranger(number) for number in range(10_000)])
        await app.idle()
        found = await figures(metrics)
    assert found["messaging_client_consumed_messages_total other shop.stock shop.orders"] == 10_000
    assert found["farandole_schema_violations_total stock.(envelope) stock"] == 10_000
    assert len(list(metrics.book.samples())) == before + 1


def _stranger(number: int) -> Message:
    made_up = f"shop.MadeUp{number}.v1"
    body = Envelope(specversion="1.0", id=f"s{number}", source=f"/strange/{number}", type=made_up, data=msgspec.Raw(b"{}"))
    return Message("shop.orders", f"k{number}", f"s{number}", made_up, encode(body))


def test_series_beyond_the_bound_are_one() -> None:
    book = Book(CATALOG)
    for number in range(MOST + 10):
        book.cell("farandole.trouble", (f"part {number}",)).value += 1
        book.distribution("messaging.process.duration", ("s", f"r{number}", "", "")).observe(1.0)
    found = {(sample.instrument.name, sample.labels): sample.value for sample in book.samples()}
    assert len(found) == 2 * MOST + 2
    assert found["farandole.trouble", ("other",)] == 10
    assert found["messaging.process.duration", ("other",) * 4].total == 10.0  # type: ignore[union-attr]


async def test_errors_of_too_many_classes_are_other(world: World) -> None:
    async with counted(shop(), world) as (_, metrics):
        for number in range(KINDS + 10):
            metrics.ran([Run(reaction="stock.pack", id="x", state="parked", error=f"Error{number}", seconds=0.5, attempt=1)])
        found = await figures(metrics)
    told = [name for name in found if name.startswith("messaging_process_duration_seconds_count Error")]
    assert len(told) == KINDS
    assert found["messaging_process_duration_seconds_count other stock.pack stock shop.stock"] == 10


async def test_a_database_that_is_down_is_named_and_the_rest_is_shown(world: World) -> None:
    async with counted(shop(), world) as (app, metrics):
        await app.stores["payments"].close()
        found = await figures(metrics)
        assert found["farandole_scrape_errors payments"] == 1
        assert "farandole_dead_letters payments" not in found
        assert (found["farandole_scrape_errors orders"], found["farandole_dead_letters orders"]) == (0, 0)
        await app.stores["payments"].open()
        assert (await figures(metrics))["farandole_scrape_errors payments"] == 1  # it is asked every few seconds only
        await world.sleep(EVERY)
        assert (await figures(metrics))["farandole_scrape_errors payments"] == 0


async def test_a_source_that_does_not_answer_is_left_alone_after_a_while(world: World) -> None:
    async with counted(shop(), world) as (_, metrics):
        never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def silent() -> Any:
            return await never

        assert metrics.gauges is not None
        metrics.gauges.sources["broker"] = silent
        began = world.monotonic()
        found = await figures(metrics)
        assert world.monotonic() - began == pytest.approx(PATIENCE, abs=0.1)
    assert found["farandole_scrape_errors broker"] == 1
    assert found["farandole_dead_letters orders"] == 0


async def test_an_open_breaker_is_seen_and_a_closed_one_before_anything_happened(world: World) -> None:
    class Bank:
        pass

    orders, payments = Service("orders"), Service("payments")
    payments.provide(Bank, Bank(), breaker=Breaker(failures=1, rest=60.0))
    down = [True]

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    @payments.on(Placed, policy=Policy(retry=Retry(attempts=9, delay=1.0)))
    async def charge(order: Placed, bank: Bank) -> Paid:
        if down[0]:
            raise OSError("away")
        return Paid(order_id=order.order_id)

    async with counted(Choreography("shop", orders, payments), world) as (app, metrics):
        assert (await figures(metrics))["farandole_breaker_open Bank payments"] == 0
        await app.send(Place(order_id="1"))
        while not app.resting:
            await world.sleep(0.1)
        assert (await figures(metrics))["farandole_breaker_open Bank payments"] == 1
        down[0] = False
        await app.idle()
        assert (await figures(metrics))["farandole_breaker_open Bank payments"] == 0


async def test_workflows_are_counted_by_state_where_somebody_keeps_where_they_are(world: World) -> None:
    flow = Workflow("checkout", starts=Placed, succeeds=Shipped)
    flowing = Choreography("shop", *shop().services.values(), workflows=[flow])
    async with counted(flowing, world, record="memory://") as (app, metrics):
        receipt = await app.send(Place(order_id="1"))
        await app.idle()
        await app.record.stand([Standing(correlation_id=receipt.correlation_id, workflow="checkout", state="succeeded")], 1)
        found = await figures(metrics)
    assert found["farandole_workflows succeeded checkout"] == 1
    assert found["farandole_consumer_lag shop.@record"] == 0


async def test_opentelemetry_collects_the_same_figures(world: World) -> None:
    reader = InMemoryMetricReader()
    async with counted(shop(fails=1), world, meter_provider=MeterProvider([reader])) as (app, metrics):
        await app.send(Place(order_id="4711"))
        await app.idle()
        reader.get_metrics_data()  # in the loop itself, nobody waits for databases; they are asked
        await world.sleep(0.1)
        collected = points_of(reader)
        shown = {sample.instrument.name for sample in await metrics.samples()}
    assert {name for name, _ in collected} == shown
    key = (
        "farandole.reactions",
        frozenset({"farandole.service": "stock", "farandole.reaction": "stock.pack", "farandole.state": "done"}.items()),
    )
    assert collected[key].value == 1
    attributes = {
        "farandole.service": "payments",
        "farandole.reaction": "payments.charge",
        "messaging.consumer.group.name": "shop.payments.charge",
        "messaging.operation.name": "process",
        "messaging.system": "memory",
    }
    handled = collected["messaging.process.duration", frozenset(attributes.items())]
    failed = collected["messaging.process.duration", frozenset((attributes | {"error.type": "OSError"}).items())]
    assert (handled.count, failed.count) == (1, 1)
    assert tuple(handled.explicit_bounds) == CATALOG["messaging.process.duration"].buckets
    assert reader.get_metrics_data() is None or not points_of(reader).keys() - {
        key for key in collected if key[0].startswith("messaging.")
    }  # after the app has closed, only what OpenTelemetry itself remembers


def points_of(reader: InMemoryMetricReader) -> dict[tuple[str, frozenset[tuple[str, Any]]], Any]:
    data = reader.get_metrics_data()
    assert data is not None
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    return {
        (metric.name, frozenset((point.attributes or {}).items())): point
        for scope in scopes
        for metric in scope.metrics
        for point in metric.data.data_points
    }


@pytest.mark.real_time
async def test_a_reader_in_a_thread_of_its_own_waits_for_the_databases(world: World) -> None:
    reader = InMemoryMetricReader()
    async with counted(shop(), World(), meter_provider=MeterProvider([reader])) as (_, _metrics):
        collected = await asyncio.to_thread(points_of, reader)
    assert ("farandole.dead.letters", frozenset({("farandole.service", "orders")})) in collected


async def test_metrics_are_found_by_their_name(world: World) -> None:
    async with farandole.open(
        shop(), broker="memory://", database="sqlite://", world=world, options=Options(), observe=["metrics"]
    ) as app:
        assert [type(one) for one in app.listeners] == [Metrics]
