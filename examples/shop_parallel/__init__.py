"""A shop where goods, money and invoice are got at once, and whatever fails undoes the others: `python -m examples.shop_parallel`."""

from __future__ import annotations

from datetime import timedelta

from farandole import Choreography, Workflow

from .events import OrderCancelled, OrderCompleted, OrderPlaced
from .services import inventory, invoicing, orders, payments, shipping

__all__ = ["shop_parallel"]

checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderCompleted, fails=OrderCancelled, within=timedelta(hours=1))
shop_parallel = Choreography("shop_parallel", orders, inventory, payments, invoicing, shipping, workflows=[checkout])
