"""One topic and partition in the hands of one consumer: what it fetched, settled, gave back, and how far all is settled.

`position` is the place up to which everything is settled: what a broker stores. Settling may happen in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from farandole.brokers.base import Delivery

__all__ = ["Lane", "by_lane", "shares"]

M = TypeVar("M")


class Lane:
    """The state of one topic and partition.

    Parameters
    ----------
    position:
        Everything up to here is settled.
    suspects:
        So many messages after `position` may have been in the hands of a consumer that died ...
    suspects_end:
        ... unless they stand behind this position.
    """

    __slots__ = ("order", "out", "position", "read", "returned", "suspects", "suspects_end")

    def __init__(self, position: int, suspects: int = 0, suspects_end: int = 0) -> None:
        self.position = self.read = position
        self.suspects = suspects
        self.suspects_end = suspects_end
        self.order: deque[int] = deque()  # fetched and above `position`, in order
        self.out: set[int] = set()  # of these: in the consumer's hands
        self.returned: dict[int, Delivery] = {}  # of these: given back, to be handed out again

    def take(self, positions: Sequence[int]) -> Collection[int]:
        """These were read and go to the consumer; gives those that a dead consumer may have had."""
        known = len(self.order)
        self.order.extend(positions)
        self.out.update(positions)
        self.read = positions[-1]
        if self.suspects <= known:
            return ()
        return [position for position in positions[: self.suspects - known] if position <= self.suspects_end]

    def settle(self, positions: Iterable[int]) -> bool:
        """These are done with; unknown ones are ignored. Gives whether `position` moved."""
        self.out.difference_update(positions)
        order, before = self.order, len(self.order)
        if not before:
            return False
        if self.returned:
            for position in positions:
                self.returned.pop(position, None)
        if not self.out and not self.returned:  # the usual case: all that was fetched is settled
            self.position = order[-1]
            order.clear()
        else:
            while order and order[0] not in self.out and order[0] not in self.returned:
                self.position = order.popleft()
        self.suspects = max(0, self.suspects - (before - len(order)))
        return before != len(order)

    def give_back(self, delivery: Delivery) -> None:
        """Unhandled: hand it out again. What is not in the consumer's hands is ignored."""
        if delivery.position in self.out:
            self.out.discard(delivery.position)
            self.returned[delivery.position] = delivery

    def retake(self, limit: int) -> list[Delivery]:
        """Hand out again what was given back, in order."""
        again = [self.returned.pop(position) for position in sorted(self.returned)[:limit]]
        self.out.update(delivery.position for delivery in again)
        return again

    def pass_by(self, position: int) -> bool:
        """Nothing of ours stands up to here. Gives whether this moved `position`."""
        if self.order or position <= self.position:
            return False
        self.position = self.read = position
        return True

    def left(self) -> Lane:
        """What the next owner begins with. What we still held, or settled out of order, is suspect to it."""
        held = len(self.order)
        while held and self.order[held - 1] in self.returned:
            held -= 1
        if not held:
            return Lane(self.position, self.suspects, self.suspects_end)
        return Lane(self.position, max(self.suspects, held), max(self.suspects_end, self.order[held - 1]))


def by_lane(deliveries: Iterable[Delivery]) -> dict[tuple[str, int], list[int]]:
    """The positions in each (topic, partition)."""
    found: dict[tuple[str, int], list[int]] = {}
    for delivery in deliveries:
        lane = delivery.topic, delivery.partition
        if lane in found:
            found[lane].append(delivery.position)
        else:
            found[lane] = [delivery.position]
    return found


def shares(partitions: int, held: Mapping[M, int]) -> dict[M, int]:
    """How many partitions each member should have, by how many it has: even, and moving as few as can be."""
    base, extra = divmod(partitions, len(held))
    ranked = sorted(held, key=lambda member: -held[member])
    return {member: base + (place < extra) for place, member in enumerate(ranked)}
