"""What a reaction may know of its run, and its only clock and chance."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farandole.model.envelope import Envelope
    from farandole.world import World

__all__ = ["Context"]


class Context:
    """Given to every reaction that has a parameter of this type.

    Attributes
    ----------
    reaction:
        `service.name` of the reaction.
    envelope:
        The event's envelope.
    attempt:
        1 for the first run.
    """

    __slots__ = ("_world", "attempt", "envelope", "reaction")

    def __init__(self, reaction: str, envelope: Envelope, attempt: int, world: World) -> None:
        self.reaction = reaction
        self.envelope = envelope
        self.attempt = attempt
        self._world = world

    @property
    def event_id(self) -> str:
        """The id of the event that is being handled."""
        return self.envelope.id

    @property
    def correlation_id(self) -> str:
        """The id of the workflow instance."""
        return self.envelope.correlationid or self.envelope.id

    @property
    def idempotency_key(self) -> str:
        """The same for the same reaction and event in every run: give it to whatever you call outside."""
        return f"{self.reaction}:{self.envelope.id}"

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        return self._world.now()

    def random(self) -> float:
        """A number in [0, 1)."""
        return self._world.random()

    def uuid(self) -> str:
        """A new UUIDv7. It differs from run to run; what must not differ uses `idempotency_key`."""
        return self._world.new_id()

    async def sleep(self, seconds: float) -> None:
        """Wait. Only in outside reactions; a local one would hold the write lock meanwhile."""
        await self._world.sleep(seconds)
