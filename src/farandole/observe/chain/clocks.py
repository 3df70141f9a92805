"""Clocks that do not agree, found where an effect is earlier than its cause. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Clocks", "Skew"]


@dataclass(frozen=True, slots=True)
class Skew:
    """A clock that is behind another one, or two of one service that differ.

    Attributes
    ----------
    behind, ahead:
        The services; the same where machines of one service do not agree.
    seconds:
        By so much at least.
    """

    behind: str
    ahead: str
    seconds: float


class Clocks:
    """What causes and effects tell of the clocks of services: an effect is never earlier than its cause, beyond nothing.

    Parameters
    ----------
    pairs:
        For each cause and effect: service and time of the cause, service and time of the effect.
    """

    def __init__(self, pairs: Iterable[tuple[str, float, str, float]]) -> None:
        self._behind: dict[tuple[str, str], float] = {}
        for cause, before, effect, after in pairs:
            if after < before and before - after > self._behind.get((effect, cause), 0.0):
                self._behind[effect, cause] = before - after

    @property
    def skews(self) -> tuple[Skew, ...]:
        """Those that were found, the greatest first."""
        found = [Skew(behind, ahead, seconds) for (behind, ahead), seconds in self._behind.items()]
        return tuple(sorted(found, key=lambda skew: (-skew.seconds, skew.behind, skew.ahead)))

    def between(self, cause: str, before: float | None, effect: str, after: float | None) -> tuple[float | None, bool]:
        """The seconds from a cause to its effect, and whether it is at most so many; None where nobody can tell."""
        if before is None or after is None or after < before:
            return None, False
        behind = self._behind.get((cause, effect), 0.0) if self._behind else 0.0
        if behind and cause != effect:  # the cause seems earlier than it was
            return max(0.0, after - before - behind), True
        return after - before, False
