"""The graph in numbers: message types and arms, so that checks go through it quickly. An arm is one way in which a reaction may be set off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Literal

from farandole.graph.graph import Graph
from farandole.graph.nodes import Reaction

__all__ = ["Arm", "Net", "net_of"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way in which a reaction may be set off, and what it may then do.

    Attributes
    ----------
    reaction:
        Whose it is.
    kind:
        `"runs"`; `"command"`, which only people send; `"deadline"`, which runs unless something came; `"late"`: after its join or deadline.
    parts:
        The types that set it off.
    need:
        How many of them must have come.
    ways:
        What it may emit, as alternatives; to emit nothing is one only where it cannot emit anything.
    normal:
        How many of the ways are those of the reaction itself; the others are those of retries used up.
    emits:
        All that it may emit.
    """

    reaction: Reaction
    kind: Literal["runs", "command", "deadline", "late"]
    parts: tuple[int, ...]
    need: int
    ways: tuple[tuple[int, ...], ...]
    normal: int
    emits: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "emits", frozenset(tp for way in self.ways for tp in way))

    @property
    def causes(self) -> tuple[int, ...]:
        """The parts that cause what it emits. What is late for a deadline is caused by what came late, not by what the deadline ran after."""
        return self.parts[1:] if self.kind == "late" and self.reaction.trigger.kind == "deadline" else self.parts


class Net:
    """Types and arms of a graph, by number.

    Attributes
    ----------
    types, number:
        The name of each type, and its number.
    arms:
        All arms.
    feeds, makes:
        By type: the arms that it is a part of, and those that may emit it.
    moves:
        Of `feeds`, the arms that emit something or undo something. Most arms of a large graph only listen.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.types = graph.types
        self.number = {name: index for index, name in enumerate(self.types)}
        self._posted = frozenset(graph.producers)
        self.arms: list[Arm] = [arm for reaction in graph.reactions for arm in self._arms(reaction)]
        self.feeds: list[list[int]] = [[] for _ in self.types]
        self.makes: list[list[int]] = [[] for _ in self.types]
        self.moves: list[list[int]] = [[] for _ in self.types]
        for index, arm in enumerate(self.arms):
            for tp in arm.parts:
                self.feeds[tp].append(index)
                if arm.emits or arm.reaction.compensates:
                    self.moves[tp].append(index)
            for tp in arm.emits:
                self.makes[tp].append(index)
        self.arms_of: dict[str, list[int]] = {}
        for index, arm in enumerate(self.arms):
            self.arms_of.setdefault(arm.reaction.id, []).append(index)

    def numbers(self, names: Iterable[str]) -> tuple[int, ...]:
        """The numbers of these types."""
        return tuple(self.number[name] for name in names)

    def _arms(self, reaction: Reaction) -> Iterable[Arm]:
        normal = self._ways(reaction.alternatives)
        spent = self._ways(reaction.exhausted.alternatives) if reaction.exhausted else ()
        ways = normal + tuple(way for way in spent if way)
        trigger = reaction.trigger
        received = self.numbers(dict.fromkeys(trigger.receives))
        if trigger.kind in ("all", "count"):
            yield Arm(reaction, "runs", received, len(received), ways, len(normal))
        elif reaction.undoes_step:  # an undo: a step was completed, and the process fails
            for pair in product(self.numbers(trigger.after), self.numbers(trigger.failing)):
                parts = tuple(dict.fromkeys(pair))
                yield Arm(reaction, "runs", parts, len(parts), ways, len(normal))
        elif trigger.kind == "any":  # once per instance: one choice, whichever comes first
            yield Arm(reaction, "runs", received, 1, ways, len(normal))
        else:
            kind: Literal["runs", "command", "deadline"] = trigger.kind if trigger.kind in ("command", "deadline") else "runs"
            if kind == "command" and not self._posted.isdisjoint(trigger.receives):
                kind = "runs"  # a reaction hands it over
            for tp in self.numbers(dict.fromkeys(reaction.causes)):
                yield Arm(reaction, kind, (tp,), 1, ways, len(normal))
        if reaction.late and (late := self._ways(reaction.late.alternatives)):
            for parts in self._late_parts(reaction):
                yield Arm(reaction, "late", parts, len(parts), late, len(late))

    def _late_parts(self, reaction: Reaction) -> Iterable[tuple[int, ...]]:
        """What must have come for something to be late: for a deadline one of either kind, for a join two parts of it."""
        trigger = reaction.trigger
        if trigger.kind == "deadline":
            return ((self.number[a], self.number[u]) for a in trigger.after for u in trigger.unless if a != u)
        received = self.numbers(dict.fromkeys(trigger.receives))
        return combinations(received, 2) if len(received) > 1 else (received,)

    def _ways(self, alternatives: tuple[tuple[str, ...], ...]) -> tuple[tuple[int, ...], ...]:
        found = tuple(dict.fromkeys(self.numbers(answer) for answer in alternatives))
        return tuple(way for way in found if way) or found[:1]


def net_of(graph: Graph) -> Net:
    """The graph in numbers, made once for all who ask."""
    return graph.kept("net", lambda: Net(graph))
