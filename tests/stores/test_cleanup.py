"""Cleaning up while traffic goes on: the janitor's steps are small, and no step of the traffic waits for more than one of them.

Rows, statements and pages are counted, not seconds. FULL=1: a million rows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.counts import often

from farandole.errors import StoreBusy
from farandole.runtime.janitor import SOME, Janitor
from farandole.runtime.signals import Counters
from farandole.stores import open_store
from farandole.stores.base import DeadFilter, Store, Verdict
from farandole.stores.postgres import inbox as postgres_inbox
from farandole.testing.store_scene import R, at_most, bury, message, row, settle
from farandole.testing.virtual import VirtualWorld

ROWS = often(5_000, 1_000_000)
DAY = 86_400.0
SQLITE = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO farandole_inbox (reaction, id, state, handled_at) SELECT 'shop.react', 'old ' || i, 'done', {now} - 2 * {rows} + i FROM n
"""
POSTGRES = """
INSERT INTO farandole_inbox (reaction, id, state, handled_at)
SELECT 'shop.react', 'old ' || i, 'done', {now} - 2 * {rows} + i FROM generate_series({first}, {last}) AS i
"""


class Points(VirtualWorld):
    """Counts the statements."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def point(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    @property
    def purges(self) -> int:
        return self.counts.get("store.purge:after", 0)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/service.db?synchronous=off"
    found: str = request.getfixturevalue("schema")
    return found


@asynccontextmanager
async def full(url: str) -> AsyncIterator[tuple[Any, Points]]:
    """A store with many old rows, in the order of time, and a letter that was dead before them."""
    world = Points()
    store: Any = open_store(url, world)
    await store.open()
    try:
        await bury(store, row("dead", key="d"))
        words = {"rows": ROWS, "now": round(world.time() * 1000)}
        if store.inline:
            async with store.begin() as transaction:
                transaction.resource("driver").execute(SQLITE.format(**words))
        else:
            async with store.database.connection() as connection:
                for first in range(1, ROWS, 50_000):
                    await connection.execute(POSTGRES.format(**words, first=first, last=min(ROWS, first + 49_999)))
                await connection.execute("ANALYZE farandole_inbox")
        world.counts.clear()
        await world.sleep(DAY + 1)
        yield store, world
    finally:
        await store.close()


async def everything(store: Store, name: str) -> None:
    """What services do with their database, under an id of its own."""
    async with store.begin() as transaction:
        assert await transaction.claim([(R, f"{name} a"), (R, f"{name} b")])
        await transaction.blocked([R])
        await transaction.park([row(f"{name} b", key=name, due=0.0)])
        await transaction.emit([message(name)])
    assert (await store.ingest([row(f"{name} c", key=name)], at_most(10)))[1] == 1
    (taken,) = [one for one in await store.take([R], 10, 30.0) if one.key == name]
    await store.extend([taken], 30.0)
    await settle(store, taken, Verdict("dead"))
    (letter,) = await store.dead(DeadFilter(key=name))
    assert await store.edit_dead(letter, b"{}", who="ada", why="x")
    assert await store.retry_dead([letter]) == 1
    await store.published([r.seq for r in await store.outbox(range(64), 10)])
    for _ in range(2):
        for one in await store.take([R], 10, 30.0):
            await settle(store, one, Verdict("done"))


async def left(store: Any) -> int:
    """How many rows there are."""
    count = "SELECT count(*) FROM farandole_inbox"
    if store.inline:
        return int(store.access.database.cursor.execute(count).fetchone()[0])
    async with store.database.connection() as connection:
        return int(await connection.fetchval(count))


async def test_the_janitor_goes_in_small_steps_and_traffic_goes_on_between_them(url: str) -> None:
    async with full(url) as (store, world):
        portions, waits = list[int](), list[int]()
        purge = store.purge

        async def watched(older_than: float, limit: int) -> int:
            before = world.purges
            deleted: int = await purge(older_than, limit)
            assert world.purges - before <= 2, "a page more than was needed"
            portions.append(deleted)
            return deleted

        store.purge = watched
        cleaning = asyncio.create_task(Janitor("shop", store, world, Counters(), DAY).clean())
        number = 0
        while not cleaning.done():
            before = world.purges
            async with store.begin() as transaction:
                waits.append(world.purges - before)
                await transaction.claim([(R, f"new {number}")])
            number += 1
            await world.sleep(0.001)
        await cleaning
        assert max(portions) == SOME
        assert sum(portions) == ROWS
        assert number > len(portions), "traffic went on in each pause"
        assert max(waits) <= 1, "so a step waits for the deletion of that many rows at most"
        assert await left(store) == number + 1
        assert len(await store.dead(DeadFilter())) == 1


async def test_all_that_services_do_can_be_done_in_each_pause(url: str) -> None:
    async with full(url) as (store, _):
        for number in range(5):
            assert await store.purge(DAY, SOME) == SOME
            await everything(store, f"n{number}")
        assert await left(store) == ROWS - 5 * SOME + 15 + 1


async def test_nothing_waits_for_a_purge_of_postgresql_that_has_not_committed(schema: str) -> None:
    async with full(schema) as (store, world), store.database.connection() as other:
        await other.own_execute("BEGIN")
        now = round(world.time() * 1000)
        found = await other.own_fetch(postgres_inbox.SQL.purge.sql, now, round(DAY * 1000), SOME, 0)
        assert found[0][0] == SOME
        other_store = open_store(f"{schema}&options=-c%20lock_timeout=100", world)
        await other_store.open()
        try:
            await everything(other_store, "meanwhile")
            with pytest.raises(StoreBusy):  # but for an event that is being forgotten just now: whoever claims it must know
                async with other_store.begin() as transaction:
                    await transaction.claim([(R, "old 1")])
        finally:
            await other_store.close()
            await other.own_execute("ROLLBACK")


async def test_a_long_snapshot_does_not_make_each_step_of_postgresql_longer_than_the_one_before(schema: str) -> None:
    """While somebody else reads an old state of the table, as pg_dump does, what was deleted stands in the index still."""
    async with full(schema) as (store, _), store.database.connection() as other:
        await other.own_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await other.own_fetch("SELECT count(*) FROM farandole_inbox")
        steps = [await pages(store) for _ in range(20)]
        await other.own_execute("ROLLBACK")
        assert steps[-1] <= 2 * steps[1], steps
        while await store.purge(DAY, 20_000):
            pass
        assert await left(store) == 1


async def pages(store: Any) -> int:
    """A step of the purge; how many pages it looked at."""
    at = store._purged_to
    async with store.database.connection() as connection:
        await connection.own_execute("BEGIN")
        sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {postgres_inbox.SQL.purge.sql}"
        ((plan,),) = await connection.own_fetch(sql, store.database.now, round(DAY * 1000), SOME, at)
        await connection.own_execute("ROLLBACK")
    assert await store.purge(DAY, SOME) == SOME
    plan = json.loads(plan)[0]["Plan"]
    (delete,) = [part for part in plan["Plans"] if part["Node Type"] == "ModifyTable"]
    scan = next(part for part in delete["Plans"] if part.get("Parent Relationship") == "InitPlan")
    return int(scan["Shared Hit Blocks"] + scan["Shared Read Blocks"])


async def test_a_purge_that_finds_nothing_old_looks_at_a_few_pages(schema: str) -> None:
    async with full(schema) as (store, _):
        async with store.database.connection() as connection:
            sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {postgres_inbox.SQL.purge.sql}"
            ((plan,),) = await connection.fetch(sql, None, round(10_000 * DAY * 1000), SOME, 0)  # by the server's own clock
        plan = json.loads(plan)[0]["Plan"]
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20
