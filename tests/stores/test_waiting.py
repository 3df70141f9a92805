"""Timers and joins that wait cost nothing: work and questions beside 20,000 of them take as many steps as without.

Steps of SQLite's machine and pages of PostgreSQL are counted, which do not depend on the clock; benchmarks/waiting.py measures a million.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from benchmarks.waiting import NAMES, Running, as_the_code_writes, let_wait, running
from benchmarks.waiting_rows import Paid, message

from farandole.stores.postgres import inbox, sagas
from farandole.testing.virtual import VirtualWorld

MANY = 20_000
WEEK = 7 * 86_400.0
LOADS = pytest.mark.parametrize("load", ["joins", "timers"])


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_what_is_made_up_to_wait_is_what_the_code_writes(
    store: str, world: VirtualWorld, request: pytest.FixtureRequest
) -> None:
    async with running("sqlite://" if store == "sqlite" else request.getfixturevalue("schema"), world=world) as it:
        await as_the_code_writes(it)


class Steps:
    """Counts the steps of SQLite's machine, in thousands."""

    def __init__(self, it: Running) -> None:
        self.count = 0
        database = it.store.access.database
        for connection in (database.writer, database.reader):
            connection.set_progress_handler(self._step, 100)

    def _step(self) -> None:
        self.count += 100


async def steps(url: str, world: VirtualWorld, load: str) -> dict[str, int]:
    """How many steps each kind of work takes, and each question that is asked again and again."""
    found = {}
    async with running(url, world=world) as it:
        await let_wait(it, load, MANY)
        await it.store.purge(WEEK, 200)  # passes what waits, once
        counter = Steps(it)
        work = {
            "plain": lambda: it.plain(500), "joined": lambda: it.joined(100), "in time": lambda: it.in_time(100),
            "fired": lambda: it.fired(100), "next_due": lambda: it.store.next_due(NAMES), "take": lambda: it.store.take(NAMES, 100, 10.0),
            "waiting": lambda: it.store.waiting(NAMES, 100), "purge": lambda: it.store.purge(WEEK, 200),
        }  # fmt: skip
        for name, do in work.items():
            before = counter.count
            await do()
            found[name] = counter.count - before
    return found


@LOADS
async def test_work_takes_as_many_steps_of_sqlite_as_where_nothing_waits(load: str, world: VirtualWorld, tmp_path: Any) -> None:
    empty, full = [await steps(f"sqlite:///{tmp_path}/{name}.db?synchronous=off", world, name) for name in ("empty", load)]
    assert {name: full[name] for name in full if full[name] > 1.3 * empty[name] + 2000} == {}, (empty, full)


async def test_postgresql_looks_at_a_few_pages_however_much_waits(world: VirtualWorld, schema: str) -> None:
    now, names = round(world.time() * 1000), list(NAMES)
    order = message(Paid, 7).key
    asked = {
        "next_due": (inbox, (now, names)), "waiting": (inbox, (now, names, 100)), "due": (inbox, (now, names, 100)), "look": (inbox, ()),
        "blocked": (inbox, (names,)), "purge": (inbox, (now, round(WEEK * 1000), 200, 0)), "claimers": (inbox, ()),
        "instance": (sagas, (now, "orders.ship", order)), "parts": (sagas, ("orders.ship", order)), "over": (sagas, (now, 1000, 200)),
        "state": (sagas, ("orders.ship", message(Paid, 7).id)), "drop": (sagas, (now, "", "orders.ship", message(Paid, 7).id)),
    }  # fmt: skip
    async with running(schema, world=world) as it:
        for load in ("joins", "timers"):
            await let_wait(it, load, MANY)
        async with it.store.database.connection() as connection:
            looked = {}
            for name, (of, values) in asked.items():
                sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {of.SQL.all[name].sql}"
                plan = json.loads((await connection.fetch(sql, *values))[0][0])[0]["Plan"]
                looked[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert {name: pages for name, pages in looked.items() if pages > 40} == {}, looked
