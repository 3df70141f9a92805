"""The scheduler: retries, exhausted handlers, dead letters read again, and a database that goes away."""

from __future__ import annotations

import asyncio
import sqlite3
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.runtime.faults import refusing
from tests.runtime.kit import Paid, PaymentFailed, Placed, dead_letters, log_of, opened
from tests.runtime.scene import SOON, TOPIC, Counting, publish, running, scene

from farandole.brokers.memory import connect
from farandole.errors import StoreError
from farandole.model.choreography import Choreography
from farandole.model.envelope import Message
from farandole.model.event import Event
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.runtime.context import Context
from farandole.testing.virtual import VirtualWorld


class Gateway:
    """Something outside."""


async def test_retries_come_when_they_are_due_and_are_told(world: VirtualWorld) -> None:
    runs: list[tuple[int, float]] = []
    payments = Service("payments", policy=Policy(retry=Retry(attempts=4, delay=10.0, factor=2.0, jitter=0.5)))

    @payments.on(Placed)
    async def charge(order: Placed, context: Context) -> Paid:
        runs.append((context.attempt, world.monotonic()))
        if len(runs) < 4:
            raise ConnectionError("away")
        return Paid(order_id=order.order_id)

    async with running(world, payments) as (app, broker, heard):
        await publish(broker, "a-1")
        await app.idle()
        assert [attempt for attempt, _ in runs] == [1, 2, 3, 4]
        waits = [later - sooner for (_, sooner), (_, later) in pairwise(runs)]
        for wait, whole in zip(waits, (10.0, 20.0, 40.0), strict=True):
            assert whole / 2 <= wait <= whole + 0.01
        assert len({wait / whole for wait, whole in zip(waits, (10.0, 20.0, 40.0), strict=True)}) == 3  # chance, each time anew
        assert heard.of("retried") == [("local", 1)] * 3
        assert heard.of("failed") == [("payments.charge", "/elsewhere#a-1", "parked", "ConnectionError: away")] * 3
        assert heard.of("handled") == [("local", 1)]
        [paid] = await log_of(broker, "shop.payments")
        assert paid.partitionkey == "a"


async def test_many_that_are_due_share_a_transaction_and_one_that_fails_fails_alone(world: VirtualWorld) -> None:
    counting = Counting(policy=SOON)
    counting.fails = {f"k{n}-{n}" for n in range(30)}
    async with scene(world, counting) as here:
        await here.publish(*(f"k{n}-{n}" for n in range(30)))
        await world.sleep(0.5)
        counting.fails = {"k7-7"}
        await here.app.idle()
        assert len(counting.seen) == 29
        assert ("local", 29) in here.heard.of("handled") and ("local", 30) in here.heard.of("retried")
        [letter] = await dead_letters(here.app, "payments")
        assert (letter.key, letter.attempts, letter.reason) == ("k7", 3, "ConnectionError: k7-7")
        assert sorted(e.partitionkey or "" for e in await log_of(here.broker, "shop.payments")) == sorted(
            f"k{n}" for n in range(30) if n != 7
        )


async def test_what_waits_behind_an_event_that_was_retried_follows_it_in_the_same_transaction(world: VirtualWorld) -> None:
    counting = Counting(policy=SOON)
    counting.fails = {"a-0"}
    async with scene(world, counting) as here:
        await here.publish(*(f"a-{n}" for n in range(250)), "b-0")
        await world.sleep(0.5)
        counting.fails = {"a-120"}
        await here.app.idle()
        rest = [n for n in range(250) if n != 120]
        assert counting.of("a") == [f"a-{n}" for n in rest]
        shares = [count for what, count in here.heard.of("handled") if what == "local"]
        assert sum(shares) == 249
        assert len(shares) <= 7, "at most a hundred in each transaction, and one that fails ends it"
        assert [failure[2] for failure in here.heard.of("failed")] == ["parked", "parked", "parked", "dead"]


