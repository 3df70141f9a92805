"""Shipping counts on a customer's block having come before the orders; one owner, one topic, but two keys."""

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class BlockCustomer(Command):
    customer_id: str


class CustomerBlocked(Event, key="customer_id"):
    customer_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, shipping = Service("orders"), Service("shipping")

    class OrderPlaced(Event, key="order_id" if planted else "customer_id"):
        order_id: str
        customer_id: str

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @orders.command
    async def block(command: BlockCustomer) -> CustomerBlocked: ...

    @shipping.on(CustomerBlocked)
    async def remember(customer: CustomerBlocked) -> None: ...

    @shipping.on(OrderPlaced, relies_on=CustomerBlocked)  # planted: order-across-topics
    async def ship(order: OrderPlaced) -> None: ...

    return Choreography("shop", orders, shipping)
