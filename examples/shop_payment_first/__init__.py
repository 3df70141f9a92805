"""A shop that takes the money first, and gives it back when there are no goods: `python -m examples.shop_payment_first`."""

from __future__ import annotations

from datetime import timedelta

from farandole import Choreography, Workflow

from .events import OrderCancelled, OrderPlaced, ShipmentScheduled
from .services import email, inventory, orders, payments, shipping

__all__ = ["shop_payment_first"]

checkout = Workflow("checkout", starts=OrderPlaced, succeeds=ShipmentScheduled, fails=OrderCancelled, within=timedelta(days=1))
shop_payment_first = Choreography("shop_payment_first", orders, payments, inventory, shipping, email, workflows=[checkout])
