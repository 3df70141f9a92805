"""How much a test does: little by default, so that all of them together take a few minutes; all of it with FULL=1."""

from __future__ import annotations

import os

__all__ = ["FULL", "often"]

FULL = os.environ.get("FULL") == "1"


def often(default: int, full: int) -> int:
    """So many by default, so many with FULL=1."""
    return full if FULL else default
