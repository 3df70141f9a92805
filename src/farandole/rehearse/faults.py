"""What may go wrong at a simulated broker: how often, and how far. All of it is drawn from the world's chance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

from farandole.errors import ConfigurationError
from farandole.world import World

__all__ = ["ROUGH", "Dice", "Fault", "Faults"]


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


ROUGH = Faults(
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


class Dice:
    """Draws faults.

    Parameters
    ----------
    world:
        Whose chance is drawn from. What cannot strike draws nothing.

    Attributes
    ----------
    happened:
        How often each fault has struck.
    """

    def __init__(self, faults: Faults, world: World) -> None:
        self.faults = faults
        self.happened: Counter[str] = Counter()
        self._world = world
        self._faults: dict[str, Fault] = {
            field.name: fault for field in fields(faults) if isinstance(fault := getattr(faults, field.name), Fault)
        }

    @property
    def resting(self) -> bool:
        """Whether nothing strikes any more."""
        return not self._faults

    def rest(self) -> None:
        """From now on nothing strikes."""
        self._faults = {}

    def strikes(self, name: str) -> bool:
        """Whether this fault strikes now."""
        fault = self._faults.get(name)
        if fault is None or not fault.rate or self._world.random() >= fault.rate:
            return False
        self.happened[name] += 1
        self._world.point(f"broker.fault:{name}")
        return True

    def coin(self) -> bool:
        """One way or the other."""
        return self._world.random() < 0.5

    def size(self, name: str) -> float:
        """How far it goes."""
        fault: Fault = getattr(self.faults, name)
        return fault.least + (fault.most - fault.least) * self._world.random()

    def count(self, name: str) -> int:
        """How many it takes, both ends of the range included."""
        fault: Fault = getattr(self.faults, name)
        return int(fault.least) + int((int(fault.most) - int(fault.least) + 1) * self._world.random())
