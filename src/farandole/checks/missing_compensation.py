"""Rule missing-compensation: a failure after which an action stays done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.graph import Graph, Reaction
from farandole.graph.worlds import Flow, Question, World, flows_of
from farandole.words import listed

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    for flow in flows_of(graph):
        questions = {fail: list(_questions(flow, fail)) for fail in sorted(flow.fails & flow.came)}
        actions = {flow.arm(index).reaction.id: flow.arm(index).reaction for index in sorted(flow.arms)}
        for action in actions.values():
            undone = graph.compensations.get(action.id, ())
            if action.compensates or not (undone or _lasts(action)):
                continue
            for fail, asked in questions.items():
                found = next(
                    filter(None, (_left(flow, action, success, fail, asked) for success in _successes(flow, action, undone))),
                    None,
                )
                if found is not None:
                    yield _finding(graph, flow, action, fail, *found)


def _lasts(action: Reaction) -> bool:
    """Whether it does something outside that stays."""
    said = action.effects.outside if action.effects else None
    return action.outside and said not in ("none", "idempotent")


def _successes(flow: Flow, action: Reaction, compensations: tuple[Reaction, ...]) -> list[int]:
    """What it emits when it is done: what its compensations undo, and what success is built on where it lasts or they do not say."""
    named = {flow.net.number[node.undoes] for node in compensations if node.undoes}
    built_on = {tp for tp in flow.net.numbers(action.emits) if tp in flow.pays}
    return sorted(named | built_on if _lasts(action) or not named else named)


def _undoing(graph: Graph, action: Reaction, success: str) -> list[Reaction]:
    compensations = [node for node in graph.compensations.get(action.id, ()) if node.undoes in (None, success)]
    return [*compensations, *graph.undone.get(success, ())]


def _left(flow: Flow, action: Reaction, success: int, fail: int, questions: list[Question]) -> tuple[int, World] | None:
    """A world with this success and this failure in which no compensation is set off."""
    net = flow.net
    ways = {
        index: chosen
        for index in net.arms_of[action.id]
        if flow.arm(index).kind != "late" and (chosen := tuple(way for way in flow.arm(index).ways if success in way))
    }
    if success == fail or not ways:
        return None
    never = frozenset(index for node in _undoing(net.graph, action, net.types[success]) for index in net.arms_of[node.id])
    for question in questions:
        world = flow.find(replace(question, ways=ways, must=(success, fail), never=never))
        if world is not None and world.came[success] in ways:
            return success, world
    return None


def _questions(flow: Flow, fail: int) -> Iterator[Question]:
    """What may happen besides the start: nothing, a deadline that passes, or a command, each alone."""
    toward = flow.cone((fail,))
    timers: dict[str, set[int]] = {}
    for index in sorted(flow.arms):
        reaction = flow.arm(index).reaction
        if reaction.trigger.kind == "deadline" and flow.arm(index).emits:
            timers.setdefault(reaction.id, set()).add(index)
    useful = [frozenset(arms) for arms in timers.values() if any(flow.arm(index).emits & toward for index in arms)]
    for start in flow.starts:
        for sources in dict.fromkeys([(start,), (start, *flow.helpers)]):
            yield Question(sources)
            yield from (Question(sources, timers=arms) for arms in useful)
            for door in flow.doors:
                yield from (Question(sources, door=(door, way)) for way in flow.arm(door).ways if toward.intersection(way))


def _finding(graph: Graph, flow: Flow, action: Reaction, fail: int, success: int, world: World) -> Finding:
    names, types = names_of(graph), flow.net.types
    undone = _undoing(graph, action, types[success])
    trail = world.trail(flow.net, fail)
    cause = "" if len(trail) < 2 else f" by way of {names.step(trail[-2])}"
    if undone:
        undoers = listed([names.reaction(node.id) for node in undone], "or")
        what, fix = f"{undoers} is not set off", f"Let {undoers} react to {names.step(types[fail])} too, or to what leads to it."
    else:
        what = "nothing undoes it"
        fix = (
            f"Declare a compensation, such as on({names.step(types[fail])}, compensates={action.name}, "
            f"undoes={names.step(types[success])}), "
            f'or say that there is nothing to undo: effects=Effects(outside="none").'
        )
    return Finding(
        rule="missing-compensation",
        place=action.place,
        what=f"{flow.workflow.name} may end in {names.step(types[fail])}{cause} after {names.step(action.id)} "
        f"emitted {names.step(types[success])}, and {what}.",
        fix=fix,
        subject=f"{action.id}:{types[fail]}",
        workflow=flow.workflow.name,
        trail=trail if action.id in trail else (*world.trail(flow.net, success), *trail),
    )


RULE = Rule(
    id="missing-compensation",
    tier="proof",
    severity="error",
    title="a failure that leaves something done",
    why="The order is cancelled and the money kept, or the goods stay reserved for nobody; it shows weeks later, in the accounts.",
    check=_check,
)
