"""An order that is not paid in time is dropped; what is paid a minute later is noted, and nobody pays it back."""

from datetime import timedelta

from farandole import Choreography, Command, Event, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class PayOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderPaid(Event, key="order_id"):
    order_id: str


class OrderDropped(Event, key="order_id"):
    order_id: str


class PaymentReturned(Event, key="order_id", public=True):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments = Service("orders"), Service("payments")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @payments.command
    async def pay(command: PayOrder) -> OrderPaid: ...

    @orders.deadline(after=OrderPlaced, unless=OrderPaid, within=timedelta(minutes=15))  # planted: deadline-without-late
    async def drop(order: OrderPlaced) -> OrderDropped: ...

    if not planted:

        @drop.late
        async def pay_back(payment: OrderPaid) -> PaymentReturned: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderPaid, fails=OrderDropped)
    return Choreography("shop", orders, payments, workflows=[checkout])
