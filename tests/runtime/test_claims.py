"""Claims: leases kept, lost and run out, runs that never ended, and what a shutdown gives back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from tests.runtime.faults import Heard, refusing
from tests.runtime.kit import Paid, PaymentFailed, Placed, dead_letters, log_of, opened
from tests.runtime.scene import SOON, TOPIC, Counting, placed, publish, running, scene

from farandole.brokers.memory import connect
from farandole.errors import StoreError
from farandole.model.choreography import Choreography
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.runtime.assembly import Options
from farandole.runtime.context import Context
from farandole.stores import open_store
from farandole.stores.base import InboxRow
from farandole.testing.virtual import VirtualWorld


async def test_the_lease_of_what_runs_is_kept_alive(world: VirtualWorld) -> None:
    runs: list[int] = []
    payments = Service("payments", policy=Policy(outside=True, timeout=200.0))

    @payments.on(Placed)
    async def charge(order: Placed, context: Context) -> None:
        runs.append(context.attempt)
        await world.sleep(100)

    async with running(world, payments, options=Options(lease=3.0)) as (app, broker, heard):
        extended: list[float] = []
        extend = app.store("payments").extend

        async def watched(rows: Any, lease: float) -> None:
            extended.append(world.monotonic())
            await extend(rows, lease)

        app.store("payments").extend = watched  # type: ignore[method-assign]
        await publish(broker, "a-1")
        await world.sleep(50)
        assert (await app.store("payments").status()).claimed == 1
        with refusing(app.store("payments"), "extend"):
            await world.sleep(1.5)
        assert heard.of("trouble")[0] == ("scheduler", "extend: the database is away")
        await app.idle()
        assert runs == [1]
        assert all(later - sooner == pytest.approx(1.0, abs=0.01) for sooner, later in pairwise(extended))


async def test_a_lease_lost_mid_way_writes_nothing_of_the_first_run(world: VirtualWorld) -> None:
    runs: list[int] = []
    tables = "CREATE TABLE charged (order_id TEXT, attempt INTEGER)"
    payments = Service("payments", tables=tables, policy=Policy(outside=True, timeout=100.0))

    @payments.on(Placed)
    async def charge(order: Placed, db: AsyncSession, context: Context) -> Paid:
        runs.append(context.attempt)
        await world.sleep(10 if context.attempt == 1 else 1)
        await db.execute(text("INSERT INTO charged VALUES (:id, :n)"), {"id": order.order_id, "n": context.attempt})
        return Paid(order_id=order.order_id)

    async with running(world, payments, options=Options(lease=2.0)) as (app, broker, heard):
        store = app.store("payments")
        with refusing(store, "extend"):
            await publish(broker, "a-1")
            await world.sleep(12)
        await app.idle()
        async with store.begin() as transaction:
            rows = transaction.resource("driver").execute("SELECT * FROM charged").fetchall()
        assert rows == [("a", 2)]
        assert runs == [1, 2]
        assert len(await log_of(broker, "shop.payments")) == 1
        assert heard.of("handled") == [("payments.charge", 1)]


async def test_a_lost_lease_makes_no_dead_letter_of_a_run_that_failed_too_late(world: VirtualWorld) -> None:
    runs: list[int] = []
    payments = Service("payments", policy=Policy(outside=True, timeout=100.0, retry=Retry(attempts=2)))

    @payments.on(Placed)
    async def charge(order: Placed, context: Context) -> None:
        runs.append(context.attempt)
        if context.attempt == 1:
            await world.sleep(10)
            raise ConnectionError

    async with running(world, payments, options=Options(lease=2.0)) as (app, broker, heard):
        with refusing(app.store("payments"), "extend"):
            await publish(broker, "a-1")
            await world.sleep(12)
        await app.idle()
        assert (runs, heard.of("failed")) == ([1, 2], [])


async def test_a_failure_that_cannot_be_written_down_runs_again_when_its_lease_is_over(world: VirtualWorld) -> None:
    counting = Counting(outside=True, policy=SOON)
    async with scene(world, counting, options=Options(lease=2.0)) as here:
        counting.fails = {"a-1"}
        with refusing(here.store, "begin"):
            await here.publish("a-1")
            await world.sleep(0.5)
        assert ("scheduler", "begin: the database is away") in here.heard.of("trouble")
        counting.fails = set()
        await here.app.idle()
        assert counting.seen == ["a-1"]


async def test_a_shutdown_gives_back_what_runs_too_long_uncounted_even_if_the_first_attempt_to_say_so_fails(
    world: VirtualWorld, tmp_path: object
) -> None:
    attempts: list[int] = []

    def service() -> Service:
        payments = Service("payments", policy=Policy(outside=True))

        @payments.on(Placed)
        async def charge(order: Placed, context: Context) -> None:
            attempts.append(context.attempt)
            await world.sleep(20 if len(attempts) == 1 else 0)

        return payments

    database, broker, heard = f"sqlite:///{tmp_path}/{{service}}.db", connect("memory://", world), Heard()
    await broker.open()
    options = Options(drain=1.0, lease=5.0)
    async with opened(
        Choreography("shop", service()), world, broker=broker, database=database, options=options, signals=heard
    ) as app:
        await broker.publish([placed("a-1")])
        await world.sleep(0.5)
        store = app.store("payments")
        give_back = store.give_back

        async def refuse(rows: Any) -> None:
            raise StoreError("away")

        store.give_back = refuse  # type: ignore[method-assign]
        assert give_back
    assert heard.of("trouble") == [("scheduler", "away")]
    async with opened(Choreography("shop", service()), world, broker=broker, database=database, options=options) as app:
        await app.idle()
    assert attempts[0] == 1 and len(attempts) == 2


async def test_a_stop_lets_what_runs_end_and_takes_nothing_new(world: VirtualWorld) -> None:
    seen: list[str] = []
    payments = Service("payments", policy=Policy(outside=True, concurrency=1))

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        await world.sleep(3)
        seen.append(order.order_id)

    async with running(world, payments) as (app, broker, heard):
        await publish(broker, "a-1", "b-1")
        await world.sleep(1)
        scheduler = app._assembly.hosted["payments"].scheduler
        assert scheduler is not None and scheduler.busy
    assert len(seen) == 1 and heard.of("handled") == [("payments.charge", 1)]


async def unfinished(world: VirtualWorld, url: str, *, body: bytes | None = None, runs: int = 0) -> None:
    """A row in the inbox table whose runs began and never ended, left behind by a process that vanished."""
    store, message = open_store(url, world), placed("a-1")
    await store.open()
    row = InboxRow(reaction="payments.charge", id="e", key="a", topic=TOPIC, body=body or message.body)
    assert await store.ingest([row], lambda reaction: 10) == (1, 1)
    for attempt in range(1, runs + 1):
        [taken] = await store.take(["payments.charge"], 1, 1.0)
        assert (taken.attempts, taken.crashed) == (attempt, attempt > 1)
        await world.sleep(2)
    await store.close()


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("runs", [2, 3])
async def test_an_event_whose_runs_never_end_is_run_as_often_as_any_other_and_not_once_more(
    world: VirtualWorld, tmp_path: object, runs: int, outside: bool
) -> None:
    counting = Counting(outside=outside, policy=SOON)
    await unfinished(world, f"sqlite:///{tmp_path}/payments.db", runs=runs)
    async with scene(world, counting, database=f"sqlite:///{tmp_path}/{{service}}.db") as here:
        await here.app.idle()
        letters = await dead_letters(here.app, "payments")
        if runs == 2:
            assert (counting.seen, letters) == (["a-1"], [])
        else:
            [letter] = letters
            assert counting.runs == []
            assert (letter.error, letter.attempts) == ("ProcessDied", 3)
            assert str(letter.reason).startswith("ProcessDied: 3 runs began, and the last never ended")
            assert letter.place is not None and "scene.py:" in letter.place


async def test_after_the_last_unfinished_run_it_is_the_exhausted_handlers_turn(world: VirtualWorld, tmp_path: object) -> None:
    payments = Service("payments", policy=SOON)

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        raise NotImplementedError

    @charge.exhausted
    async def gave_up(order: Placed, context: Context) -> PaymentFailed:
        return PaymentFailed(order_id=order.order_id, reason=str(context.attempt))

    await unfinished(world, f"sqlite:///{tmp_path}/payments.db", runs=3)
    async with running(world, payments, database=f"sqlite:///{tmp_path}/{{service}}.db") as (app, broker, _):
        await app.idle()
        [failed] = await log_of(broker, "shop.payments")
        assert (failed.type, b'"reason":"4"' in bytes(failed.data)) == ("shop.PaymentFailed.v1", True)


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("body", [b"nonsense", b'{"specversion":"1.0","id":"e","source":"/s","type":"shop.Other.v1","data":{}}'])
async def test_what_waits_and_cannot_be_read_any_more_is_dead_at_once(
    world: VirtualWorld, tmp_path: object, body: bytes, outside: bool
) -> None:
    counting = Counting(outside=outside, policy=SOON)
    await unfinished(world, f"sqlite:///{tmp_path}/payments.db", body=body)
    async with scene(world, counting, database=f"sqlite:///{tmp_path}/{{service}}.db") as here:
        await here.app.idle()
        [letter] = await dead_letters(here.app, "payments")
        assert (letter.error, letter.attempts, counting.runs) == ("EnvelopeError", 1, [])


@pytest.mark.parametrize("outside", [False, True])
async def test_a_claim_lost_before_the_run_leaves_the_event_to_whoever_has_it(world: VirtualWorld, outside: bool) -> None:
    counting = Counting(outside=outside, policy=SOON)
    counting.fails = {"a-1"}
    async with scene(world, counting) as here:
        await here.publish("a-1", "b-1")
        await world.sleep(0.5)
        counting.fails, take = set(), here.store.take

        async def robbed(reactions: Any, limit: int, lease: float) -> list[InboxRow]:
            rows = await take(reactions, limit, lease)
            await here.store.give_back(rows)
            here.store.take = take  # type: ignore[method-assign]
            return rows

        here.store.take = robbed  # type: ignore[method-assign]
        await here.app.idle()
        assert len(await log_of(here.broker, "shop.payments")) == 2
        assert not await dead_letters(here.app, "payments")
        assert here.heard.of("trouble") == []
