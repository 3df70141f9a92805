"""Joins: a handler that runs once per instance, when all of several events have come, or the first, or as many as they say.

    (unknown) ──first part──> open ──last part──> full ──handler ran──> over ──more──> late
                               └──`within` is over──> expired ──more──> late

Parts stand in a table of their own, with their exact bytes, until the handler has run. Where the join has a time limit, the inbox row of the
first part waits as its timer; when it is due and the join is still open, that row is a dead letter which says what did not come. Retried
by hand, it opens the join again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from farandole.errors import Reject
from farandole.model.envelope import Envelope, Message, decode
from farandole.model.triggers import OnAll, OnAny, OnCount
from farandole.model.wire import Wire
from farandole.runtime.inbox import DONE
from farandole.runtime.plan import Plan
from farandole.runtime.saga import Arrival, Ready
from farandole.sagas.instance import all_causes, instance_key, names
from farandole.stores.base import Instance, Transaction, Verdict
from farandole.words import date, exactly
from farandole.world import World

__all__ = ["Join"]


class Join:
    """The join of one reaction; see `runtime.saga.Saga`."""

    def __init__(self, plan: Plan, trigger: OnAll | OnAny | OnCount, wire: Wire) -> None:
        self._plan = plan
        self._id = plan.id
        self._trigger = trigger
        self._types = {wire.by_class[cls].type: number for number, cls in enumerate(trigger.events)}

    async def collect(self, transaction: Transaction, arrival: Arrival, world: World) -> Ready | Verdict:
        """Note the part; tell whether it was the last."""
        instance = await transaction.instance(self._id, instance_key(arrival, self._trigger.by))
        if instance.state == "full" and instance.runner == arrival.id:  # its handler runs again
            return await self._ready(transaction, arrival, instance)
        if instance.state == "expired" and instance.timer == arrival.id:  # retried by hand: the join waits again
            instance.state = "open"
            return await self._wait(transaction, arrival, instance, world)
        if instance.state == "open" and instance.timer == arrival.id:
            return await self._expire(transaction, instance)
        if instance.state != "open":
            return self._too_late(arrival, instance)
        return await self._add(transaction, arrival, instance, world)

    async def conclude(self, transaction: Transaction, arrival: Arrival, emitted: Sequence[Message]) -> None:
        """The handler has run: the parts go, a tombstone stays."""
        instance = await transaction.instance(self._id, instance_key(arrival, self._trigger.by))
        if instance.runner == arrival.id:
            instance.state = "over"
            await transaction.keep(instance)

    async def _add(self, transaction: Transaction, arrival: Arrival, instance: Instance, world: World) -> Ready | Verdict:
        kind = arrival.envelope.type
        if isinstance(self._trigger, OnAll) and instance.have.get(kind):
            return Verdict("skipped", reason=f"a second {kind} of {instance.key}: the join has one already")
        self._agree(arrival, instance)
        if await transaction.add_part(instance, arrival.id, arrival.body):
            instance.have[kind] = instance.have.get(kind, 0) + 1
        if self._is_complete(instance):
            if instance.timer is not None:
                await transaction.drop(self._id, instance.timer, "the join was completed in time")
                instance.timer = None
            instance.state, instance.runner = "full", arrival.id
            await transaction.keep(instance)
            return await self._ready(transaction, arrival, instance)
        if instance.timer is None:
            return await self._wait(transaction, arrival, instance, world)
        await transaction.keep(instance)
        return DONE

    async def _wait(self, transaction: Transaction, arrival: Arrival, instance: Instance, world: World) -> Verdict:
        """For the others: this event's row is the timer, where there is a limit."""
        limit = self._trigger.within
        instance.timer = None if limit is None else arrival.id
        await transaction.keep(instance)
        return DONE if limit is None else Verdict("parked", due=world.time() + limit, attempts=0)

    def _agree(self, arrival: Arrival, instance: Instance) -> None:
        """All parts of a counted join must say the same number."""
        if not isinstance(self._trigger, OnCount):
            return
        field = self._trigger.expected
        number = getattr(arrival.event, field)
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise Reject(f"{arrival.envelope.type} says {field} = {number!r}: expected a number of at least 1")
        if instance.expected not in (None, number):
            raise Reject(
                f"{arrival.envelope.type} says {field} = {number}, but parts of {instance.key} before it said {instance.expected}"
            )
        instance.expected = number

    def _is_complete(self, instance: Instance) -> bool:
        if isinstance(self._trigger, OnAll):
            return len(instance.have) == len(self._types)
        count = sum(instance.have.values())
        return count >= (1 if isinstance(self._trigger, OnAny) else instance.expected or 1)

    async def _ready(self, transaction: Transaction, arrival: Arrival, instance: Instance) -> Ready:
        if isinstance(self._trigger, OnAny):
            return Ready(arrival.plan, arrival.event, arrival.envelope)
        parts = [self._read(body) for body in await transaction.parts(instance)]
        if isinstance(self._trigger, OnAll):
            parts.sort(key=lambda part: self._types[part[0].type])
        events: Sequence[Any] = tuple(event for _, event in parts)
        return Ready(arrival.plan, events, all_causes(sorted((part[0] for part in parts), key=self._order)))

    def _order(self, envelope: Envelope) -> tuple[int, str]:
        return self._types[envelope.type], envelope.id

    def _read(self, body: bytes) -> tuple[Envelope, Any]:
        envelope = decode(body)
        return envelope, self._plan.binding(envelope.type).decode(bytes(envelope.data))

    async def _expire(self, transaction: Transaction, instance: Instance) -> Verdict:
        """Its time is over. The row that was its timer says so, until somebody retries or discards it."""
        instance.state = "expired"
        missing = self._missing(instance)
        await transaction.keep(instance)
        return Verdict("dead", reason=f"{missing} within {exactly(self._trigger.within or 0)}", error="JoinExpired")

    def _missing(self, instance: Instance) -> str:
        if isinstance(self._trigger, OnCount):
            return f"only {sum(instance.have.values())} of {instance.expected} {names(self._trigger.events)} came"
        here = {number for kind, number in self._types.items() if instance.have.get(kind)}
        return f"{names([cls for number, cls in enumerate(self._trigger.events) if number not in here])} did not come"

    def _too_late(self, arrival: Arrival, instance: Instance) -> Ready | Verdict:
        if arrival.plan.late is not None:
            return Ready(arrival.plan.late, arrival.event, arrival.envelope)
        over = "expired" if instance.state == "expired" else "was over"
        return Verdict("skipped", reason=f"too late: the join {over} at {date(instance.since)} UTC")
