"""Orders leaves the coupon out where there is none; marketing takes it for granted."""

import msgspec

from farandole import Choreography, Command, Event, Service


class PlaceOrder(Command):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str
    coupon: str | msgspec.UnsetType = msgspec.UNSET


def choreography(*, planted: bool) -> Choreography:
    orders, marketing = Service("orders"), Service("marketing")

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    if planted:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):  # planted: missing-fields
            order_id: str
            coupon: str

    else:

        class OrderHeard(Event, name="OrderPlaced", key="order_id", of="shop.orders"):
            order_id: str
            coupon: str = ""

    @marketing.on(OrderHeard)
    async def count(order: OrderHeard) -> None: ...

    return Choreography("shop", orders, marketing)
