"""The refund calls the bank, too; when the bank stays away, nobody hears that the money was not paid back."""

from farandole import Choreography, Command, Event, Service, Workflow


class Bank:
    """What is called outside."""


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class PaymentCompleted(Event, key="order_id"):
    order_id: str


class PaymentFailed(Event, key="order_id"):
    order_id: str


class OrderShipped(Event, key="order_id"):
    order_id: str


class ShippingRefused(Event, key="order_id"):
    order_id: str


class RefundRefused(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments, shipping = Service("orders"), Service("payments"), Service("shipping")
    payments.provide(Bank, Bank())

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @payments.on(OrderPlaced)
    async def charge(order: OrderPlaced, bank: Bank) -> PaymentCompleted | PaymentFailed: ...

    @charge.exhausted
    async def give_up(order: OrderPlaced) -> PaymentFailed: ...

    @shipping.on(PaymentCompleted)
    async def ship(payment: PaymentCompleted) -> OrderShipped | ShippingRefused: ...

    @payments.on(ShippingRefused, compensates=charge, undoes=PaymentCompleted)  # planted: compensation-can-fail
    async def refund(refusal: ShippingRefused, bank: Bank) -> None: ...

    if not planted:

        @refund.exhausted
        async def ask_somebody(refusal: ShippingRefused) -> RefundRefused: ...

        @orders.on(RefundRefused)
        async def write_down(refusal: RefundRefused) -> None: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderShipped, fails=(PaymentFailed, ShippingRefused))
    return Choreography("shop", orders, payments, shipping, workflows=[checkout])
