"""What the four services say to each other, and what the fulfilment asks of itself."""

from __future__ import annotations

from farandole import Command, Event


class OrderEvent(Event, key="order_id"):
    order_id: str


class PlaceOrder(Command):
    order_id: str
    sku: str
    cents: int
    address: str


class OrderPlaced(OrderEvent):
    """A customer ordered one piece."""

    sku: str
    cents: int
    address: str


class GoodsReserved(OrderEvent):
    """A piece is set aside, as far as the books know."""

    sku: str
    cents: int
    address: str


class OutOfStock(OrderEvent):
    """The books say that there is none."""

    sku: str


class OrderPaid(OrderEvent):
    """The money is here: the fulfilment may begin."""

    sku: str
    address: str


class PaymentDeclined(OrderEvent):
    """There is no money."""

    reason: str


# Inside the fulfilment: what is done there, one step after the other.


class PickGoods(Command, key="order_id"):
    order_id: str
    sku: str


class GoodsPicked(OrderEvent):
    """The piece was fetched from its shelf."""


class GoodsMissing(OrderEvent):
    """The shelf is empty, whatever the books say."""

    sku: str


class PutGoodsBack(Command, key="order_id"):
    order_id: str


class GoodsPutBack(OrderEvent):
    """The piece is on its shelf again."""


class PrintLabel(Command, key="order_id"):
    order_id: str
    address: str


class LabelPrinted(OrderEvent):
    """The carrier made out a label."""

    label: str


class LabelRefused(OrderEvent):
    """The carrier does not go there."""

    reason: str


class VoidLabel(Command, key="order_id"):
    order_id: str


class LabelVoided(OrderEvent):
    """The carrier took the label back."""


class HandOver(Command, key="order_id"):
    order_id: str


class ParcelHandedOver(OrderEvent):
    """The carrier has the parcel."""


class ParcelRefused(OrderEvent):
    """The carrier saw the parcel and did not take it."""

    reason: str


# What the fulfilment tells the others.


class OrderShipped(OrderEvent):
    """The parcel is on its way."""

    label: str


class FulfilmentFailed(OrderEvent):
    """It is not sent, and nothing of it is left in the fulfilment."""

    reason: str


class OrderConfirmed(OrderEvent):
    """The customer was told that it comes."""


class OrderCancelled(OrderEvent):
    """The customer was told that it does not."""

    reason: str
