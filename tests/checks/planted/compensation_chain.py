"""Releasing goods says that they are free, and whoever hears of free goods reserves: for the same order, which was just undone."""

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class CancelOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderCancelled(Event, key="order_id"):
    order_id: str


class GoodsReserved(Event, key="order_id"):
    order_id: str


class GoodsReleased(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, stock = Service("orders"), Service("stock")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @orders.command
    async def cancel(command: CancelOrder) -> OrderCancelled: ...

    if planted:

        @stock.on(OrderPlaced, GoodsReleased)
        async def reserve(event: OrderPlaced | GoodsReleased) -> GoodsReserved: ...

    else:

        @stock.on(OrderPlaced)
        async def reserve(event: OrderPlaced) -> GoodsReserved: ...

    @orders.on(GoodsReserved, GoodsReleased)
    async def remember(goods: GoodsReserved | GoodsReleased) -> None: ...

    @stock.on(OrderCancelled, compensates=reserve, undoes=GoodsReserved)  # planted: compensation-chain
    async def release(order: OrderCancelled) -> GoodsReleased: ...

    return Choreography("shop", orders, stock)
