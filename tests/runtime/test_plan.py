"""Plans: what a handler returns becomes checked messages, and a handler that waits inside its transaction is told where."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.runtime.kit import Placed

from farandole.errors import EmissionError, EnvelopeError, OutsideInTransaction
from farandole.model.choreography import Choreography
from farandole.model.envelope import Envelope, decode
from farandole.model.event import Event
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.runtime.context import Context
from farandole.runtime.plan import Limits, Plan, compile_plan, run_handler, run_inline
from farandole.testing.virtual import VirtualWorld

NOW = datetime(2026, 1, 2, tzinfo=UTC)
UUID = "019b76da-a800-7000-8000-000000000000"


class Told(Event, key="to"):
    to: str | None = None
    text: str = ""


class Alone(Event):
    count: int = 0


class Undeclared(Event, topic="elsewhere"):
    pass


def plan_of(limits: Limits | None = None) -> Plan:
    service = Service("voice")

    @service.on(Placed)
    async def tell(order: Placed, context: Context, times: int = 2) -> Told | list[Alone] | tuple[Told, Alone | None]:
        raise NotImplementedError

    @service.on(Undeclared)
    async def place(event: Undeclared) -> Placed: ...

    choreography = Choreography("shop", service)
    return compile_plan(tell, service, Wire(choreography), {}, limits or Limits())


def cause(**options: Any) -> Envelope:
    settings: dict[str, Any] = {"correlationid": "flow", "traceparent": "00-trace", "depth": 4, "time": NOW, **options}
    return Envelope(specversion="1.0", id=UUID, source="/s", type="shop.Placed.v1", data=msgspec.Raw(b"{}"), **settings)


def test_an_event_carries_its_cause_its_flow_and_its_place_in_the_chain() -> None:
    [message] = plan_of().emissions(Told(to="eve", text="hi"), cause(), NOW)
    envelope = decode(message.body)
    assert (message.topic, message.key, message.id, message.type) == ("shop.voice", "eve", envelope.id, "shop.Told.v1")
    assert (envelope.source, envelope.type, envelope.datacontenttype) == ("/shop/voice", "shop.Told.v1", "application/json")
    assert (envelope.causationid, envelope.correlationid, envelope.traceparent) == (UUID, "flow", "00-trace")
    assert (envelope.depth, envelope.time, envelope.partitionkey) == (5, NOW, "eve")
    assert bytes(envelope.data) == b'{"to":"eve","text":"hi"}'


def test_a_flow_without_a_name_is_named_by_its_first_event() -> None:
    [message] = plan_of().emissions(Told(to="eve"), cause(correlationid=None), NOW)
    assert decode(message.body).correlationid == UUID


@pytest.mark.parametrize("event", [Told(to=None), Alone(count=1)])
def test_an_event_without_a_key_is_its_own(event: Event) -> None:
    [message] = plan_of().emissions(event, cause(), NOW)
    assert message.key == message.id == decode(message.body).partitionkey


def test_ids_depend_on_cause_reaction_and_place_and_on_nothing_else() -> None:
    two = plan_of().emissions((Told(to="a"), Told(to="b")), cause(), NOW)
    again = plan_of().emissions([Told(to="x"), Told(to="y")], cause(traceparent=None), datetime.now(UTC))
    assert [message.id for message in two] == [message.id for message in again]
    assert two[0].id != two[1].id


@pytest.mark.parametrize(
    ("result", "count"),
    [(None, 0), ((), 0), ((Told(), None), 1), ([Alone(), Alone()], 2), ((Told(), [Alone(), None], (Alone(),)), 3)],
)
def test_nothing_one_or_many_events_in_whatever_shape(result: Any, count: int) -> None:
    assert len(plan_of().emissions(result, cause(), NOW)) == count


@pytest.mark.parametrize("result", [Undeclared(), (Told(), Undeclared())])
def test_what_is_not_declared_is_refused_with_what_is(result: Any) -> None:
    with pytest.raises(EmissionError, match=r"returned Undeclared, which .*It declares: Told, Alone\."):
        plan_of().emissions(result, cause(), NOW)


@pytest.mark.parametrize("event", [Told(to=7), Alone(count="many"), Alone(count=True), Told(text="\ud800")])  # type: ignore[arg-type]
def test_values_that_do_not_match_their_types_are_refused(event: Event) -> None:
    with pytest.raises(EmissionError, match=f"returned a {type(event).__name__} whose values do not match its types"):
        plan_of().emissions(event, cause(), NOW)


def test_the_last_event_of_the_longest_chain_leaves_and_the_next_does_not() -> None:
    plan = plan_of(Limits(depth=5))
    assert plan.emissions(Told(), cause(depth=4), NOW)
    with pytest.raises(EmissionError, match=r"at depth 6; the limit is 5. A cycle of events\? Look at the chain of flow"):
        plan.emissions(Told(), cause(depth=5), NOW)


def test_the_largest_event_leaves_and_one_byte_more_does_not() -> None:
    [message] = plan_of().emissions(Told(text="x" * 100), cause(), NOW)
    plan = plan_of(Limits(bytes_out=len(message.body)))
    assert plan.emissions(Told(text="x" * 100), cause(), NOW) == [message]
    with pytest.raises(
        EmissionError, match=f"of {len(message.body) + 1} bytes; the limit is {len(message.body)}. Send a reference"
    ):
        plan.emissions(Told(text="x" * 101), cause(), NOW)


def test_a_type_that_a_reaction_does_not_take_is_refused_with_those_that_it_does() -> None:
    plan = plan_of()
    assert plan.binding("shop.Placed.v1").cls is Placed
    with pytest.raises(EnvelopeError, match=r"voice.tell takes shop.Placed.v1, not shop.Told.v1"):
        plan.binding("shop.Told.v1")


async def test_a_context_is_made_for_who_wants_one(world: VirtualWorld) -> None:
    context = plan_of().context(cause(), 2, world)
    assert context is not None and (context.reaction, context.attempt) == ("voice.tell", 2)


async def inner() -> None:
    await asyncio.Event().wait()


async def test_a_coroutine_that_suspends_inside_a_transaction_is_closed_and_the_line_is_named() -> None:
    closed: list[bool] = []

    async def handler() -> None:
        try:
            await inner()
        finally:
            closed.append(True)

    line = inner.__code__.co_firstlineno + 1
    with pytest.raises(OutsideInTransaction, match=f"voice.tell awaits something that is not SQL .*test_plan.py:{line}"):
        await run_handler(plan_of(), handler(), inline=True)
    assert closed == [True]


async def test_a_coroutine_that_does_not_suspend_gives_its_value_either_way() -> None:
    async def handler() -> int:
        return 7

    assert run_inline(handler()) == 7
    assert await run_handler(plan_of(), handler(), inline=True) == 7
    assert await run_handler(plan_of(), handler(), inline=False) == 7
