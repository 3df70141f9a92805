"""The limit is looked at first and used up three steps later; two orders at once both find it free."""

from farandole import Choreography, Command, Effects, Event, Service, Workflow


class PlaceOrder(Command):
    customer_id: str


class OrderPlaced(Event, key="customer_id"):
    customer_id: str


class LimitChecked(Event, key="customer_id"):
    customer_id: str


class GoodsPacked(Event, key="customer_id"):
    customer_id: str


class LimitUsed(Event, key="customer_id"):
    customer_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, credit, stock = Service("orders"), Service("credit"), Service("stock")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @credit.on(OrderPlaced, effects=Effects(reads=("limit",), locks=() if planted else ("limit",)))  # planted: check-then-act
    async def look(order: OrderPlaced) -> LimitChecked: ...

    @stock.on(LimitChecked)
    async def pack(limit: LimitChecked) -> GoodsPacked: ...

    @credit.on(GoodsPacked, effects=Effects(writes=("limit",)))
    async def use(goods: GoodsPacked) -> LimitUsed: ...

    sale = Workflow("sale", starts=OrderPlaced, succeeds=LimitUsed)
    return Choreography("shop", orders, credit, stock, workflows=[sale])
