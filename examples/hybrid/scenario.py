"""What customers order, so that each of them comes to another end."""

from __future__ import annotations

import asyncio
from typing import Any

from ..running import Books, Example, until
from . import hybrid
from .carrier import Carrier, CarrierTimeout
from .events import PlaceOrder
from .invariants import (
    every_order_ends,
    goods_add_up,
    steps_are_undone_in_reverse,
    what_is_cancelled_is_undone,
    what_is_shipped_is_all_there,
)
from .services.fulfilment import StockShelf
from .services.inventory import CountStock

__all__ = ["ORDERS", "example", "scenario"]

SHELVES = (("book", 5, 5), ("vase", 2, 2), ("lamp", 1, 0))
"""What there is: by the books of the inventory, and on the shelf."""

ORDERS = (
    ("anna", "vase", 4_000, "Main Street 1"),  # the carrier hears it rattle: label and goods are undone
    ("bert", "book", 1_500, "Atlantis"),  # nobody goes there: the goods are undone
    ("cleo", "book", 1_500, "Main Street 2"),  # arrives
    ("dora", "lamp", 9_000, "Main Street 3"),  # is on no shelf: nothing to undo
    ("emil", "lamp", 9_000, "Main Street 4"),  # the books say that the lamp is Dora's, or free again
    ("finn", "book", 900_000, "Main Street 5"),  # cannot pay
)


async def scenario(stage: Any) -> None:
    """Everybody orders at once."""
    for sku, counted, there in SHELVES:
        await stage.send(CountStock(sku=sku, pieces=counted), idempotency_key=f"count {sku}")
        await stage.send(StockShelf(sku=sku, pieces=there), idempotency_key=f"stock {sku}")
    async with asyncio.TaskGroup() as group:
        for order_id, sku, cents, address in stage.some(ORDERS):
            group.create_task(_order(stage, PlaceOrder(order_id=order_id, sku=sku, cents=cents, address=address)))


async def _order(stage: Any, command: PlaceOrder) -> None:
    await stage.send(command, idempotency_key=command.order_id)
    await until(stage, "orders", "SELECT state FROM orders WHERE order_id = :id AND state <> 'pending'", id=command.order_id)


example = Example(
    hybrid,
    scenario,
    invariants=(
        every_order_ends,
        what_is_shipped_is_all_there,
        what_is_cancelled_is_undone,
        goods_add_up,
        steps_are_undone_in_reverse,
    ),
    outside=(Books("carrier", Carrier, Carrier, error=CarrierTimeout),),
)
