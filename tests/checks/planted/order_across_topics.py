"""Shipping counts on the address having come before the payment; they are two services' events, on two topics."""

from farandole import Choreography, Command, Event, Service, all_of


class PlaceOrder(Command):
    order_id: str


class AddressGiven(Event, key="order_id"):
    order_id: str


class PaymentCompleted(Event, key="order_id"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    orders, payments, shipping = Service("orders"), Service("payments"), Service("shipping")

    @orders.command
    async def place(command: PlaceOrder) -> AddressGiven: ...

    @payments.on(AddressGiven)
    async def charge(address: AddressGiven) -> PaymentCompleted: ...

    if planted:

        @shipping.on(AddressGiven)
        async def remember(address: AddressGiven) -> None: ...

        @shipping.on(PaymentCompleted, relies_on=AddressGiven)  # planted: order-across-topics
        async def ship(payment: PaymentCompleted) -> None: ...

    else:

        @shipping.on(all_of(AddressGiven, PaymentCompleted))
        async def ship(address: AddressGiven, payment: PaymentCompleted) -> None: ...

    return Choreography("shop", orders, payments, shipping)
