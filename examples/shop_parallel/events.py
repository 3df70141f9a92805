"""What is said in this shop. Amounts are integer pence; where somebody lives is nobody's business but the carrier's."""

from __future__ import annotations

from typing import Annotated

from farandole import Command, Event, Sensitive

__all__ = [
    "DeliveryAbandoned",
    "InventoryReservationFailed",
    "InventoryReserved",
    "InvoiceCredited",
    "InvoiceFailed",
    "InvoiceIssued",
    "OrderCancelled",
    "OrderCompleted",
    "OrderPlaced",
    "ParcelSent",
    "PaymentCompleted",
    "PaymentFailed",
    "PaymentOwed",
    "PaymentRefunded",
    "PlaceOrder",
    "ReceiveStock",
    "StockReceived",
    "StockReleased",
]

Address = Annotated[str, Sensitive]


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
    address: Address
    country: str
    sku: str
    pieces: int
    pence: int


class OrderEvent(Event, key="order_id"):
    """Something about one order."""

    order_id: str


class OrderPlaced(OrderEvent):
    """A customer placed an order. Three services begin to work on it at once."""

    address: Address
    country: str
    sku: str
    pieces: int
    pence: int


class InventoryReserved(OrderEvent):
    """The goods are set aside."""

    address: Address
    pieces: int


class InventoryReservationFailed(OrderEvent):
    """There was not enough; nothing was set aside."""

    reason: str


class StockReleased(OrderEvent, public=True):
    """What was set aside is on the shelf again."""

    sku: str
    pieces: int


class PaymentCompleted(OrderEvent):
    """The money is there."""

    receipt: str


class PaymentFailed(OrderEvent):
    """There will be no money for this order; what was taken in doubt is given back."""

    reason: str


class PaymentRefunded(OrderEvent, public=True):
    """Whatever was taken is given back."""

    pence: int


class PaymentOwed(OrderEvent, public=True):
    """It could not be given back for half a day: somebody must pay it by hand."""


class InvoiceIssued(OrderEvent):
    """An invoice with the next number."""

    number: int


class InvoiceFailed(OrderEvent):
    """No invoice can be written for this order."""

    reason: str


class InvoiceCredited(OrderEvent, public=True):
    """A credit note takes the invoice back. Nobody deletes an invoice."""

    number: int
    credits: int


class ParcelSent(OrderEvent):
    """One of an order's parcels has left the house."""

    number: int
    parcels: int


class DeliveryAbandoned(OrderEvent):
    """Not everything came in time; the order will not be shipped any more, whatever comes."""

    reason: str


class OrderCompleted(OrderEvent):
    """All its parcels are on their way."""


class OrderCancelled(OrderEvent):
    """It came to nothing. Whoever did something for it undoes it."""

    reason: str
