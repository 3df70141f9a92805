"""What runs have met, and where to look next: new seeds, and near to runs that were new (coverage-guided).

A seed draws the whole run. A run that showed something new, an arrow of the graph or a workflow that looks as none did before, is kept,
and later runs begin from it: some of its faults moved, taken away, or put in (as fuzzers do; Zalewski, AFL, 2013).
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

from farandole.model.wire import Wire
from farandole.rehearse.course import Course
from farandole.rehearse.rehearsal import Rehearsal
from farandole.rehearse.run import Run

__all__ = ["Coverage", "Guide"]

_RECENT = 50


@dataclass
class Coverage:
    """What all runs together have met.

    Attributes
    ----------
    declared:
        Every arrow of the choreography: (reaction, cause type, effect type or "").
    edges:
        How often each was travelled.
    faults:
        How often each fault struck.
    states:
        What workflow instances looked like.
    dead:
        How many dead letters there were, by reaction and error.
    runs, workflows, steps:
        How many there were.
    """

    declared: list[tuple[str, str, str]]
    edges: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    states: set[str] = field(default_factory=set)
    dead: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    workflows: int = 0
    steps: int = 0

    @classmethod
    def of(cls, rehearsal: Rehearsal) -> Coverage:
        """Nothing yet, of what a rehearsal could meet."""
        choreography = rehearsal.choreography
        types = {each: binding.type.partition(".")[2] for each, binding in Wire(choreography).by_class.items()}
        ids = {(reaction.service, reaction.name): reaction.id for reaction in choreography.reactions}
        found: dict[tuple[str, str, str], None] = {}
        for edge in choreography.edges:
            if edge.cause not in choreography.commands and edge.effect not in choreography.commands:  # these do not travel
                name = ids[edge.service, edge.reaction]
                found[name, types[edge.cause], "" if edge.effect is None else types[edge.effect]] = None
        return cls(list(found))

    @property
    def missed(self) -> list[tuple[str, str, str]]:
        """The arrows that no run travelled."""
        return [edge for edge in self.declared if edge not in self.edges]

    def add(self, run: Run) -> bool:
        """Count a run; gives whether it showed anything new."""
        new = not run.edges <= self.edges.keys() or not run.states <= self.states
        self.edges.update(run.edges)
        self.faults.update(run.happened)
        self.states |= run.states
        self.dead.update(run.dead)
        self.runs += 1
        self.workflows += run.workflows
        self.steps += run.steps
        return new

    def join(self, other: Coverage) -> None:
        """Add what others have met."""
        self.edges.update(other.edges)
        self.faults.update(other.faults)
        self.states |= other.states
        self.dead.update(other.dead)
        self.runs += other.runs
        self.workflows += other.workflows
        self.steps += other.steps


class Guide:
    """Chooses the next course: of a new seed, or near to one whose run was new.

    Parameters
    ----------
    first:
        The first seed.
    fresh:
        The share of new seeds.
    """

    def __init__(self, first: int, *, fresh: float = 0.3) -> None:
        self._chance = random.Random(f"{first}/guide")
        self._seed = first
        self._fresh = fresh
        self._corpus: list[Course] = []

    def next(self) -> Course:
        """What to play now."""
        if self._corpus and self._chance.random() >= self._fresh:
            return _near(self._chance.choice(self._corpus[-_RECENT:]), self._chance)
        self._seed += 1
        return Course(self._seed - 1)

    def learn(self, run: Run) -> None:
        """This run showed something new."""
        self._corpus.append(run.listed)


def _near(course: Course, chance: random.Random) -> Course:
    """A course near another one: its strikes earlier, later, not at all, or more of them; or the same ones in another order of things."""
    if chance.random() < 0.3:
        return replace(course, seed=chance.randrange(1 << 31))
    kept = [strike for strike in course.strikes or () if chance.random() > 0.1]
    moved = [
        replace(strike, number=max(1, strike.number + chance.randint(-5, 5))) if chance.random() < 0.3 else strike
        for strike in kept
    ]
    if kept:
        again = chance.choice(kept)
        moved.append(replace(again, number=again.number + chance.randint(1, 50)))
    return replace(course, strikes=tuple(dict.fromkeys(moved)))
