"""`farandole rehearse examples.shop_parallel.rehearsal:rehearsal`."""

from __future__ import annotations

from .scenario import example

__all__ = ["rehearsal"]

rehearsal = example.rehearsal()
