"""For pytest: the fixture `rehearsal`, which comes with Farandole.

def test_the_shop_stands_bad_days(rehearsal):
rehearsal.run("examples.shop.rehearsal:rehearsal", seeds=500)
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from farandole.rehearse.explore import Coverage
    from farandole.rehearse.rehearsal import Rehearsal

__all__ = ["Rehearsing", "rehearsal"]

if "farandole.testing" not in sys.modules:
    pytest.register_assert_rewrite("farandole.testing")  # so that the suites for adapters say what they compared

CI_SEEDS = 500
"""As many as a build can afford, and nearly all mistakes need fewer."""


class Rehearsing:
    """What the fixture `rehearsal` gives."""

    def run(
        self, app: str | Rehearsal, *, seeds: int = CI_SEEDS, first: int = 0, faults: tuple[str, ...] | None = None
    ) -> Coverage:
        """Rehearse, and fail with the story of the first run that fails; gives what was met.

        Parameters
        ----------
        app:
            A `Rehearsal`, or `module:variable` of one or of a choreography.
        seeds, first:
            How many runs, and the first seed.
        faults:
            Only these faults and groups.
        """
        from farandole.rehearse.course import Course
        from farandole.rehearse.explore import Coverage
        from farandole.rehearse.inspection import inspect
        from farandole.rehearse.report import Report, told
        from farandole.rehearse.run import play
        from farandole.rehearse.search import load_rehearsal

        __tracebackhide__ = True
        what = load_rehearsal(app, faults) if isinstance(app, str) else app
        coverage = Coverage.of(what)
        name = app if isinstance(app, str) else "module:rehearsal"
        if outside := inspect(what, first):
            pytest.fail(Report(name, what, coverage, outside=outside).text(), pytrace=False)
        for seed in range(first, first + seeds):
            run = play(what, Course(seed))
            coverage.add(run)
            if run.findings:
                pytest.fail(told(name, what, coverage, run.course).text(), pytrace=False)
        return coverage

    def repeat(self, app: str | Rehearsal, course: str) -> None:
        """Repeat one run, as a report of `farandole rehearse` gave it, and fail with its story if it still fails.

        Parameters
        ----------
        course:
            The text from the report. Where another version of Farandole wrote it, a warning says so: the same words may be another
            run now.
        """
        from farandole.rehearse.course import parse_course
        from farandole.rehearse.explore import Coverage
        from farandole.rehearse.report import repeated
        from farandole.rehearse.search import load_rehearsal

        __tracebackhide__ = True
        what = load_rehearsal(app) if isinstance(app, str) else app
        parsed, caution = parse_course(course, what.choreography)
        if caution:
            warnings.warn(f"this run may not be the one that was recorded: {caution}. Record it again", stacklevel=2)
        name = app if isinstance(app, str) else "module:rehearsal"
        report = repeated(name, what, Coverage.of(what), parsed, caution)
        if report.failed:
            pytest.fail(report.text(), pytrace=False)


@pytest.fixture(scope="session")
def rehearsal() -> Rehearsing:
    """Rehearses choreographies; see `Rehearsing`."""
    return Rehearsing()
