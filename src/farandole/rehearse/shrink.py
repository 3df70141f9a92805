"""Makes a failing run short: fewer faults, less work, an orderly schedule, while it still breaks the same rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from farandole.rehearse.course import Course
from farandole.rehearse.cuts import OutsideWorld
from farandole.rehearse.rehearsal import Rehearsal
from farandole.rehearse.run import Run, play

__all__ = ["fewest", "shrink"]

T = TypeVar("T")
_SHARES = (0.05, 0.1, 0.25, 0.5, 0.75)


def shrink(rehearsal: Rehearsal, failing: Run, *, tries: int = 300, watch: Callable[[int], None] = lambda tried: None) -> Run:
    """A shorter run that breaks a rule which the given one breaks.

    Parameters
    ----------
    tries:
        How many runs it may take.
    watch:
        Is told how many it took so far.
    """
    shrinker = _Shrinker(rehearsal, failing, tries, watch)
    best = failing
    before: Course | None = None
    while best.course != before and shrinker.left:
        before = best.course
        best = shrinker.less_work(shrinker.earlier(shrinker.fewer_strikes(shrinker.orderly(best))))
    return shrinker.smaller_strikes(best)


class _Shrinker:
    def __init__(self, rehearsal: Rehearsal, failing: Run, tries: int, watch: Callable[[int], None]) -> None:
        self._rehearsal = rehearsal
        self._rules = failing.rules
        self._tries = tries
        self._watch = watch
        self.left = tries

    def _try(self, course: Course) -> Run | None:
        """The run of a course, if it still breaks a rule of the first."""
        if self.left <= 0:
            return None
        self.left -= 1
        self._watch(self._tries - self.left)
        try:
            run = play(self._rehearsal, course)
        except OutsideWorld:
            return None
        return run if run.rules & self._rules else None

    def orderly(self, run: Run) -> Run:
        """First come, first served, instead of drawn."""
        if run.course.orderly:
            return run
        return self._try(replace(run.listed, orderly=True)) or run

    def fewer_strikes(self, run: Run) -> Run:
        best = self._try(replace(run.course, strikes=())) or self._try(run.listed) or run
        if not best.strikes or best.course.strikes is None:
            return best

        def fails(strikes: Sequence[object]) -> bool:
            nonlocal best
            found = self._try(replace(best.course, strikes=tuple(strikes)))  # type: ignore[arg-type]
            best = found or best
            return found is not None

        fewest(best.strikes, fails)
        return best

    def earlier(self, run: Run) -> Run:
        """Each fault at an earlier chance, where that is enough: then less work is, too."""
        best = run
        for index, strike in enumerate(best.course.strikes or ()):
            number = 1
            while number < strike.number:
                strikes = list(best.course.strikes or ())
                strikes[index] = replace(strike, number=number)
                if found := self._try(replace(best.course, strikes=tuple(strikes))):
                    best = found
                    break
                number = number * 2 if number > 3 else number + 1
        return best

    def less_work(self, run: Run) -> Run:
        for share in _SHARES:
            if share < run.course.share and (found := self._try(replace(run.course, share=share))):
                return found
        return run

    def smaller_strikes(self, run: Run) -> Run:
        """Each with a round number of seconds where that is enough."""
        best = run
        for index, strike in enumerate(best.course.strikes or ()):
            for size in (0.1, 1.0, 10.0):
                if size >= strike.size:
                    break
                strikes = list(best.course.strikes or ())
                strikes[index] = replace(strike, size=size)
                if found := self._try(replace(best.course, strikes=tuple(strikes))):
                    best = found
                    break
        return best


def fewest(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """A part of the items that still fails, of which none can be left out.

    Delta debugging (Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).
    """
    parts = 2
    while len(items) >= 2:
        size = max(1, len(items) // parts)
        for start in range(0, len(items), size):
            rest = [*items[:start], *items[start + size :]]
            if fails(rest):
                items, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(len(items), parts * 2)
    if len(items) == 1 and fails(()):
        return ()
    return items
