"""What failures cost: the chain with a share of orders whose payment is declined once, beside the same chain without any.

A declined payment is parked, waits 10 ms for its retry, and goes on; the others of its batch run on without it. Where all have one key,
and the first is declined, all wait behind it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.clock import Pace, compared
from benchmarks.disk import folder_on_disk
from benchmarks.hosted import hosted
from benchmarks.report import report
from benchmarks.shop import KINDS, starts

COUNT, WARM, ROUNDS = 2_000, 200, 3
BEHIND = 900
"""Events of one key that wait behind the first: not so many that the lane pauses."""


def pace(kind: str, folder: Path, failing: float) -> Pace:
    """The pace with this share failing at first."""

    async def run() -> Pace:
        async with hosted(KINDS[kind](), folder, full=True) as host:
            await host.run(starts(0, WARM), WARM)
            found = await host.run(starts(WARM, COUNT, failing=failing), COUNT)
            assert host["parked"] >= int(COUNT * failing)
            return found

    return asyncio.run(run())


def pace_behind(kind: str, folder: Path, *, declined: bool) -> Pace:
    """The pace of the workflows that begin with events of one key, the first of which is declined once."""

    async def run() -> Pace:
        async with hosted(KINDS[kind](), folder, full=True) as host:
            await host.run(starts(0, WARM), WARM)
            first = starts(WARM, 1, failing=1.0 if declined else 0.0, key="one")
            found = await host.run([*first, *starts(WARM + 1, BEHIND - 1, key="one")], BEHIND)
            assert (host["parked"] > 0) is declined
            return found

    return asyncio.run(run())


def main() -> None:
    """Each rate in turn with none; `ratio` is what is left of the throughput."""
    for kind in ("raw", "orm"):
        for failing in (0.001, 0.01, 0.1):
            pairs = []
            for _ in range(ROUNDS):
                with folder_on_disk() as folder:
                    pairs.append((pace(kind, folder / "some", failing), pace(kind, folder / "none", 0.0)))
            report(
                f"chain of 4 with {failing * 100:g} % failing once, handlers {kind}, synchronous FULL",
                **compared(pairs, ("some_failing", "none_failing")),
            )
        pairs = []
        for _ in range(ROUNDS):
            with folder_on_disk() as folder:
                pairs.append(tuple(pace_behind(kind, folder / name, declined=name == "held") for name in ("held", "free")))
        report(
            f"chain of 4, {BEHIND} of one key, the first failing once, handlers {kind}, synchronous FULL",
            **compared(pairs, ("held", "free")),
        )
