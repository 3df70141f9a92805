"""What may go wrong in a rehearsal: how often, and how far. `dice` draws it."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any

from farandole.config import nearest
from farandole.errors import ConfigurationError

__all__ = ["CALM", "GROUPS", "ROUGH", "Fault", "Faults", "names", "swarm"]


@dataclass(frozen=True, slots=True)
class Fault:
    """How often something goes wrong, and how far.

    Attributes
    ----------
    rate:
        The chance that it strikes when it could, from 0 (never) to 1.
    least, most:
        The range that its size is drawn from; what it counts is said where it is used (`Faults`).

    Raises
    ------
    ConfigurationError
        The rate is no chance, or the range is upside down.
    """

    rate: float = 0.0
    least: float = 0.0
    most: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ConfigurationError(f"{self}: expected a rate from 0 to 1, got: {self.rate}")
        if not 0 <= self.least <= self.most:
            raise ConfigurationError(f"{self}: expected 0 <= least <= most")


@dataclass(frozen=True, slots=True)
class Faults:
    """All that may go wrong; by default nothing does.

    Attributes
    ----------
    crash:
        Each await and each crash point of a process: it is killed there, and comes back so many seconds later.
    restart:
        Each await of a process: it is asked to stop, ends in good order, and comes back so many seconds later.
    upgrade:
        Each start of a process after its first: it comes back with the newer version, where there is one.
    freeze:
        Each await of a process: all of it stands still for so many seconds. What it leased runs out meanwhile.
    skew:
        Each start of a process: its wall clock is off by so many seconds, ahead or behind.
    jump:
        Each await of a process: its wall clock jumps by so many seconds, ahead or back.
    statement:
        Each statement inside a transaction: the database fails it.
    conflict:
        Each commit: the database refuses it, as a failed serialization, and nothing is written.
    doubt:
        Each commit: it is written, and an error is answered.
    busy:
        Each beginning of a transaction: it waits so many seconds for the write lock.
    lost_call:
        Each call of what a service provides: it waits so many seconds for an answer; nothing was done.
    lost_answer:
        Each call of what a service provides: it waits so many seconds for an answer; it was done.
    slow_call:
        Each call of what a service provides: the answer takes so many seconds.
    slow:
        Each way of each call: seconds on the road.
    refused:
        Each publish: nothing of it is stored.
    unanswered:
        Each publish: all of it is stored, in order, and every result says that no answer came.
    partial:
        Each message of a publish: its result is an error, whether it was stored or not; none of its key after it is stored.
    duplicate:
        Each stored message: it is stored once more, so many seconds later.
    delay:
        Each published message: it is stored so many seconds later, and those of its key behind it as well. Others overtake it.
    cut:
        Each call: for so many seconds nothing passes between this connection and the broker.
    one_way:
        Each call: for so many seconds what this connection sends arrives, and no answer comes back.
    pause:
        Each fetch and acknowledgement: the consumer stands still for so many seconds, with what it has in hand.
    failover:
        Each publish and acknowledgement: another machine takes over. Calls under way fail, what they published may be lost, and
        each partition of each group forgets its last so many acknowledgements.
    forgets:
        Each partition in a failover: its last so many messages are lost, though their publishers were told that they are stored.
        Only for brokers that may (`Cluster.keeps_acknowledged`).
    session:
        After so many seconds of silence (cut, pause) a consumer counts as dead, and its partitions go to others.
    """

    crash: Fault = Fault()
    restart: Fault = Fault()
    upgrade: Fault = Fault()
    freeze: Fault = Fault()
    skew: Fault = Fault()
    jump: Fault = Fault()
    statement: Fault = Fault()
    conflict: Fault = Fault()
    doubt: Fault = Fault()
    busy: Fault = Fault()
    lost_call: Fault = Fault()
    lost_answer: Fault = Fault()
    slow_call: Fault = Fault()
    slow: Fault = Fault()
    refused: Fault = Fault()
    unanswered: Fault = Fault()
    partial: Fault = Fault()
    duplicate: Fault = Fault()
    delay: Fault = Fault()
    cut: Fault = Fault()
    one_way: Fault = Fault()
    pause: Fault = Fault()
    failover: Fault = Fault()
    forgets: Fault = Fault()
    session: float = 10.0

    def only(self, chosen: Collection[str]) -> Faults:
        """These faults, and those of these groups (`GROUPS`), without all others.

        Raises
        ------
        ConfigurationError
            There is no fault of a name.
        """
        known = {**GROUPS, **{name: (name,) for name in names()}}
        for name in chosen:
            if name not in known:
                raise ConfigurationError(f"there is no fault {name!r}. {nearest(name, known)}")
        kept = {name for one in chosen for name in known[one]}
        changes: dict[str, Any] = {name: Fault() for name in names() if name not in kept}
        return replace(self, **changes)


def names() -> tuple[str, ...]:
    """The names of all faults."""
    return tuple(field.name for field in fields(Faults) if field.name != "session")


GROUPS = {
    "process": ("crash", "restart", "upgrade", "freeze", "skew", "jump"),
    "database": ("statement", "conflict", "doubt", "busy"),
    "outside": ("lost_call", "lost_answer", "slow_call"),
    "broker": (
        "slow",
        "refused",
        "unanswered",
        "partial",
        "duplicate",
        "delay",
        "cut",
        "one_way",
        "pause",
        "failover",
        "forgets",
    ),
}
"""The faults by what they strike."""

CALM = Faults()
"""Nothing goes wrong; the order of things still differs from seed to seed."""

ROUGH = Faults(
    crash=Fault(0.0005, 0.1, 20.0),
    restart=Fault(0.0005, 0.1, 5.0),
    upgrade=Fault(0.5),
    freeze=Fault(0.0005, 0.1, 30.0),
    skew=Fault(0.3, 0.01, 5.0),
    jump=Fault(0.0005, 0.1, 60.0),
    statement=Fault(0.002),
    conflict=Fault(0.01),
    doubt=Fault(0.01),
    busy=Fault(0.02, 0.001, 3.0),
    lost_call=Fault(0.05, 0.1, 10.0),
    lost_answer=Fault(0.05, 0.1, 10.0),
    slow_call=Fault(0.1, 0.01, 5.0),
    slow=Fault(0.5, 0.0, 0.05),
    refused=Fault(0.05),
    unanswered=Fault(0.05),
    partial=Fault(0.05),
    duplicate=Fault(0.05, 0.0, 60.0),
    delay=Fault(0.1, 0.0, 5.0),
    cut=Fault(0.01, 0.1, 30.0),
    one_way=Fault(0.01, 0.1, 10.0),
    pause=Fault(0.02, 0.1, 30.0),
    failover=Fault(0.01, 0, 20),
)
"""A bad day, on which a broker still keeps its contract."""


def swarm(seed: int, worst: Faults = ROUGH) -> Faults:
    """The faults of one seed: some of them, some rarer and some more frequent than in `worst`.

    A run in which everything goes wrong hides what one fault alone would show (Groce et al., Swarm Testing, ISSTA 2012).
    """
    chance = random.Random(f"{seed}/swarm")
    drawn: dict[str, Any] = {}
    for name in names():
        on, factor = chance.random() < 0.4, math.exp(chance.uniform(-1.5, 1.5))
        fault: Fault = getattr(worst, name)
        drawn[name] = replace(fault, rate=min(1.0, fault.rate * factor)) if on else Fault()
    return replace(worst, **drawn)
