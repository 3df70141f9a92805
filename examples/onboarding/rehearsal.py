"""`farandole rehearse examples.onboarding.rehearsal:rehearsal`."""

from __future__ import annotations

from .scenario import example

__all__ = ["rehearsal"]

rehearsal = example.rehearsal()
