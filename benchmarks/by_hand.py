"""CloudEvents written and read by hand: what the baselines do instead of the framework."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

__all__ = ["Emits", "Wired", "caused", "encode", "read"]


class Wired(msgspec.Struct, omit_defaults=True):
    """An envelope with just the attributes that are there."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    datacontenttype: str
    correlationid: str
    causationid: str
    partitionkey: str
    depth: int
    data: Any


class _Read(Wired):
    data: msgspec.Raw


encode = msgspec.json.Encoder().encode
read = msgspec.json.Decoder(_Read).decode


def caused(cause: str, label: str) -> str:
    """The id of an event that another one caused: always the same."""
    digest = blake2b(label.encode(), digest_size=9).hexdigest()
    return f"{cause[:13]}-8{digest[:3]}-8{digest[3:6]}-{digest[6:]}"


class Emits(NamedTuple):
    """What a reaction emits."""

    reaction: str
    source: str
    type: str

    def message(self, cause: Any, key: str, event: Any, now: datetime) -> tuple[str, bytes]:
        """The id and the body of an event that the reaction gives for another."""
        id = caused(cause.id, f"{self.reaction}\n{cause.id}\n0")
        return id, encode(
            Wired(
                "1.0", id, self.source, self.type, now, "application/json", cause.correlationid, cause.id, key, cause.depth + 1, event
            )
        )  # fmt: skip
