"""The pytest fixture `rehearsal`."""

from __future__ import annotations

import warnings

import pytest
from tests.rehearse.cafe import any_key, cafe

from farandole.pytest_plugin import Rehearsing
from farandole.rehearse import Course, play
from farandole.rehearse.shrink import shrink


def test_what_is_right_gives_what_was_met() -> None:
    assert Rehearsing().run("tests.rehearse.cafe:rehearsal", seeds=3, faults=("crash",)).runs == 3


def test_what_is_wrong_fails_with_the_story() -> None:
    with pytest.raises(pytest.fail.Exception, match="Violated: nobody_is_charged_twice") as failed:
        Rehearsing().run("tests.rehearse.cafe:broken", seeds=100)
    assert "def test_nobody_is_charged_twice(rehearsal):" in str(failed.value)


def test_a_recorded_run_fails_while_the_mistake_is_there_and_passes_when_it_is_gone() -> None:
    broken = cafe(any_key, moody=False)
    failing = next(run for seed in range(100) if (run := play(broken, Course(seed))).findings)
    course = shrink(broken, failing).listed.text(broken.choreography)
    with pytest.raises(pytest.fail.Exception, match="Violated: nobody_is_charged_twice"):
        Rehearsing().repeat(broken, course)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Rehearsing().repeat(cafe(moody=False), course)


def test_a_run_of_another_version_warns() -> None:
    with pytest.warns(UserWarning, match=r"drawn by Farandole 0\.0\.1/1.*Record it again"):
        Rehearsing().repeat(cafe(), "farandole 0.0.1/1 00000000\nseed 3")
