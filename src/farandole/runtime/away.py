"""How the runtime itself tries again when a database or broker is away: the same policy for workers, relay and scheduler."""

from __future__ import annotations

from farandole.model.policy import Retry

__all__ = ["AWAY"]

AWAY = Retry(delay=0.1, factor=2.0, longest=12.8, jitter=0.5)
"""Only its waits are used: the runtime never gives up, so `attempts` does not count."""
