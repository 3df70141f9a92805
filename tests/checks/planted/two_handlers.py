"""Two repositories, each with a service that handles the command PlaceOrder: who places the order?"""

from farandole import Choreography, Command, Service


class PlaceOrder(Command):
    order_id: str


class TakeOrder(Command):
    order_id: str


def choreography(*, planted: bool) -> tuple[Choreography, ...]:
    orders, sales = Service("orders"), Service("sales")
    Theirs = PlaceOrder if planted else TakeOrder

    @orders.command
    async def place(command: PlaceOrder) -> None: ...

    @sales.command  # planted: command-handlers
    async def take(command: Theirs) -> None: ...

    return Choreography("shop", orders), Choreography("shop", sales)
