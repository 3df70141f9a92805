"""A worker process under a steady stream from NATS: its pace at the beginning and at the end, and how its memory grows.

100,000 events, or a million with FULL=1. One service handles OrderPlaced with a row and an event, on a SQLite file, and on PostgreSQL where that is
there. This process publishes, and is never more than some thousand events ahead. Needs FARANDOLE_NATS, and Linux for /proc.

python -m benchmarks.steady BROKER DATABASE: the worker, which prints how many it has handled, and its memory.
"""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.cluster import forget
from benchmarks.disk import folder_on_disk
from benchmarks.report import left_out, report
from benchmarks.shop import ON_POSTGRES, raw, starts

import farandole
from farandole.brokers import open_broker
from farandole.runtime.signals import Counters
from farandole.world import World

COUNT = 1_000_000 if os.environ.get("FULL") else 100_000
WINDOW, AHEAD = 500, 5_000
EACH = 1_000
"""The worker says something once in so many events."""


class Sample(NamedTuple):
    """What the worker said, and when."""

    handled: int
    rss_mb: float
    at: float


class Voice(Counters):
    """Prints the count and the memory."""

    def handled(self, lane: str, count: int) -> None:
        before = self["handled"] // EACH
        super().handled(lane, count)
        if self["handled"] // EACH > before:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            print(self["handled"], pages * resource.getpagesize() / 1e6, flush=True)


async def work(broker: str, database: str) -> None:
    """The worker process, until its input ends."""
    choreography = ON_POSTGRES["asyncpg"]() if database.startswith("postgres") else raw()
    async with farandole.open(choreography, services=["payments"], broker=broker, database=database, signals=Voice()):
        await asyncio.to_thread(sys.stdin.read)


async def stream(broker: str, database: str, count: int) -> list[Sample]:
    """Publish so many, and keep what the worker says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.steady", broker, database,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    adapter, found = open_broker(broker, World()), list[Sample]()
    moved = asyncio.Event()

    async def publish() -> None:
        await adapter.open()
        sent = 0
        while sent < count:
            while sent - (found[-1].handled if found else 0) > AHEAD:
                moved.clear()
                await moved.wait()
            results = await adapter.publish(list(starts(sent, WINDOW)))
            assert not any(result.error for result in results)
            sent += WINDOW

    publishing = asyncio.create_task(publish())
    async for line in process.stdout:
        handled, rss = line.split()
        found.append(Sample(int(handled), float(rss), time.perf_counter()))
        moved.set()
        if found[-1].handled >= count:
            break
    await publishing
    process.stdin.close()
    await process.wait()
    await adapter.close()
    return found


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Where the worker may keep its tables."""
    with folder_on_disk() as folder:
        found = {"SQLite": f"sqlite:///{folder}/{{service}}.db"}
        if "FARANDOLE_POSTGRES" in os.environ:
            found["PostgreSQL"] = os.environ["FARANDOLE_POSTGRES"]
        yield found


def main() -> None:
    """Each database."""
    broker = os.environ.get("FARANDOLE_NATS")
    if broker is None:
        left_out("a steady stream from NATS", "nats")
        return
    with databases() as places:
        for what, place in places.items():
            name = f"bench_{secrets.token_hex(4)}"
            database = f"{place}?schema={name}_{{service}}" if what == "PostgreSQL" else place
            try:
                tell(what, asyncio.run(stream(f"{broker}?prefix={name}", database, COUNT)))
            finally:
                asyncio.run(forget(broker, os.environ.get("FARANDOLE_POSTGRES"), name))


def tell(what: str, samples: list[Sample]) -> None:
    """Figures of a tenth after the first (which warms caches), of the last tenth, and what lies between."""
    tenth = len(samples) // 10
    early, late = samples[tenth : 2 * tenth], samples[-tenth:]

    def pace(some: list[Sample]) -> float:
        return (some[-1].handled - some[0].handled) / (some[-1].at - some[0].at)

    before, after = (median(sample.rss_mb for sample in some) for some in (early, late))
    report(
        f"{samples[-1].handled:,} events from NATS through one worker process on {what}",
        second_tenth_per_s=round(pace(early)),
        last_tenth_per_s=round(pace(late)),
        ratio=round(pace(late) / pace(early), 2),
        rss_at_first_mb=round(samples[0].rss_mb),
        rss_second_tenth_mb=round(before, 1),
        rss_last_tenth_mb=round(after, 1),
        rss_growth_mb=round(after - before, 1),
        rss_growth_from_first_mb=round(samples[-1].rss_mb - samples[0].rss_mb, 1),
        target="growth < 50",
    )


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
