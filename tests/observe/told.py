"""Instances told in few words: `says("payments", "Paid", "o1")` is an event of a service, caused by others."""

from __future__ import annotations

from typing import Any

import msgspec

from farandole.graph import Graph
from farandole.model.envelope import Envelope, encode
from farandole.observe.status import Status, Statuses
from farandole.stores.record import Entry

START = 1_800_000_000.0


def says(service: str, name: str, *causes: str, at: float = 0.0, id: str = "", key: str = "k", **data: Any) -> Entry:
    """An event; its id is its name, unless given."""
    body = Envelope(
        specversion="1.0", id=id or name, source=f"/shop/{service}", type=f"shop.{name}.v1", data=msgspec.Raw(encode(data))
    )
    return Entry(
        id=id or name,
        type=body.type,
        source=body.source,
        correlation_id="c",
        causationid=",".join(causes),
        time=START + at,
        field="order_id",
        key=key,
        body=encode(body),
    )


def status(graph: Graph, *entries: Entry, at: float = 0.0) -> Status:
    return Statuses(graph).of(entries, START + at)


def brief(found: Status) -> tuple[str, list[str]]:
    """The state, and who is expected to say something."""
    return found.state, sorted(one.reaction.removeprefix("shop.") for one in found.expected)


def names(types: tuple[str, ...]) -> str:
    return " ".join(tp.split(".")[1] for tp in types)