async def test_where_a_claimer_died_as_many_run_by_themselves_as_may_have_followed(world: VirtualWorld) -> None:
    counting = Counting(policy=SOON)
    counting.fails = {"a-0"}
    async with scene(world, counting) as here:
        await here.publish(*(f"a-{n}" for n in range(150)))
        await world.sleep(0.5)
        counting.fails = set()
        take = here.store.take
        with refusing(here.store, "take"):
            await world.sleep(3)
            [row] = await take(["payments.charge"], 1, 1.0)
            await world.sleep(3)  # and its claimer is heard of no more
        await here.app.idle()
        assert row.id.endswith("a-0")
        assert counting.of("a") == [f"a-{n}" for n in range(150)]
        assert [count for what, count in here.heard.of("handled") if what == "local"] == [1] * 100 + [50]


async def test_nothing_follows_a_last_run(world: VirtualWorld) -> None:
    counting = Counting(policy=Policy(retry=Retry(attempts=2, delay=1.0, jitter=0.0)))
    counting.fails = {"a-0"}
    async with scene(world, counting) as here:
        await here.publish(*(f"a-{n}" for n in range(10)))
        await world.sleep(0.5)
        counting.fails = set()
        await here.app.idle()
        assert [count for what, count in here.heard.of("handled") if what == "local"] == [1, 9]


async def test_what_follows_and_breaks_the_transaction_is_blamed_and_nobody_else(world: VirtualWorld) -> None:
    payments = Service("payments", tables="CREATE TABLE once (id INTEGER PRIMARY KEY); INSERT INTO once VALUES (1)", policy=SOON)
    runs: list[tuple[int, int]] = []

    @payments.on(Placed)
    async def charge(order: Placed, db: sqlite3.Connection, context: Context) -> Paid:
        runs.append((int(order.total), context.attempt))
        if order.total == 0 and context.attempt == 1:
            raise ConnectionError("away")
        if order.total == 3:
            db.execute("INSERT OR ROLLBACK INTO once VALUES (1)")
        return Paid(order_id=f"{order.total}")

    async with running(world, payments) as (app, broker, _):
        await publish(broker, *(f"a-{n}" for n in range(6)))
        await app.idle()
        assert world.monotonic() < 20, "and nobody waited for a lease to run out"
        [letter] = await dead_letters(app, "payments")
        assert (letter.id, letter.attempts, letter.error) == ("/elsewhere#a-3", 3, "StoreError")
        assert [attempt for total, attempt in runs if total == 3][-3:] == [1, 2, 3]
        assert {attempt for total, attempt in runs if total not in {0, 3}} == {1}
        assert len(runs) == 1 + 4 + 3 + 3 + 2, (
            "once until it breaks, then those before it, then it alone three times, then the rest"
        )
        assert {event.partitionkey for event in await log_of(broker, "shop.payments")} == {*"01245"}


class Base(DeclarativeBase):
    pass


class Charge(Base):
    __tablename__ = "charges"
    order_id: Mapped[str] = mapped_column(primary_key=True)


async def test_a_failure_at_the_flush_after_the_handler_returned_leaves_no_event(world: VirtualWorld) -> None:
    payments = Service("payments", tables=Base.metadata, policy=SOON)

    @payments.on(Placed)
    async def charge(order: Placed, db: AsyncSession) -> Paid:
        db.add(Charge(order_id="the same" if order.total == 3 else f"{order.order_id}-{order.total}"))
        return Paid(order_id=f"{order.order_id}-{order.total}")

    async with running(world, payments) as (app, broker, heard):
        await publish(broker, "a-3", *(f"{key}-{n}" for key in "abc" for n in (1, 2)), "b-3", "b-4", "c-3", "c-4")
        await app.idle()
        letters = await dead_letters(app, "payments")
        assert [(letter.error, letter.attempts) for letter in letters] == [("IntegrityError", 3)] * 2
        paid = [event.partitionkey or "" for event in await log_of(broker, "shop.payments")]
        async with app.store("payments").begin() as transaction:
            rows = transaction.resource("driver").execute("SELECT count(*) FROM charges").fetchone()
        assert len(paid) == len(set(paid)) == rows[0] == 9
        dead = {f"{letter.key}-3" for letter in letters}
        assert {name for name in paid if name.endswith("-3")} == {"a-3", "b-3", "c-3"} - dead
        assert [f for f in heard.of("failed") if f[2] == "dead"] != []


