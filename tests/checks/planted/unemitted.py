"""Returns waits for a refund that payments, which owns it, never states."""

from farandole import Choreography, Command, Event, Service


class SendBack(Command):
    order_id: str


class GoodsReturned(Event, key="order_id"):
    order_id: str


class PaymentRefunded(Event, key="order_id"):
    order_id: str


class RefundHeard(Event, name="PaymentRefunded", key="order_id", of="shop.payments"):
    order_id: str


def choreography(*, planted: bool) -> Choreography:
    payments, returns = Service("payments"), Service("returns")

    @returns.command
    async def take_back(command: SendBack) -> GoodsReturned: ...

    if planted:

        @payments.on(GoodsReturned)
        async def refund(goods: GoodsReturned) -> None: ...

    else:

        @payments.on(GoodsReturned)
        async def refund(goods: GoodsReturned) -> PaymentRefunded: ...

    @returns.on(RefundHeard)  # planted: unemitted
    async def close(refund: RefundHeard) -> None: ...

    return Choreography("shop", payments, returns)
