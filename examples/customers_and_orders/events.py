"""Every event and command, declared once. Amounts are integer cents."""

from __future__ import annotations

from typing import Annotated

from farandole import Command, Event, Sensitive

__all__ = [
    "CancelOrder",
    "CreateCustomer",
    "CreateOrder",
    "CreditLimitExceeded",
    "CreditReleased",
    "CreditReserved",
    "CustomerCreated",
    "CustomerNotFound",
    "OrderApproved",
    "OrderCancelled",
    "OrderCreated",
    "OrderRejected",
]


class CreateCustomer(Command, key="customer_id"):
    """Somebody may order on credit, up to a limit."""

    customer_id: str
    name: Annotated[str, Sensitive]
    limit_cents: int


class CreateOrder(Command, key="order_id"):
    """A customer orders."""

    order_id: str
    customer_id: str
    cents: int


class CancelOrder(Command, key="order_id"):
    """The customer calls an order off."""

    order_id: str


class CustomerCreated(Event, key="customer_id", public=True):
    """Somebody may order."""

    customer_id: str
    limit_cents: int


class OrderEvent(Event, key="order_id"):
    """Something about one order."""

    order_id: str


class OrderCreated(OrderEvent):
    """An order is there, and waits for the customer's credit."""

    customer_id: str
    cents: int


class CreditReserved(OrderEvent):
    """So much of the customer's limit is held for this order."""


class CreditLimitExceeded(OrderEvent):
    """The order would have gone beyond the limit; nothing is held for it."""

    available_cents: int


class CustomerNotFound(OrderEvent):
    """Nobody of that name may order."""

    customer_id: str


class OrderApproved(OrderEvent):
    """The order stands."""


class OrderRejected(OrderEvent):
    """The order came to nothing."""

    reason: str


class OrderCancelled(OrderEvent):
    """An approved order was called off."""


class CreditReleased(OrderEvent):
    """What was held for a cancelled order is free again."""

    cents: int
