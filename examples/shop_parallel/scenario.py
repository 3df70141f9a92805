"""What the customers do, and what must hold: the same for the command, the tests and the rehearsal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from examples.running import Books, Example, until
from examples.shop.databases import LEDGER
from examples.shop.gateway import Gateway, GatewayTimeout, Weather
from examples.sight import Sight
from farandole import World

from . import invariants, shop_parallel
from .events import PlaceOrder, ReceiveStock
from .gateway import AskingGateway

__all__ = ["ORDERS", "example"]

GOODS = {"lamps": 9, "tables": 3}
ORDERS = (
    ("o-1", "GB", "tables", 4),  # more than there are: money and invoice go back
    ("o-2", "DE", "lamps", 5),
    ("o-3", "FR", "tables", 1),
    ("o-4", "XX", "lamps", 3),  # there is no tax rate for it: goods and money go back
    ("o-5", "FR", "lamps", 1),
    ("o-6", "DE", "tables", 1),
    ("o-7", "GB", "lamps", 2),
    ("o-8", "DE", "tables", 1),
)
PRICES = {"lamps": 3900, "tables": 12900}
WEATHER = Weather(declines=0.15, timeouts=0.3, seed=36)


def open_books(ledger: Path, world: World) -> AskingGateway:
    """A gateway in bad weather, whose customers now and then need too long; the same each time."""
    return AskingGateway(ledger, WEATHER, world, slow=0.3)


async def scenario(stage: Any) -> None:
    """Goods arrive; customers order."""
    for sku, pieces in GOODS.items():
        await stage.send(ReceiveStock(sku=sku, pieces=pieces), idempotency_key=f"delivery of {sku}")
    for order_id, country, sku, pieces in stage.some(ORDERS):
        order = PlaceOrder(
            order_id=order_id,
            address=f"{len(order_id)} Mill Lane",
            country=country,
            sku=sku,
            pieces=pieces,
            pence=pieces * PRICES[sku],
        )
        await stage.send(order, idempotency_key=order_id)
    for order_id, *_ in stage.some(ORDERS):
        await until(stage, "orders", "SELECT state <> 'placed' FROM orders WHERE order_id = :id", id=order_id)


def stock_adds_up(sight: Sight) -> list[str]:
    """What arrived is on the shelf or set aside."""
    return invariants.stock_adds_up(sight, GOODS)


example = Example(
    shop_parallel,
    scenario,
    invariants=(
        invariants.every_order_ended,
        invariants.what_is_shipped_is_whole,
        invariants.what_failed_is_undone,
        invariants.no_number_is_left_out,
        stock_adds_up,
    ),
    always=(invariants.nobody_is_charged_twice, invariants.nothing_is_shipped_and_given_up),
    outside=(Books(LEDGER, Gateway, open_books, GatewayTimeout),),
)
