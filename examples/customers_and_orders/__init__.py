"""Customers and orders: the classic saga of a credit limit, with a cancel that gives the credit back.

`python -m examples.customers_and_orders` plays it; `farandole run examples.customers_and_orders:customers_and_orders` runs its services.
After Chris Richardson, Microservices Patterns, 2018, chapter 4, and https://microservices.io/patterns/data/saga.html.
"""

from __future__ import annotations

from datetime import timedelta

from farandole import Choreography, Workflow

from .events import CreditReleased, OrderApproved, OrderCancelled, OrderCreated, OrderRejected
from .services.customers import customers
from .services.orders import orders

__all__ = ["customers_and_orders"]

ordering = Workflow(
    "ordering", starts=OrderCreated, succeeds=OrderApproved, fails=OrderRejected, within=timedelta(minutes=1),
    doc="An order is approved if the customer's credit allows it.",
)  # fmt: skip
cancelling = Workflow(
    "cancelling", starts=OrderCancelled, succeeds=CreditReleased, within=timedelta(minutes=1),
    doc="An approved order is called off, and its credit is free again.",
)  # fmt: skip

customers_and_orders = Choreography("customers-and-orders", orders, customers, workflows=[ordering, cancelling])
