"""Spans of what really runs: who is below whom, and what they say."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode
from tests.observe.traced import TWICE, Gateway, Heard, Packed, Paid, Place, Placed, Shipped, of, run, shop, traced

from farandole import Choreography, CommandRefused, Context, Service, Skip, World
from farandole.observe import spans
from farandole.observe.traces import Traces


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def test_one_trace_leads_from_the_caller_to_the_last_reaction(world: World, heard: Heard) -> None:
    with heard.provider.get_tracer("web").start_as_current_span("POST /orders"):
        await run(shop(), world, heard)
    assert sorted(heard.tree()) == sorted([
        "POST /orders",
        "  place Place",
        "    create Placed",
        "      send Placed",
        "      receive shop.orders",
        "      receive shop.orders",
        "      pack_goods Placed",
        "        create Packed",
        "          send Packed",
        "          receive shop.orders",
        "          ship Packed",
        "      charge_card Placed",
        "        create Paid",
        "          send Paid",
        "          receive shop.orders",
        "          ship Paid + Packed",
        "            create Shipped",
        "              send Shipped",
    ])  # fmt: skip
    assert heard.tree()[:3] == ["POST /orders", "  place Place", "    create Placed"]
    assert len({span.context.trace_id for span in heard.spans}) == 1


async def test_kinds_and_attributes_are_those_of_the_conventions(world: World, heard: Heard) -> None:
    await run(shop(), world, heard)
    kinds = {span.name.split()[0]: span.kind for span in heard.spans}
    assert kinds["place"] is SpanKind.INTERNAL
    assert kinds["create"] is SpanKind.PRODUCER
    assert kinds["send"] is kinds["receive"] is SpanKind.CLIENT
    assert kinds["charge_card"] is kinds["ship"] is SpanKind.CONSUMER
    charge = of(heard.one("charge_card Placed"))
    assert (
        charge.items()
        >= {
            "messaging.system": "memory",
            "messaging.operation.name": "charge_card",
            "messaging.operation.type": "process",
            "messaging.destination.name": "shop.orders",
            "messaging.consumer.group.name": "shop.payments.charge_card",
            "cloudevents.event_type": "shop.Placed.v1",
            "farandole.reaction": "payments.charge_card",
            "farandole.service": "payments",
            "farandole.way": "reaction",
            "farandole.attempt": 1,
            "farandole.state": "done",
            "farandole.emitted": 1,
        }.items()
    )
    place = of(heard.one("place Place"))
    assert charge["messaging.message.conversation_id"] == place["cloudevents.event_id"]
    assert not [name for name in place if name.startswith("messaging.") and name != "messaging.message.conversation_id"]
    known = {value for name, value in vars(messaging_attributes).items() if name.startswith("MESSAGING_")}
    ours = {name for span in heard.spans for name in of(span) if name.startswith("messaging.")}
    assert ours - known == set()
    assert heard.spans[0].instrumentation_scope is not None
    assert heard.spans[0].instrumentation_scope.schema_url in {one.value for one in Schemas}


async def test_a_join_is_below_the_part_that_was_said_last_and_linked_to_all(world: World, heard: Heard) -> None:
    await run(shop(charge=lambda order, context: None), world, heard)
    ship = heard.one("ship Paid + Packed")
    parts = {name: heard.one(f"create {name}").context.span_id for name in ("Paid", "Packed")}
    assert {link.context.span_id for link in ship.links} == set(parts.values())
    assert ship.parent is not None and ship.parent.span_id in parts.values()
    assert of(ship)["messaging.batch.message_count"] == 2


@pytest.mark.real_time
async def test_a_span_of_the_users_own_is_below_that_of_its_handler_in_coroutines_and_in_threads(
    heard: Heard,
) -> None:
    tracer = heard.provider.get_tracer("theirs")
    service = Service("orders")
    service.provide(Gateway, Gateway())

    @service.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    @service.on(Placed)
    def in_a_thread(event: Placed, gateway: Gateway) -> Paid:
        with tracer.start_as_current_span("theirs in a thread"):
            return Paid(order_id=event.order_id)

    @service.on(Paid)
    async def in_the_loop(event: Paid) -> Packed:
        with tracer.start_as_current_span("theirs in the loop"):
            return Packed(order_id=event.order_id)

    await run(Choreography("shop", service), World(), heard)
    for theirs, ours in (("theirs in a thread", "in_a_thread Placed"), ("theirs in the loop", "in_the_loop Paid")):
        span = heard.one(theirs)
        assert span.parent is not None and span.parent.span_id == heard.one(ours).context.span_id
    assert not trace.get_current_span().get_span_context().is_valid


async def test_each_attempt_is_a_span_linked_to_the_one_before(world: World, heard: Heard) -> None:
    def charge(order: Placed, context: Context) -> None:
        if context.attempt == 1:
            raise OSError(f"no answer for {order.email}")

    await run(shop(charge), world, heard)
    first, second = heard.named("charge_card Placed")
    assert (of(first)["farandole.attempt"], of(first)["farandole.state"]) == (1, "parked")
    assert (of(second)["farandole.attempt"], of(second)["farandole.state"]) == (2, "done")
    assert first.context.span_id in {link.context.span_id for link in second.links}
    assert first.parent == second.parent
    assert first.end_time is not None and second.start_time is not None and second.start_time - first.end_time > 5e8


async def test_an_error_says_its_type_and_no_sensitive_value(world: World, heard: Heard) -> None:
    def charge(order: Placed, context: Context) -> None:
        raise OSError(f"no answer for {order.email}")

    await run(shop(charge), world, heard)
    first, last = heard.named("charge_card Placed")
    assert first.status.status_code is last.status.status_code is StatusCode.ERROR
    assert (of(last)["error.type"], of(last)["farandole.state"]) == ("OSError", "dead")
    assert last.status.description == "OSError: no answer for ***"
    assert "test_traces.py" in of(last)["farandole.place"]
    assert "mary@" not in "".join(span.to_json() for span in heard.spans)


async def test_a_refused_command_is_an_error_without_the_values_of_the_command(world: World, heard: Heard) -> None:
    with pytest.raises(CommandRefused):
        await run(shop(), world, heard, "")
    place = heard.one("place Place")
    assert (of(place)["farandole.state"], place.status.status_code) == ("refused", StatusCode.ERROR)
    assert place.status.description == "*** gives no number"


async def test_what_is_skipped_is_no_error(world: World, heard: Heard) -> None:
    def pack(order: Placed) -> None:
        raise Skip("nothing to pack")

    await run(shop(pack=pack), world, heard)
    span = heard.one("pack_goods Placed")
    assert (of(span)["farandole.state"], of(span)["farandole.reason"]) == ("skipped", "nothing to pack")
    assert span.status.status_code is StatusCode.UNSET


async def test_a_run_that_was_rolled_back_says_so_and_so_do_its_messages(world: World, heard: Heard) -> None:
    """Three orders come in one batch; the second fails, so that the first runs twice in it."""
    seen: list[str] = []

    def pack(order: Placed) -> None:
        seen.append(order.order_id)
        if len(seen) > 1 and order.order_id == seen[1]:
            raise Skip("none left")

    async with traced(shop(pack=pack), world, Traces(heard.provider)) as app:
        await asyncio.gather(*(app.send(Place(order_id=order)) for order in "123"))
        await app.idle()
    packs = [of(span)["farandole.state"] for span in heard.named("pack_goods Placed")]
    assert sorted(packs) == ["done", "done", "rolled back", "skipped"]
    created = heard.named("create Packed")
    assert sorted(of(span)["farandole.state"] for span in created) == ["done", "done", "rolled back"]
    undone = {span.context.span_id for span in created if of(span)["farandole.state"] == "rolled back"}
    assert not [span.name for span in heard.spans if span.parent is not None and span.parent.span_id in undone]


async def test_what_came_in_one_batch_is_received_in_a_trace_of_its_own_that_links_to_each(world: World, heard: Heard) -> None:
    async with traced(shop(), world, Traces(heard.provider)) as app:
        await asyncio.gather(*(app.send(Place(order_id=order)) for order in "123"))
        await app.idle()
    batch = next(span for span in heard.named("receive shop.orders") if of(span)["messaging.consumer.group.name"] == "shop.stock")
    assert batch.parent is None
    assert {link.context.span_id for link in batch.links} == {span.context.span_id for span in heard.named("create Placed")}
    assert of(batch)["messaging.batch.message_count"] == 3


async def test_an_exhausted_handler_is_told_of_under_its_own_name(world: World, heard: Heard) -> None:
    service = Service("orders")
    service.provide(Gateway, Gateway())

    @service.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    @service.on(Placed, policy=TWICE)
    async def charge(event: Placed, gateway: Gateway) -> Paid:
        raise OSError("no answer")

    @charge.exhausted
    async def gave_up(event: Placed, gateway: Gateway) -> Packed:
        return Packed(order_id=event.order_id)

    await run(Choreography("shop", service), world, heard)
    (span,) = heard.named("charge.exhausted Placed")
    assert (of(span)["farandole.state"], of(span)["farandole.emitted"]) == ("exhausted", 1)
    assert heard.one("create Packed").parent is not None


async def test_a_deadline_is_below_the_event_that_began_it(world: World, heard: Heard) -> None:
    orders = Service("orders")

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    @orders.deadline(after=Placed, unless=(Paid,), within=timedelta(seconds=2))
    async def expire(event: Placed) -> Shipped:
        return Shipped(order_id=event.order_id)

    await run(Choreography("shop", orders), world, heard)
    span, begun = heard.one("expire Placed"), heard.one("create Placed")
    assert (of(span)["farandole.way"], span.parent and span.parent.span_id) == ("deadline", begun.context.span_id)
    assert span.start_time is not None and begun.end_time is not None and span.start_time - begun.end_time >= 2e9


async def test_an_unsampled_caller_leaves_no_span_and_its_decision_goes_on(world: World) -> None:
    heard = Heard(ParentBased(ALWAYS_OFF))
    seen: list[str | None] = []
    await run(shop(charge=lambda order, context: seen.append(context.envelope.traceparent)), world, heard)
    assert heard.spans == ()
    (going_on,) = [spans.read(value) for value in seen]
    assert going_on is not None and not going_on.trace_flags.sampled
