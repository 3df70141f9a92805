"""The classic: goods are reserved, the payment fails, the order is cancelled, and the goods stay reserved for nobody."""

from farandole import Choreography, Command, Event, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class GoodsReserved(Event, key="order_id"):
    order_id: str


class PaymentCompleted(Event, key="order_id"):
    order_id: str


class PaymentFailed(Event, key="order_id"):
    order_id: str


class ShippingRefused(Event, key="order_id"):
    order_id: str


class OrderConfirmed(Event, key="order_id"):
    order_id: str


class OrderCancelled(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, stock, payments, shipping = Service("orders"), Service("stock"), Service("payments"), Service("shipping")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @stock.on(OrderPlaced)  # planted: missing-compensation
    async def reserve(order: OrderPlaced) -> GoodsReserved: ...

    @payments.on(GoodsReserved)
    async def charge(goods: GoodsReserved) -> PaymentCompleted | PaymentFailed: ...

    @shipping.on(PaymentCompleted)
    async def ship(payment: PaymentCompleted) -> OrderConfirmed | ShippingRefused: ...

    @orders.on(PaymentFailed, ShippingRefused)
    async def cancel(failure: PaymentFailed | ShippingRefused) -> OrderCancelled: ...

    if planted:

        @stock.on(ShippingRefused, compensates=reserve, undoes=GoodsReserved)
        async def release(refusal: ShippingRefused) -> None: ...

    else:

        @stock.on(OrderCancelled, compensates=reserve, undoes=GoodsReserved)
        async def release(order: OrderCancelled) -> None: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderConfirmed, fails=OrderCancelled)
    return Choreography("shop", orders, stock, payments, shipping, workflows=[checkout])
