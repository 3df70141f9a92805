"""Hybrid: four services that listen to each other, and inside one of them a process that conducts.

`python -m examples.hybrid` plays it; `farandole run examples.hybrid:hybrid` runs its services.
"""

from __future__ import annotations

from datetime import timedelta

from farandole import Choreography, Workflow

from .events import OrderCancelled, OrderConfirmed, OrderPlaced
from .services.fulfilment import fulfilment
from .services.inventory import inventory
from .services.orders import orders
from .services.payments import payments

__all__ = ["hybrid"]

ordering = Workflow(
    "ordering", starts=OrderPlaced, succeeds=OrderConfirmed, fails=OrderCancelled, within=timedelta(hours=3),
    doc="From the order to the carrier, or to nothing at all.",
)  # fmt: skip

hybrid = Choreography("hybrid", orders, inventory, payments, fulfilment, workflows=[ordering])