async def test_a_handler_that_rolls_the_whole_transaction_back_takes_no_event_of_others_along(world: VirtualWorld) -> None:
    tables = "CREATE TABLE charged (order_id TEXT PRIMARY KEY); INSERT INTO charged VALUES ('bad')"
    payments = Service("payments", tables=tables, policy=SOON)
    wire: list[tuple[int, int]] = []
    first = True

    @payments.on(Placed)
    async def charge(order: Placed, db: sqlite3.Connection) -> Paid:
        if first:
            raise ConnectionError
        db.execute("INSERT OR ROLLBACK INTO charged VALUES (?)", (order.order_id,))
        return Paid(order_id=order.order_id)

    async with running(world, payments) as (app, broker, _):
        publish_on = broker.publish

        async def watched(batch: Any) -> Any:
            async with app.store("payments").begin() as transaction:
                [rows] = transaction.resource("driver").execute("SELECT count(*) FROM charged WHERE order_id <> 'bad'").fetchone()
            wire.append((rows, len({message.key for message in batch})))
            return await publish_on(batch)

        await publish(broker, "a-1", "bad-1", "z-1")
        await world.sleep(0.5)
        first = False
        broker.publish = watched  # type: ignore[method-assign]
        await app.idle()
        assert wire and all(rows >= keys for rows, keys in wire)  # no event is on the wire without its row
        [letter] = await dead_letters(app, "payments")
        assert (letter.key, letter.attempts, letter.error) == ("bad", 3, "StoreError")
        assert "Leave OR ROLLBACK out" in (letter.reason or "")
        assert {event.partitionkey for event in await log_of(broker, "shop.payments")} == {"a", "z"}


@pytest.mark.parametrize("outside", [False, True])
async def test_a_database_that_goes_away_between_runs_is_asked_again_with_growing_pauses(
    world: VirtualWorld, outside: bool
) -> None:
    counting = Counting(outside=outside, policy=SOON)
    counting.fails = {"a-1"}
    async with scene(world, counting) as here:
        await here.publish("a-1")
        await world.sleep(0.5)
        counting.fails = set()
        with refusing(here.store, "take") as tried:
            await world.sleep(60)
        assert 6 <= len(tried) <= 20
        assert set(here.heard.of("trouble")) == {("scheduler", "take: the database is away")}
        await here.app.idle()
        assert counting.seen == ["a-1"]


async def test_the_first_pause_is_a_tenth_of_a_second_and_patience_begins_anew_after_a_success(world: VirtualWorld) -> None:
    counting = Counting(policy=SOON)
    async with scene(world, counting) as here:
        for number in (1, 2):
            times: list[float] = []
            next_due = here.store.next_due

            async def watched(names: Any, next_due: Any = next_due, times: list[float] = times) -> float | None:
                times.append(world.monotonic())
                if len(times) < 11:
                    raise StoreError("away")
                return await next_due(names)  # type: ignore[no-any-return]

            here.store.next_due = watched  # type: ignore[method-assign]
            scheduler = here.app._assembly.hosted["payments"].scheduler
            assert scheduler is not None
            await world.sleep(1.5)  # it looks once a second, and again before each pause
            times.clear()
            await world.sleep(100)
            del here.store.next_due
            for tried, (sooner, later) in enumerate(pairwise(times[:3]), 1):
                assert later - sooner <= 0.05 * 2**8, (number, tried)
            await here.publish(f"a-{number}")
            await here.app.idle()
        assert counting.seen == ["a-1", "a-2"]


