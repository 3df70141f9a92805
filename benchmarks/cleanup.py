"""Cleaning up a million handled events while traffic goes on: what the janitor costs the steps beside it.

Steps come at a fixed rate, below what the store can do; their time counts from the moment when they should have begun. A step marks ten events,
writes a row and ten messages, and commits; what it wrote is taken out of the outbox. PostgreSQL needs FARANDOLE_POSTGRES; `ROWS=100000` takes less.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from benchmarks.disk import folder_on_disk
from benchmarks.report import report

from farandole.model.envelope import Message
from farandole.runtime.janitor import Janitor
from farandole.runtime.signals import Signals
from farandole.stores import open_store
from farandole.stores.base import Store
from farandole.world import World

ROWS = int(os.environ.get("ROWS", "1000000"))
RATE = 50  # steps per second
SECONDS = 20
EVENTS = 10
WEEK = 7 * 86_400.0
TABLES = "CREATE TABLE IF NOT EXISTS paid (id TEXT PRIMARY KEY)"
_SQLITE = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO farandole_inbox (reaction, id, state, handled_at) SELECT 'shop.pay', {id}, 'done', {old} FROM n
"""
_POSTGRES = """
INSERT INTO farandole_inbox (reaction, id, state, handled_at)
SELECT 'shop.pay', {id}, 'done', {old} FROM generate_series(1, {rows}) AS i
"""


async def fill(store: Any, *, foreign: bool) -> None:
    """So many events that were handled long ago. Our ids grow with time; those of foreigners may be in no order, which costs more."""
    of_time = "printf('%012x', i)" if store.inline else "lpad(to_hex(i), 12, '0')"
    chance = "hex(randomblob(16))" if store.inline else "gen_random_uuid()::text"
    id = chance if foreign else f"{of_time} || substr({chance}, 1, 20)"
    words = {"rows": ROWS, "old": round((time.time() - 2 * WEEK) * 1000), "id": id}
    if store.inline:
        async with store.begin() as transaction:
            transaction.resource("driver").execute(_SQLITE.format(**words))
    else:
        async with store.database.connection() as connection:
            await connection.execute(_POSTGRES.format(**words))
            await connection.execute("ANALYZE")


async def step(store: Store) -> None:
    """What a worker's batch does."""
    ids = [secrets.token_hex(16) for _ in range(EVENTS)]
    async with store.begin() as transaction:
        await transaction.claim([("shop.pay", id) for id in ids])
        done = transaction.resource("driver").execute(f"INSERT INTO paid VALUES ('{ids[0]}')")
        if not store.inline:
            await done
        await transaction.emit([Message("shop.pay", id, id, "shop.Paid.v1", b"x" * 300) for id in ids])


async def traffic(store: Store, until: asyncio.Event | None = None) -> list[float]:
    """Steps at a fixed rate; how long each took, in milliseconds. For some seconds, or until something ends."""
    times: list[float] = []
    running: set[asyncio.Task[None]] = set()
    begun = time.perf_counter()

    async def one(number: int) -> None:
        await step(store)
        times.append((time.perf_counter() - begun - number / RATE) * 1e3)
        if number % RATE == 0:
            await store.published([row.seq for row in await store.outbox(range(64), RATE * EVENTS)])

    number = 0
    while not (until.is_set() if until is not None else number >= SECONDS * RATE):
        await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
        task = asyncio.create_task(one(number))
        running.add(task)
        task.add_done_callback(running.discard)
        number += 1
    await asyncio.gather(*running)
    return times


def figures(times: list[float]) -> dict[str, Any]:
    times = sorted(times)
    return {
        "steps": len(times),
        "p50_ms": round(times[len(times) // 2], 2),
        "p99_ms": round(times[len(times) * 99 // 100], 2),
        "max_ms": round(times[-1], 1),
    }


async def measure(name: str, url: str, *, foreign: bool = False) -> None:
    world = World()
    store = open_store(url, world, tables=TABLES)
    await store.open()
    try:
        await fill(store, foreign=foreign)
        await traffic(store)  # until caches are warm
        alone = figures(await traffic(store))
        cleaned = asyncio.Event()
        begun = time.perf_counter()

        async def clean() -> float:
            await Janitor("shop", store, world, Signals(), WEEK).clean()
            cleaned.set()
            return time.perf_counter() - begun

        times, took = await asyncio.gather(traffic(store, cleaned), clean())
        ids = "in no order" if foreign else "in the order of time"
        report(
            f"cleanup, {name}, ids {ids}",
            rows=ROWS,
            rows_per_s=round(ROWS / took),
            seconds=round(took, 1),
            alone=alone,
            beside=figures(times),
        )
    finally:
        await store.close()


@asynccontextmanager
async def schema() -> AsyncIterator[str | None]:
    url, name = os.environ.get("FARANDOLE_POSTGRES"), f"bench_{secrets.token_hex(4)}"
    if url is None:
        yield None
        return
    yield f"{url}{'&' if '?' in url else '?'}schema={name}"
    connection = await asyncpg.connect(url)
    await connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
    await connection.close()


async def run() -> None:
    for foreign in (False, True):
        with folder_on_disk() as folder:
            await measure("SQLite", f"sqlite:///{Path(folder)}/shop.db", foreign=foreign)
        async with schema() as url:
            if url is not None:
                await measure("PostgreSQL", url, foreign=foreign)


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    main()
