"""What joins and deadlines share: which instance an event belongs to, and what is said of one that comes too late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from farandole.errors import Reject
from farandole.model.envelope import Envelope, Joined
from farandole.runtime.saga import Arrival
from farandole.words import listed

__all__ = ["all_causes", "instance_key", "names"]


def instance_key(arrival: Arrival, by: str | None) -> str:
    """What tells the instance of this event from others.

    Raises
    ------
    Reject
        The event does not say: retrying would not help.
    """
    value = arrival.envelope.partitionkey if by is None else getattr(arrival.event, by)
    if value is None or value == "":
        field = "no key" if by is None else f"{by} = {value!r}"
        raise Reject(f"{arrival.envelope.type} has {field}, so nobody can tell which events it belongs to")
    return str(value)


def all_causes(envelopes: Sequence[Envelope]) -> Joined:
    """Several causes as one: the latest, with the ids of all, and the greatest depth.

    The correlation id is that of the first part; the order is that of the parts, so that it is the same whichever came first.
    """
    latest = max(envelopes, key=lambda envelope: (envelope.time or datetime.min.replace(tzinfo=UTC), envelope.id))
    first = envelopes[0]
    said = {name: getattr(latest, name) for name in Envelope.__struct_fields__}
    said |= {
        "id": ",".join(envelope.id for envelope in envelopes),
        "correlationid": first.correlationid or first.id,
        "depth": max(envelope.depth for envelope in envelopes),
    }
    return Joined(**said, parts=tuple(envelopes))


def names(types: Sequence[Any]) -> str:
    """Classes for people: `A`, `A and B`, `A, B and C`."""
    return listed(cls.__name__ for cls in types)
