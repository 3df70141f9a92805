"""Known mistakes: how many seeds and seconds until a rehearsal finds each, and for how many seeds what is right stays silent.

python -m benchmarks.seeded_bugs --repeats 5 --silent 10000 --budget 60
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tests.rehearse.planted import DEFECTS, Defect

from farandole.rehearse import Course, Rehearsal, play

LIMIT = 2000
PAGE = Path(__file__).parents[1] / "docs" / "rehearsal-bugs.md"
_FAR = 100_000
_HEAD = """\
# What rehearsals find

Known mistakes, each planted into something right: in one function of the runtime, or in a few lines of a service
([`tests/rehearse/planted`](../tests/rehearse/planted)). `python -m benchmarks.seeded_bugs` writes this page.

*Seeds* and *seconds* are the median of {repeats} searches from different first seeds, on one core; the limit is {limit:,} seeds and 60
seconds each. *Silent* is for how many seeds the same thing without the mistake was not accused.

| mistake | found | by | seeds | seconds | silent |
|---|---|---|---:|---:|---:|
"""
_FOOT = """
Random ids of *events* are no mistake that shows here: the outbox keeps the id that an event was given once, and the inbox lets each
handler's transaction commit once. Deterministic ids matter beyond the inbox's window, and where ids leave for the outside (above).

A relay without a lease is none either: two relays then publish the same rows, each in order and from the oldest on, so that repeats are
all that comes of it. Planted, it was not accused in 200 seeds.
"""


def main() -> None:
    """Measure all, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="searches for each mistake")
    parser.add_argument("--silent", type=int, default=10_000, help="seeds for what is right")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each of what is right")
    options = parser.parse_args()
    silent: dict[str, str] = {}
    rows = []
    for defect in DEFECTS:
        found = [_search(defect, first * _FAR) for first in range(options.repeats)]
        twin = getattr(defect.make, "__qualname__", defect.name) if "lambda" not in str(defect.make) else defect.name
        if twin not in silent:
            silent[twin] = _silence(defect.make, options.silent, options.budget)
        rows.append(_row(defect, found, silent[twin]))
        print(rows[-1], flush=True)
    PAGE.write_text(_HEAD.format(repeats=options.repeats, limit=LIMIT) + "\n".join(rows) + "\n" + _FOOT)


def _search(defect: Defect, first: int) -> tuple[int, float, str] | None:
    """After how many seeds and seconds it was found, and by what; None: it was not."""
    begin = time.perf_counter()
    with defect.planted() as wrong:
        for seed in range(first, first + LIMIT):
            run = play(wrong, Course(seed))
            took = time.perf_counter() - begin
            if run.findings:
                return seed - first + 1, took, run.findings[0].rule
            if took > 60:
                return None
    return None


def _silence(make: Callable[[bool], Rehearsal], seeds: int, budget: float) -> str:
    """For how many seeds nothing was found."""
    begin, right = time.perf_counter(), make(False)
    for seed in range(seeds):
        if play(right, Course(_FAR * 50 + seed)).findings:
            return f"**accused** at seed {_FAR * 50 + seed}"
        if time.perf_counter() - begin > budget:
            return f"{seed + 1:,}"
    return f"{seeds:,}"


def _row(defect: Defect, found: list[tuple[int, float, str] | None], silent: str) -> str:
    hits = [hit for hit in found if hit is not None]
    if not hits:
        return f"| {defect.name} | **not found** | | | | {silent} |"
    seeds, seconds = (statistics.median(hit[part] for hit in hits) for part in (0, 1))
    rule = statistics.mode(hit[2] for hit in hits)
    often = "always" if len(hits) == len(found) else f"{len(hits)} of {len(found)}"
    return f"| {defect.name} | {often} | {rule.replace('_', ' ')} | {seeds:g} | {seconds:.2f} | {silent} |"


if __name__ == "__main__":
    main()
