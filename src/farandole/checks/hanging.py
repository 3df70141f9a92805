"""Where a workflow may stop short of every outcome: shared by the rules about dead ends, joins and failures that nobody states.

Each found case is a world in which one reaction gives one answer, or none, all others give answers that lead on, and still nothing ends
the workflow. That the others lead on puts the blame where it belongs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from farandole.graph import Graph
from farandole.graph.worlds import Flow, Question, World, flows_of

__all__ = ["Hang", "Innocent", "hangs", "innocents"]


@dataclass(frozen=True, slots=True)
class Hang:
    """A world in which a workflow hangs.

    Attributes
    ----------
    arm, way:
        What is to blame: the arm, and what it answers; None where a join alone is.
    join, missing:
        The arm of a join that waits in vain, or None, and the part that does not come.
    """

    flow: Flow
    world: World
    arm: int | None = None
    way: tuple[int, ...] = ()
    join: int | None = None
    missing: int | None = None


def hangs(graph: Graph) -> tuple[Hang, ...]:
    """All answers that end a workflow nowhere, and joins that wait for ever; found once for all rules that ask."""
    return graph.kept("hangs", lambda: tuple(hang for others in innocents(graph) for hang in _of_flow(others)))


def innocents(graph: Graph) -> tuple[Innocent, ...]:
    """The answers that are not to blame, for each workflow."""
    return graph.kept("innocents", lambda: tuple(Innocent(flow) for flow in flows_of(graph)))


class Innocent:
    """By arm of a flow: the answers that are not to blame where it hangs.

    They are those that lead on, where there are others. Where an arm answers good news with an event for nobody, and bad news with
    one that fails the workflow, the good news is innocent too: the workflow ends without it. On a round all answers count together,
    since next time it may be another one.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.ways: dict[int, tuple[tuple[int, ...], ...]] = {}
        for index in flow.arms:
            arm = flow.arm(index)
            if len(arm.ways) > 1 and index in flow.rounds:
                self.ways[index] = (tuple(sorted(arm.emits)),)
            elif len(arm.ways) > 1 and (good := tuple(way for way in arm.ways if not way or _any(way, flow.leads))):
                self.ways[index] = good
        news = {
            index: tuple(way for way in flow.arm(index).ways if way in self.ways[index] or not self.silences(index, way))
            for index, _ in self.suspects()
            if not _any(flow.arm(index).emits, flow.pays)
        }
        self.ways.update(news)

    def suspects(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Answers that lead to no outcome, of arms that may answer others that do."""
        leads = self.flow.leads
        for index in sorted(self.flow.arms):
            arm = self.flow.arm(index)
            if len(arm.ways) > 1 and arm.kind != "late" and _any(arm.emits, leads):
                yield from ((index, way) for way in arm.ways if way and not _any(way, leads))

    def silences(self, index: int, way: tuple[int, ...]) -> World | None:
        """A world in which this arm is set off and answers so, and no outcome follows."""
        flow = self.flow
        for start in flow.starts:
            question = Question(
                (start, *flow.helpers),
                ways={**self.ways, index: (way,)},
                must=flow.arm(index).parts,
                avoid=flow.outcomes,
                timers=None,
            )
            world = flow.find(question)
            if world and not often(flow, world, index):
                return world
        return None


def often(flow: Flow, world: World, index: int) -> bool:
    """Whether this arm may be set off several times in this world, so that it may answer differently each time."""
    makers: dict[int, list[int]] = {}
    for ran, way in world.ran.items():
        for tp in way:
            makers.setdefault(tp, []).append(ran)
    several: set[int] = set()
    for tp in world.came:  # causes come before effects
        arms = makers.get(tp, [])
        if len(arms) > 1 or any(
            flow.net.types[tp] in flow.arm(arm).reaction.many or (flow.arm(arm).kind == "runs" and _repeats(flow, arm, several))
            for arm in arms
        ):
            several.add(tp)
    return _repeats(flow, index, several)


def _repeats(flow: Flow, index: int, several: set[int]) -> bool:
    arm = flow.arm(index)
    return arm.reaction.trigger.kind in ("event", "process") and any(part in several for part in arm.parts)


def _of_flow(others: Innocent) -> Iterator[Hang]:
    flow = others.flow
    seen: set[int] = set()
    for index, way in others.suspects():
        world = others.silences(index, way)
        if world is None:
            continue
        instead = {tp for other in flow.arm(index).ways for tp in other if other != way}
        stuck = next(((join, part) for join, part in _stuck(flow, world) if instead & (flow.cone((part,)) | {part})), None)
        if stuck is None:
            yield Hang(flow, world, index, way)
        elif stuck[0] not in seen:
            seen.add(stuck[0])
            yield Hang(flow, world, index, way, *stuck)
    yield from _joins(others, seen)


def _joins(others: Innocent, seen: set[int]) -> Iterator[Hang]:
    """Joins of which one part excludes another, though every answer leads on."""
    flow = others.flow
    for index in sorted(_waiting(flow) - seen):
        for missing in flow.arm(index).parts:
            world = _world_without(others, missing, flow.arm(index).parts)
            if world and (index, missing) in set(_stuck(flow, world)):
                yield Hang(flow, world, join=index, missing=missing)
                break


def _world_without(others: Innocent, missing: int, parts: tuple[int, ...]) -> World | None:
    flow = others.flow
    if missing in flow.helpers:
        return None
    for start in flow.starts:
        for part in parts:
            question = Question(
                (start, *flow.helpers), ways=others.ways, must=(part,), avoid=flow.outcomes | {missing}, timers=None
            )
            if part != missing and (world := flow.find(question)):
                return world
    return None


def _waiting(flow: Flow) -> set[int]:
    """Joins without a time limit that lead on."""
    return {
        index
        for index in flow.arms
        if (arm := flow.arm(index)).kind == "runs"
        and arm.need > 1
        and arm.reaction.trigger.within is None
        and _any(arm.emits, flow.leads)
    }


def _stuck(flow: Flow, world: World) -> Iterator[tuple[int, int]]:
    """The joins that wait in this world, each with a part that does not come; not those that only wait for another join."""
    joins = {
        index: [part for part in flow.arm(index).parts if part not in world.came]
        for index in sorted(_waiting(flow))
        if 0 < sum(part in world.came for part in flow.arm(index).parts) < flow.arm(index).need
    }
    for index, missing in joins.items():
        for part in missing:
            if not any(flow.arm(other).emits & (flow.cone((part,)) | {part}) for other in joins if other != index):
                yield index, part
                break


def _any(types: Iterable[int], among: set[int]) -> bool:
    return any(tp in among for tp in types)
