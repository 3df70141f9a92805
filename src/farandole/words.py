"""How lists, lengths of time and moments are told: the one place, whoever speaks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

__all__ = ["clock", "date", "exactly", "listed", "roughly", "rounded_up", "stamp"]

_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"))


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; none are `nothing`."""
    *first, end = list(words) or ["nothing"]
    return f"{', '.join(first)} {last} {end}" if first else end


def exactly(seconds: float | None) -> str:
    """A length of time that somebody declared: `250 ms`, `30 s`, `15 min`, `1.5 h`, `7 days`; None is `for ever`.

    What is no round number, such as the sum of some pauses, has one decimal: `93.5 s`, `3.5 days`.
    """
    if seconds is None:
        return "for ever"
    if seconds == 86_400:
        return "1 day"
    for size, unit in _UNITS:
        if _is_round(seconds, size):
            return f"{seconds / size:g} {unit}"
    for size, unit in _UNITS:
        if seconds >= size * 2:
            return f"{seconds / size:.1f} {unit}"
    return f"{round(seconds, 1):g} s" if seconds >= 1 or not seconds else f"{seconds * 1000:g} ms"


def rounded_up(seconds: float) -> float:
    """No less than this, and a round number."""
    if any(_is_round(seconds, size) for size, _ in _UNITS):
        return seconds
    half = next((size for size, _ in _UNITS if seconds >= size * 2), 1) / 2
    return math.ceil(seconds / half) * half


def _is_round(seconds: float, size: int) -> bool:
    return seconds >= size and (seconds / size * 2).is_integer()


def roughly(seconds: float) -> str:
    """A length of time that was measured, in few letters, from milliseconds to days; its sign is kept."""
    if seconds < 0:
        return f"-{roughly(-seconds)}"
    if not math.isfinite(seconds):
        return "ever"
    if seconds < 0.9995:
        return f"{seconds * 1000:.{int(0 < seconds < 0.00995)}f} ms"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size * 2:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def clock(moment: float, *, fine: bool = False) -> str:
    """The time of day in UTC, of seconds since 1970, whatever a foreign clock says; `fine`: with milliseconds."""
    return _written(moment, "%H:%M:%S.%f")[: -3 if fine else -7] or _NEVER


def date(moment: float) -> str:
    """Day and time in UTC, of seconds since 1970."""
    return _written(moment, "%Y-%m-%d %H:%M:%S") or _NEVER


def stamp(moment: float | None) -> str | None:
    """A moment for programs, in UTC: RFC 3339 with milliseconds. None stays None, and so is what no calendar knows."""
    try:
        return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return None


_NEVER = "no such time"


def _written(moment: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).strftime(form)
    except (OverflowError, OSError, ValueError):
        return ""
