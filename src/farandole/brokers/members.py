"""A group of consumers as one small document: who its members are, and who owns which partition. Pure.

Whoever keeps the document changes it by compare-and-set; no clocks are compared. A member shows that it lives by counting
up; whoever has not seen it count for a while, by its own clock, takes it for dead (as DynamoDB's lock client does).
A partition number stands for that partition of all topics of the group, so that equal keys of several topics reach one member.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from farandole.brokers.lane import shares
from farandole.process import is_dead

__all__ = ["BEAT", "LEASE", "Group", "Holding", "Member", "Watch", "balance", "leave"]

LEASE = 10.0
"""Seconds that a member lives without a sign."""
BEAT = 2.5
"""Seconds between signs."""


class Member(msgspec.Struct, frozen=True):
    """How often it has shown that it lives, and its process (see `process.process_name`)."""

    beat: int
    process: str


class Group(msgspec.Struct, frozen=True):
    """Members by their token, and the owners of partitions."""

    members: dict[str, Member] = msgspec.field(default_factory=dict)
    owners: dict[int, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a member has after balancing.

    `taken` is newly owned; `leaving` it must give up once nothing of it is in hand; `moved`: others should look.
    """

    owned: frozenset[int] = frozenset()
    taken: frozenset[int] = frozenset()
    leaving: frozenset[int] = frozenset()
    moved: bool = False


class Watch:
    """Sees which other members have stopped counting."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def dead(self, group: Group, token: str, now: float) -> set[str]:
        """Members that have not counted for a lease, or whose process on this machine died."""
        before, self._seen = self._seen, {}
        for name, member in group.members.items():
            beat, since = before.get(name, (-1, now))
            self._seen[name] = (beat, since) if beat == member.beat else (member.beat, now)
        return {
            name
            for name, member in group.members.items()
            if name != token and (now - self._seen[name][1] >= LEASE or is_dead(member.process))
        }


def balance(
    group: Group,
    member: tuple[str, str],
    partitions: int,
    *,
    given: Collection[int],
    busy: Collection[int],
    dead: Collection[str],
) -> tuple[Group, Holding]:
    """Count up, bury the dead, free what is given, and take or mark for leaving what makes the shares even.

    Parameters
    ----------
    group:
        As it is kept.
    member:
        Our token, and our process.
    partitions:
        How many there are.
    given:
        Partitions of ours that others may have now.
    busy:
        Partitions of ours of which something is in hand: they cannot be given yet.
    dead:
        Members to bury.
    """
    token, process = member
    buried = set(dead) & group.members.keys()
    members = {name: other for name, other in group.members.items() if name not in buried}
    members[token] = Member(members[token].beat + 1 if token in members else 1, process)
    held: dict[str, set[int]] = {name: set() for name in sorted(members)}
    free = []
    for number in range(partitions):
        owner = group.owners.get(number)
        if owner in held and not (owner == token and number in given):
            held[owner].add(number)
        else:
            free.append(number)
    quota = shares(partitions, {name: len(held[name]) for name in held})[token]
    mine = held[token]
    leaving = sorted(mine, key=lambda number: (number in busy, -number))[: max(0, len(mine) - quota)]
    taken = {number for number in free if number not in given or len(members) == 1}
    taken = set(sorted(taken)[: max(0, quota - len(mine))])
    owners = {number: owner for owner, numbers in held.items() for number in numbers} | dict.fromkeys(taken, token)
    moved = bool(buried or given or token not in group.members)
    return Group(members, owners), Holding(frozenset(mine | taken), frozenset(taken), frozenset(leaving), moved)


def leave(group: Group, token: str) -> Group:
    """Free what a member owned, and forget it."""
    members = {name: member for name, member in group.members.items() if name != token}
    return Group(members, {number: owner for number, owner in group.owners.items() if owner != token})
