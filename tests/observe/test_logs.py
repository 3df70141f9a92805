"""Logs: a line per event and reaction, readable as it is, harmless whatever strangers write, and no flood where much fails."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
import pytest
from tests.runtime.faults import FlakyBroker
from tests.runtime.kit import publish_raw

import farandole
from farandole import (
    App,
    Choreography,
    Command,
    Context,
    CorrelationFilter,
    Event,
    Policy,
    Reject,
    Retry,
    Sensitive,
    Service,
    Skip,
    World,
)
from farandole.errors import CommandRefused, StoreError
from farandole.host import Options
from farandole.model.envelope import Envelope, encode
from farandole.observe import logs
from farandole.observe.lines import JsonLines, TextLines, writing
from farandole.observe.logs import Logs
from farandole.runtime.signals import Run
from farandole.testing.virtual import VirtualWorld

say = logging.getLogger("shop.payments")


class Placed(Event, key="order_id", topic="orders"):
    order_id: str


class Joined(Event, key="email", topic="members"):
    email: Annotated[str, Sensitive]


class Paid(Event, key="order_id", topic="payments"):
    order_id: str


class Place(Command):
    order_id: str


class Join(Command):
    email: Annotated[str, Sensitive]


Handle = Callable[[Placed, Context], Any]


class Gateway:
    pass


def shop(handle: Handle | None = None, *, outside: bool = False, plain: bool = False, attempts: int = 2) -> Choreography:
    """Two services; what the handler of the second does is given."""
    orders, payments = Service("orders"), Service("payments")
    if outside:
        payments.provide(Gateway, Gateway())

    @orders.command
    async def place(command: Place) -> Placed:
        if command.order_id == "wrong":
            raise Reject("no such order")
        return Placed(order_id=command.order_id)

    @orders.command
    async def join(command: Join) -> Joined:
        return Joined(email=command.email)

    policy = Policy(retry=Retry(attempts=attempts, delay=1.0, jitter=0.0))
    if plain:

        @payments.on(Placed, policy=policy)
        def charge(order: Placed, context: Context) -> Paid | None:
            return handle(order, context) if handle else Paid(order_id=order.order_id)

    elif outside:

        @payments.on(Placed, policy=policy)
        async def charge(order: Placed, gateway: Gateway, context: Context) -> Paid | None:
            return await handle(order, context) if handle else Paid(order_id=order.order_id)

    else:

        @payments.on(Placed, policy=policy)
        async def charge(order: Placed, context: Context) -> Paid | None:
            return handle(order, context) if handle else Paid(order_id=order.order_id)

    return Choreography("shop", orders, payments)


@asynccontextmanager
async def opened(
    choreography: Choreography, world: World, broker: Any = "memory://", listener: Any = "logs"
) -> AsyncIterator[App]:
    async with farandole.open(
        choreography, broker=broker, database="sqlite://", record="none", world=world, options=Options(), observe=[listener]
    ) as app:
        yield app


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO):
        caplog.handler.addFilter(correlation := CorrelationFilter())
        yield caplog
        caplog.handler.removeFilter(correlation)


def lines(heard: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [record.getMessage() for record in heard.records if record.levelno >= level and record.name.startswith("farandole")]


def fails(error: Exception) -> Handle:
    def handle(order: Placed, context: Context) -> Any:
        raise error

    return handle


# --- one line per event


async def test_each_event_is_told_of_when_it_is_published_and_where_it_is_handled(
    world: VirtualWorld, heard: pytest.LogCaptureFixture
) -> None:
    async with opened(shop(), world) as app:
        receipt = await app.send(Place(order_id="4711"))
        await app.idle()
    placed, instance = receipt.event_ids[0], receipt.correlation_id
    (paid,) = (record.event_id for record in heard.records if getattr(record, "event_type", "") == "shop.Paid.v1")  # type: ignore[attr-defined]
    assert lines(heard) == [
        f"orders.place: done, shop.Place.v1 {instance} (instance {instance}), 0.0 ms",
        f"orders: published shop.Placed.v1 {placed} (key 4711, instance {instance})",
        f"payments.charge: done, shop.Placed.v1 {placed} (key 4711, instance {instance}), 0.0 ms",
        f"payments: published shop.Paid.v1 {paid} (key 4711, instance {instance})",
    ]
    record = heard.records[2]
    known = ("event_id", "event_type", "event_source", "correlation_id", "causation_id", "event_key", "reaction", "service")
    assert [getattr(record, name) for name in known] == [
        placed, "shop.Placed.v1", "/shop/orders", instance, instance, "4711", "payments.charge", "payments",
    ]  # fmt: skip
    assert {name: getattr(record, name) for name in ("state", "attempt", "emitted", "action")} == {
        "state": "done",
        "attempt": 1,
        "emitted": 1,
        "action": "consumed",
    }


async def test_a_failure_is_a_warning_and_a_dead_letter_an_error_with_reason_and_place(
    world: VirtualWorld, heard: pytest.LogCaptureFixture
) -> None:
    async with opened(shop(fails(OSError("no answer"))), world) as app:
        receipt = await app.send(Place(order_id="4711"))
        await app.idle()
    about = f"shop.Placed.v1 {receipt.event_ids[0]} (key 4711, instance {receipt.correlation_id})"
    warning, error = lines(heard, logging.WARNING)
    assert warning.startswith(f"payments.charge: failed, {about}, 0.0 ms, again in 1.0 s: OSError: no answer ({__file__}:")
    assert error.startswith(f"payments.charge: dead, {about}, attempt 2, 0.0 ms: OSError: no answer ({__file__}:")
    dead = heard.records[-1]
    assert (dead.levelname, dead.state, dead.error_type, dead.reason) == ("ERROR", "dead", "OSError", "OSError: no answer")  # type: ignore[attr-defined]


async def test_what_is_skipped_known_or_refused_is_told_of_as_that(world: VirtualWorld, heard: pytest.LogCaptureFixture) -> None:
    async with opened(shop(fails(Skip("paid in cash"))), world) as app:
        await app.send(Place(order_id="4711"), idempotency_key="one")
        await app.send(Place(order_id="4711"), idempotency_key="one")
        with pytest.raises(CommandRefused):
            await app.send(Place(order_id="wrong"))
        await app.idle()
    told = [(line.split(",")[0], line.rpartition(": ")[2].partition(" (")[0]) for line in lines(heard)]
    assert ("payments.charge: skipped", "paid in cash") in told
    assert ("orders.place: refused", "no such order") in told
    assert any(first == "orders.place: known already" for first, _ in told)
    assert lines(heard, logging.WARNING) == [line for line in lines(heard) if "refused" in line]


async def test_a_key_that_is_sensitive_or_of_a_class_that_nobody_knows_is_not_told(
    world: VirtualWorld, heard: pytest.LogCaptureFixture
) -> None:
    broker = FlakyBroker(world)
    await broker.open()
    async with opened(shop(), world, broker) as app:
        await app.send(Join(email="someone@example.com"))
        foreign = Envelope(specversion="1.0", id="x", source="/far", type="shop.Stolen.v1", partitionkey="secret-key")
        await publish_raw(broker, encode(foreign), id="x", type="shop.Stolen.v1")
        await app.idle()
    assert len(lines(heard)) == 3
    text = heard.text + repr([vars(record) for record in heard.records])
    assert "someone@example.com" not in text and "secret-key" not in text
    assert "shop.(envelope)" in text or "payments.(envelope)" in text


async def test_nothing_is_done_for_lines_that_nobody_wants(world: VirtualWorld, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with opened(shop(fails(OSError("no answer"))), world) as app:
            await app.send(Place(order_id="4711"))
            await app.idle()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_troubles_are_told_by_their_first_line_and_breakers_when_they_open(
    world: VirtualWorld, heard: pytest.LogCaptureFixture
) -> None:
    listener = Logs()
    async with opened(shop(), world, listener=listener) as app:
        listener.trouble("payments relay", StoreError("refused: unique\nDETAIL: Key (email)=(someone@example.com)\x1b[2J"))
        listener.trouble("payments relay", StoreError("x" * 5000))
        listener.breaker("payments", "Gateway", "open", 1.0)
        listener.breaker("payments", "Gateway", "closed", 0.0)
        assert app.services
    assert [(record.levelname, record.name) for record in heard.records] == [
        ("WARNING", "farandole.runtime"), ("WARNING", "farandole.runtime"), ("WARNING", "farandole.runtime"), ("INFO", "farandole.runtime"),
    ]  # fmt: skip
    first, long, opens, closes = lines(heard)
    assert first == "payments relay: trouble, and it is tried again: StoreError: refused: unique"
    assert len(long) < 600
    assert (opens, closes) == ("payments: the breaker of Gateway is open now", "payments: the breaker of Gateway is closed now")


# --- what strangers write


async def test_what_a_stranger_writes_makes_no_lines_and_steers_no_terminal(
    world: VirtualWorld, heard: pytest.LogCaptureFixture
) -> None:
    bad = "a\nINFO forged: all is well\x1b[2J\u202e"
    broker = FlakyBroker(world)
    await broker.open()

    def handle(order: Placed, context: Context) -> None:
        say.info("mine")
        raise ValueError(order.order_id)

    async with opened(shop(handle, attempts=1), world, broker) as app:
        envelope = Envelope(
            specversion="1.0", id=bad, source=bad, type="shop.Placed.v1", correlationid=bad, causationid=bad, partitionkey=bad + "k",
            traceparent=f"00-{bad}-b-01", data=msgspec.Raw(encode({"order_id": bad})),
        )  # fmt: skip
        await publish_raw(broker, encode(envelope), type="shop.Placed.v1")
        await publish_raw(broker, b"\xff\n", id=bad, key=bad, type="shop.Placed.v1")
        await app.idle()
    assert {record.levelname for record in heard.records} == {"INFO", "ERROR"}
    for record in heard.records:
        if record.name == "shop.payments":
            assert TextLines().format(record).isprintable()
        else:
            assert TextLines().format(record).isprintable()
            assert all(
                str(getattr(record, name, "")).isprintable() for name in ("event_id", "correlation_id", "reason", "event_key")
            )
        assert "\\n" not in JsonLines().format(record) and JsonLines().format(record).isprintable()
    assert sum(record.name == "shop.payments" for record in heard.records) == 1


# --- storms


async def test_a_storm_of_one_failure_is_told_of_in_few_lines(world: VirtualWorld, heard: pytest.LogCaptureFixture) -> None:
    async with opened(shop(fails(OSError("no answer")), attempts=1), world) as app:
        for number in range(40):
            await app.send(Place(order_id=str(number)))
        await app.idle()
        assert len(lines(heard, logging.ERROR)) == logs.BURST
        await world.sleep(logs.WINDOW)
        assert lines(heard, logging.ERROR)[-1] == "payments.charge: dead 35 more times, with OSError, within 10 s"
        assert heard.records[-1].count == 35  # type: ignore[attr-defined]
        await world.sleep(10 * logs.WINDOW)
        assert len(lines(heard, logging.ERROR)) == logs.BURST + 1
        await app.send(Place(order_id="later"))
        await app.idle()
        assert "(key later, " in lines(heard, logging.ERROR)[-1]


async def test_what_was_not_told_of_a_storm_is_told_when_the_app_closes(
    world: VirtualWorld, heard: pytest.LogCaptureFixture
) -> None:
    async with opened(shop(fails(OSError("no answer")), attempts=1), world) as app:
        for number in range(7):
            await app.send(Place(order_id=str(number)))
        await app.idle()
    assert lines(heard, logging.ERROR)[-1] == "payments.charge: dead 2 more times, with OSError, within 10 s"


async def test_another_failure_is_told_of_in_the_midst_of_a_storm(heard: pytest.LogCaptureFixture) -> None:
    listener = Logs()
    listener.ran([Run(reaction="a.b", id="1", state="dead", reason="r", error="OSError")] * 100)
    listener.ran([Run(reaction="a.b", id="2", state="dead", reason="r", error="KeyError")])
    listener.ran([Run(reaction="a.c", id="3", state="parked", reason="r", error="OSError")])
    assert len(lines(heard)) == logs.BURST + 2


# --- the user's own lines


async def settled(app: App) -> tuple[str, str]:
    receipt = await app.send(Place(order_id="4711"))
    await app.idle()
    return receipt.correlation_id, receipt.event_ids[0]


def ids(record: Any) -> tuple[str, str, str]:
    return record.correlation_id, record.event_id, record.reaction


def mine(heard: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [ids(record) for record in heard.records if record.name == "shop.payments"]


async def test_lines_of_a_handler_say_for_which_event_it_runs(world: VirtualWorld, heard: pytest.LogCaptureFixture) -> None:
    def handle(order: Placed, context: Context) -> None:
        say.info("charging")

    async with opened(shop(handle), world) as app:
        say.info("before")
        found = await settled(app)
        say.info("after")
    assert mine(heard) == [("", "", ""), (*found, "payments.charge"), ("", "", "")]


async def test_tasks_that_a_handler_starts_say_so_too(world: VirtualWorld, heard: pytest.LogCaptureFixture) -> None:
    async def step() -> None:
        await asyncio.sleep(0)
        say.info("in a task")

    async def handle(order: Placed, context: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(step())
            group.create_task(step())
        raise Skip("enough")

    async with opened(shop(handle, outside=True), world) as app:
        found = await settled(app)
    assert mine(heard) == [(*found, "payments.charge")] * 2


@pytest.mark.real_time
async def test_a_plain_function_in_its_thread_says_so_too_and_the_thread_forgets(heard: pytest.LogCaptureFixture) -> None:
    threads: list[threading.Thread] = []

    def handle(order: Placed, context: Context) -> None:
        threads.append(threading.current_thread())
        say.info("charging")

    async with opened(shop(handle, plain=True), World()) as app:
        found = await settled(app)
        hosted = app._assembly.hosted["payments"]
        await asyncio.get_running_loop().run_in_executor(hosted.outside._threads, say.info, "later in the same pool")
    assert threads[0] is not threading.current_thread()
    assert mine(heard)[0] == (*found, "payments.charge")
    assert mine(heard)[-1] == ("", "", "")


async def test_after_a_handler_that_raised_nothing_is_left(world: VirtualWorld, heard: pytest.LogCaptureFixture) -> None:
    async with opened(shop(fails(OSError("no")), attempts=1), world) as app:
        await settled(app)
        say.info("after")
    assert mine(heard) == [("", "", "")]


async def test_an_extra_of_the_users_own_wins(world: VirtualWorld, heard: pytest.LogCaptureFixture) -> None:
    def handle(order: Placed, context: Context) -> None:
        say.info("charging", extra={"correlation_id": "my own"})

    async with opened(shop(handle), world) as app:
        _, event = await settled(app)
    assert mine(heard) == [("my own", event, "payments.charge")]


async def test_any_listener_is_enough_for_that(world: VirtualWorld, heard: pytest.LogCaptureFixture) -> None:
    def handle(order: Placed, context: Context) -> None:
        say.info("charging")

    async with opened(shop(handle), world, listener="fates") as app:
        found = await settled(app)
    assert mine(heard) == [(*found, "payments.charge")]


# --- lines


class Loose(Event):
    password: Annotated[str, Sensitive]


def record(**extra: Any) -> logging.LogRecord:
    made = say.makeRecord("shop.payments", logging.INFO, "a.py", 1, "said %s", ("it",), None, extra=extra)
    made.created = 1_800_000_000.5
    return made


def test_a_line_of_json_has_the_names_of_the_elastic_common_schema() -> None:
    extra = {
        "correlation_id": "c",
        "state": "dead",
        "milliseconds": 1.5,
        "reason": "r",
        "error_type": "OSError",
        "mine": 1,
        "service": "s",
    }
    assert json.loads(JsonLines().format(record(**extra))) == {
        "@timestamp": "2027-01-15T08:00:00.500Z",
        "log.level": "info",
        "message": "said it",
        "ecs.version": "8.11.0",
        "log.logger": "shop.payments",
        "farandole.correlation_id": "c",
        "farandole.state": "dead",
        "event.duration": 1_500_000,
        "event.outcome": "failure",
        "error.message": "r",
        "error.type": "OSError",
        "service.name": "s",
        "mine": 1,
    }


def test_what_json_cannot_hold_is_written_as_text_and_events_hide_what_is_sensitive() -> None:
    line = json.loads(JsonLines().format(record(one=Loose(password="hunter22"), many=[Loose(password="hunter22")], odd="\ud800")))
    assert line["one"] == "Loose(password='***')" and line["many"] == "[Loose(password='***')]"
    assert line["odd"] == "\\ud800"


def test_a_traceback_is_one_field_of_json_and_lines_of_text() -> None:
    try:
        raise OSError("no answer")
    except OSError as error:
        made = record()
        made.exc_info = (type(error), error, error.__traceback__)
    line = json.loads(JsonLines().format(made))
    assert (line["error.type"], line["error.message"]) == ("OSError", "no answer")
    assert line["error.stack_trace"].startswith("Traceback")
    assert TextLines().format(made).splitlines()[0] == "2027-01-15T08:00:00.500Z INFO    shop.payments: said it"
    assert TextLines().format(made).splitlines()[-1] == "OSError: no answer"


def test_a_line_of_text_says_whose_it_is_where_a_handler_wrote_it() -> None:
    made = record(reaction="payments.charge", correlation_id="c")
    assert TextLines().format(made).endswith("said it  [payments.charge c]")


def test_nothing_is_set_up_but_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with writing("off"):
        assert root.handlers == before
    with writing("json"):
        say.info("it is on")
        say.debug("and this is not")
    assert (root.handlers, root.level) == (before, level)
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["it is on"]
