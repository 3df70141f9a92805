"""A payment may fail; a mail is written then, but nobody cancels the order, which waits for ever."""

from farandole import Choreography, Command, Event, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class PaymentCompleted(Event, key="order_id"):
    order_id: str


class PaymentFailed(Event, key="order_id"):
    order_id: str


class OrderConfirmed(Event, key="order_id"):
    order_id: str


class OrderCancelled(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments, mail = Service("orders"), Service("payments"), Service("mail")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @payments.on(OrderPlaced)  # planted: dead-end
    async def charge(order: OrderPlaced) -> PaymentCompleted | PaymentFailed: ...

    @mail.on(PaymentFailed)
    async def tell(failure: PaymentFailed) -> None: ...

    if planted:

        @orders.on(PaymentCompleted)
        async def close(payment: PaymentCompleted) -> OrderConfirmed | OrderCancelled: ...

    else:

        @orders.on(PaymentCompleted, PaymentFailed)
        async def close(payment: PaymentCompleted | PaymentFailed) -> OrderConfirmed | OrderCancelled: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderConfirmed, fails=OrderCancelled)
    return Choreography("shop", orders, payments, mail, workflows=[checkout])
