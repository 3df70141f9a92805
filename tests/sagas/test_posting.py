"""What handlers post into their own service: commands, and what is due later; local and outside handlers, on both stores."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.sagas.kit import MINUTE, Paid, Placed, Reserved, desk

from farandole import Choreography, Command, Context, Event, Later, Policy, Reject, Retry, Service, host
from farandole.brokers.memory import connect
from farandole.errors import EmissionError
from farandole.testing.virtual import VirtualWorld

SOON = Policy(retry=Retry(attempts=3, delay=10, factor=1, jitter=0))
BOTH = pytest.mark.parametrize("outside", [False, True], ids=["local", "outside"])


class ReminderDue(Event, key="order"):
    order: str


class Counted(Event, key="order"):
    order: str
    number: int


class Count(Command):
    order: str
    number: int


class Remind(Command):
    order: str


def stored(*, outside: bool = False, counts: list[int] | None = None, fails: int = 0) -> tuple[Service, list[Any]]:
    """Placed is followed by a reminder a minute later, Paid by two counts; and when something ran."""
    service, seen = Service("orders", policy=SOON), []
    policy = Policy(outside=outside)

    @service.on(Placed, policy=policy)
    async def remind(event: Placed) -> Later[ReminderDue]:
        return Later(ReminderDue(order=event.order), after=MINUTE)

    @service.on(Paid, policy=policy)
    async def order_counts(event: Paid) -> list[Count]:
        return [Count(order=event.order, number=number) for number in counts or [1, 2]]

    @service.on(Reserved, policy=policy)
    async def command_later(event: Reserved) -> Later[Count]:
        return Later(Count(order=event.order, number=7), after=60)

    @service.command
    async def count(command: Count, context: Context) -> Counted:
        seen.append((command.number, context.attempt))
        if command.number == 1 and len(seen) <= fails:
            raise ValueError("away")
        if command.number < 0:
            raise Reject("less than nothing")
        return Counted(order=command.order, number=command.number)

    return service, seen


@BOTH
async def test_an_event_for_later_is_published_once_when_it_is_due(world: VirtualWorld, database: str, outside: bool) -> None:
    service, _ = stored(outside=outside)
    async with desk(service, world, database) as it:
        start = world.time()
        [placed] = await it.say(Placed(order="a"), copies=3)
        await it.settle()
        assert await it.heard() == []
        await it.app.idle()
        [due] = await it.heard()
        assert (due.type, due.causes, due.correlationid, due.partitionkey) == ("shop.ReminderDue.v1", (placed,), "c-a", "a")
        assert due.time is not None
        assert 60 <= due.time.timestamp() - start <= 63
        assert 60 <= world.time() - start <= 70
        assert await it.dead() == []


@BOTH
async def test_a_command_runs_in_its_handler_with_the_causes_of_its_event(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service, seen = stored(outside=outside)
    async with desk(service, world, database) as it:
        [paid] = await it.say(Paid(order="a"), copies=2)
        await it.app.idle()
        assert seen == [(1, 1), (2, 1)]
        first, second = await it.heard()
        assert (first.type, first.correlationid, first.depth) == ("shop.Counted.v1", "c-a", 3)  # Paid has depth 1
        assert first.causes == second.causes == (paid,)  # the commands did not travel: nobody would find them
        assert first.id != second.id


async def test_commands_of_one_key_stay_in_order_behind_one_that_is_retried(world: VirtualWorld, database: str) -> None:
    service, seen = stored(fails=2)
    async with desk(service, world, database) as it:
        await it.say(Paid(order="a"))
        await it.app.idle()
        assert seen == [(1, 1), (1, 2), (1, 3), (2, 1)]
        assert [bytes(envelope.data) for envelope in await it.heard()] == [
            b'{"order":"a","number":1}',
            b'{"order":"a","number":2}',
        ]


async def test_a_command_that_is_rejected_is_a_dead_letter_of_its_handler_and_can_be_retried(
    world: VirtualWorld, database: str
) -> None:
    service, _ = stored(counts=[-1])
    async with desk(service, world, database) as it:
        await it.say(Paid(order="a"))
        await it.app.idle()
        assert await it.dead() == ["less than nothing"]
        [letter] = await it.letters()
        assert (letter.reaction, letter.key, letter.topic) == ("orders.count", "a", "(command)")
        await it.app.store("orders").retry_dead([letter])
        await it.app.idle()
        assert await it.dead() == ["less than nothing"]


@BOTH
async def test_a_command_for_later_runs_when_it_is_due(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = stored(outside=outside)
    async with desk(service, world, database) as it:
        start = world.time()
        await it.say(Reserved(order="a"))
        await it.settle()
        assert seen == []
        await it.app.idle()
        assert seen == [(7, 1)]
        assert world.time() - start >= 60


async def test_what_is_due_later_survives_a_restart(world: VirtualWorld, tmp_path: Path) -> None:
    service, seen = stored()
    broker = connect("memory://?partitions=4", world)
    await broker.open()
    database = f"sqlite:///{tmp_path}/orders.db"
    async with desk(service, world, database, broker) as it:
        await it.say(Placed(order="a"), Reserved(order="b"))
        await it.settle()
    await world.sleep(600)
    async with desk(service, world, database, broker) as it:
        await it.app.idle()
        assert sorted(envelope.type for envelope in await it.heard()) == ["shop.Counted.v1", "shop.ReminderDue.v1"]
        assert seen == [(7, 1)]
    await broker.close()


async def test_what_is_due_waits_for_a_database_that_refuses_it(world: VirtualWorld, tmp_path: Path) -> None:
    service, _ = stored()
    async with desk(service, world, f"sqlite:///{tmp_path}/orders.db") as it:
        await it.say(Placed(order="a"))
        await it.settle()
        with closing(sqlite3.connect(tmp_path / "orders.db", isolation_level=None)) as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON farandole_outbox BEGIN SELECT RAISE(ABORT, 'no room'); END")
            await world.sleep(120)
            [waiting] = await it.app.store("orders").fates([row_id(other)])
            assert (waiting.state, "no room" in (waiting.reason or ""), waiting.attempts > 3) == ("parked", True, True)
            other.execute("DROP TRIGGER full")
        await it.app.idle()
        assert [envelope.type for envelope in await it.heard()] == ["shop.ReminderDue.v1"]


def row_id(connection: sqlite3.Connection) -> str:
    [(id,)] = connection.execute("SELECT id FROM farandole_inbox WHERE reaction = 'orders.(later)'").fetchall()
    return str(id)


async def test_a_command_that_was_due_when_nobody_handles_it_any_more_is_a_dead_letter_that_says_so(
    world: VirtualWorld, tmp_path: Path
) -> None:
    broker = connect("memory://?partitions=4", world)
    await broker.open()
    database = f"sqlite:///{tmp_path}/orders.db"
    service, seen = stored()
    async with desk(service, world, database, broker) as it:
        await it.say(Reserved(order="b"))
        await it.settle()
    other = Service("orders")

    @other.on(Placed)
    async def nothing(event: Placed) -> None: ...

    async with desk(other, world, database, broker) as it:
        await it.app.idle()
        [reason] = await it.dead()
        assert reason.startswith("EnvelopeError: shop.Count.v1 is due, but this service handles it no more.")
    async with desk(service, world, database, broker) as it:
        await it.app.store("orders").retry_dead(await it.letters())
        await it.app.idle()
        assert seen == [(7, 1)]
    await broker.close()


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (lambda now: Later(ReminderDue(order="a"), at=now - timedelta(seconds=1)), "is past; it is "),
        (lambda now: Later(ReminderDue(order="a"), after=-1), "expected after to be a timedelta or seconds, not negative"),
        (lambda now: Later(ReminderDue(order="a"), after=timedelta.max), "no calendar has a date"),
        (lambda now: Later(ReminderDue(order="a"), at=datetime(2030, 1, 1)), "with a time zone"),  # noqa: DTZ001
        (lambda now: Later(ReminderDue(order=1), after=1), "whose values do not match its types"),  # type: ignore[arg-type]
        (lambda now: Later(Counted(order="a", number=1), after=1), r"returned Later[Counted], which it does not declare"),
        (lambda now: ReminderDue(order="a"), "returned ReminderDue, which it does not declare. It declares: Later[ReminderDue]"),
    ],
)
async def test_what_cannot_be_later_is_a_dead_letter_of_who_returned_it(world: VirtualWorld, later: Any, said: str) -> None:
    service = Service("orders", policy=SOON)

    @service.on(Placed)
    async def remind(event: Placed, context: Context) -> Later[ReminderDue]:
        found: Later[ReminderDue] = later(context.now())
        return found

    @service.on(Paid)
    async def counted(event: Paid) -> Counted | None: ...

    async with desk(service, world) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        [reason] = await it.dead()
        assert said in reason
        assert await it.heard() == []


def test_later_takes_one_time() -> None:
    with pytest.raises(EmissionError, match=r"Later\(ReminderDue\): say after= or at=, one of them"):
        Later(ReminderDue(order="a"))
    with pytest.raises(EmissionError, match="one of them"):
        Later(ReminderDue(order="a"), after=1, at=datetime.now(UTC))
    assert repr(Later(ReminderDue(order="a"), after=MINUTE)) == "Later(ReminderDue(order='a'), after=60 s)"


async def test_at_a_moment_is_that_moment(world: VirtualWorld, database: str) -> None:
    service, moment = Service("orders"), world.now() + timedelta(minutes=2)

    @service.on(Placed)
    async def remind(event: Placed) -> Later[ReminderDue]:
        return Later(ReminderDue(order=event.order), at=moment)

    async with desk(service, world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        [due] = await it.heard()
        assert due.time == moment
        assert world.now() >= moment


async def test_the_door_answers_with_events_and_posts_the_rest(world: VirtualWorld, database: str) -> None:
    service, seen = Service("orders"), []

    @service.command
    async def place(command: Remind) -> tuple[Counted, Count, Later[ReminderDue]]:
        order = command.order
        return Counted(order=order, number=0), Count(order=order, number=1), Later(ReminderDue(order=order), after=60)

    @service.command
    async def count(command: Count) -> None:
        seen.append(command.number)

    async with host.open(Choreography("shop", service), world=world, broker="memory://", database=database) as app:
        receipt = await app.send(Remind(order="a"), idempotency_key="k")
        assert receipt.result == (Counted(order="a", number=0),)
        assert len(receipt.event_ids) == 1
        again = await app.send(Remind(order="a"), idempotency_key="k")
        assert (again.result, again.event_ids, again.repeated) == (receipt.result, receipt.event_ids, True)
        await app.idle()
        assert seen == [1]


def test_an_annotation_says_what_is_later() -> None:
    service, _ = stored()
    remind = service.reactions["remind"]
    assert (remind.emits, remind.signature.delayed, remind.signature.at_once) == ((ReminderDue,), (ReminderDue,), ())
