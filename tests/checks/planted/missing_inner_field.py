"""Shipping needs the weight of each line, inside a list; orders sends only what was bought and how many."""

import msgspec

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class Line(msgspec.Struct, frozen=True):
    sku: str
    pieces: int


class HeavyLine(msgspec.Struct, frozen=True):
    sku: str
    grams: int


class OrderPlaced(Event, key="order_id"):
    order_id: str
    lines: list[Line]


def choreography(*, planted: bool) -> Choreography:
    orders, shipping = Service("orders"), Service("shipping")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    if planted:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):  # planted: missing-fields
            order_id: str
            lines: list[HeavyLine]

    else:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):
            order_id: str
            lines: list[Line]

    @shipping.on(OrderHeard)
    async def ship(order: OrderHeard) -> None: ...

    return Choreography("shop", orders, shipping)
