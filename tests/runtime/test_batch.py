"""The batch: one transaction for many, whatever fails among them; what comes behind a failure of its key waits."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.runtime.kit import Paid, Placed, dead_letters, log_of
from tests.runtime.scene import GROUP, Counting, placed, running, scene

from farandole.errors import Skip
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.testing.virtual import VirtualWorld

LATER = Policy(retry=Retry(attempts=2, delay=60.0, jitter=0.0))


class Base(DeclarativeBase):
    pass


class Charge(Base):
    __tablename__ = "charges"
    id: Mapped[str] = mapped_column(primary_key=True)
    note: Mapped[str]


def flushing(policy: Policy = LATER) -> tuple[Service, set[str], list[str]]:
    """A service whose session fails at the flush, after the handler returned, for the names in a set."""
    fails: set[str] = set()
    runs: list[str] = []
    payments = Service("payments", tables=Base.metadata, policy=policy)

    @payments.on(Placed)
    async def charge(order: Placed, db: AsyncSession) -> Paid:
        name = f"{order.order_id}-{order.total}"
        runs.append(name)
        db.add(Charge(id=name, note=None if name in fails else ""))  # type: ignore[arg-type]
        return Paid(order_id=name)

    return payments, fails, runs


async def test_one_failure_costs_its_batch_one_more_run(world: VirtualWorld) -> None:
    counting = Counting(policy=LATER)
    counting.fails = {"b-1"}
    async with scene(world, counting) as here:
        await here.publish("a-1", "b-1", "b-2", "c-1")
        await world.sleep(1)
        assert here.heard.of("handled") == [(GROUP, 2)]
        assert counting.runs.count("b-1") == 1 and counting.runs.count("b-2") <= 1
        status = await here.store.status()
        assert (status.parked, status.parked_keys) == (2, 1)
        counting.fails = set()
        await here.app.idle()
        assert counting.of("b")[-2:] == ["b-1", "b-2"]


@pytest.mark.parametrize("failing", [{"b-1", "c-1"}, {"b-1", "b-3", "c-2"}, {"a-1", "b-1", "c-1"}])
async def test_several_failures_each_cost_their_own_and_order_per_key_is_kept(world: VirtualWorld, failing: set[str]) -> None:
    counting = Counting(policy=LATER)
    counting.fails = set(failing)
    async with scene(world, counting) as here:
        await here.publish(*(f"{key}-{n}" for n in (1, 2, 3) for key in "abc"))
        await world.sleep(1)
        before = {key: next((n for n in (1, 2, 3) if f"{key}-{n}" in failing), 4) for key in "abc"}
        paid = await log_of(here.broker, "shop.payments")
        assert len(paid) == sum(first - 1 for first in before.values())
        counting.fails = set()
        await here.app.idle()
        order = await log_of(here.broker, "shop.payments")
        assert len(order) == 9
        assert here.app.store("payments")
        for key in "abc":
            ran = [event for event in counting.seen if event.startswith(f"{key}-")]
            last = {event: place for place, event in enumerate(ran)}
            assert sorted(last, key=last.__getitem__) == [f"{key}-1", f"{key}-2", f"{key}-3"]


async def test_a_flush_that_fails_has_a_culprit_after_all_and_nothing_of_it_leaves(world: VirtualWorld) -> None:
    payments, fails, runs = flushing()
    fails.add("b-1")
    async with running(world, payments) as (app, broker, heard):
        await broker.publish([placed(name) for name in ("a-1", "b-1", "b-2", "c-1")])
        await world.sleep(1)
        assert sorted(e.partitionkey or "" for e in await log_of(broker, "shop.payments")) == ["a-1", "c-1"]
        assert heard.of("handled") == [(GROUP, 2)]
        [(reaction, _, state, reason)] = heard.of("failed")
        assert (reaction, state) == ("payments.charge", "parked") and str(reason).startswith("IntegrityError")
        assert "b-2" not in runs[-1:] and (await app.store("payments").status()).parked == 2
        fails.clear()
        await app.idle()
        assert [e.partitionkey for e in await log_of(broker, "shop.payments")].count("b-1") == 1
        assert not await dead_letters(app, "payments")


async def test_a_handler_and_a_flush_that_fail_in_one_batch(world: VirtualWorld) -> None:
    payments = Service("payments", tables=Base.metadata, policy=LATER)
    well = False

    @payments.on(Placed)
    async def charge(order: Placed, db: AsyncSession) -> Paid:
        if order.order_id == "raises" and not well:
            raise ConnectionError
        note = None if order.order_id == "flush" and not well else ""
        db.add(Charge(id=order.order_id, note=note))
        return Paid(order_id=order.order_id)

    async with running(world, payments) as (app, broker, heard):
        await broker.publish([placed("a-1"), placed("raises-1"), placed("flush-1"), placed("z-1")])
        await world.sleep(1)
        assert sorted(e.partitionkey or "" for e in await log_of(broker, "shop.payments")) == ["a", "z"]
        assert len(heard.of("failed")) == 2 and heard.of("handled") == [(GROUP, 2)]
        well = True
        await app.idle()
        assert len(await log_of(broker, "shop.payments")) == 4


async def test_skips_among_many_do_not_make_their_keys_wait(world: VirtualWorld) -> None:
    seen: list[int] = []
    payments = Service("payments")

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        if order.total % 2:
            raise Skip("odd")
        seen.append(order.total)

    async with running(world, payments) as (app, broker, heard):
        await broker.publish([placed(f"a-{n}") for n in range(6)])
        await app.idle()
        assert sorted(set(seen)) == [0, 2, 4]
        assert [state for _, _, state, _ in heard.of("failed")] == ["skipped"] * 3
        assert (await app.store("payments").status()).parked == 0


async def test_two_reactions_of_one_event_fail_each_for_itself(world: VirtualWorld) -> None:
    seen: list[str] = []
    failing = True
    payments = Service("payments", policy=LATER)

    @payments.on(Placed)
    async def one(order: Placed) -> None:
        if failing:
            raise ConnectionError
        seen.append("one")

    @payments.on(Placed)
    async def two(order: Placed) -> None:
        seen.append("two")

    async with running(world, payments) as (app, broker, heard):
        await broker.publish([placed("a-1")])
        await world.sleep(1)
        assert set(seen) == {"two"} and heard.of("handled") == [(GROUP, 1)]
        failing = False
        await app.idle()
        assert seen[-1] == "one" and heard.of("duplicates") == []


async def test_a_death_stands_before_each_handler(world: VirtualWorld) -> None:
    points: list[str] = []

    class Watched(VirtualWorld):
        def point(self, name: str) -> None:
            points.append(name)

    counting = Counting()
    async with scene(Watched(), counting) as here:
        await here.publish("a-1", "b-1")
        await here.app.idle()
    assert points.count("worker.handler:before") == 2


async def test_what_an_event_may_do_is_bounded_per_key_in_a_batch_too(world: VirtualWorld) -> None:
    counting = Counting(policy=Policy(parked_per_key=2, retry=LATER.retry))
    counting.fails = {"a-0"}
    async with scene(world, counting) as here:
        await here.publish("a-0")
        await world.sleep(0.5)
        await here.publish("a-1", "a-2", "a-3")
        await world.sleep(2)
        assert (await here.store.status()).parked == 2
        counting.fails = set()
        await here.app.idle()
        assert counting.of("a") == ["a-0", "a-1", "a-2", "a-3"]
