"""A workflow may end with a refusal, and its owner, which is here, has no reaction that says so."""

from farandole import Choreography, Command, Event, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderConfirmed(Event, key="order_id"):
    order_id: str


class OrderRefused(Event, key="order_id"):
    order_id: str


class RefusalHeard(Event, name="OrderRefused", key="order_id", of="shop.stock"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, stock, mail = Service("orders"), Service("stock"), Service("mail")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    if planted:

        @stock.on(OrderPlaced)
        async def confirm(order: OrderPlaced) -> OrderConfirmed: ...

        ends = RefusalHeard
    else:

        @stock.on(OrderPlaced)
        async def confirm(order: OrderPlaced) -> OrderConfirmed | OrderRefused: ...

        ends = OrderRefused

    @mail.on(RefusalHeard)  # planted: unemitted
    async def comfort(refusal: RefusalHeard) -> None: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderConfirmed, fails=ends)
    return Choreography("shop", orders, stock, mail, workflows=[checkout])
