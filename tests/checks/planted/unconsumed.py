"""Shipping says that a parcel has left, and nobody listens: the customer never hears of it."""

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class ParcelShipped(Event, key="order_id"):  # planted: unconsumed
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, shipping = Service("orders"), Service("shipping")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @shipping.on(OrderPlaced)
    async def ship(order: OrderPlaced) -> ParcelShipped: ...

    if not planted:

        @orders.on(ParcelShipped)
        async def tell(parcel: ParcelShipped) -> None: ...

    return Choreography("shop", orders, shipping)
