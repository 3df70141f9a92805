"""Customers and orders in rehearsal: `farandole rehearse examples.customers_and_orders.rehearsal:rehearsal`."""

from __future__ import annotations

from .scenario import example_of

__all__ = ["rehearsal"]

# A smaller rush than the command's: what eight orders cannot bring about, fifty do not.
rehearsal = example_of(many=8, limit=3).rehearsal()
