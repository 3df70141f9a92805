"""What every record keeps beside events: what became of them, where instances stand, and what somebody should know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.observe.records import READING, alert, event, fate, standing

import farandole
from farandole.host import record_of
from farandole.observe.record import MemoryRecord, memory
from farandole.stores import open_record
from farandole.stores.record import Record
from farandole.testing.virtual import VirtualWorld

Open = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, world: VirtualWorld) -> Open:
    """Opens a record with the events of three instances, on each kind of database."""
    url = {"sqlite": "sqlite://", "memory": "memory://"}.get(request.param) or request.getfixturevalue("schema")

    @asynccontextmanager
    async def record() -> AsyncIterator[Record]:
        made, _ = record_of(url, world, READING)
        await made.open()
        await made.append([event(1, "a"), event(2, "b"), event(3, "c")])
        yield made
        await made.close()

    return record


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that several records may open."""
    return f"sqlite:///{tmp_path}/record.db" if request.param == "sqlite" else request.getfixturevalue("schema")


# --- fates


async def test_fates_come_back_as_they_were_in_the_order_of_their_time(kept: Open) -> None:
    late = fate(1, "a", "done", at=9.25, attempt=2, seconds=0.5, emitted=3)
    early = fate(1, "a", "parked", at=1.5, due=9.0, reason="Ö\0\ue000☃ it is down", error="OSError", place="shop/pay.py:7")
    async with kept() as record:
        assert await record.tell([late, early, fate(2, "b")]) == 3
        assert await record.fates_of("a") == [early, late]
        assert await record.fates_of("nobody") == []


async def test_a_fate_that_is_told_again_is_kept_once(kept: Open) -> None:
    once, later = fate(1, "a", "parked", at=1.0), fate(1, "a", "parked", at=2.0)
    async with kept() as record:
        assert await record.tell([once, once]) == 1
        assert await record.tell([once, later, replace(once, reaction="stock.pack")]) == 2
        assert await record.tell([]) == 0
        assert len(await record.fates_of("a")) == 3


async def test_a_fate_may_come_before_its_event(kept: Open) -> None:
    async with kept() as record:
        await record.tell([fate(7, "later")])
        assert await record.fates_of("later") == [fate(7, "later")]


async def test_a_reason_that_is_no_unicode_is_kept_with_question_marks(url: str, world: VirtualWorld) -> None:
    record = open_record(url, world)
    await record.open()
    await record.tell([fate(1, "a", reason="no such file: x\udcff")])
    assert [one.reason for one in await record.fates_of("a")] == ["no such file: x?"]
    await record.close()


# --- standings


async def test_standings_are_kept_as_they_were_with_the_place_up_to_which_events_were_looked_at(kept: Open) -> None:
    full = standing("a", since=1.5, began=1.25, due=99.0, changes_at=50.5, waits_for="Paid of Ö", service="pay", reason="late")
    async with kept() as record:
        assert await record.stood() == 0
        await record.stand([full, standing("b", workflow="", began=None)], 3)
        assert await record.stood() == 3
        assert await record.standing_of(["a", "b", "nobody"]) == {"a": full, "b": standing("b", workflow="", began=None)}
        await record.stand([], 2)
        assert await record.stood() == 3, "it never goes back"


async def test_a_standing_is_not_overwritten_by_what_knew_less(kept: Open) -> None:
    async with kept() as record:
        await record.stand([standing("a", "succeeded", number=5)], 5)
        await record.stand([standing("a", "running", number=4)], 4)
        assert (await record.standing_of(["a"]))["a"].state == "succeeded"
        await record.stand([standing("a", "compensating", number=5)], 5)  # time passed, nothing came
        assert (await record.standing_of(["a"]))["a"].state == "compensating"
        await record.stand([standing("a", "failed", number=7), standing("a", "running", number=6)], 7)
        assert (await record.standing_of(["a"]))["a"].state == "failed"


async def test_nobody_says_where_an_instance_is_that_is_forgotten(kept: Open) -> None:
    async with kept() as record:
        await record.stand([standing("gone"), standing("a")], 3)
        assert set(await record.standing_of(["gone", "a"])) == {"a"}


