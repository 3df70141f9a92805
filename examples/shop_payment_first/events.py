"""What is said in this shop. Amounts are integer pence; an email address is the customer's own, so no log shows it."""

from __future__ import annotations

from typing import Annotated, Any

from farandole import Command, Event, Sensitive

__all__ = [
    "InventoryReservationFailed",
    "InventoryReserved",
    "OrderCancelled",
    "OrderPlaced",
    "PaymentCompleted",
    "PaymentDeclined",
    "PaymentInDoubt",
    "PaymentRefunded",
    "PlaceOrder",
    "ReceiveStock",
    "RefundFailed",
    "ShipmentScheduled",
    "StockReceived",
    "details",
]

Email = Annotated[str, Sensitive]


class ReceiveStock(Command, key="sku"):
    """Goods arrive."""

    sku: str
    pieces: int


class StockReceived(Event, key="sku", public=True):
    """Goods are on the shelf."""

    sku: str
    pieces: int


class PlaceOrder(Command, key="order_id"):
    """A customer orders so many pieces of one thing."""

    order_id: str
    email: Email
    sku: str
    pieces: int
    pence: int


class OrderEvent(Event, key="order_id"):
    """Something about one order."""

    order_id: str


class OrderDetails(OrderEvent):
    """What those who work on an order need to know, carried along so that nobody has to ask."""

    email: Email
    sku: str
    pieces: int
    pence: int


class OrderPlaced(OrderDetails):
    """A customer placed an order."""


class PaymentCompleted(OrderDetails):
    """The money is there."""


class PaymentDeclined(OrderEvent):
    """The bank said no; nothing was taken."""

    reason: str


class PaymentInDoubt(OrderEvent):
    """The gateway never answered: perhaps it took the money, perhaps not."""

    reason: str


class InventoryReserved(OrderDetails):
    """The goods are set aside."""


class InventoryReservationFailed(OrderEvent):
    """There was not enough; nothing was set aside."""

    reason: str


class PaymentRefunded(OrderEvent):
    """Whatever was taken is given back: so many pence, none where nothing had been taken after all."""

    pence: int
    reason: str


class RefundFailed(OrderEvent):
    """The gateway could not be reached for so long that somebody must pay back by hand."""

    reason: str


class OrderCancelled(OrderEvent):
    """It came to nothing."""

    email: Email
    reason: str


class ShipmentScheduled(OrderEvent):
    """A parcel is to leave the house."""

    email: Email
    parcel: str


def details(order: OrderDetails) -> dict[str, Any]:
    """The fields of `OrderDetails`, to carry them into the next event."""
    return {name: getattr(order, name) for name in OrderDetails.__struct_fields__}  # type: ignore[attr-defined]
