"""A shop as a choreography: nine services, no controller.

`farandole run examples.shop:shop` runs it; `farandole demo` sends real orders through it.
"""

from __future__ import annotations

from datetime import timedelta

from farandole import Choreography, Measure, Workflow, expect

from .events import (
    InventoryReserved,
    LinesReturned,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    ReturnCompleted,
)
from .services.analytics import analytics
from .services.email import email
from .services.fraud import fraud
from .services.inventory import inventory
from .services.loyalty import loyalty
from .services.orders import orders
from .services.payments import payments
from .services.returns import returns
from .services.warehouse import warehouse

__all__ = ["shop"]

checkout = Workflow(
    "checkout",
    starts=OrderPlaced,
    succeeds=OrderConfirmed,
    fails=OrderCancelled,
    within=timedelta(minutes=5),
    expects=[expect(PaymentProcessed, PaymentFailed, after=InventoryReserved, within=timedelta(seconds=30))],
)
returning = Workflow("returning", starts=LinesReturned, succeeds=ReturnCompleted, within=timedelta(minutes=10))

OVER = (OrderConfirmed, OrderCancelled)
measures = [
    Measure.open("placed_not_confirmed", since=OrderPlaced, until=OVER),
    Measure.time("order_to_payment", OrderPlaced, PaymentProcessed),
    Measure.share("conversion", of=OrderPlaced, reach=OrderConfirmed),
    Measure.sum("pence_in_flight", OrderPlaced, "total_pence", until=OVER),
]

shop = Choreography(
    "shop",
    *(orders, inventory, fraud, payments, email, analytics, warehouse, returns, loyalty),
    workflows=[checkout, returning],
    measures=measures,
)