async def test_standings_are_found_by_workflow_state_and_time_those_that_began_last_first(kept: Open) -> None:
    async with kept() as record:
        await record.append([event(number, f"i{number}") for number in range(10, 16)])
        await record.stand(
            [
                standing("i10", "running", began=10.0),
                standing("i11", "stalled", began=11.0),
                standing("i12", "running", "returns", began=12.0),
                standing("i13", "succeeded", began=13.0, number=13),
                standing("i14", "running", began=13.0, number=14),
                standing("i15", "running", "", began=None),
            ],
            15,
        )
        found = {
            "all": await record.standings(),
            "of checkout": await record.standings(workflow="checkout"),
            "running": await record.standings(states=["running"]),
            "two states": await record.standings(workflow="checkout", states=["running", "stalled"]),
            "since 12": await record.standings(since=12),
            "the last two": await record.standings(limit=2),
            "none": await record.standings(workflow="nothing"),
        }
        assert {name: [one.correlation_id for one in some] for name, some in found.items()} == {
            "all": ["i14", "i13", "i12", "i11", "i10", "i15"],
            "of checkout": ["i14", "i13", "i11", "i10"],
            "running": ["i14", "i12", "i10", "i15"],
            "two states": ["i14", "i11", "i10"],
            "since 12": ["i14", "i13", "i12"],
            "the last two": ["i14", "i13"],
            "none": [],
        }
        assert dict(await record.counts()) == {
            ("", "running"): 1,
            ("checkout", "running"): 2,
            ("checkout", "stalled"): 1,
            ("checkout", "succeeded"): 1,
            ("returns", "running"): 1,
        }


async def test_a_record_without_standings_has_an_empty_overview(kept: Open) -> None:
    async with kept() as record:
        assert (await record.standings(), dict(await record.counts()), await record.changing(1e12, 10)) == ([], {}, [])


async def test_the_overview_reads_the_latest_of_each_state_and_not_all(world: VirtualWorld) -> None:
    record: Any = open_record("sqlite://", world)
    await record.open()
    steps = []
    for size in (100, 2000):
        await record.append([event(number, f"{size}-{number}") for number in range(size * 10, size * 11)])
        await record.stand([standing(f"{size}-{number}", began=float(number)) for number in range(size * 10, size * 11)], 1)
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        record.access.database.writer.set_progress_handler(step, 10)
        assert len(await record.standings(limit=10)) == 10
        record.access.database.writer.set_progress_handler(None, 0)
        steps.append(count)
    assert steps[1] < 1.5 * steps[0], steps
    await record.close()


async def test_those_that_change_by_themselves_are_found_when_it_is_time(kept: Open) -> None:
    async with kept() as record:
        await record.stand([standing("a", changes_at=20.0), standing("b", changes_at=10.0), standing("c")], 3)
        assert [await record.changing(until, 10) for until in (9, 10, 20)] == [[], ["b"], ["b", "a"]]
        assert await record.changing(100, 1) == ["b"]
        await record.stand([standing("b", changes_at=None)], 3)
        assert await record.changing(100, 10) == ["a"]


# --- alerts


async def test_an_alert_is_opened_once_and_closed_once(kept: Open) -> None:
    async with kept() as record:
        first, second = alert("one", "a", at=1.0), alert("Ö\0", "b", at=2.0)
        assert await record.alert([first, second, first]) == [first, second]
        assert await record.alert([alert("one", "a", at=3.0)]) == []
        assert await record.alerts() == [second, first]
        assert await record.alerts(limit=1) == [second]
        assert await record.resolve(["one", "one", "nothing"], 5.0) == [replace(first, resolved=5.0)]
        assert await record.resolve(["one"], 6.0) == []
        assert (await record.alerts(), await record.alerts(resolved=True)) == ([second], [replace(first, resolved=5.0)])
        assert (await record.alert([]), await record.resolve([], 7.0)) == ([], [])


async def test_an_alert_that_was_over_is_opened_again(kept: Open) -> None:
    async with kept() as record:
        await record.alert([alert("one", "a", at=1.0)])
        await record.resolve(["one"], 2.0)
        again = alert("one", "a", at=3.0, text="worse")
        assert await record.alert([again]) == [again]
        assert (await record.alerts(), await record.alerts(resolved=True)) == ([again], [])


async def test_an_alert_is_owed_until_people_were_told_of_it(kept: Open) -> None:
    async with kept() as record:
        first, second = alert("one", "a", at=1.0), alert("Ö\0", "b", at=2.0)
        await record.alert([first, second])
        assert await record.owed(0.5, 3.0, 10) == []
        assert await record.owed(2.0, 3.0, 1) == [first]
        assert await record.owed(2.0, 4.0, 10) == [second]  # the first one has somebody since 3.0
        await record.told([first, second])
        assert await record.owed(9.0, 9.0, 10) == []
        (over,) = await record.resolve(["Ö\0"], 5.0)
        await record.told([second])  # that it was opened; not that it is over
        assert await record.owed(9.0, 9.0, 10) == [over]
        await record.told([over])
        assert await record.owed(9.0, 9.0, 10) == []
        again = alert("Ö\0", "b", at=6.0)
        await record.alert([again])
        await record.told([over])
        assert await record.owed(9.0, 9.0, 10) == [again]


