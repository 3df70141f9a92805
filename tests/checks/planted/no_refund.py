"""The classic: a customer cancels while the payment runs; the order is cancelled, and the money is kept."""

from farandole import Choreography, Command, Event, Service, Workflow


class Bank:
    """What is called outside."""


class PlaceOrder(Command):
    order_id: str


class CancelOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderCancelled(Event, key="order_id"):
    order_id: str


class OrderConfirmed(Event, key="order_id"):
    order_id: str


class PaymentCompleted(Event, key="order_id"):
    order_id: str


class PaymentFailed(Event, key="order_id"):
    order_id: str


class PaymentRefunded(Event, key="order_id", public=True):
    order_id: str


class RefundRefused(Event, key="order_id", public=True):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments, tasks = Service("orders"), Service("payments"), Service("tasks")
    payments.provide(Bank, Bank())

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @orders.command
    async def cancel(command: CancelOrder) -> OrderCancelled: ...

    @payments.on(OrderPlaced)  # planted: missing-compensation
    async def charge(order: OrderPlaced, bank: Bank) -> PaymentCompleted | PaymentFailed: ...

    @charge.exhausted
    async def give_up(order: OrderPlaced) -> PaymentFailed: ...

    @orders.on(PaymentCompleted)
    async def confirm(payment: PaymentCompleted) -> OrderConfirmed: ...

    @orders.on(PaymentFailed)
    async def regret(payment: PaymentFailed) -> OrderCancelled: ...

    if not planted:

        @payments.on(OrderCancelled, compensates=charge, undoes=PaymentCompleted)
        async def refund(order: OrderCancelled, bank: Bank) -> PaymentRefunded: ...

        @refund.exhausted
        async def ask_somebody(order: OrderCancelled) -> RefundRefused: ...

        @tasks.on(RefundRefused)
        async def write_down(refusal: RefundRefused) -> None: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderConfirmed, fails=OrderCancelled)
    return Choreography("shop", orders, payments, tasks, workflows=[checkout])
