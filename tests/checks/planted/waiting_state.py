"""Orders are put on hold for a look by hand, and no reaction takes them off."""

from farandole import Choreography, Command, Event, Move, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class OrderDoubted(Event, key="order_id"):
    order_id: str


class DoubtSettled(Event, key="order_id"):
    order_id: str


class OrderConfirmed(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, fraud = Service("orders"), Service("fraud")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @fraud.on(OrderPlaced)
    async def judge(order: OrderPlaced) -> OrderDoubted: ...

    @orders.on(OrderDoubted, states=Move("order", to="on hold"))  # planted: waiting-state
    async def hold(order: OrderDoubted) -> None: ...

    @fraud.on(OrderDoubted)
    async def settle(order: OrderDoubted) -> DoubtSettled: ...

    @orders.on(DoubtSettled, states=Move("order", valid=("placed",) if planted else ("on hold",), to="confirmed"))
    async def confirm(doubt: DoubtSettled) -> OrderConfirmed: ...

    sale = Workflow("sale", starts=OrderPlaced, succeeds=OrderConfirmed)
    return Choreography("shop", orders, fraud, workflows=[sale])
