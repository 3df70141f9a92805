"""The classic: credit's approval is delivered a second time, after the order was cancelled, and approves it again."""

from farandole import Choreography, Command, Event, Move, Service, Workflow


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


class CreditReserved(Event, key="order_id"):
    order_id: str


class CreditRefused(Event, key="order_id"):
    order_id: str


class OrderApproved(Event, key="order_id"):
    order_id: str


class OrderCancelled(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, credit = Service("orders"), Service("credit")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @credit.on(OrderPlaced)
    async def reserve(order: OrderPlaced) -> CreditReserved | CreditRefused: ...

    pending = ("placed", "cancelled") if planted else ("placed",)

    @orders.on(CreditReserved, states=Move("order", valid=pending, to="approved"))  # planted: redelivered-reapproval
    async def approve(credit: CreditReserved) -> OrderApproved: ...

    @orders.on(CreditRefused, states=Move("order", valid=("placed",), to="cancelled"))
    async def cancel(credit: CreditRefused) -> OrderCancelled: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderApproved, fails=OrderCancelled)
    return Choreography("shop", orders, credit, workflows=[checkout])
