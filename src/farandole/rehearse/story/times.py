"""Times of a run as its story tells them: in seconds since it began, as on the clock beside it."""

from __future__ import annotations

import math

__all__ = ["clock", "span"]


def clock(time: float) -> str:
    """A moment, in seconds since the run began, in at most eight letters."""
    written = f"{time:.2f}"
    return written if len(written) <= 8 else f"{time:.0e}"


def span(seconds: float) -> str:
    """A length of time, given in seconds; its sign is left out."""
    seconds = abs(seconds)
    if not math.isfinite(seconds):
        return "ever"
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 1e6 else f"{seconds:.3g} s"
