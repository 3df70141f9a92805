"""Compensations in the reverse order, and a breaker before the gateway that they need, through many faulty futures."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Breaker, Choreography, Command, Context, Event, Policy, Retry, Service, all_of
from farandole.model.breaker import Circuit
from farandole.rehearse import ROUGH, Course, Fault, Rehearsal, Stage, View, play

LOG = "CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, order_id TEXT, what TEXT)"
WEATHER = replace(ROUGH, lost_call=Fault(0.5, 0.1, 3.0), lost_answer=Fault(0.3, 0.1, 3.0))
"""A gateway that often does not answer."""
QUICK = Policy(retry=Retry(attempts=20, delay=0.1, factor=1.5, longest=5))


class OrderEvent(Event, key="order_id"):
    order_id: str


class Placed(OrderEvent): ...


class Authorized(OrderEvent): ...


class Charged(OrderEvent): ...


class Refused(OrderEvent): ...


class Released(OrderEvent): ...


class Refunded(OrderEvent): ...


class Place(Command):
    order_id: str


class Gateway:
    """Outside: what it did, each once per key."""

    def __init__(self) -> None:
        self.did: dict[str, str] = {}

    async def do(self, what: str, key: str) -> None:
        assert self.did.setdefault(key, what) == what


def shop() -> Rehearsal:
    orders, payments = Service("orders"), Service("payments", tables=LOG, policy=QUICK)
    payments.provide(Gateway, Gateway, breaker=Breaker(failures=2, within=30, rest=1, longest=4, on=OSError))

    async def note(db: AsyncConnection, order: Any, what: str) -> None:
        await db.exec_driver_sql("INSERT INTO log (order_id, what) VALUES (?, ?)", (order.order_id, what))

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    @payments.on(Placed)
    async def authorize(order: Placed, db: AsyncConnection) -> Authorized:
        await note(db, order, "authorize")
        return Authorized(order_id=order.order_id)

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway, db: AsyncConnection, context: Context) -> Charged:
        await gateway.do("charge", context.idempotency_key)
        await note(db, order, "charge")
        return Charged(order_id=order.order_id)

    @orders.on(all_of(Authorized, Charged))
    async def refuse(authorized: Authorized, charged: Charged) -> Refused:
        return Refused(order_id=charged.order_id)

    @payments.on(Refused, compensates=authorize, undoes=Authorized)
    async def release(order: Refused, gateway: Gateway, db: AsyncConnection, context: Context) -> Released:
        await gateway.do("release", context.idempotency_key)
        await note(db, order, "authorize")
        return Released(order_id=order.order_id)

    @payments.on(Refused, compensates=charge, undoes=Charged)
    async def refund(order: Refused, gateway: Gateway, db: AsyncConnection, context: Context) -> Refunded:
        await gateway.do("refund", context.idempotency_key)
        await note(db, order, "charge")
        return Refunded(order_id=order.order_id)

    choreography = Choreography("shop", orders, payments)

    @choreography.invariant
    async def what_happened_last_is_undone_first(world: View) -> list[str]:
        told: dict[str, list[str]] = {}
        for order, what in world.rows("payments", "SELECT order_id, what FROM log ORDER BY seq"):
            told.setdefault(order, []).append(what)
        return [f"{order}: {did}" for order, did in told.items() if len(did) != 4 or did[2:] != did[1::-1]]

    @choreography.invariant
    async def every_call_acted_once(world: View) -> None:
        did = sorted(world.outside(Gateway).did.values())
        assert did == sorted(["charge", "release", "refund"] * world.notes["sent"]), did

    rehearsal = Rehearsal(choreography, faults=WEATHER)
    rehearsal.provide(Gateway, Gateway, error=OSError)

    @rehearsal.scenario
    async def guests(stage: Stage) -> None:
        sent = stage.some([f"o-{number}" for number in range(4)])
        stage.notes["sent"] = len(sent)
        for order in sent:
            await stage.send(Place(order_id=order))
            await stage.sleep(stage.chance.random())

    return rehearsal


def test_nothing_is_stuck_behind_a_breaker_and_the_order_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []
    turn = Circuit._turn

    def heard(self: Circuit, state: Any) -> None:
        turns.append(state)
        turn(self, state)

    monkeypatch.setattr(Circuit, "_turn", heard)
    rehearsal = shop()
    for seed in range(50 if os.environ.get("FULL") == "1" else 8):
        run = play(rehearsal, Course(seed))
        assert [str(finding) for finding in run.findings] == [], f"seed {seed}"
    assert turns.count("open") > 3
    assert turns.count("closed") > 3
