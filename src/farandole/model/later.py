"""`Later`: what a reaction returns for something that is to happen after some time, or at a moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, TypeVar

from farandole.errors import EmissionError

__all__ = ["Later"]

M_co = TypeVar("M_co", covariant=True)


class Later(Generic[M_co]):
    """An event or a command that waits in the service's own inbox until it is due.

        @orders.on(OrderPlaced)
        async def remind(order: OrderPlaced) -> Later[ReminderDue]:
            return Later(ReminderDue(order_id=order.order_id), after=timedelta(days=1))

    It is written in the transaction of the reaction that returned it, so it commits with that reaction's rows, or not at all.

    Parameters
    ----------
    message:
        An event, or a command that the same service handles.
    after:
        How long it waits, as a timedelta or in seconds; not negative.
    at:
        The moment when it is due, with a time zone; not in the past when the reaction returns it.

    Raises
    ------
    EmissionError
        Neither is given, or both, or a time that cannot be.
    """

    __slots__ = ("at", "message", "seconds")

    def __init__(self, message: M_co, *, after: timedelta | float | None = None, at: datetime | None = None) -> None:
        name = type(message).__name__
        if (after is None) == (at is None):
            raise EmissionError(f"Later({name}): say after= or at=, one of them")
        self.message = message
        self.at = at
        self.seconds = 0.0
        if after is not None:
            seconds = after.total_seconds() if isinstance(after, timedelta) else after
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < float("inf"):
                raise EmissionError(f"Later({name}): expected after to be a timedelta or seconds, not negative, got: {after!r}")
            self.seconds = float(seconds)
        elif not isinstance(at, datetime) or at.tzinfo is None:
            raise EmissionError(f"Later({name}): expected at to be a datetime with a time zone, got: {at!r}. Add tzinfo=UTC")

    def due(self, now: datetime) -> datetime:
        """When it is due.

        Raises
        ------
        EmissionError
            That moment is past, or beyond the calendar.
        """
        name = type(self.message).__name__
        if self.at is None:
            try:
                return now + timedelta(seconds=self.seconds)
            except OverflowError:
                raise EmissionError(
                    f"Later({name}): after {self.seconds:g} s no calendar has a date. Say a shorter time"
                ) from None
        if self.at < now:
            raise EmissionError(
                f"Later({name}): at={self.at.isoformat()} is past; it is {now.isoformat()}. Emit the event itself where it is due already"
            )
        return self.at

    def __repr__(self) -> str:
        return f"Later({self.message!r}, {f'after={self.seconds:g} s' if self.at is None else f'at={self.at.isoformat()}'})"
