"""What customers do: one who orders many times at once, and some who order, call off and order again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from farandole import CommandRefused

from ..running import Example, until
from . import customers_and_orders
from .events import CancelOrder, CreateCustomer, CreateOrder
from .invariants import credit_is_held_for_approved_orders_only, every_order_ends, nobody_owes_more_than_the_limit
from .services.orders import PENDING

__all__ = ["ALL_DECIDED", "PRICE", "call_off", "example", "example_of", "place", "rush"]

PRICE = 100
DECIDED = "SELECT state FROM orders WHERE order_id = :id AND state <> 'pending'"
ALL_DECIDED = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM orders WHERE state = 'pending')"
RELEASED = "SELECT state FROM reservations WHERE order_id = :id AND state = 'released'"


def rush(many: int, limit: int) -> Callable[[Any], Awaitable[None]]:
    """The scenario: Ada orders so many times at once; Bob and Carol have little, and use it again and again; Dan is unknown.

    Parameters
    ----------
    limit:
        Ada's, in orders.
    """

    async def scenario(stage: Any) -> None:
        for customer_id, name, orders in (("ada", "Ada Lovelace", limit), ("bob", "Bob Kahn", 3), ("carol", "Carol Shaw", 1)):
            command = CreateCustomer(customer_id=customer_id, name=name, limit_cents=orders * PRICE)
            await stage.send(command, idempotency_key=f"welcome {customer_id}")
        async with asyncio.TaskGroup() as group:
            for number in stage.some(range(1, many + 1)):
                group.create_task(place(stage, f"ada-{number}", "ada"))
            for others in (_bob(stage), _carol(stage), order(stage, "dan-1", "dan")):
                group.create_task(others)
        await until(stage, "orders", ALL_DECIDED)

    return scenario


async def _bob(stage: Any) -> None:
    """Three orders fill the limit; a fourth is rejected; one is called off, which makes room for a fifth."""
    for number in (1, 2, 3, 4):
        await order(stage, f"bob-{number}", "bob")
    stage.notes["bob 4"] = await call_off(stage, "bob-4")
    stage.notes["bob 2"] = await call_off(stage, "bob-2")
    await until(stage, "customers", RELEASED, id="bob-2")
    await order(stage, "bob-5", "bob")


async def _carol(stage: Any) -> None:
    """Orders and calls off at once, in the same breath and from two places."""
    await place(stage, "carol-1", "carol")
    both = await asyncio.gather(call_off(stage, "carol-1", "here"), call_off(stage, "carol-1", "there"))
    stage.notes["carol 1"] = sorted(map(str, both))


async def place(stage: Any, order_id: str, customer_id: str) -> None:
    """Order."""
    await stage.send(CreateOrder(order_id=order_id, customer_id=customer_id, cents=PRICE), idempotency_key=order_id)


async def order(stage: Any, order_id: str, customer_id: str) -> None:
    """Order, and wait for what becomes of it."""
    await place(stage, order_id, customer_id)
    await until(stage, "orders", DECIDED, id=order_id)


async def call_off(stage: Any, order_id: str, place: str = "here") -> str | None:
    """Call an order off, asking again while it is pending; gives the reason where it is refused for good."""
    pause = 0.02
    while True:
        try:
            await stage.send(CancelOrder(order_id=order_id), idempotency_key=f"cancel {order_id} from {place}")
        except CommandRefused as refusal:
            if refusal.reason != PENDING:
                return refusal.reason
        else:
            return None
        await stage.sleep(pause)
        pause = min(1.0, pause * 1.5)


def example_of(many: int, limit: int) -> Example:
    """The example with so much of a rush; see `rush`."""
    return Example(
        customers_and_orders,
        rush(many, limit),
        invariants=(credit_is_held_for_approved_orders_only, every_order_ends),
        always=(nobody_owes_more_than_the_limit,),
    )


example = example_of(many=50, limit=15)
