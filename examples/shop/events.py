"""Every event and command of the shop, declared once.

Amounts are integer pence. A guest has no customer id. The customer's id is marked `Sensitive`: no log or page shows it,
and whoever works on an order is cleared for it. What is `public` tells those outside of the shop: customers, suppliers, the bookkeeper.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from farandole import Command, Event, Sensitive

__all__ = [
    "ChargeInDoubt",
    "InventoryReservationFailed",
    "InventoryReserved",
    "Line",
    "LinesReturned",
    "OrderCancelled",
    "OrderCleared",
    "OrderConfirmed",
    "OrderDetails",
    "OrderFlagged",
    "OrderPlaced",
    "OrderRejected",
    "OrderSuspected",
    "PaymentFailed",
    "PaymentProcessed",
    "PaymentRefunded",
    "PaymentVoided",
    "PlaceOrder",
    "PointsChanged",
    "ReceiveStock",
    "Refund",
    "RejectedLine",
    "ReturnCompleted",
    "ReturnLines",
    "ReturnRejected",
    "ReturnedLine",
    "Shortage",
    "StockLine",
    "StockReceived",
    "StockReleased",
    "details",
]

CustomerId = Annotated[str | None, Sensitive]


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of an order: `unit_price` in pounds, exact (some goods cost a tenth of a penny)."""

    stock_code: str
    quantity: int
    unit_price: Decimal


class StockLine(msgspec.Struct, frozen=True, gc=False):
    """So many pieces of one kind."""

    stock_code: str
    quantity: int


class Shortage(msgspec.Struct, frozen=True, gc=False):
    """What was wanted, and what there was."""

    stock_code: str
    wanted: int
    on_hand: int


class ReturnedLine(msgspec.Struct, frozen=True, gc=False):
    """A return line that found its order: `pence` is what the customer gets back for it."""

    order_id: str
    stock_code: str
    quantity: int
    pence: int


class RejectedLine(msgspec.Struct, frozen=True, gc=False):
    """A return line that is not taken back, and why."""

    stock_code: str
    quantity: int
    reason: str


class Refund(msgspec.Struct, frozen=True, gc=False):
    """What goes back to the payer of one order."""

    order_id: str
    pence: int


class PlaceOrder(Command, key="order_id"):
    """A customer orders. `sequence` tells which of a customer's orders is the later one."""

    order_id: str
    customer_id: CustomerId
    country: str
    placed_on: date
    sequence: int
    lines: tuple[Line, ...]


class ReturnLines(Command, key="return_id"):
    """A customer sends goods back; quantities count what comes back.

    `confirmed` are the orders that the customer knows to be confirmed: the service does not decide before it knows them too.
    """

    return_id: str
    customer_id: CustomerId
    lines: tuple[StockLine, ...]
    confirmed: tuple[str, ...] = ()


class ReceiveStock(Command, key="delivery_id"):
    """Goods arrive."""

    delivery_id: str
    lines: tuple[StockLine, ...]


class OrderEvent(Event, key="order_id"):
    """Something about one order."""

    order_id: str


class OrderDetails(OrderEvent):
    """What those who work on an order need to know, carried along so that nobody has to ask."""

    customer_id: CustomerId
    country: str
    placed_on: date
    lines: tuple[Line, ...]
    total_pence: int


class OrderPlaced(OrderDetails):
    """A customer placed an order that can be carried out."""

    sequence: int


class OrderRejected(OrderEvent, public=True):
    """An order that cannot be: a line without a quantity, or nothing to pay."""

    reason: str


class OrderConfirmed(OrderEvent):
    """Reserved and paid."""

    total_pence: int


class OrderCancelled(OrderEvent):
    """It came to nothing; stock and money are where they were, or on their way back."""

    reason: str


class InventoryReserved(OrderDetails):
    """Every line of the order is set aside."""


class InventoryReservationFailed(OrderEvent):
    """There was not enough; nothing was set aside."""

    shortages: tuple[Shortage, ...]


class OrderFlagged(OrderDetails):
    """It is worth so much that it is reviewed before it is charged."""


class OrderCleared(OrderDetails):
    """Nothing speaks against charging it."""


class OrderSuspected(OrderEvent):
    """It must not be charged."""

    reason: str


class PaymentProcessed(OrderDetails):
    """The money is there."""

    receipt: str


class PaymentFailed(OrderEvent):
    """There will be no money for this order."""

    reason: str


class ChargeInDoubt(OrderEvent):
    """The gateway never answered, so it may have charged all the same: somebody must look."""


class PaymentVoided(OrderEvent, public=True):
    """A doubtful charge is undone: `pence` is what had been charged after all."""

    pence: int


class PointsChanged(OrderEvent, public=True):
    """An order earned points, or lost some of them; `tier` is its customer's from now on."""

    change: int
    tier: str


class StockReceived(Event, key="delivery_id", public=True):
    """Goods are on the shelf."""

    delivery_id: str
    pieces: int


class StockReleased(Event, key="reference"):
    """Goods are on the shelf again; `reference` is the cancelled order or the return."""

    reference: str
    reason: str
    lines: tuple[StockLine, ...]


class ReturnEvent(Event, key="return_id"):
    """Something about one return."""

    return_id: str


class LinesReturned(ReturnEvent):
    """Goods came back: those taken, and those not."""

    accepted: tuple[ReturnedLine, ...]
    rejected: tuple[RejectedLine, ...]
    refund_pence: int


class ReturnRejected(ReturnEvent, public=True):
    """Nothing of it is taken back."""

    rejected: tuple[RejectedLine, ...]


class PaymentRefunded(ReturnEvent):
    """The money for a return is paid back."""

    refunds: tuple[Refund, ...]


class ReturnCompleted(ReturnEvent):
    """Money and goods are both back where they belong."""


def details(order: OrderDetails) -> dict[str, Any]:
    """The fields of `OrderDetails`, to carry them into the next event."""
    return {name: getattr(order, name) for name in _DETAILS}


_DETAILS: tuple[str, ...] = OrderDetails.__struct_fields__  # type: ignore[attr-defined]
