"""Billing needs the currency, which orders never sends: every order becomes a dead letter of billing."""

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str
    total: int


def choreography(*, planted: bool) -> Choreography:
    orders, billing = Service("orders"), Service("billing")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    if planted:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):  # planted: missing-fields
            order_id: str
            currency: str

    else:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):
            order_id: str
            currency: str = "EUR"

    @billing.on(OrderHeard)
    async def bill(order: OrderHeard) -> None: ...

    return Choreography("shop", orders, billing)
