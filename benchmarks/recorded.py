"""What a recorder costs the services that it listens to: the chain at half of what it can carry, with the record in a SQLite file and without.

The recorder is in a process of its own (`farandole observe`: it records, watches, and the services tell what became of each event), or in that of the
services (where it records). `SHARE=0.2` is another share of the load: beside other work, half may be more than there is. All ways in turn. The
recorder's lag is looked at while the load runs; after it, how long it takes until everything is recorded.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles

from benchmarks.chain import WARM, by_farandole
from benchmarks.disk import folder_on_disk
from benchmarks.hosted import hosted
from benchmarks.latency import Load
from benchmarks.report import report
from benchmarks.shop import KINDS, starts

import farandole
from farandole.model.wire import Wire
from farandole.observe.record import Reading, subscription_of
from farandole.stores import open_record
from farandole.world import World

WAYS = "apart", "beside", "off"
ROUNDS, SECONDS, LOOK = 3, 4.0, 0.25
SHARE = float(os.environ.get("SHARE", "0.5"))


class Seen:
    """What was seen in one run: seconds per workflow, the recorder's lag by time, how long it took to drain, and the processor's time."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.lags: list[int] = []
        self.drained = 0.0
        self.cpu_us = 0.0


def at(rate: float, folder: Path, way: str) -> Seen:
    """The chain under a load of so many workflows per second."""
    folder.mkdir(exist_ok=True)
    choreography = KINDS["raw"]()
    group = subscription_of(choreography.name, Reading(Wire(choreography)))

    async def run() -> Seen:
        seen = Seen()
        load: Load | None = None

        def ended(more: int) -> None:
            if load is not None:
                load.ended(more)

        async def watch() -> None:
            while True:
                seen.lags.append(await host.app.broker.lag(group))
                await asyncio.sleep(LOOK)

        here = f"sqlite:///{folder}/record.db" if way == "beside" else "none"
        async with (
            observer(folder, way),
            hosted(choreography, folder, full=True, ended=ended, record=here, told=way == "apart") as host,
        ):
            await host.run(starts(0, WARM), WARM)
            load, used = Load(rate, SECONDS), time.process_time()
            watching = asyncio.create_task(watch()) if way != "off" else None
            while (pause := load.wait()) is not None:
                await asyncio.sleep(pause)
                if now := load.due():
                    await host.publish(starts(WARM + now.start, len(now)))
            await host.until(load.total)
            seen.cpu_us = (time.process_time() - used) / load.total * 1e6
            begun = time.perf_counter()
            if watching is not None:
                watching.cancel()
                while await host.app.broker.lag(group):  # noqa: ASYNC110 - nobody rings
                    await asyncio.sleep(0.01)
                await is_whole(folder, 4 * (WARM + load.total))
            seen.drained = time.perf_counter() - begun
            seen.taken = load.taken
        return seen

    return asyncio.run(run())


async def is_whole(folder: Path, wanted: int) -> None:
    """Nothing is missing in the record."""
    record = open_record(f"sqlite:///{folder}/record.db", World())
    await record.open()
    try:
        while (found := len(await record.since(0, wanted + 1))) < wanted:  # noqa: ASYNC110 - nobody rings
            await asyncio.sleep(0.01)
        assert found == wanted, "something is in the record twice"
    finally:
        await record.close()


@asynccontextmanager
async def observer(folder: Path, way: str) -> AsyncIterator[None]:
    """The recorder and the watcher in a process of their own, once they run."""
    if way != "apart":
        yield
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.recorded", str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def observe(folder: str) -> None:
    """What that process does, until it is terminated."""
    async with farandole.open(
        KINDS["raw"](), services=(), broker=f"sqlite:///{folder}/broker.db", database=f"sqlite:///{folder}/{{service}}.db",
        record=f"sqlite:///{folder}/record.db", observe=(), watch=True,
    ):  # fmt: skip
        print("ready", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """First what the chain can carry, then half of it."""
    with folder_on_disk() as folder:
        capacity = median(by_farandole("raw", folder / str(number), full=True).per_s for number in range(ROUNDS))
    rounds: list[dict[str, Seen]] = []
    for _ in range(ROUNDS):
        with folder_on_disk() as folder:
            rounds.append({way: at(capacity * SHARE, folder / way, way) for way in WAYS})
    off = [quantiles(seen["off"].taken, n=100) for seen in rounds]
    for way, name in (("apart", "a process of its own"), ("beside", "the process of the services")):
        on = [quantiles(seen[way].taken, n=100) for seen in rounds]
        report(
            f"the chain of 4 at {SHARE:.0%} of its capacity with a recorder in {name}, handlers raw, synchronous FULL",
            offered_workflows_per_s=round(capacity * SHARE),
            recorded_p50_ms=round(median(q[49] for q in on) * 1000, 1),
            recorded_p99_ms=round(median(q[98] for q in on) * 1000, 1),
            alone_p50_ms=round(median(q[49] for q in off) * 1000, 1),
            alone_p99_ms=round(median(q[98] for q in off) * 1000, 1),
            p99_ratio=round(median(a[98] / b[98] for a, b in zip(on, off, strict=True)), 2),
            p99_ratios=[round(a[98] / b[98], 2) for a, b in zip(on, off, strict=True)],
            target="<= 1.2",
            recorded_cpu_us_per_workflow=round(median(seen[way].cpu_us for seen in rounds)),
            alone_cpu_us_per_workflow=round(median(seen["off"].cpu_us for seen in rounds)),
            most_lag_events=max(max(seen[way].lags) for seen in rounds),
            lag_at_the_end=[seen[way].lags[-1] for seen in rounds],
            drained_in_s=round(max(seen[way].drained for seen in rounds), 2),
        )


if __name__ == "__main__":
    asyncio.run(observe(sys.argv[1])) if len(sys.argv) > 1 else main()
