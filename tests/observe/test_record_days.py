"""On PostgreSQL the record has a partition per day, which old days leave as a whole."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.observe.records import alert, event, fate, standing

import farandole
from farandole.errors import StoreError
from farandole.stores import open_record
from farandole.stores.postgres import migrate
from farandole.stores.postgres.record import EARLIER, SQL
from farandole.testing.virtual import VirtualWorld

DAY = 86_400


@asynccontextmanager
async def opened(url: str, world: farandole.World) -> AsyncIterator[Any]:
    record: Any = open_record(url, world)
    await record.open()
    try:
        yield record
    finally:
        await record.close()


async def fetch(record: Any, sql: str, *values: Any) -> list[Any]:
    async with record.database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(sql, *values)]


async def partitions(record: Any) -> dict[str, int]:
    """How many events are in each partition, by its name without the table's."""
    found = await fetch(
        record, "SELECT replace(tableoid::regclass::text, 'farandole_record_', ''), count(*) FROM farandole_record GROUP BY 1"
    )
    return {name.rpartition(".")[2]: count for name, count in found}


async def days(record: Any) -> int:
    """How many days have partitions."""
    ((count,),) = await fetch(record, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'farandole_record'::regclass")
    return int(count) - 1


async def test_events_lie_in_the_partition_of_their_own_day_and_a_copy_is_known_days_later(
    schema: str, world: VirtualWorld
) -> None:
    now = world.time()
    async with opened(schema, world) as record:
        assert await record.append([event(1, time=now), event(2, time=now - DAY), event(3, time=now)]) == 3
        assert sorted((await partitions(record)).values()) == [1, 2]
        await world.sleep(3 * DAY)
        assert await record.append([event(1, time=now), event(4, time=world.time())]) == 1
        assert await days(record) == 3
        assert [entry.id for entry in await record.events_of("flow")] == ["e1", "e2", "e3", "e4"]
        assert [entry.id for entry in await record.since(0, 10)] == ["e1", "e2", "e3", "e4"]
        assert (await record.event("e2")).time == now - DAY


async def test_odd_times_make_no_partitions(schema: str, world: VirtualWorld) -> None:
    odd = [None, -5e9, 0.0, 1e308, 2.5e11, *(world.time() + sign * number * DAY for number in range(2, 300) for sign in (1, -1))]
    async with opened(schema, world) as record:
        assert await record.append([event(number, time=time) for number, time in enumerate(odd)]) == len(odd)
        assert await days(record) == EARLIER - 1
        assert len(await record.events_of("flow")) == len(odd)
        assert await record.append([event(number, time=time) for number, time in enumerate(odd)]) == 0


async def test_what_came_before_its_day_is_moved_there_once_it_begins(schema: str, world: VirtualWorld) -> None:
    later = world.time() + 3 * DAY
    async with opened(schema, world) as record:
        await record.append([event(1, time=later), event(2, time=None)])
        assert await partitions(record) == {"other": 2}
        await world.sleep(3 * DAY)
        assert await record.append([event(1, time=later), event(3, time=later)]) == 1
        found = await partitions(record)
        assert found.pop("other") == 1
        assert list(found.values()) == [2]
        assert [entry.number for entry in await record.since(0, 10)] == [1, 2, 4]


async def test_a_day_goes_as_a_whole_but_for_instances_that_go_on(schema: str, world: VirtualWorld) -> None:
    now = world.time() // DAY * DAY + DAY / 2
    names = ["old", "over midnight", "live", "retried"]
    async with opened(schema, world) as record:
        await record.append([event(number, name, time=now) for number, name in enumerate(names)])
        await record.append([event(10, "over midnight", time=now + DAY), event(11, "no time", time=None)])
        await record.tell([fate(number, name) for number, name in enumerate(names)])
        await record.stand([standing(name) for name in names], 9)
        await record.alert([alert(f"of {name}", name) for name in names])
        await world.sleep(5 * DAY)
        await record.append([event(20, "live", time=world.time())])
        await record.tell([fate(3, "retried", at=99.0)])
        assert await days(record) == 3
        assert await record.purge(30 * DAY, 10) == 0
        while await record.purge(3 * DAY, 10) == 10:
            pass
        assert await days(record) == 1
        assert {name: [one.id for one in await record.events_of(name)] for name in [*names, "no time"]} == {
            "old": [],
            "over midnight": [],
            "live": ["e2", "e20"],
            "retried": ["e3"],
            "no time": [],
        }
        assert [len(await record.fates_of(name)) for name in names] == [0, 0, 1, 2]
        assert set(await record.standing_of(names)) == {"live", "retried"}
        assert {one.key for one in await record.alerts()} == {"of live", "of retried"}
        await world.sleep(5 * DAY)
        while await record.purge(3 * DAY, 10) == 10:
            pass
        assert (await partitions(record), await days(record)) == ({}, 0)
        assert [await record.fates_of(name) for name in names] == [[]] * 4


async def test_fates_whose_event_never_came_are_forgotten_by_whole_days_too(schema: str, world: VirtualWorld) -> None:
    async with opened(schema, world) as record:
        await record.append([event(1, "kept", time=world.time())])
        await record.tell([fate(1, "kept"), fate(9, "stray")])
        await world.sleep(2.1 * DAY)
        assert await record.purge(2 * DAY, 10) == 2
        assert await record.fates_of("stray") == []
        assert len(await record.fates_of("kept")) == 1, "its day is not over for so long"


async def test_a_short_time_does_not_wait_for_the_end_of_a_day(schema: str, world: VirtualWorld) -> None:
    async with opened(schema, world) as record:
        await record.append([event(1, time=world.time())])
        await world.sleep(60)
        assert await record.purge(30, 10) == 1
        assert await record.since(0, 10) == []


async def test_a_record_of_the_schema_before_is_brought_over_without_loss(
    schema: str, world: VirtualWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = world.time()
    entries = [event(number, f"i{number % 7}", time=now - number * DAY / 10) for number in range(200)]
    entries += [event(200, time=None), event(201, time=now + 99 * DAY), event(202, "Ö\0", body=b"\0\xff", time=now)]
    for name in ("0001.sql", "0002.sql", "0003.sql"):
        (tmp_path / "record_migrations").mkdir(exist_ok=True)
        shutil.copy(Path(migrate.__file__).parent / "record_migrations" / name, tmp_path / "record_migrations" / name)
    with monkeypatch.context() as before:
        before.setattr(migrate, "_HERE", tmp_path)
        async with opened(schema, world) as record:
            before.setattr(SQL, "append", _without_days(SQL.append))
            before.setattr(record, "_open_days", _nothing)
            assert await record.append(entries) == 203
            await record.tell([fate(1, "i1")])
            await record.stand([standing("i1")], 200)
            was = await fetch(record, "SELECT * FROM farandole_record ORDER BY number")
            seen = await record.since(0, 1000)
    async with opened(schema, world) as record:
        columns = "number, id, type, source, correlation_id, causationid, time, field, key, topic, body, recorded_at"
        assert await fetch(record, f"SELECT {columns} FROM farandole_record ORDER BY number") == was
        assert await record.since(0, 1000) == seen
        assert (await partitions(record))["other"] == 2
        assert await days(record) >= 20
        assert await record.append([*entries, event(300, time=now)]) == 1
        assert (await record.event("e300")).number > 203
        assert (len(await record.fates_of("i1")), set(await record.standing_of(["i1"]))) == (1, {"i1"})


def _without_days(statement: Any) -> Any:
    """As the version before appended."""
    sql = statement.sql.replace(", recorded_at, day)", ", recorded_at)").replace(", farandole_record_day(time)", "")
    return type(statement)(statement.name, sql)


async def _nothing(entries: Any) -> None:
    pass


async def test_an_instance_is_found_by_indexes_over_thirty_five_days(schema: str, world: VirtualWorld) -> None:
    now = world.time()
    async with opened(schema, world) as record:
        for part in range(35):
            await record.append(
                [
                    event(part * 200 + n, f"f{part * 40 + n // 5}", f"k{part * 40 + n // 5}", time=now - part * DAY)
                    for n in range(200)
                ]
            )
        assert await days(record) == 35
        await record.tell([fate(number, f"f{number}") for number in range(3000)])
        await record.stand([standing(f"f{number}", changes_at=float(number)) for number in range(1400)], 7000)
        asked = {
            "event": ["e7"], "events_of": ["f7"], "instances_of": ["k7", "order_id", None, 10], "latest_of": [["f7", "f800"]],
            "since": [6000, 10], "old": [None, 6000, 1, 10], "old_of": [None, 6000, 1, 10, "shop.A.v1"], "old_fates": [None, 2000, 1, 10],
            "quiet": [None, ["f7", "f8"], 1], "forget": [["f7"]], "forget_elsewhere": [["f7"], 3], "fates_of": ["f7"],
            "thin": [["f7"], "shop.A.v1"], "emptied": [["f7"]], "standing_of": [["f7"]], "changing": [10.0, 5],
        }  # fmt: skip
        async with record.database.connection() as connection:
            await connection.execute("ANALYZE farandole_record; ANALYZE farandole_fates; ANALYZE farandole_standings")
            await connection.execute("SET enable_seqscan = off")  # these tables are small: it scans where it has no index
            for name, values in asked.items():
                plan = [row[0] for row in await connection.fetch(f"EXPLAIN {SQL.all[name].sql}", *values)]
                scans = [line for line in plan if "Seq Scan on farandole" in line and "_other" not in line]
                assert not scans, (name, plan)


@pytest.mark.real_time
async def test_several_that_begin_a_day_at_once_make_one_partition_of_it(schema: str) -> None:
    world = farandole.World()
    records: list[Any] = [open_record(schema, world) for _ in range(4)]
    for record in records:
        await record.open()
    counts = await asyncio.gather(*(record.append([event(n, time=world.time())]) for n, record in enumerate(records)))
    assert (counts, await days(records[0])) == ([1, 1, 1, 1], 1)
    for record in records:
        await record.close()


@pytest.mark.real_time
async def test_who_reads_for_long_keeps_nobody_from_recording(schema: str) -> None:
    world = farandole.World()
    async with opened(schema, world) as record:
        async with record.database.connection() as reader:
            await reader.execute("BEGIN; SELECT count(*) FROM farandole_record")
            assert await record.append([event(1, time=world.time())]) == 1
            assert await partitions(record) == {"other": 1}
            await reader.execute("COMMIT")
        record._not_before = 0.0  # a minute later
        assert await record.append([event(2, time=world.time())]) == 1
        assert list((await partitions(record)).values()) == [2]
        async with record.database.connection() as reader:
            await reader.execute("BEGIN; SELECT count(*) FROM farandole_record")
            with pytest.raises(StoreError, match="a lock that could not be had"):
                await record._drop_day(-3 * DAY * 1000)
            await reader.execute("COMMIT")
        assert len(await record.since(0, 10)) == 2


async def test_a_user_who_may_make_no_tables_records_all_the_same(schema: str, world: VirtualWorld) -> None:
    name = schema.rpartition("schema=")[2]
    async with opened(schema, world) as owner:
        role = f"{name}_writer"
        async with owner.database.connection() as connection:
            await connection.execute(
                f'CREATE ROLE {role}; GRANT USAGE ON SCHEMA "{name}" TO {role}; '
                f'GRANT ALL ON ALL TABLES IN SCHEMA "{name}" TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA "{name}" TO {role}'
            )
        try:
            async with opened(f"{schema}&role={role}", world) as record:
                assert await record.append([event(1, time=world.time())]) == 1
                assert await partitions(record) == {"other": 1}
        finally:
            async with owner.database.connection() as connection:
                await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
