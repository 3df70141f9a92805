"""The printer is tried for ten days, and the inbox forgets after seven: a repeat on the eighth prints the label twice."""

from farandole import Choreography, Command, Event, Policy, Retry, Service

DAY = 86_400.0


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, labels = Service("orders"), Service("labels")
    daily = Retry(attempts=11 if planted else 4, delay=DAY, factor=1, longest=DAY)

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @labels.on(OrderPlaced, policy=Policy(retry=daily))  # planted: retry-beyond-window
    async def print_label(order: OrderPlaced) -> None: ...

    return Choreography("shop", orders, labels)
