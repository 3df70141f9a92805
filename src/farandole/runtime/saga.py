"""What a reaction that waits for several events, for time to pass, or for a state, puts before its handler. `sagas/` has those that there are.

    collect:  locks the instance, notes the event        -> Ready: run this handler with these events; or a verdict: nothing to run (yet)
    conclude: after the handler, in the transaction that commits what it did

A local reaction does both and its handler in one transaction. An outside one collects in a transaction of its own; its handler runs without
one; whoever runs it again after a crash collects again, and is told the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from farandole.model.envelope import Envelope, Message

if TYPE_CHECKING:
    from farandole.runtime.plan import Plan
    from farandole.stores.base import Transaction, Verdict
    from farandole.world import World

__all__ = ["Arrival", "Ready", "Saga"]


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """An event that came, or came again.

    Attributes
    ----------
    id:
        Its identity in the inbox.
    plan:
        Whose turn it is: the reaction's own, or that of its exhausted handler.
    attempt:
        1 for the first run.
    memory:
        What a saga remembers of this run, from `collect` to `conclude`.
    """

    plan: Plan
    id: str
    event: Any
    envelope: Envelope
    body: bytes
    attempt: int = 1
    memory: dict[str, Any] = {}

    @property
    def is_exhausted(self) -> bool:
        """Whether it is the turn of the exhausted handler."""
        return self.plan.id.endswith(".exhausted")


class Ready(msgspec.Struct, frozen=True, gc=False):
    """A handler is to run.

    Attributes
    ----------
    plan:
        Which.
    event:
        What it takes: an event, or all parts of a join, or an event and the state of its process.
    cause:
        What its emissions follow from; of a join, all causes in one.
    """

    plan: Plan
    event: Any
    cause: Envelope


class Saga(Protocol):
    """The waiting of one reaction."""

    async def collect(self, transaction: Transaction, arrival: Arrival, world: World) -> Ready | Verdict:
        """Note the event; tell what is to be done now."""
        ...

    async def conclude(self, transaction: Transaction, arrival: Arrival, emitted: Sequence[Message]) -> None:
        """The handler has run, and emitted this."""
        ...
