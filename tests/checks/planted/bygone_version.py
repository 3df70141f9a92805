"""Orders has gone on to version 2 of its event; shipping still waits for version 1."""

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id", version="2.0"):
    order_id: str


class OldOrder(Event, name="OrderPlaced", key="order_id", version="1.0", of="shop.orders"):
    order_id: str


class NewOrder(Event, name="OrderPlaced", key="order_id", version="2.0", of="shop.orders"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, mail, shipping = Service("orders"), Service("mail"), Service("shipping")
    Heard = OldOrder if planted else NewOrder

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @mail.on(OrderPlaced)
    async def thank(order: OrderPlaced) -> None: ...

    @shipping.on(Heard)  # planted: incompatible-versions
    async def ship(order: Heard) -> None: ...

    return Choreography("shop", orders, mail, shipping)
