"""`farandole rehearse examples.shop_payment_first.rehearsal:rehearsal`."""

from __future__ import annotations

from .scenario import example

__all__ = ["rehearsal"]

rehearsal = example.rehearsal()
