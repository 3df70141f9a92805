"""The bank is away for a day, the retries are used up, and nobody says that the payment has failed."""

from farandole import Choreography, Command, Event, Service, Workflow


class Bank:
    """What is called outside."""


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderPaid(Event, key="order_id"):
    order_id: str


class OrderUnpaid(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments = Service("orders"), Service("payments")
    payments.provide(Bank, Bank())

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @payments.on(OrderPlaced)  # planted: exhausted-missing
    async def charge(order: OrderPlaced, bank: Bank) -> OrderPaid | OrderUnpaid: ...

    if not planted:

        @charge.exhausted
        async def give_up(order: OrderPlaced) -> OrderUnpaid: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderPaid, fails=OrderUnpaid)
    return Choreography("shop", orders, payments, workflows=[checkout])
