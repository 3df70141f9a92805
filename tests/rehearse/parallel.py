"""A choreography of joins and deadlines to rehearse: stock and payment start at once, a join ships, a deadline gives up.

Payments take their time, so that sometimes the deadline is first; then whatever comes is given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole.model.choreography import Choreography, Workflow
from farandole.model.event import Command, Event
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.model.triggers import all_items, all_of
from farandole.rehearse import Rehearsal, Stage, View
from farandole.runtime.context import Context

QUICK = Policy(retry=Retry(attempts=20, delay=0.05, factor=1.5, longest=5.0))
DONE = "CREATE TABLE IF NOT EXISTS done (seq INTEGER PRIMARY KEY, order_id TEXT, what TEXT)"
NOTE = text("INSERT INTO done (order_id, what) VALUES (:order, :what)")


class OrderEvent(Event, key="order_id"):
    order_id: str


class Placed(OrderEvent):
    lines: int


class Paid(OrderEvent):
    pass


class LinePicked(OrderEvent):
    lines: int
    number: int


class Reserved(OrderEvent):
    pass


class Shipped(OrderEvent):
    pass


class GivenUp(OrderEvent):
    pass


class Place(Command):
    order_id: str
    lines: int


@dataclass
class Bank:
    """Outside: slow; what it is told under one key counts once."""

    charges: dict[str, str] = field(default_factory=dict)

    async def charge(self, key: str, order: str) -> None:
        """Charge an order."""
        assert self.charges.setdefault(key, order) == order


def parallel(*, limit: float = 20.0, within: bool = True) -> Rehearsal:
    """Orders whose parts are done at the same time."""
    orders, payments = Service("orders", tables=DONE, policy=QUICK), Service("payments", policy=QUICK)
    stock, shipping = Service("stock", tables=DONE, policy=QUICK), Service("shipping", tables=DONE, policy=QUICK)
    payments.provide(Bank, Bank)

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id, lines=command.lines)

    @orders.deadline(after=Placed, unless=Shipped, within=timedelta(seconds=limit))
    async def give_up(order: Placed, db: AsyncConnection) -> GivenUp:
        await db.execute(NOTE, {"order": order.order_id, "what": "given up"})
        return GivenUp(order_id=order.order_id)

    @give_up.late
    async def shipped_after_all(event: Shipped, db: AsyncConnection) -> None:
        await db.execute(NOTE, {"order": event.order_id, "what": "shipped after all"})

    @payments.on(Placed)
    async def charge(order: Placed, bank: Bank, context: Context) -> Paid:
        await context.sleep(context.random() * limit * 1.2)
        await bank.charge(context.idempotency_key, order.order_id)
        return Paid(order_id=order.order_id)

    @stock.on(Placed)
    async def pick(order: Placed) -> list[LinePicked]:
        return [LinePicked(order_id=order.order_id, lines=order.lines, number=n) for n in range(order.lines)]

    @stock.on(all_items(LinePicked, expected="lines"))
    async def gather(lines: Sequence[LinePicked], db: AsyncConnection) -> Reserved:
        numbers = sorted(line.number for line in lines)
        await db.execute(NOTE, {"order": lines[0].order_id, "what": f"{numbers == list(range(lines[0].lines))}"})
        return Reserved(order_id=lines[0].order_id)

    @shipping.on(all_of(Paid, Reserved), within=timedelta(minutes=10) if within else None)
    async def ship(paid: Paid, reserved: Reserved, db: AsyncConnection) -> Shipped:
        assert paid.order_id == reserved.order_id
        await db.execute(NOTE, {"order": paid.order_id, "what": "shipped"})
        return Shipped(order_id=paid.order_id)

    workflow = Workflow("checkout", starts=Placed, succeeds=Shipped, fails=GivenUp)
    choreography = Choreography("parallel", orders, payments, stock, shipping, workflows=[workflow])

    @choreography.invariant
    async def every_order_is_gathered_and_shipped_once(world: View) -> list[str]:
        sent = sorted(world.notes["sent"])
        gathered = sorted(world.rows("stock", "SELECT order_id, what FROM done"))
        shipped = sorted(order for (order,) in world.rows("shipping", "SELECT order_id FROM done"))
        wrong = [] if gathered == [(order, "True") for order in sent] else [f"gathered {gathered}"]
        return wrong + ([] if shipped == sent else [f"shipped {shipped}"])

    @choreography.invariant
    async def an_order_is_given_up_at_most_once_and_what_ships_then_is_late(world: View) -> list[str]:
        notes = sorted(world.rows("orders", "SELECT order_id, what FROM done"))
        late = {order for order, what in notes if what == "shipped after all"}
        given_up = [order for order, what in notes if what == "given up"]
        twice = [f"{note} twice" for note in set(notes) if notes.count(note) > 1]
        return twice + ([] if late == set(given_up) else [f"given up {given_up}, late {sorted(late)}"])

    rehearsal = Rehearsal(choreography)

    @rehearsal.scenario
    async def guests(stage: Stage) -> None:
        sent = stage.some([(f"o-{order}", 1 + order % 3) for order in range(5)])
        stage.notes["sent"] = [order for order, _ in sent]
        for order, lines in sent:
            await stage.send(Place(order_id=order, lines=lines))
            await stage.sleep(stage.chance.random())

    return rehearsal


rehearsal: Any = parallel()
