"""A workflow names the event of an older design as one of its ends; no service has it any more."""

from farandole import Choreography, Command, Event, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderConfirmed(Event, key="order_id"):
    order_id: str


class OrderApproved(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, stock = Service("orders"), Service("stock")
    ends = (OrderConfirmed, OrderApproved) if planted else OrderConfirmed

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @stock.on(OrderPlaced)
    async def confirm(order: OrderPlaced) -> OrderConfirmed: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=ends)  # planted: unknown-workflow-event
    return Choreography("shop", orders, stock, workflows=[checkout])
