"""SQL's own clock and chance in a simulated world: as SQLite itself would answer at that moment, and the same for the same seed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.world import START, RehearsalWorld
from farandole.stores import open_store
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

NOW = datetime.fromtimestamp(START + 90.25, UTC)
DAY, HOUR = NOW.strftime("%Y-%m-%d"), NOW.strftime("%H:%M:%S")

ANSWERS: dict[str, object] = {
    "CURRENT_TIMESTAMP": f"{DAY} {HOUR}",
    "current_date": DAY,
    "CURRENT_TIME": HOUR,
    "datetime('now')": f"{DAY} {HOUR}",
    "datetime('NOW', '+1 day', 'start of day')": "2027-01-16 00:00:00",
    "datetime()": f"{DAY} {HOUR}",
    "date('now')": DAY,
    "time('now')": HOUR,
    "strftime('%s')": str(int(START + 90)),
    "strftime('%f', 'now')": f"{NOW:%S}.250",
    "round((julianday('now') - julianday('1970-01-01')) * 86400, 2)": START + 90.25,
    "strftime('now')": "now",
    "datetime('2020-02-03 04:05:06', '+1 hour')": "2020-02-03 05:05:06",
    "datetime(0, 'unixepoch')": "1970-01-01 00:00:00",
    "date(NULL)": None,
    "date('no date')": None,
}


def ask(sql: str, *, seed: int = 0, tables: str = "CREATE TABLE t (x)") -> list[Any]:
    """The rows of a query in a store of a simulated world, a minute and a half after its beginning."""
    loop = RehearsalLoop(seed)
    world = RehearsalWorld(loop, "node")

    async def program() -> list[Any]:
        await world.sleep(90.25)
        return await rows(world, sql, tables)

    return loop.play(program())


async def rows(world: World, sql: str, tables: str, url: str = "sqlite://") -> list[Any]:
    store = open_store(url, world, tables=tables)
    await store.open()
    try:
        async with store.begin() as transaction:
            connection = transaction.resource("driver")
            for statement in sql.split(";"):
                found = connection.execute(statement).fetchall()
        return found
    finally:
        await store.close()


@pytest.mark.parametrize("sql", ANSWERS)
def test_each_way_to_ask_for_the_time_is_answered_from_the_world(sql: str) -> None:
    assert ask(f"SELECT {sql}") == [(ANSWERS[sql],)]


def test_defaults_and_indexes_of_columns_ask_the_world_too() -> None:
    tables = """
        CREATE TABLE t (id, at DEFAULT CURRENT_TIMESTAMP, day DEFAULT (date('now')), number DEFAULT (random()));
        CREATE INDEX by_day ON t (date(at));
    """
    sql = "INSERT INTO t (id) VALUES (1); SELECT at, day, number FROM t WHERE date(at) = date('now')"
    [(at, day, number)] = ask(sql, tables=tables)
    assert (at, day) == (f"{DAY} {HOUR}", DAY)
    assert [(at, day, number)] == ask(sql, tables=tables)
    assert number != ask(sql, tables=tables, seed=1)[0][2]


@pytest.mark.parametrize("sql", ["random()", "hex(randomblob(8))"])
def test_chance_is_of_the_seed_and_differs_from_row_to_row(sql: str) -> None:
    query = f"SELECT {sql} FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)"
    assert ask(query) == ask(query)
    assert len({*ask(query), *ask(query, seed=1)}) == 6


def test_random_numbers_have_the_range_of_sqlites_own_and_blobs_the_size_that_was_asked_for() -> None:
    numbers = [
        number for (number,) in ask("SELECT random() FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)")
    ]
    assert all(-(2**63) <= number < 2**63 for number in numbers)
    assert max(map(abs, numbers)) > 2**60
    assert ask("SELECT length(randomblob(7)), length(randomblob(0))") == [(7, 1)]


async def test_other_worlds_leave_sqlite_as_it_is(tmp_path: Path) -> None:
    world = VirtualWorld(start=0.0)
    for url in ("sqlite://", f"sqlite:///{tmp_path}/a.db"):
        [(seconds, native)] = await rows(world, "SELECT strftime('%s', 'now'), date('2020-01-01')", "CREATE TABLE t (x)", url)
        assert abs(int(seconds) - world.time()) > 3600
        assert native == "2020-01-01"
