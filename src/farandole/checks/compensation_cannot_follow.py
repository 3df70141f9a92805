"""Rule compensation-cannot-follow: a compensation whose trigger never comes in a run that did what it undoes."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Reaction
from farandole.graph.worlds import Flow, Question, flows_of

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    names = names_of(graph)
    touched: dict[str, list[Flow]] = {}
    for flow in flows_of(graph):
        for id in dict.fromkeys(flow.arm(index).reaction.id for index in sorted(flow.arms)):
            touched.setdefault(id, []).append(flow)
    for compensation in graph.reactions:
        action = graph.reaction.get(compensation.compensates or "")
        if action is None:
            continue
        successes = (compensation.undoes,) if compensation.undoes else action.emits
        flows = [flow for flow in touched.get(action.id, ()) if flow.came.intersection(flow.net.numbers(successes))]
        if flows and successes and not any(_may_follow(flow, action, compensation, tp) for flow in flows for tp in successes):
            yield Finding(
                rule="compensation-cannot-follow",
                place=compensation.place,
                what=f"{names.step(compensation.id)} never undoes anything: where {names.step(action.id)} emitted "
                f"{names.messages(successes, 'or')}, "
                f"{names.messages(compensation.causes, 'or')} cannot come any more.",
                fix=f"Let it react to a failure that comes after {names.messages(successes, 'or')}, or remove it.",
                subject=compensation.id,
                workflow=flows[0].workflow.name,
            )


def _may_follow(flow: Flow, action: Reaction, compensation: Reaction, success: str) -> bool:
    """Whether both may come in one run: unless all worlds were looked at, and it is in none, they may."""
    if flow.is_tired:
        return True
    net = flow.net
    goal = net.number[success]
    known = flow.arms.union(flow.doors)
    sources = (*flow.starts, *flow.helpers, *(tp for door in flow.doors for tp in flow.arm(door).emits))
    timers = frozenset(index for index in flow.arms if flow.arm(index).kind in ("deadline", "late"))
    often = _often(flow, set(sources) - set(flow.starts))
    ways: dict[int, tuple[tuple[int, ...], ...]] = {index: (tuple(sorted(flow.arm(index).emits)),) for index in often}
    for index in net.arms_of[action.id]:
        if index not in often and (chosen := tuple(way for way in flow.arm(index).ways if goal in way)):
            ways[index] = chosen
    for index in net.arms_of[compensation.id]:
        arm = flow.arm(index)
        if arm.kind == "late":
            continue
        if any(not known.issuperset(_others(flow, part)) or not net.makes[part] for part in arm.parts):
            return True  # it comes from elsewhere, at any time
        goals = {goal, *(arm.parts if arm.need > 1 else arm.parts[:1])}
        if arm.need == 1 and len(arm.parts) > 1:
            return True  # the first of several: not looked into
        world, complete = flow.search(Question(sources, ways=ways, must=tuple(goals), timers=timers))
        if world is not None or not complete:
            return True
    return False


def _others(flow: Flow, tp: int) -> set[int]:
    """Who emits a type, but for commands that answer it instead of starting the workflow."""
    starts = set(flow.starts)
    return {index for index in flow.net.makes[tp] if not (flow.arm(index).kind == "command" and flow.arm(index).emits & starts)}


def _often(flow: Flow, several: set[int]) -> set[int]:
    """Arms that may be set off several times in one run, and so answer differently each time."""
    several = set(several)
    found = set(flow.rounds)
    makers: dict[int, int] = {}
    for index in flow.arms:
        arm = flow.arm(index)
        for tp in arm.emits:
            makers[tp] = makers.get(tp, 0) + 1
        several.update(flow.net.numbers(arm.reaction.many))
    several.update(tp for tp, count in makers.items() if count > 1)
    several.update(tp for index in found for tp in flow.arm(index).emits)
    stack = sorted(several)
    while stack:
        for index in flow.net.feeds[stack.pop()]:
            arm = flow.arm(index)
            if index in flow.arms and index not in found and arm.reaction.trigger.kind in ("event", "process", "deadline"):
                found.add(index)
                fresh = arm.emits - several
                several |= fresh
                stack += fresh
    return found


RULE = Rule(
    id="compensation-cannot-follow",
    tier="proof",
    severity="error",
    title="a compensation that never runs",
    why="It looks as if somebody undid the action. Nobody does.",
    check=_check,
)
