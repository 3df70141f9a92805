"""An event that the CloudEvents SDK writes and we read, and one that we write and the SDK reads. Needs no server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
from cloudevents.core.v1.event import CloudEvent

from farandole.model.envelope import Envelope, Message, decode, encode

KEY = "Grüße 🔑"
DATA = {"total": 12, "name": "é"}
ATTRIBUTES: dict[str, Any] = {
    "id": "018f0000-0000-7000-8000-000000000001", "source": "/shop/orders", "type": "shop.OrderPlaced.v1",
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "datacontenttype": "application/json", "partitionkey": KEY, "correlationid": "c-1",
}  # fmt: skip
BODY = encode(Envelope(specversion="1.0", **ATTRIBUTES, depth=2, data=msgspec.Raw(json.dumps(DATA).encode())))


def foreign() -> CloudEvent:
    """What others write."""
    return CloudEvent(dict(ATTRIBUTES), DATA)


def ours(topic: str) -> Message:
    """What we write."""
    return Message(topic, KEY, ATTRIBUTES["id"], ATTRIBUTES["type"], BODY)


def check_read(body: bytes) -> None:
    """Of what others wrote, all has arrived."""
    event = decode(body)
    assert {name: getattr(event, name) for name in ATTRIBUTES} == ATTRIBUTES
    assert json.loads(bytes(event.data)) == DATA


def check_foreign(event: CloudEvent) -> None:
    """Of what we wrote, others find all."""
    assert (event.get_id(), event.get_source(), event.get_type()) == (ATTRIBUTES["id"], ATTRIBUTES["source"], ATTRIBUTES["type"])
    assert (event.get_time(), event.get_extension("correlationid")) == (ATTRIBUTES["time"], "c-1")
    assert event.get_extension("partitionkey") == KEY
    assert str(event.get_extension("depth")) == "2"
    assert event.get_data() == DATA
