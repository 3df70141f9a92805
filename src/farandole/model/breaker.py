"""Circuit breakers: leave alone for a while what does not answer. Michael T. Nygard, Release It! (2007).

    closed ──`failures` within `within`──> open ──`rest` is over──> half open ──the probe succeeded──> closed
                                            ▲                          │
                                            └──the probe failed: it rests twice as long, `longest` at most

Pure: whoever uses a `Circuit` tells it the time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

from farandole.errors import DeclarationError, FarandoleError, Reject, Skip

__all__ = ["Breaker", "Circuit"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """When something that a service provides is left alone, and for how long: `service.provide(Gateway, …, breaker=Breaker())`.

    Parameters
    ----------
    failures, within:
        It opens after so many failures in so long a time (a timedelta or seconds).
    rest:
        How long it stays open, before one run is let through to see.
    longest:
        Each time that one fails, the rest is twice as long, up to this.
    on:
        The errors that count. `Reject`, `Skip` and errors of Farandole never do.
    ignore:
        Errors among those that do not.
    """

    failures: int = 5
    within: float | timedelta = 30.0
    rest: float | timedelta = 20.0
    longest: float | timedelta = 300.0
    on: type[BaseException] | tuple[type[BaseException], ...] = (Exception,)
    ignore: type[BaseException] | tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.failures, bool) or not isinstance(self.failures, int) or self.failures < 1:
            raise DeclarationError(f"Breaker: expected failures to be an integer >= 1, got: {self.failures!r}")
        for name in ("within", "rest", "longest"):
            value = getattr(self, name)
            seconds = value.total_seconds() if isinstance(value, timedelta) else value
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
                raise DeclarationError(f"Breaker: expected {name} to be more than 0 seconds, got: {value!r}")
            object.__setattr__(self, name, float(seconds))
        for name in ("on", "ignore"):
            value = getattr(self, name)
            several = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(tp, type) and issubclass(tp, BaseException) for tp in several):
                raise DeclarationError(f"Breaker: {name}= takes classes of exceptions, got: {value!r}")
            object.__setattr__(self, name, several)

    def counts(self, error: BaseException) -> bool:
        """Whether this error says that what is provided does not answer."""
        return isinstance(error, self.on) and not isinstance(error, (Reject, Skip, FarandoleError, *self.ignore))  # type: ignore[misc]


class Circuit:
    """One breaker at work.

    Each run that is let through has a ticket, and says with it how it ended. A ticket from before the state changed says nothing any more:
    a run that began long ago does not close what has opened since.

    Attributes
    ----------
    state:
        `"closed"`, `"open"` or `"half open"`.
    until:
        When an open one lets a probe through.
    """

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self.state: Literal["closed", "open", "half open"] = "closed"
        self.until = 0.0
        self._age = 0  # how often the state changed
        self._within, self._shortest, longest = (cast(float, one) for one in (breaker.within, breaker.rest, breaker.longest))
        self._longest = max(longest, self._shortest)
        self._rest = self._shortest
        self._failures: deque[float] = deque(maxlen=breaker.failures)

    def room(self, now: float) -> int | None:
        """How many runs may begin now; None: any number."""
        if self.state == "closed":
            return None
        return int(self.state == "open" and now >= self.until)

    def enter(self, now: float) -> int | None:
        """Begin a run: its ticket, or None where it must not begin. Out of an open circuit, it is the probe."""
        if self.room(now) == 0:
            return None
        if self.state == "open":
            self._turn("half open")
        return self._age

    def succeeded(self, ticket: int) -> None:
        """A run ended well."""
        if ticket == self._age and self.state == "half open":
            self._rest = self._shortest
            self._failures.clear()
            self._turn("closed")

    def failed(self, ticket: int, now: float) -> None:
        """A run failed with an error that counts."""
        if ticket != self._age:
            return
        if self.state == "half open":
            self._rest = min(self._rest * 2, self._longest)
            self._open(now)
            return
        self._failures.append(now)
        full = len(self._failures) == self.breaker.failures
        if full and now - self._failures[0] <= self._within:
            self._open(now)

    def left(self, ticket: int) -> None:
        """A run ended without having told anything: a probe makes room for another."""
        if ticket == self._age and self.state == "half open":
            self._turn("open")

    def _open(self, now: float) -> None:
        self.until = now + self._rest
        self._turn("open")

    def _turn(self, state: Literal["closed", "open", "half open"]) -> None:
        self.state = state
        self._age += 1
