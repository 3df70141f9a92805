"""Two repositories, each with a service called payments: they would share groups and take events from one another."""

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):
    order_id: str


def choreography(*, planted: bool) -> tuple[Choreography, ...]:
    orders, payments = Service("orders"), Service("payments")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @payments.on(OrderPlaced)
    async def charge(order: OrderPlaced) -> None: ...

    bookkeeping = Service("payments" if planted else "bookkeeping")  # planted: two-services

    @bookkeeping.on(OrderHeard)
    async def book(order: OrderHeard) -> None: ...

    return Choreography("shop", orders, payments), Choreography("shop", bookkeeping)
