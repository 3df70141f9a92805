"""Draws faults, so that each can be named, taken away, and put back.

A fault has chances to strike: every await, every publish, every commit. The chances of one fault at one node are numbered, and which
of them strike follows from the seed, the fault, the node and the number alone. A run is therefore repeated by its seed, or by the
list of its strikes; and a strike that is taken from the list takes no other one with it.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from hashlib import blake2b

from farandole.rehearse.faults import Fault, Faults

__all__ = ["Chances", "Dice", "Strike"]

_NEVER = sys.maxsize


@dataclass(frozen=True, slots=True, order=True)
class Strike:
    """A fault that strikes.

    Attributes
    ----------
    fault:
        Its name.
    node:
        Where: the name of a process, or "broker".
    number:
        Which of its chances there, from 1.
    size:
        How far it goes: seconds or a count, by fault.
    """

    fault: str
    node: str
    number: int
    size: float = 0.0

    def __str__(self) -> str:
        return f"{self.fault} {self.node} {self.number}" + (f" {self.size:g}" if self.size else "")


class Chances:
    """The chances of one fault at one node: a counter, and the number of the next one that strikes."""

    __slots__ = ("_dice", "_next", "count", "fault", "node")

    def __init__(self, dice: Dice, fault: str, node: str) -> None:
        self.fault = fault
        self.node = node
        self.count = 0
        self._dice = dice
        self._next = dice.next_strike(fault, node, 0)

    def strike(self) -> Strike | None:
        """One more chance: whether the fault strikes. Every await passes here: keep it short."""
        self.count += 1
        if self.count < self._next:
            return None
        self._next = self._dice.next_strike(self.fault, self.node, self.count)
        return self._dice.struck(self.fault, self.node, self.count)


class Dice:
    """Draws faults.

    Parameters
    ----------
    faults:
        How often each strikes, and how far it goes.
    seed:
        What the draws follow from.
    only:
        These strikes and no others, instead of drawing.

    Attributes
    ----------
    strikes:
        What has struck, in order.
    happened:
        How often each fault has struck.
    resting:
        Whether nothing strikes any more.
    listeners:
        Are told of every strike.
    """

    def __init__(self, faults: Faults, seed: int | str, *, only: Iterable[Strike] | None = None) -> None:
        self.faults = faults
        self.seed = seed
        self.strikes: list[Strike] = []
        self.happened: Counter[str] = Counter()
        self.resting = False
        self.listeners: list[Callable[[Strike], None]] = []
        self._faults: dict[str, Fault] = {
            field.name: fault for field in fields(faults) if isinstance(fault := getattr(faults, field.name), Fault)
        }
        self._only: dict[tuple[str, str], dict[int, float]] | None = None
        if only is not None:
            self._only = {}
            for strike in only:
                self._only.setdefault((strike.fault, strike.node), {})[strike.number] = strike.size
        self._chances: dict[tuple[str, str], Chances] = {}

    def chances(self, fault: str, node: str) -> Chances:
        """The chances of a fault at a node."""
        place = fault, node
        found = self._chances.get(place)
        if found is None:
            found = self._chances[place] = Chances(self, fault, node)
        return found

    def strike(self, fault: str, node: str = "broker") -> Strike | None:
        """One more chance for this fault at this node: whether it strikes."""
        return self.chances(fault, node).strike()

    def chance(self, strike: Strike) -> random.Random:
        """What else is drawn for a strike."""
        return random.Random(f"{self.seed}/{strike.fault}/{strike.node}/{strike.number}")

    def rest(self) -> None:
        """From now on nothing strikes."""
        self.resting = True

    def next_strike(self, fault: str, node: str, after: int) -> int:
        """The number of the next chance that strikes."""
        if self._only is not None:
            later = [number for number in self._only.get((fault, node), ()) if number > after]
            return min(later, default=_NEVER)
        rate = self._faults[fault].rate
        if rate <= 0.0:
            return _NEVER
        if rate >= 1.0:
            return after + 1
        return after + 1 + int(math.log(1.0 - self._draw(fault, node, after, "next")) / math.log(1.0 - rate))

    def struck(self, fault: str, node: str, number: int) -> Strike | None:
        """Write a strike down; None: nothing strikes any more."""
        if self.resting:
            return None
        strike = Strike(fault, node, number, self._size(fault, node, number))
        self.strikes.append(strike)
        self.happened[fault] += 1
        for listener in self.listeners:
            listener(strike)
        return strike

    def _size(self, fault: str, node: str, number: int) -> float:
        if self._only is not None:
            return self._only[fault, node][number]
        how = self._faults[fault]
        if how.least == how.most:
            return how.least
        return round(how.least + (how.most - how.least) * self._draw(fault, node, number, "size"), 3)

    def _draw(self, fault: str, node: str, number: int, what: str) -> float:
        """A number in [0, 1) that follows from its name alone."""
        digest = blake2b(f"{self.seed}/{fault}/{node}/{number}/{what}".encode(), digest_size=7).digest()
        return int.from_bytes(digest, "big") / (1 << 56)
