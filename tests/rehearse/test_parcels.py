"""A process through faulty futures: whatever goes wrong, each instance ends, with all that it did kept or all of it undone."""

from __future__ import annotations

import os

import pytest
from tests.rehearse.parcels import parcels

from farandole.rehearse import CALM, Course, Rehearsal, play

SEEDS = 200 if os.environ.get("FULL") else 4


@pytest.mark.parametrize("outside", [False, True], ids=["local", "outside"])
def test_a_process_stays_right_through_every_fault(outside: bool) -> None:
    rehearsal = parcels(outside=outside)
    assert play(rehearsal, Course(0, faults=CALM)).findings == []
    for seed in range(1, SEEDS):
        assert [str(finding) for finding in play(rehearsal, Course(seed)).findings] == [], f"seed {seed}"


def test_commands_that_a_service_asks_of_itself_are_not_made_up() -> None:
    """Were they, lines would be put on parcels that nobody asked for, and their events would be dead letters."""
    run = play(Rehearsal(parcels().choreography), Course(1, faults=CALM))
    assert run.workflows > 0
    assert run.dead == {}
