"""The wallet in rehearsal: `farandole rehearse examples.wallet.rehearsal:rehearsal`."""

from __future__ import annotations

from .scenario import example

__all__ = ["rehearsal"]

rehearsal = example.rehearsal()
