"""Orders and a bank's payments both change a customer's credit, and neither holds it while the flow goes on."""

from farandole import Choreography, Command, Effects, Event, Service, Workflow


class PlaceOrder(Command):
    customer_id: str


class PayIn(Command):
    customer_id: str


class OrderPlaced(Event, key="customer_id"):
    customer_id: str


class CreditTaken(Event, key="customer_id"):
    customer_id: str


class MoneyReceived(Event, key="customer_id"):
    customer_id: str


class CreditGiven(Event, key="customer_id"):
    customer_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, bank, credit = Service("orders"), Service("bank"), Service("credit")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @bank.command
    async def receive(command: PayIn) -> MoneyReceived: ...

    held = () if planted else ("credit",)

    @credit.on(OrderPlaced, effects=Effects(writes=("credit",), locks=held))  # planted: unlocked-resource
    async def take(order: OrderPlaced) -> CreditTaken: ...

    @credit.on(MoneyReceived, effects=Effects(writes=("credit",), locks=("credit",)))
    async def give(money: MoneyReceived) -> CreditGiven: ...

    buying = Workflow("buying", starts=OrderPlaced, succeeds=CreditTaken)
    paying = Workflow("paying", starts=MoneyReceived, succeeds=CreditGiven)
    return Choreography("shop", orders, bank, credit, workflows=[buying, paying])