async def test_outside_reactions_run_up_to_their_concurrency_each_on_its_own(world: VirtualWorld) -> None:
    payments, now, most = Service("payments"), {"one": 0, "two": 0}, {"one": 0, "two": 0}

    async def work(name: str) -> None:
        now[name] += 1
        most[name] = max(most[name], now[name])
        await world.sleep(1)
        now[name] -= 1

    @payments.on(Placed, policy=Policy(outside=True, concurrency=2))
    async def one(order: Placed) -> None:
        await work("one")

    @payments.on(Placed, policy=Policy(outside=True, concurrency=5))
    async def two(order: Placed) -> None:
        await work("two")

    async with running(world, payments) as (app, broker, heard):
        begun = world.monotonic()
        await publish(broker, *(f"k{n}-{n}" for n in range(20)))
        await app.idle()
        assert most == {"one": 2, "two": 5}
        assert 10.0 <= world.monotonic() - begun < 10.5
        assert sorted(heard.of("handled")) == [("payments.one", 1)] * 20 + [("payments.two", 1)] * 20


async def test_with_skip_an_outside_reaction_goes_on_with_later_events_of_its_key(world: VirtualWorld) -> None:
    seen: list[int] = []
    failing = True
    retry = Retry(attempts=2, delay=60.0, jitter=0.0)
    payments = Service("payments", policy=Policy(outside=True, on_failure="skip", retry=retry))

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        if order.total == 0 and failing:
            raise ConnectionError
        seen.append(order.total)

    async with running(world, payments) as (app, broker, _):
        await publish(broker, "a-0", "a-1", "a-2")
        await world.sleep(5)
        assert seen == [1, 2]
        failing = False
        await app.idle()
        assert seen == [1, 2, 0]


async def test_with_park_an_outside_reaction_keeps_the_order_of_its_key(world: VirtualWorld) -> None:
    counting = Counting(outside=True, policy=SOON)
    counting.fails = {"a-0"}
    async with scene(world, counting) as here:
        await here.publish("a-0", "b-0", "a-1", "a-2")
        await world.sleep(0.5)
        assert counting.seen == ["b-0"]
        counting.fails = set()
        await here.publish("a-3")
        await here.app.idle()
        assert counting.of("a") == ["a-0", "a-1", "a-2", "a-3"]


async def test_a_local_reaction_whose_exhausted_handler_reaches_outside(world: VirtualWorld) -> None:
    payments, told = Service("payments", policy=SOON), []
    payments.provide(Gateway, Gateway())

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        raise ConnectionError("away")

    @charge.exhausted
    async def gave_up(order: Placed, gateway: Gateway, error: Exception, context: Context) -> PaymentFailed:
        await world.sleep(1)
        told.append((str(error), context.attempt))
        return PaymentFailed(order_id=order.order_id)

    async with running(world, payments) as (app, broker, heard):
        await publish(broker, "a-1")
        await app.idle()
        assert told == [("ConnectionError: away", 4)]
        [failed] = await log_of(broker, "shop.payments")
        assert failed.type == "shop.PaymentFailed.v1"
        [row] = await app.store("payments").fates(["/elsewhere#a-1"])
        assert (row.state, row.reaction) == ("exhausted", "payments.charge")
        assert heard.of("retried") == [("payments.charge", 1)] * 3


@pytest.mark.parametrize("outside", [False, True])
async def test_an_exhausted_handler_that_fails_is_tried_as_often_and_then_the_event_is_dead(
    world: VirtualWorld, outside: bool
) -> None:
    payments, runs = Service("payments", policy=Policy(outside=outside, retry=SOON.retry)), []

    @payments.on(Placed)
    async def charge(order: Placed, context: Context) -> Paid:
        runs.append(("charge", context.attempt))
        raise ConnectionError("away")

    @charge.exhausted
    async def gave_up(order: Placed, context: Context) -> PaymentFailed:
        runs.append(("gave_up", context.attempt))
        raise ValueError("nor this")

    async with running(world, payments) as (app, broker, _):
        await publish(broker, "a-1")
        await app.idle()
        assert runs == [("charge", n) for n in (1, 2, 3)] + [("gave_up", n) for n in (4, 5, 6)]
        [letter] = await dead_letters(app, "payments")
        assert (letter.reason, letter.attempts) == ("ValueError: nor this", 6)
        runs.clear()
        await app.store("payments").retry_dead([letter])
        await app.idle()
        assert runs[0] == ("charge", 1)  # by hand, all begins anew


