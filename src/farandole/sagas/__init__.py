"""Sagas: joins, deadlines, guards, compensation. What waits stands in the service's own database, in the transaction of the event that it noted."""

from __future__ import annotations

from farandole.sagas.compile import compile_saga

__all__ = ["compile_saga"]
