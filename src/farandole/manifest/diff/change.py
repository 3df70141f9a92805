"""What a change is, and what all comparisons share: both graphs, and how things are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from farandole.graph import Graph, Place, family_of, short
from farandole.words import listed

__all__ = ["WEIGHTS", "Change", "Scope", "Weight", "pairs"]

Weight = Literal["breaking", "risky", "fine"]
WEIGHTS: tuple[Weight, ...] = ("breaking", "risky", "fine")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different, and what it means.

    Attributes
    ----------
    weight:
        `"breaking"`: something that worked stops working, or events are lost or handled twice. `"risky"`: it works if it is done in the right
        order, or if somebody means it. `"fine"`: nobody notices.
    kind:
        What changed, in kebab case, which stays the same between versions: `field-removed`.
    subject:
        The message type, reaction, service or workflow, as named on the wire.
    what:
        One sentence that says what is different.
    why:
        Why it has this weight; "" where that is plain.
    fix:
        What to do; "" where there is nothing to do.
    affected:
        The services that notice, by id, sorted.
    place:
        Where it is declared now, or was.
    """

    weight: Weight
    kind: str
    subject: str
    what: str
    why: str = ""
    fix: str = ""
    affected: tuple[str, ...] = ()
    place: Place | None = None


@dataclass(frozen=True)
class Scope:
    """Two versions of a choreography."""

    old: Graph
    new: Graph

    @cached_property
    def _count(self) -> Counter[str]:
        """How many things have each short name, in both versions together."""
        types = {*self.old.types, *self.new.types}
        services = {*self.old.service, *self.new.service}
        return Counter(short(name) for name in types) + Counter(short(name) for name in services)

    def name(self, of: str) -> str:
        """What people call a message or a service: short where that is no other's name too."""
        if self._count[short(of)] < 2:
            return short(of)
        family = family_of(of)
        if family != of and all(family_of(tp) == family for tp in (*self.old.types, *self.new.types) if short(tp) == short(of)):
            return f"{short(of)} {of.rpartition('.')[2]}"  # two versions of one message: "OrderPlaced v2"
        return of

    def names(self, of: Iterable[str]) -> str:
        """Several of them, as in a sentence."""
        return listed(self.name(one) for one in of)

    def reaction(self, id: str) -> str:
        """What people call a reaction: `payments.charge`."""
        service, _, name = id.rpartition(".")
        return f"{self.name(service)}.{name}" if service else id

    @cached_property
    def readers_before(self) -> dict[str, tuple[str, ...]]:
        """The services that read each type, in the old version."""
        return _readers(self.old)

    @cached_property
    def readers_now(self) -> dict[str, tuple[str, ...]]:
        """The services that read each type, in the new version."""
        return _readers(self.new)

    @cached_property
    def owners_before(self) -> dict[str, set[str]]:
        """The services that own each type, in the old version; more than one contradict each other."""
        return _owners(self.old)

    @cached_property
    def owners_now(self) -> dict[str, set[str]]:
        """The services that own each type, in the new version."""
        return _owners(self.new)

    def readers(self, type: str) -> tuple[str, ...]:
        """The services that read a type in either version."""
        return tuple(sorted({*self.readers_before.get(type, ()), *self.readers_now.get(type, ())}))


def pairs(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """What came (True) and what went (False)."""
    yield from ((one, True) for one in new if one not in old)
    yield from ((one, False) for one in old if one not in new)


def _owners(graph: Graph) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for message in graph.messages:
        if message.role == "owner":
            found.setdefault(message.type, set()).add(message.service)
    return found


def _readers(graph: Graph) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for reaction in graph.reactions:
        for tp in reaction.trigger.receives:
            found.setdefault(tp, set()).add(reaction.service)
    for message in graph.messages:
        if message.role == "reader":
            found.setdefault(message.type, set()).add(message.service)
    return {tp: tuple(sorted(services)) for tp, services in found.items()}
