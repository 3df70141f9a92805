"""What is known to be wrong is found, and what is right beside it is not accused."""

from __future__ import annotations

import pytest
from tests.rehearse.planted import DEFECTS, Defect

from farandole.rehearse import Course, play

_FEW = 300


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_known_mistake_is_found_and_its_twin_is_not_accused(defect: Defect) -> None:
    with defect.planted() as wrong:
        assert any(play(wrong, Course(seed)).findings for seed in range(_FEW)), f"{defect.name}: not within {_FEW} seeds"
    right = defect.make(False)
    for seed in range(10):
        assert [str(finding) for finding in play(right, Course(seed)).findings] == [], f"seed {seed}"


def test_there_are_twenty_known_mistakes_and_each_has_a_name_of_its_own() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 20
