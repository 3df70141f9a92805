"""A service level: an event that is expected to follow another in time, whatever the workflow does besides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from farandole.errors import DeclarationError
from farandole.model.triggers import event_classes, seconds

__all__ = ["Expectation", "expect"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """See `expect`.

    Attributes
    ----------
    events:
        The events of which one is expected.
    after:
        The event that it follows.
    within:
        So many seconds at most.
    name:
        What alerts call it.
    """

    events: tuple[type, ...]
    after: type
    within: float
    name: str


def expect(*events: type, after: type, within: timedelta | float, name: str | None = None) -> Expectation:
    """Say what should follow an event, and how soon: `Workflow(…, expects=[expect(Paid, after=Reserved, within=timedelta(seconds=30))])`.

    It is observed, never enforced: where nothing came in time, an alert says so, also while the workflow itself still runs. It is over when
    the event comes, and lapses where the workflow failed.

    Parameters
    ----------
    events:
        The event; several: one of them is enough, such as a success and a failure.
    after:
        The event that it follows. Of several of these in an instance, each is followed.
    within:
        How long it may take, counted from the time of `after`; a number is seconds.
    name:
        What alerts call it; `Paid after Reserved` by default.

    Raises
    ------
    DeclarationError
        No event classes, an event that is to follow itself, or no time.
    """
    who = "expect(...)"
    event_classes(who, events)
    event_classes(f"{who}: after=", (after,))
    if after in events:
        raise DeclarationError(f"{who}: {after.__name__} cannot be expected after itself. Name the event that comes next")
    if name is not None and (not isinstance(name, str) or not name.strip() or not name.isprintable()):
        raise DeclarationError(f"{who}: expected name to be a text in one line, got: {name!r}")
    limit = seconds(f"{who}: within=", within)
    return Expectation(events, after, limit, name or f"{' or '.join(tp.__name__ for tp in events)} after {after.__name__}")
