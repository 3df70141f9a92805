"""Statistics counts orders, and gets every customer's address by mail with them, for it reads the owner's class."""

from typing import Annotated

from farandole import Choreography, Command, Event, Sensitive, Service


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str
    email: Annotated[str, Sensitive]


class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, statistics = Service("orders"), Service("statistics")
    mail = Service("mail", cleared="OrderPlaced.email")
    Heard = OrderPlaced if planted else OrderHeard

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @mail.on(OrderPlaced)
    async def thank(order: OrderPlaced) -> None: ...

    @statistics.on(Heard)  # planted: sensitive-flow
    async def count(order: Heard) -> None: ...

    return Choreography("shop", orders, mail, statistics)
