"""Joins: any order, duplicates, one missing, too late, one that comes twice; local and outside ones, on both stores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.sagas.kit import MINUTE, Base, Paid, Picked, Placed, Refused, Reserved, desk

from farandole import Context, Event, Policy, Retry, Service, all_items, all_of, any_of
from farandole.stores.base import DeadFilter
from farandole.testing.virtual import VirtualWorld

SOON = Policy(retry=Retry(attempts=3, delay=10, factor=1, jitter=0))


class Shipped(Event, key="order"):
    order: str
    cents: int = 0


class TooLate(Event, key="order"):
    order: str


def shipping(*, outside: bool = False, within: Any = None, late: bool = False) -> tuple[Service, list[Any]]:
    """A service that ships what is paid and reserved; and what its handler saw."""
    service, seen = Service("shipping", policy=SOON), []

    @service.on(all_of(Paid, Reserved), within=within, policy=Policy(outside=outside))
    async def ship(paid: Paid, reserved: Reserved, context: Context) -> Shipped:
        seen.append((paid, reserved, context.correlation_id))
        return Shipped(order=paid.order, cents=paid.cents)

    if late:

        @ship.late
        async def too_late(event: Paid | Reserved) -> TooLate:
            return TooLate(order=event.order)

    return service, seen


BOTH = pytest.mark.parametrize("outside", [False, True], ids=["local", "outside"])


@BOTH
@pytest.mark.parametrize(
    "order", list(permutations([Paid(order="a", cents=7), Reserved(order="a")])), ids=["as declared", "reversed"]
)
async def test_whatever_comes_first_the_handler_runs_once_with_all_parts(
    world: VirtualWorld, database: str, order: tuple[Any, ...], outside: bool
) -> None:
    service, seen = shipping(outside=outside)
    async with desk(service, world, database) as it:
        ids = await it.say(*order, copies=3)
        await it.app.idle()
        assert seen == [(Paid(order="a", cents=7), Reserved(order="a"), "c-a")]
        [shipped] = await it.heard()
        of_type = dict(zip([type(event) for event in order], ids, strict=True))
        assert shipped.causes == (of_type[Paid], of_type[Reserved])  # as declared, whatever came first
        assert (shipped.correlationid, shipped.depth) == ("c-a", 3)


@BOTH
async def test_instances_do_not_mix_and_wait_for_ever_without_a_limit(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = shipping(outside=outside)
    async with desk(service, world, database) as it:
        await it.say(*(Paid(order=f"o{n}", cents=n) for n in range(20)))
        await it.settle()
        await world.sleep(300)
        assert seen == []
        await it.say(*(Reserved(order=f"o{n}") for n in reversed(range(0, 20, 2))))
        await it.app.idle()
        assert sorted(paid.cents for paid, _, _ in seen) == list(range(0, 20, 2))


@BOTH
async def test_a_second_event_of_one_type_is_skipped_with_a_reason(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = shipping(outside=outside)
    async with desk(service, world, database) as it:
        _, second = await it.say(Paid(order="a", cents=1), Paid(order="a", cents=2))
        await it.app.idle()
        assert await it.fates(second) == [("skipped", "a second shop.Paid.v1 of a: the join has one already")]
        _, third = await it.say(Reserved(order="a"), Paid(order="a", cents=3))
        await it.app.idle()
        assert [paid.cents for paid, _, _ in seen] == [1]
        [(state, reason)] = await it.fates(third)
        assert state == "skipped"
        assert (reason or "").startswith("too late: the join was over at ")


@BOTH
async def test_a_part_that_does_not_come_in_time_is_told_and_the_join_can_be_opened_again(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service, seen = shipping(outside=outside, within=MINUTE)
    async with desk(service, world, database) as it:
        await it.say(Paid(order="a", cents=5))
        await it.settle()
        await world.sleep(45)
        assert await it.dead() == []
        await world.sleep(20)
        assert await it.dead() == ["Reserved did not come within 1 min"]
        store = it.app.store("shipping")
        assert await store.retry_dead(await store.dead(DeadFilter())) == 1
        await it.settle()
        await it.say(Reserved(order="a"))
        await it.app.idle()
        assert [paid.cents for paid, _, _ in seen] == [5]
        assert await it.dead() == []


@BOTH
async def test_what_comes_too_late_has_a_handler_of_its_own(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = shipping(outside=outside, within=MINUTE, late=True)
    async with desk(service, world, database) as it:
        await it.say(Paid(order="a"))
        await it.settle()
        await world.sleep(70)
        [late] = await it.say(Reserved(order="a"))
        await it.app.idle()
        assert seen == []
        [told] = await it.heard()
        assert (told.type, told.causes) == ("shop.TooLate.v1", (late,))


@BOTH
async def test_a_join_that_is_complete_in_time_leaves_no_timer(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = shipping(outside=outside, within=MINUTE)
    async with desk(service, world, database) as it:
        first, _ = await it.say(Paid(order="a"), Reserved(order="a"))
        before = world.monotonic()
        await it.app.idle()
        assert world.monotonic() - before < 60
        assert await it.fates(first) == [("skipped", "the join was completed in time")]
        assert len(seen) == 1
        await world.sleep(130)
        assert await it.dead() == []


@BOTH
async def test_a_handler_that_fails_is_tried_again_with_the_same_parts(world: VirtualWorld, database: str, outside: bool) -> None:
    service, runs = Service("shipping", policy=SOON), []

    @service.on(all_of(Paid, Reserved), policy=Policy(outside=outside))
    async def ship(paid: Paid, reserved: Reserved, context: Context) -> Shipped:
        runs.append((paid.cents, context.attempt, context.idempotency_key))
        if len(runs) < 3:
            raise ValueError("away")
        return Shipped(order=paid.order)

    async with desk(service, world, database) as it:
        ids = await it.say(Reserved(order="a"), Paid(order="a", cents=9))
        await it.app.idle()
        assert [run[:2] for run in runs] == [(9, 1), (9, 2), (9, 3)]
        assert {run[2] for run in runs} == {f"shipping.ship:{ids[1]},{ids[0]}"}
        assert len(await it.heard()) == 1


@BOTH
async def test_retries_used_up_run_the_exhausted_handler_with_all_parts(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service = Service("shipping", policy=SOON)

    @service.on(all_of(Paid, Reserved), policy=Policy(outside=outside))
    async def ship(paid: Paid, reserved: Reserved) -> Shipped:
        raise ValueError("away")

    @ship.exhausted
    async def give_up(paid: Paid, reserved: Reserved, error: Exception) -> TooLate:
        assert "away" in str(error)
        return TooLate(order=reserved.order)

    async with desk(service, world, database) as it:
        await it.say(Reserved(order="a"), Paid(order="a"))
        await it.app.idle()
        assert await it.dead() == []
        assert [event.type for event in await it.heard()] == ["shop.TooLate.v1"]


@BOTH
async def test_of_several_the_first_wins_and_the_others_are_late(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = Service("shipping"), []

    @service.on(any_of(Paid, Refused), policy=Policy(outside=outside))
    async def first(event: Paid | Refused) -> Shipped:
        seen.append(type(event))
        return Shipped(order=event.order)

    async with desk(service, world, database) as it:
        won, lost = await it.say(Refused(order="a"), Paid(order="a"))
        await it.app.idle()
        assert seen == [Refused]
        assert [event.causes for event in await it.heard()] == [(won,)]
        assert (await it.fates(lost))[0][0] == "skipped"


@BOTH
async def test_a_counted_join_gathers_as_many_as_the_events_say(world: VirtualWorld, database: str, outside: bool) -> None:
    service, seen = Service("packing"), []

    @service.on(all_items(Picked, expected="lines"), policy=Policy(outside=outside))
    async def pack(lines: Sequence[Picked]) -> Shipped:
        seen.append([line.number for line in lines])
        return Shipped(order=lines[0].order)

    async with desk(service, world, database) as it:
        ids = await it.say(*(Picked(order="a", lines=4, number=n) for n in (3, 1, 4)), copies=2)
        await it.settle()
        assert seen == []
        ids += await it.say(Picked(order="a", lines=4, number=2))
        await it.app.idle()
        assert seen == [[3, 1, 4, 2]]
        [shipped] = await it.heard()
        assert sorted(shipped.causes) == sorted(ids)


async def test_parts_that_do_not_agree_on_their_number_are_dead_letters_with_a_reason(world: VirtualWorld, database: str) -> None:
    service, seen = Service("packing"), []

    @service.on(all_items(Picked, expected="lines"))
    async def pack(lines: Sequence[Picked]) -> None:
        seen.append(len(lines))

    async with desk(service, world, database) as it:
        await it.say(
            Picked(order="a", lines=2, number=1), Picked(order="a", lines=3, number=2), Picked(order="b", lines=0, number=1)
        )
        await it.app.idle()
        assert sorted(await it.dead()) == [
            "shop.Picked.v1 says lines = 0: expected a number of at least 1",
            "shop.Picked.v1 says lines = 3, but parts of a before it said 2",
        ]
        await it.say(Picked(order="a", lines=2, number=2))
        await it.app.idle()
        assert seen == [2]


class Moved(Base):
    truck: str | None = None


async def test_instances_are_told_apart_by_a_field_and_an_event_without_it_is_dead(world: VirtualWorld, database: str) -> None:
    service, seen = Service("fleet"), []

    class Loaded(Base):
        truck: str | None = None

    @service.on(all_of(Moved, Loaded), by="truck")
    async def leave(moved: Moved, loaded: Loaded) -> None:
        seen.append((moved.order, loaded.order, moved.truck))

    async with desk(service, world, database) as it:
        await it.say(Moved(order="a", truck="t1"), Loaded(order="b", truck="t1"), Moved(order="c"))
        await it.app.idle()
        assert set(seen) == {("a", "b", "t1")}  # perhaps run twice: a batch with a failure is run again without it
        assert await it.dead() == ["shop.Moved.v1 has truck = None, so nobody can tell which events it belongs to"]


async def test_a_join_writes_its_rows_with_its_parts_or_not_at_all(world: VirtualWorld, database: str) -> None:
    service = Service("shipping", policy=SOON, tables="CREATE TABLE shipped (name VARCHAR(40) PRIMARY KEY)")
    fails = [True, False]

    @service.on(all_of(Paid, Reserved))
    async def ship(paid: Paid, reserved: Reserved, db: AsyncConnection) -> None:
        await db.execute(text("INSERT INTO shipped VALUES (:name)"), {"name": paid.order})
        if fails.pop(0):
            raise ValueError("after writing")

    async with desk(service, world, database) as it:
        await it.say(Paid(order="a"), Reserved(order="a"), Placed(order="a"))
        await it.app.idle()
        assert fails == []
        assert await it.dead() == []


@BOTH
async def test_racing_parts_in_two_processes_complete_a_join_once(world: VirtualWorld, schema: str, outside: bool) -> None:
    """Keys in different partitions, so that two hosts on one database have a part each."""
    service, seen = Service("fleet", policy=SOON), []

    class Loaded(Base):
        truck: str

    class Left(Base):
        truck: str

    @service.on(all_of(Loaded, Left), by="truck", policy=Policy(outside=outside))
    async def go(loaded: Loaded, left: Left) -> None:
        seen.append(loaded.truck)

    async with desk(service, world, schema) as it, desk(service, world, schema, it.broker):
        for n in range(40):
            await it.say(Loaded(order=f"l{n}", truck=f"t{n}"), Left(order=f"r{n}", truck=f"t{n}"))
        await it.app.idle()
        await it.settle()
        assert sorted(seen) == sorted({f"t{n}" for n in range(40)})
        assert await it.dead() == []


async def test_tombstones_are_purged_with_the_window_and_open_joins_are_not(world: VirtualWorld, database: str) -> None:
    service, seen = shipping()
    async with desk(service, world, database) as it:
        await it.say(Paid(order="a"), Reserved(order="a"), Paid(order="b"))
        await it.app.idle()
        store = it.app.store("shipping")
        await world.sleep(100)
        while await store.purge(50, 100):
            pass
        await store.purge(50, 100)
        await it.say(Reserved(order="a"), Reserved(order="b"))  # a's tombstone is gone: a new one begins
        await it.app.idle()
        assert [paid.order for paid, _, _ in seen] == ["a", "b"]
