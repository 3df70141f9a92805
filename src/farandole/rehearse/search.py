"""Rehearses seed after seed, on as many processors as there are, until one fails or the time is up.

Every worker process imports the application for itself, and works through chunks of seeds; the lowest seed that failed is told. Where
time is the limit, runs are guided by what is new (see `explore`).
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from farandole.errors import ConfigurationError, FarandoleError
from farandole.loading import load_named
from farandole.model.choreography import Choreography
from farandole.rehearse.course import Course
from farandole.rehearse.cuts import OutsideWorld
from farandole.rehearse.explore import Coverage, Guide
from farandole.rehearse.rehearsal import Rehearsal
from farandole.rehearse.run import Run, play
from farandole.world import World

__all__ = ["Found", "Plan", "load_rehearsal", "search"]

_CHUNK = 10


@dataclass(frozen=True)
class Plan:
    """What to rehearse, and for how long.

    Attributes
    ----------
    app:
        `module:variable` of a `Rehearsal` or a `Choreography`.
    first, seeds:
        The seeds, and how many; None: until the time is up.
    seconds:
        Real time; None: until the seeds are done.
    faults:
        Only these faults and groups of faults; None: all.
    jobs:
        How many processes.
    guided:
        Whether later runs begin near to those that showed something new.
    """

    app: str
    first: int = 0
    seeds: int | None = 500
    seconds: float | None = None
    faults: tuple[str, ...] | None = None
    jobs: int = 1
    guided: bool = False


@dataclass
class Found:
    """What came of it: coverage, and the course that failed, if one did."""

    coverage: Coverage
    course: Course | None = None


def load_rehearsal(app: str, faults: tuple[str, ...] | None = None) -> Rehearsal:
    """The rehearsal that `module:variable` names; of a choreography, one with all defaults.

    Raises
    ------
    ConfigurationError
        There is no such thing, or no such fault.
    """
    found: Rehearsal | Choreography = load_named(app, Rehearsal, Choreography)
    rehearsal = Rehearsal(found) if isinstance(found, Choreography) else found
    if faults is not None:
        rehearsal.faults = rehearsal.faults.only(faults)
    return rehearsal


def search(plan: Plan, watch: Callable[[Coverage], None] = lambda coverage: None, world: World | None = None) -> Found:
    """Rehearse until something fails or the plan is done.

    Parameters
    ----------
    watch:
        Is told what was met so far, now and then.
    world:
        Whose clock says when the time is up.

    Raises
    ------
    OutsideWorld
        Something reached out of the rehearsal.
    ConfigurationError
        The plan cannot be carried out.
    """
    world = world or World()
    rehearsal = load_rehearsal(plan.app, plan.faults)
    found = Found(Coverage.of(rehearsal))
    until = None if plan.seconds is None else world.monotonic() + plan.seconds

    def late() -> bool:
        return until is not None and world.monotonic() >= until

    if plan.jobs <= 1:
        for chunk in _chunks(plan):
            found.course = _rehearse(rehearsal, chunk, plan.guided, found.coverage)
            watch(found.coverage)
            if found.course is not None or late():
                return found
        return found
    return _search_together(plan, found, watch, late)


def _chunks(plan: Plan) -> Iterator[range]:
    """The seeds, a few at a time."""
    end = None if plan.seeds is None else plan.first + plan.seeds
    for start in itertools.count(plan.first, _CHUNK):
        if end is not None and start >= end:
            return
        yield range(start, start + _CHUNK if end is None else min(start + _CHUNK, end))


def _search_together(plan: Plan, found: Found, watch: Callable[[Coverage], None], late: Callable[[], bool]) -> Found:
    chunks = _chunks(plan)
    failed: dict[int, Course] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(plan.jobs, mp_context=context) as pool:
        running: dict[Future[Any], range] = {}

        def feed() -> None:
            while len(running) < plan.jobs and not failed and not late():
                chunk = next(chunks, None)
                if chunk is None:
                    return
                running[pool.submit(_work, plan, chunk)] = chunk

        feed()
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                chunk = running.pop(future)
                coverage, course, error = future.result()
                if error is not None:
                    raise error
                found.coverage.join(coverage)
                if course is not None:
                    failed[chunk.start] = course
            watch(found.coverage)
            feed()
    if failed:
        found.course = failed[min(failed)]
    return found


_known: dict[tuple[str, tuple[str, ...] | None], Rehearsal] = {}


def _work(plan: Plan, chunk: range) -> tuple[Coverage, Course | None, BaseException | None]:
    """A chunk of seeds, in a worker process."""
    place = plan.app, plan.faults
    try:
        if place not in _known:
            _known[place] = load_rehearsal(*place)
        coverage = Coverage.of(_known[place])
        course = _rehearse(_known[place], chunk, plan.guided, coverage)
    except (FarandoleError, OutsideWorld) as error:
        return Coverage([]), None, type(error)(str(error)) if not isinstance(error, ConfigurationError) else error
    return coverage, course, None


def _rehearse(rehearsal: Rehearsal, chunk: range, guided: bool, coverage: Coverage) -> Course | None:
    """Play a chunk of seeds; gives the course that failed."""
    guide = Guide(chunk.start)
    for seed in chunk:
        course = guide.next() if guided else Course(seed)
        run: Run = play(rehearsal, course)
        if coverage.add(run):
            guide.learn(run)
        if run.findings:
            return run.listed if guided else course
    return None
