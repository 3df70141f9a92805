"""Systematic exploration: every order in which so many deliveries can come, with up to so many faults.

Stateless model checking: the schedule is orderly, so that the only choices are made when nothing is ready in the loop: which of the
pending deliveries comes next, and whether something happens to it. Every run makes them anew from the start. Deliveries to different
services cannot tell who was first, so of their orders one is enough: sleep sets (Godefroid, Partial-Order Methods for the Verification
of Concurrent Systems, 1996) leave the others out.

Within one consumer, messages of one partition keep their order; of different partitions and topics, each may come first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farandole.brokers.base import Delivery

if TYPE_CHECKING:
    from farandole.rehearse.rehearsal import Rehearsal
    from farandole.rehearse.run import Run

__all__ = ["AGAIN", "HAPPENINGS", "Director", "Exhaustive", "explore_all"]

AGAIN = "again"
HAPPENINGS = {AGAIN: "", "crash before commit": "store.commit:before", "crash after commit": "store.commit:after"}
"""What may happen to a delivery, and the crash point where there is one."""
_AND = ", "


@dataclass
class Step:
    """One choice of a run.

    Attributes
    ----------
    enabled:
        What could come.
    chosen:
        What came.
    sleep:
        What need not be tried here: an order that was played already shows the same.
    """

    enabled: tuple[str, ...]
    chosen: str
    sleep: frozenset[str]


@dataclass
class _Waiter:
    heads: dict[str, Delivery]
    turn: asyncio.Future[Delivery | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Director:
    """Makes the choices of one run.

    Parameters
    ----------
    prefix:
        What to choose, one after the other; beyond it the first that does not sleep.
    sleep:
        What sleeps behind the prefix.
    deliveries, faults:
        For how many deliveries there is a choice, and how many faults may strike.

    Attributes
    ----------
    steps:
        The choices that were made.
    redundant:
        Everything slept: another run shows the same.
    """

    def __init__(
        self, prefix: Sequence[str] = (), sleep: frozenset[str] = frozenset(), *, deliveries: int = 0, faults: int = 0
    ) -> None:
        self.steps: list[Step] = []
        self.redundant = False
        self._prefix = prefix
        self._sleep = sleep
        self._deliveries = max(deliveries, len(prefix))
        self._faults = faults
        self._waiting: list[_Waiter] = []
        self._fresh = False
        self._happening: dict[str, str] = {}

    async def turn(self, consumer: str, heads: Sequence[Delivery]) -> tuple[Delivery | None, str]:
        """Wait until one of these may be handed to a consumer; None: look again what there is. Also what happens to it."""
        waiter = _Waiter({f"{consumer} {_short(head)}": head for head in heads})
        self._waiting.append(waiter)
        chosen = await waiter.turn
        label = next((label for label, head in waiter.heads.items() if head is chosen), "")
        return chosen, self._happening.pop(label, "")

    def quiet(self) -> bool:
        """Nothing is ready: let something come; gives whether anything did."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return False
        if not self._fresh:  # whoever waits looks again first: more may have arrived
            self._fresh = True
            for waiter in waiting:
                waiter.turn.set_result(None)
            return True
        self._fresh = False
        deliveries = {label: waiter for waiter in waiting for label in waiter.heads}
        label, _, happening = self._choose(sorted(deliveries)).partition(_AND)
        self._happening[label] = happening
        chosen = deliveries[label]
        chosen.turn.set_result(chosen.heads[label])
        self._waiting = [waiter for waiter in waiting if waiter is not chosen]
        return True

    def _choose(self, labels: list[str]) -> str:
        number = len(self.steps)
        if number < len(self._prefix):
            wanted = self._prefix[number]
            if wanted.partition(_AND)[0] not in labels:  # the program is another one than when this was written down
                wanted = labels[0]
            self.steps.append(Step((wanted,), wanted, frozenset()))
            self._faults -= _AND in wanted
            return wanted
        if number >= self._deliveries or self.redundant:
            return labels[0]
        enabled = list(labels)
        if self._faults > 0:
            enabled += [f"{label}{_AND}{happening}" for label in labels for happening in HAPPENINGS]
        awake = [label for label in enabled if label not in self._sleep]
        if not awake:
            self.redundant = True
            return labels[0]
        chosen = awake[0]
        self.steps.append(Step(tuple(enabled), chosen, self._sleep))
        self._sleep = frozenset(each for each in self._sleep if _independent(each, chosen))
        self._faults -= _AND in chosen
        return chosen


@dataclass
class Exhaustive:
    """What came of a systematic exploration.

    Attributes
    ----------
    played:
        How many schedules were played.
    pruned:
        How many choices were left out because their order could not matter.
    complete:
        Whether these were all.
    failing:
        The first run that failed.
    ends:
        What all databases held at the ends, as hashes.
    """

    played: int = 0
    pruned: int = 0
    complete: bool = False
    failing: Run | None = None
    ends: set[str] = field(default_factory=set)


def explore_all(
    rehearsal: Rehearsal, *, deliveries: int, faults: int = 0, limit: int = 10_000, reduced: bool = True
) -> Exhaustive:
    """Play all schedules, until one fails.

    Parameters
    ----------
    deliveries:
        How many deliveries have a choice.
    faults:
        How many of them something may happen to, in one run.
    limit:
        How many schedules at most.
    reduced:
        False: also the orders that cannot differ.
    """
    from farandole.rehearse.course import Course
    from farandole.rehearse.faults import CALM
    from farandole.rehearse.run import play

    result = Exhaustive()
    course = Course(0, faults=CALM, strikes=(), orderly=True)
    left: list[tuple[tuple[str, ...], frozenset[str]]] = [((), frozenset())]
    while left:
        if result.played >= limit:
            return result
        prefix, sleep = left.pop()
        director = Director(prefix, sleep, deliveries=deliveries, faults=faults)
        run = play(rehearsal, course, director=director)
        result.played += 1
        result.ends.add(run.ends)
        if run.findings:
            result.failing = run
            return result
        result.pruned += director.redundant
        for number in range(len(prefix), len(director.steps)):
            step = director.steps[number]
            done = [*step.sleep, step.chosen]
            for other in step.enabled:
                if other in done:
                    result.pruned += other in step.sleep
                    continue
                before = tuple(earlier.chosen for earlier in director.steps[:number])
                asleep = frozenset(each for each in done if _independent(each, other)) if reduced else frozenset()
                left.append(((*before, other), asleep))
                done.append(other)
    result.complete = True
    return result


def _independent(one: str, other: str) -> bool:
    """Whether two deliveries go to different services, so that their order cannot matter."""
    return _service(one) != _service(other)


def _service(label: str) -> str:
    return label.partition(" ")[0].split(".")[1]


def _short(delivery: Delivery) -> str:
    """A delivery in few letters, the same in every schedule."""
    return f"{delivery.type.partition('.')[2] or delivery.type} {delivery.key} {delivery.id[-4:]}"
