"""Beats: what happened in a rehearsal, one record each, in the words that people tell it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Beat", "Kind"]

Kind = Literal[
    "command",
    "refused",
    "answered",
    "published",
    "delivered",
    "handled",
    "duplicate",
    "failed",
    "parked",
    "dead",
    "skipped",
    "crash",
    "restart",
    "pause",
    "clock",
    "cut",
    "fault",
    "database",
    "outside",
    "heal",
    "violation",
]
"""What kinds of things happen: to commands and events, to services and their surroundings, and at last to a rule."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Something that happened in a rehearsal, as people tell it.

    Attributes
    ----------
    time:
        Virtual seconds since the run began.
    kind:
        What kind of thing it is.
    who:
        The service at which it happened, or "client", or "broker".
    what:
        The type of the event or command, or the reaction that had to do with it; the name of the fault or of the rule; the call to
        the outside, "Gateway.charge"; at a database "statement", "refused", "unknown" or "slow".
    id:
        The event's or command's id.
    to:
        The service that receives a delivery or a command.
    key:
        The event's key, for example the order's id.
    cause:
        The id of the event or command that caused a published event.
    note:
        The reason in words; where it crashed, "store.commit:after"; how an outside call ended; of a delivery the lane, where a
        service has several.
    seconds:
        How long a fault lasts; how far a clock is set, below zero for back.
    """

    time: float
    kind: Kind
    who: str
    what: str = ""
    id: str = ""
    to: str = ""
    key: str = ""
    cause: str = ""
    note: str = ""
    seconds: float = 0.0
