"""Fates: what became of each event reaches the record, whatever it was, and whatever becomes of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from tests.runtime.faults import FlakyBroker, Heard
from tests.runtime.kit import log_of, publish_raw
from tests.servers import server

import farandole
from farandole import App, Choreography, Command, Event, Policy, Reject, Retry, Sensitive, Service, Skip, World
from farandole.brokers.base import PublishResult
from farandole.errors import CommandRefused, EnvelopeError
from farandole.host import Options
from farandole.model.envelope import Envelope, Message, decode, encode
from farandole.model.wire import Wire
from farandole.observe import fates, rows
from farandole.observe.fates import Fates
from farandole.observe.listeners import by_default
from farandole.observe.record import MemoryRecord, Reading
from farandole.observe.rows import TYPE, fates_topic, read_fates
from farandole.runtime.signals import Run
from farandole.stores.record import Fate
from farandole.testing.virtual import VirtualWorld


class OrderEvent(Event, key="order_id", topic="orders"):
    order_id: str


class Placed(OrderEvent):
    email: Annotated[str, Sensitive] = "someone@example.com"


class Paid(OrderEvent):
    pass


class PaymentFailed(OrderEvent):
    pass


class Place(Command):
    order_id: str


def shop(name: str = "shop") -> Choreography:
    """A choreography in which an order meets every fate."""
    orders, payments, stock, mail, points = (Service(name) for name in ("orders", "payments", "stock", "mail", "points"))
    twice = Policy(retry=Retry(attempts=2, delay=1.0))
    failures = [OSError("no answer for someone@example.com")]

    @orders.command
    async def place(command: Place) -> Placed:
        if command.order_id == "wrong":
            raise Reject("no such order")
        return Placed(order_id=command.order_id)

    @payments.on(Placed, policy=twice)
    async def charge(order: Placed) -> Paid | PaymentFailed:
        raise OSError("the bank is down")

    @charge.exhausted
    async def gave_up(order: Placed) -> PaymentFailed:
        return PaymentFailed(order_id=order.order_id)

    @stock.on(Placed)
    async def reserve(order: Placed) -> None:
        raise Skip("nothing to reserve")

    @mail.on(Placed, policy=twice)
    async def welcome(order: Placed) -> None:
        if failures:
            raise failures.pop()

    @points.on(Placed, policy=twice)
    async def credit(order: Placed) -> None:
        raise ValueError("no account")

    return Choreography(name, orders, payments, stock, mail, points)


async def told(app: App, correlation_id: str) -> list[Fate]:
    """The fates of an instance, once nothing more is to be done."""
    await app.idle()
    await app.world.sleep(1.0)
    return await app.record.fates_of(correlation_id)


def brief(found: Sequence[Fate]) -> dict[str, list[str]]:
    states: dict[str, list[str]] = {}
    for fate in sorted(found, key=lambda one: (one.at, one.attempt)):
        states.setdefault(fate.reaction, []).append(f"{fate.state} {fate.attempt}")
    return states


EVERY = {
    "orders.place": ["done 1", "duplicate 1"],
    "payments.charge": ["parked 1", "parked 2", "exhausted 3"],
    "stock.reserve": ["skipped 1"],
    "mail.welcome": ["parked 1", "done 2"],
    "points.credit": ["parked 1", "dead 2"],
}
ALL = 9
"""Without the duplicate."""


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_every_fate_of_an_order_reaches_the_record(kind: str, world: VirtualWorld, tmp_path: Path) -> None:
    """Where the record is a database, nobody has to ask for it."""
    broker = "memory://" if kind == "memory" else f"sqlite:///{tmp_path}/broker.db"
    record, observe = ("memory://", ["fates"]) if kind == "memory" else (f"sqlite:///{tmp_path}/record.db", None)
    async with farandole.open(
        shop(), broker=broker, database="sqlite://", record=record, world=world, options=Options(), observe=observe
    ) as app:
        receipt = await app.send(Place(order_id="4711"), idempotency_key="one")
        await app.send(Place(order_id="4711"), idempotency_key="one")
        with pytest.raises(CommandRefused):
            await app.send(Place(order_id="wrong"), correlation_id="refused")
        found = await told(app, receipt.correlation_id)
        assert brief(found) == EVERY
        (refused,) = await app.record.fates_of("refused")
        assert (refused.state, refused.error, refused.reason) == ("refused", "Reject", "no such order")
        (first, _) = (fate for fate in found if fate.reaction == "mail.welcome")
        assert (first.reason, first.error) == ("OSError: no answer for ***", "OSError")
        assert first.due is not None and first.due > first.at > 0 and first.seconds is not None
        assert first.place.rpartition(":")[0] == __file__


async def test_fates_travel_as_cloud_events_many_in_one_and_none_too_large(world: VirtualWorld) -> None:
    broker, listener = FlakyBroker(world), Fates()
    async with _open(broker, world, listener):
        listener.ran([Run(reaction="a.b", id=str(number), state="done", at=1.0) for number in range(1200)])
        await world.sleep(1.0)
        listener.ran([Run(reaction="a.b", id=str(number), state="dead", at=2.0, reason="x" * 2000) for number in range(250)])
        await world.sleep(1.0)
    log = await log_of(broker, fates_topic("shop"))
    assert {(event.type, event.source) for event in log} == {(TYPE, "/shop")}
    told = [read_fates(encode(event))[0] for event in log]
    assert sorted(len(some) for some in told if some[0].state == "done") == [200, 500, 500]
    assert sorted(int(one.id) for some in told for one in some if one.state == "dead") == list(range(250))
    assert max(len(encode(event)) for event in log) < fates.LARGE + 1000


@asynccontextmanager
async def _open(broker: FlakyBroker, world: World, listener: Fates | None = None) -> AsyncIterator[App]:
    await broker.open()
    async with farandole.open(
        shop(),
        broker=broker,
        database="sqlite://",
        record="memory://",
        world=world,
        options=Options(),
        observe=["fates"] if listener is None else [listener],
    ) as app:
        yield app


async def test_fates_wait_for_a_broker_that_is_away_and_nothing_else_waits_for_them(world: VirtualWorld) -> None:
    broker, listener = FlakyBroker(world), Fates()
    broker.refuses = lambda message: PublishResult("the broker is full") if message.type == TYPE else None
    async with _open(broker, world, listener) as app:
        receipt = await app.send(Place(order_id="4711"))
        assert await told(app, receipt.correlation_id) == []
        broker.refuses = lambda message: None
        await world.sleep(11.0)
        assert len(await app.record.fates_of(receipt.correlation_id)) == ALL
    assert listener.dropped == 0


async def test_a_broker_that_breaks_while_fates_are_published_gets_them_later(world: VirtualWorld) -> None:
    broker, listener = FlakyBroker(world), Fates()
    async with _open(broker, world, listener) as app:
        receipt = await app.send(Place(order_id="4711"))
        await app.idle()
        broker.down = True
        await world.sleep(5.0)
        broker.down = False
        assert len(await told(app, receipt.correlation_id)) == ALL


async def test_too_many_fates_push_out_the_oldest_and_are_counted(world: VirtualWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fates, "ROOM", 1000)
    broker, listener = FlakyBroker(world), Fates()
    broker.refuses = lambda message: PublishResult("the broker is full") if message.type == TYPE else None
    async with _open(broker, world, listener) as app:
        receipt = await app.send(Place(order_id="4711"))
        await app.idle()
        dropped = listener.dropped
        assert 0 < dropped < ALL
        broker.refuses = lambda message: None
        await world.sleep(11.0)
        found = await app.record.fates_of(receipt.correlation_id)
        assert len(found) == ALL - dropped
        assert "orders.place" not in brief(found) and "exhausted 3" in brief(found)["payments.charge"]


async def test_what_the_broker_refuses_for_good_is_counted_and_not_tried_again(world: VirtualWorld) -> None:
    broker, listener = FlakyBroker(world), Fates()
    broker.refuses = lambda message: PublishResult("too large", permanent=True) if message.type == TYPE else None
    async with _open(broker, world, listener) as app:
        receipt = await app.send(Place(order_id="4711"))
        assert await told(app, receipt.correlation_id) == []
        assert listener.dropped == ALL


async def test_closing_delivers_what_is_in_hand_and_gives_up_on_a_broker_that_is_away(world: VirtualWorld) -> None:
    broker, listener = FlakyBroker(world), Fates()
    async with _open(broker, world, listener) as app:
        await app.send(Place(order_id="4711"))
        await app.idle()
    assert listener.dropped == 0 and await log_of(broker, fates_topic("shop"))
    broker, listener = FlakyBroker(world), Fates()
    broker.refuses = lambda message: PublishResult("the broker is full") if message.type == TYPE else None
    async with _open(broker, world, listener) as app:
        await app.send(Place(order_id="4711"))
        await app.idle()
        closing = world.monotonic()
    assert world.monotonic() - closing < 10
    assert listener.dropped == ALL


async def test_a_broker_that_never_answers_holds_up_closing_for_seconds_only(world: VirtualWorld) -> None:
    class Silent(FlakyBroker):
        async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
            if batch[0].type == TYPE:
                await asyncio.Event().wait()
            return await super().publish(batch)

    listener = Fates()
    async with _open(Silent(world), world, listener) as app:
        await app.send(Place(order_id="4711"))
        await app.idle()
        closing = world.monotonic()
    assert world.monotonic() - closing < 10
    assert listener.dropped == ALL


# --- what others write on the topic


def message(rows: Any, type: str = TYPE) -> bytes:
    return encode(Envelope(specversion="1.0", id="m", source="/shop", type=type, data=msgspec.Raw(encode({"rows": rows}))))


GOOD = ["e1", "c1", "payments.charge", "done", 1, 5.0]


@pytest.mark.parametrize(
    "row",
    [
        [],
        "text",
        {"id": "e1"},
        [1, "c", "r", "done"],
        ["e", "c", "r", "eaten"],
        ["", "c", "r", "done"],
        ["e" * 401, "c", "r", "done"],
        ["e", "c", "r", "done", 1, 1e300],
        ["e", "c", "r", "done", -1, 5.0],
        ["e", "c", "r", "done", 1, 5.0, None, 2**40],
        ["e", "c", "r", "done", 1, 5.0, None, 0, None, "r" * 5000],
    ],
)
def test_a_row_that_is_no_fate_costs_no_other(row: Any) -> None:
    found, strange = read_fates(message([GOOD, row, GOOD]))
    assert [fate.id for fate in found] == ["e1", "e1"]
    assert strange == 1


def test_a_row_that_is_no_unicode_costs_no_other() -> None:
    body = message([GOOD, ["X", "c", "r", "done"]]).replace(b'"X"', b'"\xed\xb0\x80"')
    assert read_fates(body) == ([Fate(id="e1", correlation_id="c1", reaction="payments.charge", state="done", at=5.0)], 1)


def test_a_row_of_a_newer_version_may_be_longer() -> None:
    (fate,), strange = read_fates(message([[*GOOD, 0.5, 1, 9.0, "why", "OSError", "a.py:1", "new", {}]]))
    assert (fate.reason, fate.place, strange) == ("why", "a.py:1", 0)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[" * 5000, message([], "shop.Paid.v1"), message("no rows")])
def test_what_is_no_message_of_fates_is_refused(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        read_fates(body)


async def test_rubbish_on_the_topic_is_told_of_and_keeps_nothing_from_being_recorded(world: VirtualWorld) -> None:
    broker, heard = FlakyBroker(world), Fates()
    async with _open(broker, world, heard) as app:
        for body in (b"\xff\xfe", message([], "shop.Paid.v1"), message([["e", "c", "r", "eaten"]])):
            await publish_raw(broker, body, topic=fates_topic("shop"))
        receipt = await app.send(Place(order_id="4711"))
        assert len(await told(app, receipt.correlation_id)) == ALL
        assert app.counters["trouble"] == 3


async def test_a_fate_with_text_that_is_no_unicode_is_told_all_the_same(world: VirtualWorld) -> None:
    listener, broker = Fates(), FlakyBroker(world)
    async with _open(broker, world, listener):
        listener.ran([Run(reaction="shop.(envelope)", id="a\ud800", state="dead", at=5.0, reason="\udfff")])
        await world.sleep(1.0)
    (event,) = await log_of(broker, fates_topic("shop"))
    ((fate,), _) = read_fates(encode(event))
    assert (fate.id, fate.correlation_id, fate.reason) == ("a?", "a?", "?")


# --- who hears them


async def test_without_listeners_nobody_publishes_or_asks_for_the_topic(world: VirtualWorld) -> None:
    heard = Heard()
    async with farandole.open(
        shop(), broker="memory://", database="sqlite://", record="memory://", world=world, options=Options(), signals=heard
    ) as app:
        receipt = await app.send(Place(order_id="4711"))
        assert await told(app, receipt.correlation_id) == []
        assert app._recorder is not None
        assert app._recorder._subscription.topics == ("shop.orders",)


@pytest.mark.parametrize(
    ("record", "shared"),
    [
        (None, False),
        ("none", False),
        ("memory://", False),
        ("sqlite://", False),
        ("sqlite:///record.db", True),
        ("postgresql://somewhere/records", True),
        (MemoryRecord(Reading(Wire(shop()))), False),
    ],
)
def test_a_record_that_all_share_hears_fates_by_default(record: Any, shared: bool) -> None:
    assert by_default(record) == (("fates",) if shared else ())


async def test_who_wants_no_fates_says_so(world: VirtualWorld, tmp_path: Path) -> None:
    async with farandole.open(
        shop(),
        broker="memory://",
        database="sqlite://",
        record=f"sqlite:///{tmp_path}/record.db",
        world=world,
        options=Options(),
        observe=[],
    ) as app:
        receipt = await app.send(Place(order_id="4711"))
        assert await told(app, receipt.correlation_id) == []
        assert len(await app.record.events_of(receipt.correlation_id)) == 2


@pytest.mark.servers
@pytest.mark.real_time
@pytest.mark.parametrize("kind", ["nats", "kafka", "rabbitmq", "redis", "postgres"])
async def test_the_topic_is_one_that_every_server_takes(kind: str) -> None:
    url = server(kind)
    name = f"shop-{World().token()}"
    async with farandole.open(
        shop(name), broker=url, database="sqlite://", record="memory://", options=Options(), observe=["fates"]
    ) as app:
        receipt = await app.send(Place(order_id="4711"), idempotency_key="one")
        await app.send(Place(order_id="4711"), idempotency_key="one")
        async with asyncio.timeout(30):
            while len(found := await app.record.fates_of(receipt.correlation_id)) < ALL + 1:
                await app.world.sleep(0.05)
        assert brief(found) == EVERY


def test_the_reading_and_the_writing_of_a_fate_agree() -> None:
    assert rows._Row.__struct_fields__ == Fate.__struct_fields__
    run = Run(reaction="a.b", id="i", state="done", at=1.0)
    assert read_fates(message([msgspec.json.decode(rows.row_of(run))]))[0] == [
        Fate(id="i", correlation_id="i", reaction="a.b", state="done", at=1.0)
    ]
    assert decode(message([])).type == TYPE
