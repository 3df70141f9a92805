"""The reservation is released where reserving failed, when there is nothing to release, and at no other time."""

from farandole import Choreography, Command, Event, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class GoodsReserved(Event, key="order_id"):
    order_id: str


class GoodsMissing(Event, key="order_id"):
    order_id: str


class OrderShipped(Event, key="order_id"):
    order_id: str


class ShippingRefused(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, stock, shipping = Service("orders"), Service("stock"), Service("shipping")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @stock.on(OrderPlaced)
    async def reserve(order: OrderPlaced) -> GoodsReserved | GoodsMissing: ...

    if planted:

        @shipping.on(GoodsReserved)
        async def ship(goods: GoodsReserved) -> OrderShipped: ...

        @stock.on(GoodsMissing, compensates=reserve, undoes=GoodsReserved)  # planted: compensation-cannot-follow
        async def release(goods: GoodsMissing) -> None: ...

        ends = (GoodsMissing,)
    else:

        @shipping.on(GoodsReserved)
        async def ship(goods: GoodsReserved) -> OrderShipped | ShippingRefused: ...

        @stock.on(ShippingRefused, compensates=reserve, undoes=GoodsReserved)
        async def release(refusal: ShippingRefused) -> None: ...

        ends = (GoodsMissing, ShippingRefused)

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderShipped, fails=ends)
    return Choreography("shop", orders, stock, shipping, workflows=[checkout])
