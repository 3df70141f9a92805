"""Makes the plans of reactions that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from farandole.model.reaction import Reaction
from farandole.model.service import Service
from farandole.model.triggers import OnAll, OnAny, OnCount, OnDeadline
from farandole.model.wire import Wire
from farandole.runtime.plan import Limits, Plan, compile_plan
from farandole.runtime.saga import Saga
from farandole.sagas.deadline import Deadline
from farandole.sagas.join import Join

__all__ = ["compile_saga"]


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
    trigger = reaction.trigger
    saga: Saga
    if isinstance(trigger, OnDeadline):
        saga = Deadline(plan, trigger, wire)
    elif isinstance(trigger, OnAll | OnAny | OnCount):
        saga = Join(plan, trigger, wire)
    else:
        return plan
    plan.saga = saga
    if plan.exhausted is not None:
        plan.exhausted.saga, plan.exhausted.late = saga, plan.late
    return plan
