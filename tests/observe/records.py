"""What tests put into records, in few words."""

from __future__ import annotations

from typing import Any

from tests.runtime.kit import Choreography, ordering

from farandole.model.wire import Wire
from farandole.observe.record import Reading
from farandole.stores.record import Alert, Entry, Fate, Standing

READING = Reading(Wire(Choreography("shop", ordering())))


def event(number: int, flow: str = "flow", key: str = "4711", type: str = "shop.A.v1", **more: Any) -> Entry:
    values = {"source": "/shop/a", "causationid": "", "time": 1.5, "field": "order_id", "topic": "shop.a", "body": b"{}"}
    return Entry(id=f"e{number}", correlation_id=flow, key=key, type=type, **(values | more))


def fate(number: int, flow: str = "flow", state: str = "done", **more: Any) -> Fate:
    return Fate(id=f"e{number}", correlation_id=flow, reaction="payments.charge", state=state, **more)


def standing(flow: str, state: str = "running", workflow: str = "checkout", **more: Any) -> Standing:
    return Standing(correlation_id=flow, workflow=workflow, state=state, **({"field": "order_id", "key": "4711"} | more))


def alert(key: str, flow: str, **more: Any) -> Alert:
    return Alert(
        key=key, correlation_id=flow, **({"rule": "stalled", "workflow": "checkout", "text": "it stalls", "at": 1.0} | more)
    )
