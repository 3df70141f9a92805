"""The carrier needs the street, and is cleared for it; what it reads of the address holds the telephone number, too."""

from typing import Annotated

import msgspec

from farandole import Choreography, Command, Event, Sensitive, Service


class PlaceOrder(Command):
    order_id: str


class Address(msgspec.Struct, frozen=True):
    street: Annotated[str, Sensitive]
    phone: Annotated[str, Sensitive]


class Street(msgspec.Struct, frozen=True):
    street: Annotated[str, Sensitive]


class OrderPlaced(Event, key="order_id"):
    order_id: str
    address: Address


def choreography(*, planted: bool) -> Choreography:
    orders, carrier = Service("orders"), Service("carrier", cleared="OrderPlaced.address.street")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    if planted:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):  # planted: sensitive-flow
            order_id: str
            address: Address

    else:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):
            order_id: str
            address: Street

    @carrier.on(OrderHeard)
    async def collect(order: OrderHeard) -> None: ...

    return Choreography("shop", orders, carrier)
