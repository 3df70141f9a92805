"""Makes the plans of reactions that wait, of guarded ones, of actions and compensations, and of the handlers of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from farandole.model.reaction import Reaction
from farandole.model.resources import kind_of
from farandole.model.service import Service
from farandole.model.triggers import OnAll, OnAny, OnCommand, OnCount, OnDeadline, OnEvents
from farandole.model.wire import Wire
from farandole.runtime.plan import Limits, Plan, compile_call, compile_plan
from farandole.runtime.saga import Saga
from farandole.sagas.action import Action, Beside, Undo
from farandole.sagas.deadline import Deadline
from farandole.sagas.guard import Guarded
from farandole.sagas.join import Join
from farandole.sagas.process import Course, Turn

__all__ = ["compile_saga"]

_Reaction = Reaction[Any, Any, Any]


def compile_saga(
    reaction: Reaction[Any, Any, Any], service: Service, wire: Wire, given: Mapping[Any, Any], limits: Limits
) -> Plan:
    """The plan of a reaction, of whatever kind.

    Parameters
    ----------
    given:
        What the service provides, opened, by type.
    """
    plan = compile_plan(reaction, service, wire, given, limits)
    inner = _waiting(reaction, plan, wire)
    if reaction.step is not None:
        plan.saga = Turn(plan, reaction.step, Course(reaction.step.process, wire), wire, trigger=reaction.trigger, inner=inner)
    else:
        plan.saga = _undoing(reaction, service, wire, plan, _guarded(reaction, service, given, plan, inner))
    if plan.exhausted is not None:
        plan.exhausted.saga, plan.exhausted.late = plan.saga, plan.late
    return plan


def _waiting(reaction: _Reaction, plan: Plan, wire: Wire) -> Saga | None:
    trigger = reaction.trigger
    if isinstance(trigger, OnDeadline):
        return Deadline(plan, trigger, wire)
    return Join(plan, trigger, wire) if isinstance(trigger, OnAll | OnAny | OnCount) else None


def _guarded(reaction: _Reaction, service: Service, given: Mapping[Any, Any], plan: Plan, inner: Saga | None) -> Saga | None:
    """Around what it waits for, its guard: the state is read when everything else is there."""
    reader, guarding = reaction.reader, reaction.guarding
    if reader is None or guarding is None:
        return inner
    kinds = [kind_of(parameter, service.provided) for parameter in reader.signature.parameters]
    call = compile_call(reader.function, reader.signature.parameters, kinds, given)
    return Guarded(plan, guarding, call, known=reader.known or _declared(service, guarding.move.entity), inner=inner)


def _declared(service: Service, entity: str) -> Sequence[str]:
    """All states that a service declares for an entity, where it says into which it moves; otherwise nobody can tell which there are."""
    moves = [move for reaction in service.reactions.values() for move in reaction.notes.states if move.entity == entity]
    entered = [move.to for move in moves if move.to is not None]
    return [*entered, *(state for move in moves for state in move.valid)] if entered else ()


def _undoing(reaction: _Reaction, service: Service, wire: Wire, plan: Plan, inner: Saga | None) -> Saga | None:
    """Around it, what remembers whether an action happened and was undone.

    A command's caller is told at once what became of it, so that what it did is not remembered: its compensation always runs.
    """
    undone = reaction.compensates
    if undone is not None and not isinstance(undone.trigger, OnCommand):
        beside = _beside(reaction, service, wire)
        inner = Undo(undone.id, by_key=_by_key(undone, service), beside=beside, inner=inner)
    undoers = _undoers(reaction, service)
    if undoers and not isinstance(reaction.trigger, OnCommand):
        types = frozenset(wire.by_class[undoer.undoes].type for undoer in undoers if undoer.undoes is not None)
        inner = Action(reaction.id, types, by_key=_by_key(reaction, service), outside=plan.outside, inner=inner)
    return inner


def _beside(reaction: _Reaction, service: Service, wire: Wire) -> dict[str, list[Beside]]:
    """By wire type, the other compensations of a service that such an event asks. Those that wait for several events have their own time."""
    found: dict[str, list[Beside]] = {}
    for other in service.reactions.values() if isinstance(reaction.trigger, OnEvents) else ():
        action = other.compensates
        if action is None or action is reaction.compensates or not isinstance(other.trigger, OnEvents):
            continue
        if not isinstance(action.trigger, OnCommand):
            for event in set(reaction.events).intersection(other.events):
                found.setdefault(wire.by_class[event].type, []).append(Beside(other.id, action.id, _by_key(action, service)))
    return found


def _undoers(action: _Reaction, service: Service) -> list[_Reaction]:
    return [reaction for reaction in service.reactions.values() if reaction.compensates is action]


def _by_key(action: _Reaction, service: Service) -> bool:
    """Whether the events of an action and of its compensations have the same key field."""
    events = [event for reaction in (action, *_undoers(action, service)) for event in reaction.events]
    keys = {event.__farandole__.key for event in events}  # type: ignore[attr-defined]
    return len(keys) == 1 and None not in keys
