"""Throughput of the embedded chain of four services, beside a lean loop that makes the same transactions by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.clock import Pace, compared
from benchmarks.disk import folder_on_disk
from benchmarks.hosted import hosted
from benchmarks.lean import Lean
from benchmarks.report import report
from benchmarks.shop import KINDS, starts

COUNT, WARM = 2_000, 200
ROUNDS = {True: 5, False: 3}
TARGETS = {"raw": 0.7, "core text": 0.45, "core insert": 0.45, "orm": 0.35}


def by_hand(folder: Path, *, full: bool) -> Pace:
    """The pace of the lean loop."""
    lean = Lean(folder, full=full)
    try:
        lean.start(starts(0, WARM))
        lean.run(WARM)
        lean.start(starts(WARM, COUNT))
        return lean.run(COUNT)
    finally:
        lean.close()


def by_farandole(kind: str, folder: Path, *, full: bool) -> Pace:
    """The pace of the host."""

    async def run() -> Pace:
        async with hosted(KINDS[kind](), folder, full=full) as host:
            await host.run(starts(0, WARM), WARM)
            return await host.run(starts(WARM, COUNT), COUNT)

    return asyncio.run(run())


def main() -> None:
    """Rounds in turn, so that a change of the machine's speed hits both."""
    for kind, target in TARGETS.items():
        for full in (True, False):
            pairs = []
            for _ in range(ROUNDS[full]):
                with folder_on_disk() as folder:
                    pairs.append((by_farandole(kind, folder / "farandole", full=full), by_hand(folder / "lean", full=full)))
            report(
                f"chain of 4, handlers {kind}, synchronous {'FULL' if full else 'NORMAL'}",
                **compared(pairs, ("farandole", "lean")),
                target=f">= {target}" if full else None,
            )
