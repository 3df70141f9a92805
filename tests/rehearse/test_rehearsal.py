"""Whole rehearsals: what is right stays silent through every fault, what is wrong is found, made short, and repeats."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.rehearse.cafe import Bank, Place, any_key, cafe

from farandole.errors import ConfigurationError
from farandole.model.choreography import Choreography, Workflow
from farandole.model.event import Command, Event
from farandole.model.service import Service
from farandole.rehearse import CALM, GROUPS, ROUGH, Course, Fault, Faults, Rehearsal, Stage, View, play
from farandole.rehearse.course import fingerprint, parse_course, version
from farandole.rehearse.explore import Coverage, Guide
from farandole.rehearse.faults import names, swarm
from farandole.rehearse.run import Run
from farandole.rehearse.shrink import fewest, shrink
from farandole.testing.checkers import Quantity

ROOT = Path(__file__).parents[2]


def found(run: Run) -> list[str]:
    return [str(finding) for finding in run.findings]


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_what_is_right_stays_silent_through_every_fault(share: int) -> None:
    rehearsal, happened = cafe(), Counter[str]()
    coverage = Coverage.of(rehearsal)
    for seed in range(share, 60, 4):
        run = play(rehearsal, Course(seed))
        assert found(run) == [], f"seed {seed}"
        coverage.add(run)
        happened.update(run.happened)
    assert coverage.missed == []
    assert len(happened) > 15
    assert coverage.workflows == coverage.runs * 9


@pytest.mark.parametrize("fault", [name for name in names() if name not in ("upgrade", "forgets")])
def test_each_fault_alone_strikes_and_is_survived(fault: str) -> None:
    rehearsal, struck = cafe(), 0
    usual: Fault = getattr(ROUGH, fault)
    more = Fault(min(1.0, usual.rate * 5), usual.least, usual.most)
    for seed in range(12):
        run = play(rehearsal, Course(seed, faults=Faults(**{fault: more})))
        assert found(run) == [], f"seed {seed}"
        struck += run.happened[fault]
        if struck >= 3:
            return
    assert struck, "it never struck"


def test_a_mistake_is_found_made_short_and_repeats() -> None:
    rehearsal = cafe(any_key, moody=False)
    failing = next(run for seed in range(200) if (run := play(rehearsal, Course(seed))).findings)
    assert failing.rules == {"nobody_is_charged_twice"}
    short = shrink(rehearsal, failing)
    assert short.rules == failing.rules
    assert len(short.strikes) == 1, "one lost answer, or one crash, is enough"
    assert short.course.orderly
    assert short.workflows < failing.workflows
    course, caution = parse_course(short.listed.text(rehearsal.choreography), rehearsal.choreography)
    assert caution is None
    again = play(rehearsal, course)
    assert (again.findings, again.digest) == (short.findings, play(rehearsal, short.course).digest)
    assert found(play(cafe(moody=False), course)) == [], "the same course, without the mistake"


def test_the_same_seed_is_the_same_run_and_another_seed_another() -> None:
    one, two, other = play(cafe(), Course(5)), play(cafe(), Course(5)), play(cafe(), Course(6))
    assert one.digest == two.digest != other.digest
    assert one.strikes == two.strikes


@pytest.mark.real_time
def test_the_same_seeds_are_the_same_runs_in_every_process() -> None:
    code = (
        "from farandole.rehearse import Course, play; from tests.rehearse.cafe import cafe\n"
        "print([play(cafe(), Course(seed)).digest for seed in range(12)])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONHASHSEED": hashing},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashing in ("1", "2")
    }
    assert told == {f"{[play(cafe(), Course(seed)).digest for seed in range(12)]}\n"}


def test_a_run_repeats_by_the_list_of_its_strikes() -> None:
    drawn = next(run for seed in range(50) if len((run := play(cafe(), Course(seed))).strikes) > 3)
    listed = play(cafe(), drawn.listed)
    assert (listed.digest, listed.strikes) == (drawn.digest, drawn.strikes)


def test_without_faults_nothing_strikes_and_the_order_of_things_still_differs() -> None:
    runs = [play(cafe(), Course(seed, faults=CALM)) for seed in range(3)]
    assert all(run.strikes == () and run.findings == [] for run in runs)
    assert len({run.digest for run in runs}) == 3


# ---- invariants ----------------------------------------------------------------------------------------------------------


class Go(Command):
    id: str


class Went(Event, key="id"):
    id: str


def walk() -> tuple[Rehearsal, Choreography]:
    """The least there is to rehearse."""
    here, there = Service("here"), Service("there", tables="CREATE TABLE steps (id TEXT)")

    @here.command
    async def go(command: Go) -> Went:
        return Went(id=command.id)

    @there.on(Went)
    async def follow(event: Went) -> None: ...

    choreography = Choreography("walk", here, there)
    return Rehearsal(choreography, commands=2), choreography


def broken_by(check: Any, **how: Any) -> list[str]:
    rehearsal, choreography = walk()
    choreography.invariant(**how)(check) if how else choreography.invariant(check)
    return found(play(rehearsal, Course(1, faults=CALM)))


def test_an_invariant_is_broken_by_an_assertion_false_texts_and_quantities() -> None:
    async def asserts(world: View) -> None:
        assert world.one("there", "SELECT count(*) FROM steps") == 1, "no steps"

    def says_no(world: View) -> bool:
        return False

    async def tells(world: View) -> list[str]:
        return ["one", "two"]

    async def counts(world: View) -> Quantity:
        return Quantity("steps", 2, {"left": 1, "right": 2})

    async def bare(world: View) -> None:
        raise AssertionError

    assert [words.splitlines()[0] for words in broken_by(asserts)] == ["asserts: no steps"]
    assert broken_by(says_no) == ["says_no: it does not hold"]
    assert broken_by(tells) == ["tells: one", "tells: two"]
    assert broken_by(counts) == ["counts: steps: left 1 + right 2 = 3, expected 2"]
    assert [words.split(" at ")[0] for words in broken_by(bare)] == ["bare: the assertion"]


def test_an_invariant_that_raises_or_waits_is_told_as_such_with_its_place() -> None:
    async def divides(world: View) -> None:
        1 / 0  # noqa: B018

    async def waits(world: View) -> None:
        import asyncio

        await asyncio.sleep(1)

    async def writes(world: View) -> None:
        world.rows("there", "DELETE FROM steps")

    async def asks_nobody(world: View) -> None:
        world.rows("ther", "SELECT 1")

    (divided,), (waited,), (wrote,), (asked,) = (broken_by(check) for check in (divides, waits, writes, asks_nobody))
    assert divided.startswith(f"invariant: divides ({__file__}:")
    assert "itself raised ZeroDivisionError" in divided
    assert "looks and does not wait" in waited
    assert "attempt to write a readonly database" in wrote
    assert "Did you mean there?" in asked


def test_an_invariant_that_must_always_hold_is_checked_after_every_commit() -> None:
    seen = list[int]()

    def never_one(world: View) -> bool:
        seen.append(len(world.events(Went)))
        return len(world.events(Went)) != 1

    assert broken_by(never_one, always=True) == ["never_one: it does not hold"]
    assert broken_by(never_one) == [], "at rest there are two"


def test_an_invariant_may_look_into_a_database_before_anybody_has_opened_it() -> None:
    steps = list[int]()

    def looks(world: View) -> None:
        steps.append(world.one("there", "SELECT count(*) FROM steps"))

    async def scenario_looks(stage: Stage) -> None:
        looks(stage)

    _, choreography = walk()
    choreography.invariant(always=True)(looks)
    late = Rehearsal(choreography, layout="apart")
    late.scenario(scenario_looks)
    assert found(play(late, Course(1, faults=CALM))) == []
    assert steps[0] == 0


def test_two_invariants_of_one_name_and_things_that_are_none_are_refused() -> None:
    from farandole.errors import DeclarationError

    _, choreography = walk()

    @choreography.invariant
    def true(world: View) -> bool:
        return True

    with pytest.raises(DeclarationError, match="has an invariant true already"):
        choreography.invariant(true)
    with pytest.raises(DeclarationError, match="takes a function of one parameter"):
        choreography.invariant(3)  # type: ignore[call-overload]


# ---- rehearsals that are wrong themselves ----------------------------------------------------------------------------------


def test_a_scenario_that_raises_is_a_finding_and_one_that_waits_for_ever_too() -> None:
    rehearsal, _ = walk()

    @rehearsal.scenario
    async def trips(stage: Stage) -> None:
        raise LookupError("no stairs")

    assert found(play(rehearsal, Course(1, faults=CALM))) == ["scenario: the scenario raised LookupError: no stairs"]
    other, _ = walk()

    @other.scenario
    async def waits(stage: Stage) -> None:
        await stage.outcome("never")

    (words,) = found(play(other, Course(1, faults=CALM)))
    assert words.startswith("stuck: the scenario still waits")
    assert f"{__file__}:" in words


def test_what_cannot_be_rehearsed_is_refused_with_the_remedy() -> None:
    rehearsal, choreography = walk()
    with pytest.raises(ConfigurationError, match="no service of walk provides Bank"):
        rehearsal.provide(Bank, Bank)
    with pytest.raises(ConfigurationError, match="must have the services of walk: here, there"):
        Rehearsal(choreography, newer=cafe().choreography)
    with pytest.raises(ConfigurationError, match="takes an `async def` of one parameter"):
        rehearsal.scenario(lambda stage: None)
    with pytest.raises(ConfigurationError, match="takes a Choreography"):
        Rehearsal(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="must name each of here, there"):
        play(Rehearsal(choreography, layout=[["here"]]), Course(1))
    with pytest.raises(ConfigurationError, match="has no commands, so nothing would happen"):
        play(Rehearsal(Choreography("quiet", _deaf())), Course(1))


def _deaf() -> Service:
    deaf = Service("deaf")

    class Noise(Event, of="else.where"):
        loud: int

    @deaf.on(Noise)
    async def hear(event: Noise) -> None: ...

    return deaf


def test_a_plain_function_as_a_handler_is_refused_with_its_place() -> None:
    service = Service("plain")

    @service.command
    def go(command: Go) -> Went:
        return Went(id=command.id)

    with pytest.raises(
        ConfigurationError, match=r"plain.go \(.*test_rehearsal.py:\d+\) is a plain `def`, which runs in a thread"
    ):
        play(Rehearsal(Choreography("plain", service)), Course(1))


# ---- faults --------------------------------------------------------------------------------------------------------------


def test_faults_are_chosen_by_name_and_by_group() -> None:
    chosen = ROUGH.only(["crash", "database"])
    assert {name for name in names() if getattr(chosen, name).rate} == {"crash", *GROUPS["database"]}
    assert {name for group in GROUPS.values() for name in group} == set(names())
    with pytest.raises(ConfigurationError, match=r"there is no fault 'crush'\. Did you mean crash\?"):
        ROUGH.only(["crush"])


def test_each_seed_draws_another_part_of_what_may_happen() -> None:
    drawn = [frozenset(name for name in names() if getattr(swarm(seed), name).rate) for seed in range(50)]
    assert len(set(drawn)) > 45
    assert all(any(name in some for some in drawn) for name in names() if getattr(ROUGH, name).rate)


def test_a_process_comes_back_with_the_newer_version() -> None:
    old, new = cafe(), cafe()
    rehearsal = Rehearsal(
        old.choreography, newer=new.choreography, faults=Faults(crash=Fault(0.005, 0.1, 1.0), upgrade=Fault(1.0))
    )
    rehearsal.play = old.play
    run = play(rehearsal, Course(3, faults=rehearsal.faults), telling=True)
    assert found(run) == []
    assert "newer version" in {beat.note for beat in run.beats if beat.kind == "restart"}


# ---- courses, coverage, shrinking ------------------------------------------------------------------------------------------


def test_a_course_of_another_version_or_other_declarations_says_so() -> None:
    choreography = cafe().choreography
    origin = f"{version()}-{fingerprint(choreography)}"
    assert parse_course("17", choreography) == (Course(17), None)
    assert parse_course(f"17@{origin}", choreography) == (Course(17), None)
    for text, words in (
        (f"17@0.0.1/1-{fingerprint(choreography)}", "drawn by Farandole 0.0.1/1, and this is"),
        (f"17@{version()}-00000000", "drawn for other declarations"),
        (f"farandole {version()} 00000000\nseed 3", "drawn for other declarations"),
        ("seed 3\ncrash orders 5 0.3", "does not say which version"),
    ):
        assert words in str(parse_course(text, choreography)[1])


@pytest.mark.parametrize(
    "text", ["", "x", "seed", "seed x", "seed 1\ncrush orders 3 1", "seed 1\ncrash 3", "seed 1\ncrash orders 3 x"]
)
def test_what_is_no_course_is_refused_with_the_line(text: str) -> None:
    if not text:
        assert parse_course(text, cafe().choreography)[0] == Course(0, strikes=())
        return
    with pytest.raises(ConfigurationError, match=r"expected a whole number|is no line of a course|expected a number"):
        parse_course(text, cafe().choreography)


def test_coverage_tells_which_arrows_were_never_travelled() -> None:
    rehearsal, _ = walk()
    coverage = Coverage.of(rehearsal)
    assert coverage.missed == [("there.follow", "Went.v1", "")]
    assert coverage.add(play(rehearsal, Course(1, faults=CALM)))
    assert coverage.missed == []
    assert not coverage.add(play(rehearsal, Course(1, faults=CALM))), "nothing new"


def test_the_guide_returns_to_what_was_new() -> None:
    guide, rehearsal = Guide(0, fresh=0.0), cafe()
    first = guide.next()
    assert first == Course(0)
    guide.learn(play(rehearsal, first))
    near = [guide.next() for _ in range(20)]
    assert all(course.strikes is not None for course in near), "near to the run that was new"
    assert len({course.strikes for course in near}) > 3


def test_the_fewest_items_that_fail_are_found() -> None:
    tried = list[int]()

    def fails(items: Any) -> bool:
        tried.append(len(items))
        return {3, 17} <= set(items)

    assert sorted(fewest(list(range(40)), fails)) == [3, 17]
    assert len(tried) < 80
    assert fewest([1], lambda items: True) == ()


def test_commands_are_made_up_where_there_is_no_scenario() -> None:
    rehearsal = Rehearsal(cafe().choreography, commands=5)
    rehearsal.choreography.invariants.clear()
    run = play(rehearsal, Course(2, faults=CALM), telling=True)
    assert found(run) == []
    assert [beat.what for beat in run.beats if beat.kind == "command"] == [Place.__name__] * 5


# ---- sagas ---------------------------------------------------------------------------------------------------------------


class Booked(Event, key="id"):
    id: str


class Refused(Event, key="id"):
    id: str


class Freed(Event, key="id"):
    id: str


class Held(Event, key="id"):
    id: str


class Unheard(Event, key="id"):
    id: str


def journey(cue: type) -> Rehearsal:
    """A seat is booked, the journey refused; the seat is freed when `cue` comes."""
    seats, trips = Service("seats"), Service("trips")

    @seats.command
    async def book(command: Go) -> Booked:
        return Booked(id=command.id)

    @seats.on(Booked)
    async def hold(event: Booked) -> Held:
        return Held(id=event.id)

    async def free(event: Event) -> Freed:
        return Freed(id=event.id)  # type: ignore[attr-defined]

    seats.on(cue, compensates=hold, undoes=Held)(free)

    @trips.on(Booked)
    async def refuse(event: Booked) -> Refused | Unheard:
        return Refused(id=event.id)

    workflow = Workflow("journey", starts=Booked, succeeds=Freed, fails=Refused)
    return Rehearsal(Choreography("travel", seats, trips, workflows=[workflow]), commands=2)


def test_a_failed_workflow_whose_action_was_not_compensated_is_found() -> None:
    for seed in range(5):
        assert found(play(journey(Refused), Course(seed, faults=CALM))) == []
    (words, *_) = found(play(journey(Unheard), Course(1, faults=CALM)))
    assert words.startswith("uncompensated: seats.hold took effect in ")