@pytest.mark.real_time
async def test_of_many_who_look_for_what_is_owed_one_gets_each(url: str) -> None:
    records = [open_record(url, farandole.World()) for _ in range(3)]
    for record in records:
        await record.open()
    names = [f"alert {number}" for number in range(40)]
    await records[0].alert([alert(name, "a") for name in names])
    given = await asyncio.gather(*(record.owed(1.0, 2.0, 40) for record in records))
    rest = await records[0].owed(1.0, 2.0, 40)  # what one skipped since another looked at it
    assert sorted(one.key for some in (*given, rest) for one in some) == sorted(names)
    for record in records:
        await record.close()


@pytest.mark.real_time
async def test_of_many_that_open_and_close_the_same_alerts_at_once_one_is_told_of_each(url: str) -> None:
    records = [open_record(url, farandole.World()) for _ in range(4)]
    for record in records:
        await record.open()
    names = [f"alert {number}" for number in range(40)]
    orders = [names, names[::-1], names, names[::-1]]
    opened = await asyncio.gather(
        *(record.alert([alert(name, "a") for name in order]) for record, order in zip(records, orders, strict=True))
    )
    assert sorted(one.key for some in opened for one in some) == sorted(names)
    closed = await asyncio.gather(*(record.resolve(order, 9.0) for record, order in zip(records, orders, strict=True)))
    assert sorted(one.key for some in closed for one in some) == sorted(names)
    for record in records:
        await record.close()


@pytest.mark.real_time
async def test_two_that_tell_the_same_fates_in_other_orders_do_not_lock_each_other_out(url: str) -> None:
    records = [open_record(url, farandole.World()) for _ in range(2)]
    for record in records:
        await record.open()
    fates = [fate(number, f"i{number}") for number in range(200)]
    told = await asyncio.gather(
        *(record.tell(order) for record, order in zip(records, (fates, fates[::-1]), strict=True) for _ in range(5))
    )
    assert sum(told) == 200
    for record in records:
        await record.close()


# --- forgetting


async def test_what_is_known_of_an_instance_is_forgotten_with_it(url: str, world: VirtualWorld) -> None:
    record = open_record(url, world)
    await record.open()
    await record.append([event(1, "old"), event(2, "live"), event(3, "retried")])
    names = ["old", "live", "retried"]
    await record.tell([fate(number, name) for number, name in enumerate(names, 1)])
    await record.stand([standing(name) for name in names], 3)
    await record.alert([alert(f"of {name}", name) for name in names])
    await world.sleep(100)
    await record.append([event(4, "live")])
    await record.tell([fate(3, "retried", at=99.0)])
    assert await record.purge(50, 10) == 3
    assert [name for name in names if await record.events_of(name)] == ["live", "retried"]
    assert [len(await record.fates_of(name)) for name in names] == [0, 1, 2]
    assert set(await record.standing_of(names)) == {"live", "retried"}
    assert {one.key for one in await record.alerts()} == {"of live", "of retried"}
    await record.close()


async def test_fates_without_events_are_forgotten_too_in_pieces(url: str, world: VirtualWorld) -> None:
    record = open_record(url, world)
    await record.open()
    await record.tell([fate(number, f"i{number}") for number in range(5)])
    await world.sleep(100)
    assert [await record.purge(50, 2) for _ in range(3)] == [2, 2, 1]
    assert [await record.fates_of(f"i{number}") for number in range(5)] == [[]] * 5
    await record.close()


async def test_alerts_that_are_over_are_forgotten_after_the_same_time(url: str, world: VirtualWorld) -> None:
    record = open_record(url, world)
    await record.open()
    await record.alert([alert("soon", ""), alert("late", ""), alert("open", "")])
    await record.resolve(["soon"], world.time())
    await world.sleep(100)
    await record.resolve(["late"], world.time())
    await record.purge(50, 10)
    assert [one.key for one in await record.alerts(resolved=True)] == ["late"]
    assert [one.key for one in await record.alerts()] == ["open"]
    await record.close()


async def test_memory_forgets_all_that_it_knows_of_the_oldest_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "REMEMBERED", 2)
    record = MemoryRecord(READING)
    await record.append([event(1, "a"), event(2, "b")])
    await record.tell([fate(1, "a"), fate(2, "b")])
    await record.stand([standing("a"), standing("b")], 2)
    await record.alert([alert("of a", "a"), alert("of b", "b")])
    await record.append([event(3, "c")])
    assert (await record.fates_of("a"), set(await record.standing_of(["a", "b"]))) == ([], {"b"})
    assert [one.key for one in await record.alerts()] == ["of b"]
