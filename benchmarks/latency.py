"""How long a workflow takes, from the event that begins it to the commit of its end, at half of what the chain can carry.

Events come every 10 ms, or all that are due by then in one publish; time counts from the moment they should have come, so that a late one is not
let off. The lean loop gets the same load; it looks for events all the time, and Farandole waits until it is woken.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import median, quantiles

from benchmarks.chain import WARM, by_farandole
from benchmarks.disk import folder_on_disk
from benchmarks.hosted import hosted
from benchmarks.lean import Lean
from benchmarks.report import report
from benchmarks.shop import KINDS, starts

SECONDS, ROUNDS, TICK = 2.0, 3, 0.01


class Load:
    """Offers `rate` workflows per second for some seconds, and keeps how long each took. They end in the order they began."""

    def __init__(self, rate: float, seconds: float = SECONDS) -> None:
        self.each = max(1, round(rate * TICK))
        self.ticks = round(seconds / TICK)
        self.total = self.each * self.ticks
        self.taken: list[float] = []
        self._sent = 0
        self._begun = time.perf_counter()

    def due(self) -> range:
        """The numbers that are due by now and were not sent before."""
        before = self._sent
        while self._sent < self.ticks and self._at(self._sent) <= time.perf_counter():
            self._sent += 1
        return range(before * self.each, self._sent * self.each)

    def wait(self) -> float | None:
        """Seconds to the next burst; None: there is none."""
        return None if self._sent == self.ticks else max(0.0, self._at(self._sent) - time.perf_counter())

    def ended(self, more: int) -> None:
        """So many have come to their end."""
        now = time.perf_counter()
        self.taken += [now - self._at(number // self.each) for number in range(len(self.taken), len(self.taken) + more)]

    def _at(self, tick: int) -> float:
        return self._begun + tick * TICK


def by_hand(folder: Path, rate: float) -> list[float]:
    """Seconds that each workflow took in the lean loop."""
    lean = Lean(folder, full=True)
    try:
        load = Load(rate)

        def feed() -> None:
            if now := load.due():
                lean.start(starts(now.start, len(now)))

        lean.run(load.total, feed, load.ended)
    finally:
        lean.close()
    return load.taken


def hosted_chain(folder: Path, rate: float) -> list[float]:
    """The same under the host."""

    async def run() -> list[float]:
        load: Load | None = None

        def ended(more: int) -> None:
            if load is not None:
                load.ended(more)

        async with hosted(KINDS["raw"](), folder, full=True, ended=ended) as host:
            await host.run(starts(0, WARM), WARM)
            load = Load(rate)
            while (pause := load.wait()) is not None:
                await asyncio.sleep(pause)
                if now := load.due():
                    await host.publish(starts(WARM + now.start, len(now)))
            await host.until(load.total)
            return load.taken

    return asyncio.run(run())


def main() -> None:
    """First what the chain can carry, then half of it, in turn with the lean loop."""
    with folder_on_disk() as folder:
        capacity = median(by_farandole("raw", folder / str(number), full=True).per_s for number in range(ROUNDS))
    pairs = []
    for _ in range(ROUNDS):
        with folder_on_disk() as folder:
            pairs.append((hosted_chain(folder / "farandole", capacity / 2), by_hand(folder / "lean", capacity / 2)))
    ours, others = [[quantiles(taken, n=100) for taken in side] for side in zip(*pairs, strict=True)]
    report(
        "latency of the chain of 4 at half load, handlers raw, synchronous FULL",
        offered_workflows_per_s=round(capacity / 2),
        farandole_p50_ms=round(median(q[49] for q in ours) * 1000, 1),
        farandole_p99_ms=round(median(q[98] for q in ours) * 1000, 1),
        lean_p50_ms=round(median(q[49] for q in others) * 1000, 1),
        lean_p99_ms=round(median(q[98] for q in others) * 1000, 1),
        p50_ratio=round(median(a[49] / b[49] for a, b in zip(ours, others, strict=True)), 2),
    )
