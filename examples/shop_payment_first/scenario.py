"""What the customers do, and what must hold: the same for the command, the tests and the rehearsal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from examples.running import Books, Example, until
from examples.shop.databases import LEDGER
from examples.shop.gateway import Gateway, GatewayTimeout, Weather
from examples.sight import Sight
from farandole import World

from . import invariants, shop_payment_first
from .events import PlaceOrder, ReceiveStock

__all__ = ["ORDERS", "example"]

GOODS = {"tea": 6, "cups": 3}
ORDERS = (
    ("o-1", "cups", 4),  # more than there are: charged, and refunded
    ("o-2", "tea", 1),
    ("o-3", "tea", 2),
    ("o-4", "cups", 2),
    ("o-5", "tea", 3),
    ("o-6", "cups", 2),
    ("o-7", "tea", 1),
    ("o-8", "cups", 1),
)
PRICES = {"tea": 450, "cups": 1200}
WEATHER = Weather(declines=0.15, timeouts=0.4, seed=17)


def open_books(ledger: Path, world: World) -> Gateway:
    """A gateway in bad weather, the same each time."""
    return Gateway(ledger, WEATHER, world)


async def scenario(stage: Any) -> None:
    """Goods arrive; customers order, one after the other."""
    for sku, pieces in GOODS.items():
        await stage.send(ReceiveStock(sku=sku, pieces=pieces), idempotency_key=f"delivery of {sku}")
    for order_id, sku, pieces in stage.some(ORDERS):
        order = PlaceOrder(order_id=order_id, email=f"{order_id}@example.org", sku=sku, pieces=pieces, pence=pieces * PRICES[sku])
        await stage.send(order, idempotency_key=order_id)
    for order_id, _, _ in stage.some(ORDERS):
        await until(stage, "orders", "SELECT state <> 'placed' FROM orders WHERE order_id = :id", id=order_id)


def no_piece_is_lost(sight: Sight) -> list[str]:
    """What arrived is on the shelf or set aside, and what is set aside is what is shipped."""
    return invariants.no_piece_is_lost(sight, GOODS)


example = Example(
    shop_payment_first,
    scenario,
    invariants=(
        invariants.every_order_ended,
        invariants.paid_is_shipped,
        no_piece_is_lost,
        invariants.everybody_is_told_how_it_ended,
    ),
    always=(invariants.nobody_is_charged_twice,),
    outside=(Books(LEDGER, Gateway, open_books, GatewayTimeout),),
)
