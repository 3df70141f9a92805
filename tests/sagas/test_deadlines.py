"""Deadlines: in time, out of time, too late, before the start, twice, across restarts; local and outside ones, on both stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.sagas.kit import MINUTE, Paid, Placed, Refused, desk

from farandole import Context, Event, Policy, Retry, Service
from farandole.brokers.memory import connect
from farandole.testing.virtual import VirtualWorld

SOON = Policy(retry=Retry(attempts=3, delay=10, factor=1, jitter=0))
BOTH = pytest.mark.parametrize("outside", [False, True], ids=["local", "outside"])


class GivenUp(Event, key="order"):
    order: str


class Reopened(Event, key="order"):
    order: str


def orders(*, outside: bool = False, late: bool = False, fails: int = 0) -> tuple[Service, list[Any]]:
    """A service that gives up an order which is neither paid nor refused in a minute; and when its handler ran."""
    service, seen = Service("orders", policy=SOON), []

    @service.deadline(after=Placed, unless=(Paid, Refused), within=MINUTE, policy=Policy(outside=outside))
    async def give_up(order: Placed, context: Context) -> GivenUp:
        seen.append((order.order, round(context.now().timestamp())))
        if len(seen) <= fails:
            raise ValueError("away")
        return GivenUp(order=order.order)

    if late:

        @give_up.late
        async def after_all(event: Paid | Refused) -> Reopened:
            return Reopened(order=event.order)

    return service, seen


@BOTH
async def test_what_does_not_come_in_time_sets_the_handler_off_once_at_the_deadline(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service, seen = orders(outside=outside)
    async with desk(service, world, database) as it:
        start = world.time()
        [placed] = await it.say(Placed(order="a"), copies=3)
        await it.app.idle()
        [(order, moment)] = seen
        assert order == "a"
        assert 60 <= moment - start <= 63
        [given_up] = await it.heard()
        assert (given_up.type, given_up.causes, given_up.correlationid) == ("shop.GivenUp.v1", (placed,), "c-a")
        await world.sleep(120)
        assert len(seen) == 1


@BOTH
@pytest.mark.parametrize("end", [Paid(order="a"), Refused(order="a")], ids=["paid", "refused"])
async def test_what_comes_in_time_drops_the_timer(world: VirtualWorld, database: str, outside: bool, end: Any) -> None:
    service, seen = orders(outside=outside)
    async with desk(service, world, database) as it:
        [placed] = await it.say(Placed(order="a"))
        await it.settle()
        await world.sleep(40)
        await it.say(end)
        before = world.monotonic()
        await it.app.idle()
        assert world.monotonic() - before < 10  # nothing is left that would fire
        assert await it.fates(placed) == [("skipped", f"shop.{type(end).__name__}.v1 came in time")]
        await world.sleep(60)
        assert (seen, await it.heard()) == ([], [])


@BOTH
async def test_what_ends_it_may_come_before_what_starts_it(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = orders(outside=outside)
    async with desk(service, world, database) as it:
        await it.say(Paid(order="a"))
        await it.settle()
        await it.say(Placed(order="a"))
        await it.app.idle()
        await world.sleep(90)
        assert seen == []


@BOTH
async def test_what_comes_after_the_deadline_is_skipped_with_a_reason(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = orders(outside=outside)
    async with desk(service, world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        [late] = await it.say(Paid(order="a"))
        await it.app.idle()
        [(state, reason)] = await it.fates(late)
        assert state == "skipped"
        assert (reason or "").startswith("too late: the deadline of 1 min passed at ")
        assert len(seen) == 1


@BOTH
async def test_what_comes_after_the_deadline_may_have_a_handler_of_its_own(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service, _ = orders(outside=outside, late=True)
    async with desk(service, world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        [late] = await it.say(Paid(order="a"), copies=2)
        await it.app.idle()
        assert [(event.type, event.causes) for event in (await it.heard())[1:]] == [("shop.Reopened.v1", (late,))]


@BOTH
async def test_a_second_start_does_not_begin_the_time_anew(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = orders(outside=outside)
    async with desk(service, world, database) as it:
        start = world.time()
        await it.say(Placed(order="a"))
        await it.settle()
        await world.sleep(30)
        [second] = await it.say(Placed(order="a"))
        await it.app.idle()
        assert [(order, moment - start < 64) for order, moment in seen] == [("a", True)]
        [(state, reason)] = await it.fates(second)
        assert (state, (reason or "").startswith("the time runs already, since ")) == ("skipped", True)


@BOTH
async def test_a_handler_that_fails_is_retried_and_what_comes_meanwhile_is_too_late_or_in_time(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service, seen = orders(outside=outside, fails=2)
    async with desk(service, world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        assert len(seen) == 3
        assert len(await it.heard()) == 1
        assert await it.dead() == []


@BOTH
async def test_a_deadline_survives_a_restart_and_one_that_passed_meanwhile_fires_at_once(
    world: VirtualWorld, tmp_path: Path, outside: bool
) -> None:
    service, seen = orders(outside=outside)
    broker = connect("memory://?partitions=4", world)
    await broker.open()
    database = f"sqlite:///{tmp_path}/orders.db"
    async with desk(service, world, database, broker) as it:
        await it.say(Placed(order="a"))
        await it.settle()
    await world.sleep(600)
    assert seen == []
    async with desk(service, world, database, broker) as it:
        await it.app.idle()
        assert [order for order, _ in seen] == ["a"]
        assert len(await it.heard()) == 1
    await broker.close()


async def test_many_timers_fire_each_once(world: VirtualWorld, database: str) -> None:
    service, _ = orders()
    async with desk(service, world, database) as it:
        await it.say(*(Placed(order=f"o{n}") for n in range(300)))
        await it.settle()
        await it.say(*(Paid(order=f"o{n}") for n in range(0, 300, 3)))
        await it.app.idle()
        expected = sorted(f"o{n}" for n in range(300) if n % 3)
        assert sorted(event.partitionkey or "" for event in await it.heard()) == expected
        assert await it.dead() == []
