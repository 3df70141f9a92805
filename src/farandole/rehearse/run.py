"""One run: safety, while anything may fail; healing; liveness, until all has come to rest; and the verdict.

run = play(rehearsal, Course(seed=7))
run.findings        # what must not be
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from farandole.errors import ConfigurationError, FarandoleError
from farandole.rehearse.beats import Beat
from farandole.rehearse.course import Course
from farandole.rehearse.cuts import Cut, OutsideWorld
from farandole.rehearse.dice import Dice, Strike
from farandole.rehearse.faults import swarm
from farandole.rehearse.ground import Ground
from farandole.rehearse.guess import Guesses
from farandole.rehearse.judge import Judge
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.process import Process
from farandole.rehearse.rehearsal import Rehearsal
from farandole.rehearse.stage import Stage
from farandole.rehearse.systematic import Director
from farandole.rehearse.trace import Trace
from farandole.rehearse.watch import Watch
from farandole.rehearse.watchdog import watchdog
from farandole.testing.checkers import Finding

__all__ = ["Run", "play"]

_CALM_AFTER = 600.0
"""Virtual seconds after which the faults end, whatever the scenario still does."""
_LINGER = 60.0
"""Virtual seconds for which the faults go on when the scenario is over, unless all is at rest before."""
_LATER = 7 * 86400.0
"""Virtual seconds that a run may take in all; the horizon of its rehearsal is what people meet."""


@dataclass
class Run:
    """What became of a run.

    Attributes
    ----------
    findings:
        What must not be; empty on a good run.
    strikes, happened:
        Which faults struck, and how often each.
    edges:
        Which arrows of the choreography were travelled: (reaction, cause type, effect type or "").
    states:
        What the workflow instances looked like at the end, as short texts: what exploration finds new.
    dead:
        How many dead letters were left, by reaction and error.
    workflows:
        How many workflow instances there were; where none are declared, how many commands.
    trace:
        All that happened.
    beats:
        Its story, where it was to be told.
    ends:
        In systematic exploration: a hash of what all databases hold at the end.
    outside:
        What it asked of the real world, where that was watched closely.
    steps, seconds:
        How many task steps ran, and how much virtual time passed.
    """

    course: Course
    findings: list[Finding] = field(default_factory=list)
    strikes: tuple[Strike, ...] = ()
    happened: Counter[str] = field(default_factory=Counter)
    edges: set[tuple[str, str, str]] = field(default_factory=set)
    states: set[str] = field(default_factory=set)
    dead: Counter[str] = field(default_factory=Counter)
    workflows: int = 0
    steps: int = 0
    seconds: float = 0.0
    beats: list[Beat] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    ends: str = ""
    trace: Trace = field(default_factory=Trace)

    @property
    def digest(self) -> str:
        """The hash of the trace: the same for the same run, in every process."""
        return self.trace.digest

    @property
    def listed(self) -> Course:
        """Its course with what struck as a list, so that strikes can be taken away."""
        return replace(self.course, strikes=self.strikes)

    @property
    def rules(self) -> set[str]:
        """What kinds of findings there are: a shorter run must have one of them to tell the same."""
        return {finding.rule for finding in self.findings}


class _Orderly(RehearsalLoop):
    """First come, first served."""

    def choose(self, count: int) -> int:
        return 0


def play(
    rehearsal: Rehearsal,
    course: Course,
    *,
    telling: bool = False,
    closely: bool = False,
    lines: int | None = None,
    director: Director | None = None,
) -> Run:
    """Play one run.

    Parameters
    ----------
    telling:
        Whether its beats are written down, to tell its story.
    closely:
        Whether to look for uses of the real clock and of unseeded chance; half as fast.
    lines:
        How many lines one step may execute, see `RehearsalLoop`.

    director:
        Chooses which delivery comes next; by default the one that a course with `choices` tells, or chance.

    Raises
    ------
    OutsideWorld
        Something reached out of the rehearsal.
    ConfigurationError
        The rehearsal cannot be played as it is declared.
    """
    make = _Orderly if course.orderly else RehearsalLoop
    trace = Trace()
    loop = make(course.seed, trace, horizon=_LATER, lines=lines)
    dice = Dice(course.faults or swarm(course.seed, rehearsal.faults), course.seed, only=course.strikes)
    if director is None and course.choices is not None:
        director = Director(course.choices, faults=len(course.choices))
    play = _Play(rehearsal, course, loop, dice, telling=telling)
    if director is not None:
        play.directed(director)
    watch = Watch(loop, closely=closely)
    try:
        with watch, watchdog(loop):
            loop.play(play.main())
    except OutsideWorld:
        raise
    except Cut as cut:
        play.found("stuck" if type(cut).__name__ != "EndlessLoop" else "endless", str(cut))
    run = play.run()
    if director is not None:
        run.course = replace(course, choices=tuple(step.chosen for step in director.steps))
    run.outside = [str(finding) for finding in watch.findings]
    return run


class _Play:
    """Leads one run through its phases."""

    def __init__(self, rehearsal: Rehearsal, course: Course, loop: RehearsalLoop, dice: Dice, *, telling: bool) -> None:
        self._rehearsal = rehearsal
        self._course = course
        self._loop = loop
        self._dice = dice
        self._telling = telling
        self._result = Run(course)
        self._ground: Ground | None = None
        self._director: Director | None = None

    def found(self, rule: str, words: str, ids: tuple[str, ...] = ()) -> None:
        """One more thing that must not be."""
        self._result.findings.append(Finding(rule, words, ids))
        if self._ground is not None:
            self._ground.tell("violation", "", rule, note=words)

    def directed(self, director: Director) -> None:
        """Deliveries come when the director says so."""
        self._director = director
        self._loop.quiet = director.quiet

    async def main(self) -> None:
        rehearsal, loop = self._rehearsal, self._loop
        self._ground = ground = Ground(rehearsal, loop, self._dice, telling=self._telling)
        ground.cluster.director = self._director
        judge = Judge(ground, self.found)
        try:
            await ground.open_outside()
            for disk in ground.disks.values():
                await disk.database(ground.world)  # so that whoever looks finds tables, and not that nobody has come yet
            for name, services in rehearsal.processes(self._course.seed):
                ground.processes.append(Process(ground, name, services))
            stage = Stage(ground, self._course.share)
            playing = loop.create_task(self._play(stage), name="scenario")
            for process in ground.processes:
                process.begin()
            await asyncio.wait([playing], timeout=_CALM_AFTER)
            ground.raise_if_misdeclared()
            await judge.rests(_LINGER)
            ground.heal()
            await self._settle(judge, playing)
            self._result.workflows = judge.workflows() or stage.sent
        finally:
            for disk in ground.disks.values():
                disk.close()

    async def _settle(self, judge: Judge, playing: asyncio.Task[None]) -> None:
        horizon, ground = self._rehearsal.horizon, self._ground
        assert ground is not None
        await asyncio.wait([playing], timeout=horizon)
        if not playing.done():
            waits = "\n".join(f"  {line}" for line in self._loop.waiting()[:6])
            self.found("stuck", f"the scenario still waits {horizon:g} s after all faults ended:\n{waits}")
        elif (error := playing.exception()) is not None:
            if isinstance(error, ConfigurationError):
                raise error
            self.found("scenario", f"the scenario raised {type(error).__name__}: {error}")
        restless = await judge.rests(horizon)
        if restless is not None:
            self.found("stuck", f"{restless}, {horizon:g} s after all faults ended")
        for name, why in ground.ended_badly:
            reason = "nobody asked it to" if why is None else f"{type(why).__name__}: {why}"
            self.found("ended", f"the process {name} ended: {reason}")
        judge.at_rest()
        self._result.edges, self._result.states = judge.coverage()
        self._result.dead = judge.dead()
        if self._director is not None:
            self._result.ends = judge.ends()

    async def _play(self, stage: Stage) -> None:
        rehearsal = self._rehearsal
        if rehearsal.play is not None:
            await rehearsal.play(stage)
            return
        # What a service asks of itself, nobody else sends.
        kinds = [cls for cls in rehearsal.choreography.commands if cls not in rehearsal.choreography.posted]
        if not kinds:
            raise ConfigurationError(
                f"{rehearsal.choreography.name} has no commands, so nothing would happen. Write a scenario: @rehearsal.scenario"
            )
        guesses = Guesses(stage.chance, key_fields=rehearsal.key_fields)
        for _ in stage.some(range(rehearsal.commands)):
            command = guesses.command(stage.chance.choice(kinds))
            try:
                await stage.send(command)
            except FarandoleError as error:
                if isinstance(error, ConfigurationError):
                    raise
            await stage.sleep(stage.chance.random() * 2)

    def run(self) -> Run:
        """What became of it."""
        result, loop = self._result, self._loop
        result.strikes = tuple(self._dice.strikes)
        result.happened = self._dice.happened
        result.steps, result.seconds = loop.steps, loop.time()
        result.trace = loop.trace
        if self._ground is not None:
            result.beats = self._ground.ear.beats
        for context in loop.unhandled:
            error: Any = context.get("exception")
            result.findings.append(Finding("unhandled", f"{context.get('message')}: {type(error).__name__}: {error}", ()))
        return result
