"""A deadline: a handler that runs when something did not come in time.

    (unknown) ──after──> open, the event waits in the inbox as a timer ──due──> fired ──> handler
        │                 └──unless──> ended, the timer is dropped              └──unless──> late
        └──unless──> ended (a tombstone: `after` came behind it, and nothing waits)

The timer is the inbox row of the event that started it: parked, and due at the deadline. So it survives restarts, is claimed by one process,
is retried and dies as any other event.
"""

from __future__ import annotations

from collections.abc import Sequence

from farandole.model.envelope import Message
from farandole.model.triggers import OnDeadline
from farandole.model.wire import Wire
from farandole.runtime.inbox import DONE
from farandole.runtime.plan import Plan
from farandole.runtime.saga import Arrival, Ready
from farandole.sagas.instance import instance_key
from farandole.stores.base import Transaction, Verdict
from farandole.words import date, exactly
from farandole.world import World

__all__ = ["Deadline"]


class Deadline:
    """The deadline of one reaction; see `runtime.saga.Saga`."""

    def __init__(self, plan: Plan, trigger: OnDeadline, wire: Wire) -> None:
        self._id = plan.id
        self._by = trigger.by
        self._within = trigger.within
        self._starts = {wire.by_class[cls].type for cls in trigger.after}

    async def collect(self, transaction: Transaction, arrival: Arrival, world: World) -> Ready | Verdict:
        """Start the time, end it, or find that it is over."""
        instance = await transaction.instance(self._id, instance_key(arrival, self._by))
        if arrival.envelope.type in self._starts:
            if instance.state == "fired" and instance.runner == arrival.id:  # its handler runs again
                return Ready(arrival.plan, arrival.event, arrival.envelope)
            if instance.state != "open":
                return DONE  # what it waits for has come, or it ran for another
            if instance.timer == arrival.id:
                instance.state, instance.runner = "fired", arrival.id
                await transaction.keep(instance)
                return Ready(arrival.plan, arrival.event, arrival.envelope)
            if instance.timer is not None:
                return Verdict("skipped", reason=f"the time runs already, since {date(instance.since)} UTC")
            instance.timer = arrival.id
            await transaction.keep(instance)
            return Verdict("parked", due=world.time() + self._within, attempts=0)
        if instance.state == "fired":
            if arrival.plan.late is not None:
                return Ready(arrival.plan.late, arrival.event, arrival.envelope)
            return Verdict(
                "skipped", reason=f"too late: the deadline of {exactly(self._within)} passed at {date(instance.since)} UTC"
            )
        if instance.state == "open":
            if instance.timer is not None:
                await transaction.drop(self._id, instance.timer, f"{arrival.envelope.type} came in time")
            instance.state = "ended"
            await transaction.keep(instance)
        return DONE

    async def conclude(self, transaction: Transaction, arrival: Arrival, emitted: Sequence[Message]) -> None:
        """Nothing is left to be done: that it fired was noted before."""