async def test_a_dead_letter_that_could_not_be_read_is_read_by_a_version_that_can(world: VirtualWorld, tmp_path: object) -> None:
    class Refunded(Event, topic="orders", key="order_id"):
        order_id: str

    def version(*, newer: bool) -> tuple[Service, list[str]]:
        payments, seen = Service("payments", policy=SOON), []

        @payments.on(Placed)
        async def charge(order: Placed) -> None:
            seen.append(f"charge {order.order_id}")

        if newer:

            @payments.on(Refunded)
            async def local(event: Refunded) -> None:
                seen.append(f"local {event.order_id}")

            @payments.on(Refunded, policy=Policy(outside=True))
            async def outside(event: Refunded) -> None:
                seen.append(f"outside {event.order_id}")

        return payments, seen

    orders = Service("orders")

    @orders.on(Paid)
    async def place(paid: Paid) -> Placed | None: ...

    broker, database = connect("memory://", world), f"sqlite:///{tmp_path}/{{service}}.db"
    await broker.open()
    body = b'{"specversion":"1.0","id":"r","source":"/s","type":"shop.Refunded.v1","data":{"order_id":"o-1"}}'
    payments, seen = version(newer=False)

    class Foreign(Event, of="shop.orders", name="Paid", key="order_id"):
        order_id: str

    owner = Service("orders")

    @owner.on(Foreign)
    async def place_again(paid: Foreign) -> Placed | None: ...

    async with (
        asyncio.timeout(3600),
        opened(Choreography("shop", owner, payments), world, broker=broker, database=database) as app,
    ):
        await broker.publish([Message(TOPIC, "o-1", "r", "shop.Refunded.v1", body)])
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert (letter.reaction, letter.id) == ("payments.(envelope)", "r")
        assert "unknown type" in (letter.reason or "")
        await app.store("payments").retry_dead([letter])
        await app.idle()
        [again] = await dead_letters(app, "payments")  # this version still cannot
        assert "unknown type" in (again.reason or "") and again.place == letter.place

    payments, seen = version(newer=True)

    @owner.on(Placed)
    async def refund(order: Placed) -> Refunded | None: ...

    async with (
        asyncio.timeout(3600),
        opened(Choreography("shop", owner, payments), world, broker=broker, database=database) as app,
    ):
        [letter] = await dead_letters(app, "payments")
        assert await app.store("payments").retry_dead([letter]) == 1
        await app.idle()
        assert sorted(seen) == ["local o-1", "outside o-1"]
        assert await dead_letters(app, "payments") == []
        await app.broker.publish([Message(TOPIC, "o-1", "r", "shop.Refunded.v1", body)])
        await app.idle()
        assert len(seen) == 2  # it is known by its own id now


async def test_a_database_that_goes_away_while_the_next_wait_is_reckoned_costs_a_second(world: VirtualWorld) -> None:
    counting = Counting(policy=SOON)
    async with scene(world, counting) as here:
        next_due, asked = here.store.next_due, 0

        async def every_other(names: Any) -> float | None:
            nonlocal asked
            asked += 1
            if asked % 2 == 0:
                raise StoreError("away")
            return await next_due(names)

        await world.sleep(0.5)
        here.store.next_due = every_other  # type: ignore[method-assign]
        await world.sleep(10)
        assert 18 <= asked <= 22 and here.heard.of("trouble") == []


async def test_a_timeout_that_a_handler_raises_itself_keeps_its_own_words(world: VirtualWorld) -> None:
    payments = Service("payments", policy=Policy(outside=True, retry=Retry(attempts=1)))

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        raise TimeoutError("the gateway did not answer")

    async with running(world, payments) as (app, broker, _):
        await publish(broker, "a-1")
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.reason == "TimeoutError: the gateway did not answer"
