"""Orders sends amounts as text, exact to the penny; billing reads them as whole numbers."""

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str
    total: str


def choreography(*, planted: bool) -> Choreography:
    orders, billing = Service("orders"), Service("billing")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    if planted:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):  # planted: incompatible-versions
            order_id: str
            total: int

    else:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):
            order_id: str
            total: str

    @billing.on(OrderHeard)
    async def bill(order: OrderHeard) -> None: ...

    return Choreography("shop", orders, billing)
