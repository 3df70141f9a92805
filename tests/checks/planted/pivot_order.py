"""The money is taken, which decides the sale; only then the stock is reserved, which may fail for good."""

from farandole import Choreography, Command, Effects, Event, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class MoneyTaken(Event, key="order_id"):
    order_id: str


class StockReserved(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments, stock = Service("orders"), Service("payments"), Service("stock")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @payments.on(OrderPlaced, effects=Effects(step="pivot"))
    async def take(order: OrderPlaced) -> MoneyTaken: ...

    @stock.on(MoneyTaken, effects=Effects(step="compensatable" if planted else "retriable"))  # planted: pivot-order
    async def reserve(money: MoneyTaken) -> StockReserved: ...

    sale = Workflow("sale", starts=OrderPlaced, succeeds=StockReserved)
    return Choreography("shop", orders, payments, stock, workflows=[sale])
