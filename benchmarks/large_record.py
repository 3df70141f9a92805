"""A large record: how long an instance of 20 events takes to read among millions, and the overview of 100,000 that are open.

`ROWS=10000000` fills so many events (200,000 by default), by SQL alone; they lie in thirty days. PostgreSQL needs FARANDOLE_POSTGRES.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.cleanup import schema
from benchmarks.disk import folder_on_disk
from benchmarks.report import left_out, report

from farandole.stores import open_record
from farandole.stores.record import Record, Standing
from farandole.world import World

ROWS = int(os.environ.get("ROWS", "200000"))
CHAIN, DAYS, PIECE, ASKED, OPEN = 20, 30, 250_000, 2000, 100_000
_COLUMNS = "id, type, source, correlation_id, causationid, time, field, key, topic, body, recorded_at"
_SQLITE = """
WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
INSERT INTO farandole_record ({columns})
SELECT 'e-' || i || '-' || hex(randomblob(8)), 'shop.Said' || (i % 20) || '.v1', '/shop/service' || (i % 9), 'c-' || (i / 20), '',
       {begin} + i * {step}, 'order_id', 'o-' || (i / 20), 'shop.orders', randomblob(400), 1 FROM n
"""
_POSTGRES = """
INSERT INTO farandole_record ({columns}, day)
SELECT 'e-' || i || '-' || gen_random_uuid(), 'shop.Said' || (i % 20) || '.v1', '/shop/service' || (i % 9), 'c-' || (i / 20), '',
       {begin} + i * {step}, 'order_id', 'o-' || (i / 20), 'shop.orders', decode(repeat(md5(i::text), 25), 'hex'), 1,
       farandole_record_day({begin} + i * {step}) FROM generate_series({first}::bigint, {last}) AS i
"""


async def fill(record: Any) -> None:
    """Instances of twenty events each, one after the other. Indexes are made afterwards, which is several times as fast."""
    now = time.time()
    words: dict[str, Any] = {"columns": _COLUMNS, "begin": now - DAYS * 86_400, "step": DAYS * 86_400 / ROWS}
    pieces = [words | {"first": first, "last": min(ROWS, first + PIECE) - 1} for first in range(0, ROWS, PIECE)]
    if hasattr(record, "access"):
        cursor = record.access.database.cursor
        made = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'farandole_record' AND sql IS NOT NULL"
        indexes = cursor.execute(made).fetchall()
        steps = [f"DROP INDEX {name}" for name, _ in indexes] + [_SQLITE.format(**piece) for piece in pieces]
        for step in [*steps, *(sql for _, sql in indexes), "ANALYZE"]:
            async with record.access.transaction(durable=False):
                cursor.execute(step)
        return
    async with record.database.connection() as connection:
        for day in range(-DAYS, 1):
            await connection.fetch("SELECT farandole_record_open_day($1)", int(now // 86_400) + day)
        made = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'farandole_record'"
        indexes = [row for row in await connection.fetch(made) if row[0] != "farandole_record_pkey"]
        await connection.execute("ALTER TABLE farandole_record DROP CONSTRAINT farandole_record_pkey")
        for name, _ in indexes:
            await connection.execute(f"DROP INDEX {name}")
        for piece in pieces:
            await connection.execute(_POSTGRES.format(**piece))
        await connection.execute("ALTER TABLE farandole_record ADD CONSTRAINT farandole_record_pkey PRIMARY KEY (id, day)")
        for _, sql in indexes:
            await connection.execute(sql.replace(" ON ONLY ", " ON "))
        await connection.execute("ANALYZE farandole_record")


async def figures(name: str, ask: Callable[[], Awaitable[Any]], count: int) -> dict[str, float]:
    """Milliseconds that a question took, and those of this process's processor, which the load of others disturbs less."""
    times, busy = [], []
    for _ in range(count):
        begun, used = time.perf_counter(), time.process_time()
        await ask()
        times.append((time.perf_counter() - begun) * 1e3)
        busy.append((time.process_time() - used) * 1e3)
    at = count * 99 // 100
    return {
        f"{name}_p50_ms": round(sorted(times)[count // 2], 2),
        f"{name}_p99_ms": round(sorted(times)[at], 2),
        f"{name}_p99_of_processor_ms": round(sorted(busy)[at], 2),
    }


async def measure(name: str, record: Record, target_ms: float) -> None:
    await record.open()
    begun = time.perf_counter()
    await fill(record)
    filled = time.perf_counter() - begun
    chance = random.Random(1)

    async def chain() -> None:
        assert len(await record.events_of(f"c-{chance.randrange(ROWS // CHAIN)}")) == CHAIN

    async def by_key() -> None:
        assert len(await record.instances_of("order_id", f"o-{chance.randrange(ROWS // CHAIN)}")) == 1

    await figures("warm", chain, 50)
    report(
        f"large record, {name}, {ROWS:,} events",
        **await figures("chain_of_20", chain, ASKED),
        **await figures("by_key", by_key, ASKED),
        target_p99_ms=target_ms,
        filled_in_s=round(filled),
    )
    await overview(name, record)
    await record.close()


async def overview(name: str, record: Record) -> None:
    """Standings of as many instances as are there, 100,000 at most; and what a watcher writes."""
    count = min(OPEN, ROWS // CHAIN)
    states = ("running", "running", "running", "stalled", "compensating")
    made = [
        Standing(
            correlation_id=f"c-{i}", workflow=f"flow {i % 5}", state=states[i % 5], began=float(i), changes_at=float(i), number=i
        )
        for i in range(count)
    ]
    begun = time.perf_counter()
    for at in range(0, count, 500):
        await record.stand(made[at : at + 500], at)
    written = time.perf_counter() - begun

    async def look() -> None:
        assert sum((await record.counts()).values()) == count
        assert len(await record.standings(limit=100)) == 100

    async def stalled() -> None:
        assert len(await record.standings(workflow="flow 3", states=["stalled"], limit=100)) == 100

    report(
        f"overview of {count:,} open workflows, {name}",
        **await figures("overview", look, 20),
        **await figures("stalled_of_one", stalled, 100),
        target_ms=1000,
        written_per_s=round(count / written),
    )


async def run() -> None:
    world = World()
    with folder_on_disk() as folder:
        await measure("SQLite", open_record(f"sqlite:///{folder}/record.db", world), 5)
    async with schema() as url:
        if url is None:
            left_out("large record on PostgreSQL", "postgres")
        else:
            await measure("PostgreSQL", open_record(url, world), 10)


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    main()
