"""Guards: a handler runs in some states only; in others its event is skipped, dead or too early, with a reason.

The state is read when everything else that the reaction waits for is there, in the transaction that runs its handler; of an outside reaction in
the one before, and again before each further run. Handlers for used-up retries and for what comes too late are not guarded: they tell of a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from farandole.errors import Reject
from farandole.model.envelope import Message
from farandole.model.guard import Guarding, state_name
from farandole.runtime.context import Context
from farandole.runtime.inbox import TooEarly, describe
from farandole.runtime.plan import Plan
from farandole.runtime.saga import Arrival, Ready, Saga
from farandole.stores.base import Transaction, Verdict
from farandole.world import World

__all__ = ["Guarded", "Refused"]


class Refused(Verdict, frozen=True):
    """A guard does not let the handler run: what an action would have done does not happen."""


class Guarded:
    """The guard of one reaction; see `runtime.saga.Saga`.

    Parameters
    ----------
    call:
        Reads the state: (event, transaction, context, None) -> a coroutine.
    known:
        All states that there are, as far as the reader or the service says; none where neither does.
    inner:
        What the reaction waits for, where it is a join or a deadline.
    """

    def __init__(
        self, plan: Plan, guarding: Guarding, call: Callable[..., Any], *, known: Sequence[str], inner: Saga | None
    ) -> None:
        self._plan = plan
        self._call = call
        self._move = guarding.move
        self._reader = guarding.guard.reader.__name__
        self._place = guarding.place
        self._valid = guarding.guard.states
        self._otherwise = guarding.guard.otherwise
        self._known = frozenset(known)
        self._inner = inner

    async def collect(self, transaction: Transaction, arrival: Arrival, world: World) -> Ready | Verdict:
        """It may run if the state is valid."""
        ready: Ready | Verdict = Ready(arrival.plan, arrival.event, arrival.envelope)
        if self._inner is not None:
            ready = await self._inner.collect(transaction, arrival, world)
        if not isinstance(ready, Ready) or ready.plan is not self._plan:
            return ready
        await transaction.flush()  # what earlier events of the batch changed is to be seen
        context = Context(self._plan.id, arrival.envelope, arrival.attempt, world)
        state = await self._call(arrival.event, transaction, context, None)
        if not isinstance(state, str | Enum | None):
            raise Reject(
                f"the guard {self._reader} ({self._place}) gave {state!r}, which is no state: expected a str, an Enum member or None"
            )
        if state_name(state) in self._valid:
            return ready
        reason = self._reason(arrival, state_name(state))
        if self._otherwise == "wait":
            raise TooEarly(reason)
        if self._otherwise == "dead":
            raise Reject(reason)
        if self._inner is not None:
            await self._inner.conclude(transaction, arrival, ())
        return Refused("skipped", reason=describe(Reject(reason), arrival.event), place=self._place)

    async def conclude(self, transaction: Transaction, arrival: Arrival, emitted: Sequence[Message]) -> None:
        """The handler has run; nothing is kept of the state that was read."""
        if self._inner is not None:
            await self._inner.conclude(transaction, arrival, emitted)

    def _reason(self, arrival: Arrival, state: str | None) -> str:
        key = arrival.envelope.partitionkey if self._move.by is None else getattr(arrival.event, self._move.by, None)
        what = f"{self._move.entity} {key}" if key else self._move.entity
        words = [repr(valid) if valid is not None else "none yet" for valid in self._valid]
        valid = f"valid {'is' if len(words) == 1 else 'are'} {', '.join(words)}"
        if state is None:
            return f"there is no {what} yet; {valid}"
        strange = "" if not self._known or state in self._known else ", a state that nobody declares"
        return f"{what} is {state!r}{strange}; {valid}"
