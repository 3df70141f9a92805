"""A small choreography to rehearse: orders are placed, charged at a bank outside, and shipped; each line once, and in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from farandole.model.choreography import Choreography, Workflow
from farandole.model.event import Command, Event
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.rehearse import Rehearsal, Stage, View
from farandole.runtime.context import Context

DONE = "CREATE TABLE IF NOT EXISTS done (seq INTEGER PRIMARY KEY, line TEXT)"
QUICK = Policy(retry=Retry(attempts=20, delay=0.05, factor=1.5, longest=5.0))


class Placed(Event, key="order_id"):
    order_id: str
    line: int


class Charged(Event, key="order_id"):
    order_id: str
    line: int


class Shipped(Event, key="order_id"):
    order_id: str
    line: int


class Place(Command):
    order_id: str
    line: int


@dataclass
class Bank:
    """Outside: what it is told under one key counts once."""

    charges: dict[str, str] = field(default_factory=dict)

    async def charge(self, key: str, line: str) -> None:
        """Charge a line."""
        assert self.charges.setdefault(key, line) == line


def by_key(context: Context) -> str:
    """The right idempotency key."""
    return context.idempotency_key


def cafe(key: Callable[[Context], str] = by_key, *, lines: int = 3, moody: bool = True) -> Rehearsal:
    """Three services; several lines per order share a key.

    Parameters
    ----------
    key:
        What the bank is told for an idempotency key.
    lines:
        How many lines each of three orders has.
    moody:
        Whether some lines fail at first, after their handler wrote.
    """
    orders = Service("orders")
    payments, shipping = Service("payments", tables=DONE), Service("shipping", tables=DONE)
    payments.provide(Bank, Bank)

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id, line=command.line)

    @payments.on(Placed, policy=QUICK)
    async def charge(order: Placed, bank: Bank, db: AsyncConnection, context: Context) -> Charged:
        line = f"{order.order_id}/{order.line}"
        await bank.charge(key(context), line)
        await db.exec_driver_sql("INSERT INTO done (line) VALUES (?)", (line,))
        if moody and order.line == 1 and context.attempt == 1:
            raise ConnectionError("the bank hung up")
        return Charged(order_id=order.order_id, line=order.line)

    @shipping.on(Charged, policy=QUICK)
    async def ship(charged: Charged, db: sqlite3.Connection, context: Context) -> Shipped:
        db.execute("INSERT INTO done (line) VALUES (?)", (f"{charged.order_id}/{charged.line}",))
        if moody and charged.line == 1 and context.attempt == 1:
            raise RuntimeError("once")
        return Shipped(order_id=charged.order_id, line=charged.line)

    workflow = Workflow("checkout", starts=Placed, succeeds=Shipped)
    choreography = Choreography("cafe", orders, payments, shipping, workflows=[workflow])

    @choreography.invariant
    async def every_line_is_done_once_and_in_order(world: View) -> list[str]:
        return [wrong for service in ("payments", "shipping") for wrong in _wrong(service, world)]

    @choreography.invariant
    async def nobody_is_charged_twice(world: View) -> None:
        charged = list(world.outside(Bank).charges.values())
        assert len(charged) == len(set(charged)), f"{len(charged)} charges for {len(set(charged))} lines"

    rehearsal = Rehearsal(choreography)

    @rehearsal.scenario
    async def guests(stage: Stage) -> None:
        sent = stage.some([(f"o-{order}", line) for line in range(lines) for order in range(3)])
        stage.notes["sent"] = [f"{order}/{line}" for order, line in sent]
        for order, line in sent:
            await stage.send(Place(order_id=order, line=line))
            await stage.sleep(stage.chance.random())

    return rehearsal


def _wrong(service: str, world: View) -> list[str]:
    done = [line for (line,) in world.rows(service, "SELECT line FROM done ORDER BY seq")]
    orders: dict[str, list[str]] = {}
    for line in done:
        orders.setdefault(line.partition("/")[0], []).append(line)
    found = (
        [f"{service} did {sorted(done)}, wanted {sorted(world.notes['sent'])}"]
        if sorted(done) != sorted(world.notes["sent"])
        else []
    )
    return found + [f"{service} did {lines}" for lines in orders.values() if lines != sorted(lines)]


def any_key(context: Context) -> str:
    """A wrong one: another in every run."""
    return context.uuid()


rehearsal: Any = cafe()
broken: Any = cafe(any_key, moody=False)
