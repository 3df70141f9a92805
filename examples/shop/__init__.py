"""A shop as a choreography: seven services, no controller.

`farandole run examples.shop:shop` runs it; `farandole demo` sends real orders through it.
"""

from __future__ import annotations

from datetime import timedelta

from farandole import Choreography, Workflow

from .events import LinesReturned, OrderCancelled, OrderConfirmed, OrderPlaced, ReturnCompleted
from .services.analytics import analytics
from .services.email import email
from .services.inventory import inventory
from .services.orders import orders
from .services.payments import payments
from .services.returns import returns
from .services.warehouse import warehouse

__all__ = ["shop"]

checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderConfirmed, fails=OrderCancelled, within=timedelta(minutes=5))
returning = Workflow("returning", starts=LinesReturned, succeeds=ReturnCompleted, within=timedelta(minutes=10))

shop = Choreography("shop", orders, inventory, payments, email, analytics, warehouse, returns, workflows=[checkout, returning])
