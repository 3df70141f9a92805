"""An order is made under its own number and paid by an event under the customer's: which of her orders is it?"""

from farandole import Choreography, Command, Event, Move, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class CustomerPaid(Event, key="customer_id"):
    customer_id: str
    order_id: str


class OrderClosed(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments = Service("orders"), Service("payments")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @orders.on(OrderPlaced, states=Move("order", to="placed"))
    async def remember(order: OrderPlaced) -> None: ...

    @payments.on(OrderPlaced)
    async def charge(order: OrderPlaced) -> CustomerPaid: ...

    by = None if planted else "order_id"

    @orders.on(CustomerPaid, states=Move("order", valid=("placed",), to="paid", by=by))  # planted: untied-transition
    async def close(payment: CustomerPaid) -> OrderClosed: ...

    sale = Workflow("sale", starts=OrderPlaced, succeeds=OrderClosed)
    return Choreography("shop", orders, payments, workflows=[sale])
