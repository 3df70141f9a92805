"""The hybrid in rehearsal: `farandole rehearse examples.hybrid.rehearsal:rehearsal`."""

from __future__ import annotations

from .scenario import example

__all__ = ["rehearsal"]

rehearsal = example.rehearsal()
