"""Systematic exploration: all orders of few deliveries; what only one order, one repeat or one crash shows is found for sure."""

from __future__ import annotations

import sqlite3

import pytest

from farandole.model.choreography import Choreography
from farandole.model.event import Command, Event
from farandole.model.service import Service
from farandole.rehearse import Rehearsal, Stage, View, play
from farandole.rehearse.course import Course, parse_course
from farandole.rehearse.systematic import explore_all


class Go(Command):
    id: str


class Stop(Command):
    id: str


class Went(Event, key="id"):
    id: str


class Stopped(Event, key="id"):
    id: str


class Seen(Event, key="id"):
    id: str


def meeting(*, wrong: str = "", walkers: int = 1) -> Rehearsal:
    """Two services' events meet at a third one, and a fourth watches the first."""
    walk, halt = Service("walk"), Service("halt")
    place = Service("place", tables="CREATE TABLE seen (seq INTEGER PRIMARY KEY, what TEXT)")
    watch = Service("watch", tables="CREATE TABLE seen (what TEXT)")

    @walk.command
    async def go(command: Go) -> Went:
        return Went(id=command.id)

    @halt.command
    async def stop(command: Stop) -> Stopped:
        return Stopped(id=command.id)

    @place.on(Went)
    async def write_went(event: Went, db: sqlite3.Connection) -> Seen:
        db.execute("INSERT INTO seen (what) VALUES (?)", (f"went {event.id}",))
        return Seen(id=event.id)

    @place.on(Stopped)
    async def write_stopped(event: Stopped, db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO seen (what) VALUES (?)", (f"stopped {event.id}",))

    @watch.on(Went)
    async def notice(event: Went, db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO seen VALUES (?)", (event.id,))

    choreography = Choreography("square", walk, halt, place, watch)

    @choreography.invariant
    async def nobody_stops_before_going(world: View) -> list[str]:
        rows = [what for (what,) in world.rows("place", "SELECT what FROM seen ORDER BY seq")]
        return ["stopped first"] if wrong == "order" and rows.index("stopped 0") < rows.index("went 0") else []

    rehearsal = Rehearsal(choreography, layout="apart")

    @rehearsal.scenario
    async def both(stage: Stage) -> None:
        for number in range(walkers):
            await stage.send(Go(id=str(number)))
            await stage.send(Stop(id=str(number)))

    return rehearsal


def test_all_orders_of_a_small_program_are_played_and_it_says_so() -> None:
    result = explore_all(meeting(), deliveries=6)
    assert result.failing is None
    assert result.complete
    assert result.played > 1


def test_what_only_one_order_shows_is_found_and_repeats_by_its_choices() -> None:
    rehearsal = meeting(wrong="order")
    result = explore_all(rehearsal, deliveries=6)
    assert result.failing is not None
    assert [finding.rule for finding in result.failing.findings] == ["nobody_stops_before_going"]
    text = result.failing.course.text(rehearsal.choreography)
    course, caution = parse_course(text, rehearsal.choreography)
    assert caution is None
    again = play(rehearsal, course)
    assert (again.findings, again.digest) == (result.failing.findings, result.failing.digest)
    assert play(meeting(), course).findings == []


def test_the_orders_that_are_left_out_would_have_ended_the_same() -> None:
    whole = explore_all(meeting(), deliveries=6, reduced=False)
    reduced = explore_all(meeting(), deliveries=6)
    assert whole.complete
    assert reduced.complete
    assert reduced.ends == whole.ends
    assert len(whole.ends) > 1, "the orders differ"
    assert reduced.played < whole.played


@pytest.mark.parametrize(("planted", "happening"), [("claim", "again"), ("commit", "crash")])
def test_what_only_a_repeat_or_a_crash_shows_is_found(planted: str, happening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.rehearse.planted.in_the_runtime import mark_in_a_transaction_of_its_own, no_unique_key

    monkeypatch.setattr(*(no_unique_key if planted == "claim" else mark_in_a_transaction_of_its_own)())
    if planted == "claim":
        assert explore_all(meeting(), deliveries=3).failing is None, "nothing comes twice by itself"
    result = explore_all(meeting(), deliveries=3, faults=1, limit=400)
    assert result.failing is not None
    assert result.failing.course.choices is not None
    if planted == "claim":
        assert any(happening in choice for choice in result.failing.course.choices)


def test_with_one_fault_a_right_program_stays_right_and_the_limit_is_told() -> None:
    result = explore_all(meeting(), deliveries=4, faults=1, limit=2000)
    assert result.failing is None
    assert result.complete
    cut = explore_all(meeting(), deliveries=4, faults=1, limit=3)
    assert (cut.played, cut.complete) == (3, False)


def test_the_exploration_is_the_same_each_time() -> None:
    one, two = (explore_all(meeting(), deliveries=5, faults=1, limit=60) for _ in range(2))
    assert (one.played, one.pruned, one.ends) == (two.played, two.pruned, two.ends)


def test_a_choice_that_cannot_be_made_any_more_is_made_as_near_as_can_be() -> None:
    assert play(meeting(), Course(0, strikes=(), orderly=True, choices=("square.place Gone x 0000",))).findings == []
