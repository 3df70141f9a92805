"""The classic: shipping waits for the payment and the goods; where there are no goods, it waits for ever."""

from farandole import Choreography, Command, Event, Service, Workflow, all_of


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderPaid(Event, key="order_id"):
    order_id: str


class GoodsReserved(Event, key="order_id"):
    order_id: str


class GoodsMissing(Event, key="order_id"):
    order_id: str


class OrderShipped(Event, key="order_id"):
    order_id: str


class OrderDropped(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments, stock, shipping = Service("orders"), Service("payments"), Service("stock"), Service("shipping")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @payments.on(OrderPlaced)
    async def charge(order: OrderPlaced) -> OrderPaid: ...

    @stock.on(OrderPlaced)
    async def reserve(order: OrderPlaced) -> GoodsReserved | GoodsMissing: ...

    @shipping.on(all_of(OrderPaid, GoodsReserved))  # planted: join-may-hang
    async def ship(order: OrderPaid, goods: GoodsReserved) -> OrderShipped: ...

    if planted:

        @orders.on(GoodsMissing)
        async def order_more(goods: GoodsMissing) -> None: ...

        ends = ()
    else:

        @orders.on(GoodsMissing)
        async def drop(goods: GoodsMissing) -> OrderDropped: ...

        ends = OrderDropped

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderShipped, fails=ends)
    return Choreography("shop", orders, payments, stock, shipping, workflows=[checkout])
