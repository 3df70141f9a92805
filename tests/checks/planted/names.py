"""An event that says what a database did; nobody can tell from it whether the customer has paid."""

from farandole import Choreography, Command, Event, Service


class PayOrder(Command):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, mail = Service("orders"), Service("mail")

    class Change(Event, key="order_id", name="OrderRowUpdated" if planted else "OrderPaid"):  # planted: names
        order_id: str

    @orders.command
    async def pay(command: PayOrder) -> Change: ...

    @mail.on(Change)
    async def thank(order: Change) -> None: ...

    return Choreography("shop", orders, mail)
