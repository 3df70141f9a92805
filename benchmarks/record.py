"""How fast a record is appended to, beside the same rows written raw; and how fast it answers where an instance is.

Raw is the fastest way there is, without looking whether an event is known: `executemany` of one transaction per batch on SQLite, `COPY` on
PostgreSQL, into a table with the same columns and indexes. PostgreSQL needs FARANDOLE_POSTGRES.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
from benchmarks.cleanup import schema
from benchmarks.clock import Pace, Stopwatch, compared
from benchmarks.disk import folder_on_disk
from benchmarks.overhead import OrderPlaced, PaymentCompleted, make, payments
from benchmarks.report import left_out, report

import farandole.stores
from farandole.brokers.base import Delivery
from farandole.graph.of_code import graph_of
from farandole.model.choreography import Choreography, Workflow
from farandole.model.wire import Wire
from farandole.observe.record import Reading
from farandole.observe.status import Statuses
from farandole.stores import open_record
from farandole.stores.record import Entry, Record
from farandole.world import World

BATCH = 500
ROUNDS = 3
ASKED = 2000
COLUMNS = Entry.__struct_fields__[:-1]
MIGRATIONS = Path(farandole.stores.__file__).parent

shop = Choreography("shop", payments, workflows=[Workflow("checkout", starts=OrderPlaced, succeeds=PaymentCompleted)])


async def ours(record: Record, batches: Sequence[Sequence[Entry]]) -> Pace:
    """Entries that are made already."""
    watch = Stopwatch()
    for batch in batches:
        await record.append(batch)
    return watch.pace(sum(map(len, batches)))


async def recorded(record: Record, deliveries: Sequence[Delivery]) -> Pace:
    """As the recorder does it: envelopes are decoded, classes looked at, entries made and appended."""
    reading = Reading(Wire(shop))
    watch = Stopwatch()
    for at in range(0, len(deliveries), BATCH):
        await record.append([reading.entry_of(delivery) for delivery in deliveries[at : at + BATCH]])
    return watch.pace(len(deliveries))


async def answers(record: Record, entries: Sequence[Entry]) -> list[float]:
    """Microseconds to read one instance of the record and derive its status, sorted."""
    statuses = Statuses(graph_of(shop))
    times = []
    for entry in entries[:: max(1, len(entries) // ASKED)]:
        begun = time.perf_counter()
        statuses.of(await record.events_of(entry.correlation_id), 0.0)
        times.append((time.perf_counter() - begun) * 1e6)
    return sorted(times)


def rows_of(batches: Sequence[Sequence[Entry]]) -> list[list[tuple[Any, ...]]]:
    return [[(*(getattr(entry, name) for name in COLUMNS), 1) for entry in batch] for batch in batches]


def raw_sqlite(path: Path, batches: Sequence[Sequence[Entry]]) -> Pace:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -20000")
    connection.executescript((MIGRATIONS / "sqlite/record_migrations/0001.sql").read_text())
    sql = f"INSERT INTO farandole_record ({', '.join(COLUMNS)}, recorded_at) VALUES ({', '.join('?' * 11)})"
    written = rows_of(batches)
    watch = Stopwatch()
    for rows in written:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(sql, rows)
        connection.execute("COMMIT")
    pace = watch.pace(sum(map(len, batches)))
    connection.close()
    return pace


async def raw_postgres(url: str, batches: Sequence[Sequence[Entry]]) -> Pace:
    place, _, name = url.rpartition("schema=")
    connection = await asyncpg.connect(place.rstrip("?&"))
    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}"; SET search_path = "{name}"')
    await connection.execute((MIGRATIONS / "postgres/record_migrations/0001.sql").read_text())
    written = rows_of(batches)
    watch = Stopwatch()
    for rows in written:
        await connection.copy_records_to_table("farandole_record", records=rows, columns=[*COLUMNS, "recorded_at"])
    pace = watch.pace(sum(map(len, batches)))
    await connection.close()
    return pace


async def measure(name: str, rounds: Sequence[tuple[Pace, Pace]], record: Record, deliveries: Sequence[Delivery]) -> None:
    """The last record, which is filled as the recorder does it."""
    whole = await recorded(record, deliveries)
    reading = Reading(Wire(shop))
    times = await answers(record, [reading.entry_of(delivery) for delivery in deliveries])
    report(
        f"record, {name}, batches of {BATCH}",
        **compared(rounds, ("farandole", "raw"), of="events"),
        with_reading_per_s=round(whole.per_s),
        status_p50_us=round(times[len(times) // 2]),
        status_p99_us=round(times[len(times) * 99 // 100]),
        target=">= 0.5",
    )


async def run() -> None:
    deliveries = make()
    reading = Reading(Wire(shop))
    made = [reading.entry_of(delivery) for delivery in deliveries]
    batches = [made[at : at + BATCH] for at in range(0, len(made), BATCH)]
    world = World()
    with folder_on_disk() as folder:
        rounds = []
        for number in range(ROUNDS):
            record = open_record(f"sqlite:///{folder}/ours{number}.db", world)
            await record.open()
            rounds.append((await ours(record, batches), raw_sqlite(folder / f"raw{number}.db", batches)))
            await record.close()
        record = open_record(f"sqlite:///{folder}/whole.db", world)
        await record.open()
        await measure("SQLite FULL", rounds, record, deliveries)
        await record.close()
    rounds = []
    for number in range(ROUNDS):
        async with schema() as url, schema() as other:
            if url is None or other is None:
                left_out("record on PostgreSQL", "postgres")
                return
            record = open_record(url, world)
            await record.open()
            rounds.append((await ours(record, batches), await raw_postgres(other, batches)))
            if number == ROUNDS - 1:
                async with schema() as last:
                    whole = open_record(str(last), world)
                    await whole.open()
                    await measure("PostgreSQL", rounds, whole, deliveries)
                    await whole.close()
            await record.close()


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    main()
