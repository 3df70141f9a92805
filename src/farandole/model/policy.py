"""What to do when a reaction fails, how long it may take, how many run at once: one value, `Policy`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from datetime import timedelta
from math import isnan
from typing import Any, Literal, TypeGuard, cast

from farandole.errors import DeclarationError

__all__ = ["Policy", "Retry", "Settled", "policy_from"]

_LANE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a failed reaction is tried again.

    Parameters
    ----------
    attempts:
        Runs in all, the first included; at least 1.
    delay:
        Seconds before the second run.
    factor:
        Each later wait is this many times the one before.
    longest:
        No wait is longer than this, in seconds.
    jitter:
        Up to this share of a wait is taken off by chance (0 to 1), so that failures do not come back in step.
    on:
        Errors that are worth another run.
    never:
        Errors among those that are not.
    """

    attempts: int = 5
    delay: float = 1.0
    factor: float = 4.0
    longest: float = 300.0
    jitter: float = 0.25
    on: tuple[type[BaseException], ...] = (Exception,)
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        _expect(_is_count(self.attempts), "attempts", "an integer >= 1", self.attempts)
        _expect(_is_number(self.delay) and self.delay >= 0, "delay", "seconds >= 0", self.delay)
        _expect(_is_number(self.factor) and self.factor >= 1, "factor", "a number >= 1", self.factor)
        _expect(_is_number(self.longest) and self.longest >= 0, "longest", "seconds >= 0", self.longest)
        _expect(_is_number(self.jitter) and 0 <= self.jitter <= 1, "jitter", "a share from 0 to 1", self.jitter)

    def wait(self, attempts: int, chance: float) -> float:
        """Seconds until the next run after `attempts` runs; `chance` in [0, 1) is the draw for the jitter."""
        try:
            whole = min(self.longest, self.delay * float(self.factor) ** (attempts - 1))
        except OverflowError:
            whole = self.longest
        return whole * (1 - self.jitter * chance)

    def wants(self, error: BaseException) -> bool:
        """Whether this error is worth another run."""
        return isinstance(error, self.on) and not isinstance(error, self.never)

    @property
    def horizon(self) -> float:
        """The longest time, in seconds, that all the waits together can take."""
        return sum(self.wait(n, 0.0) for n in range(1, self.attempts))


@dataclass(frozen=True, slots=True)
class Policy:
    """How a reaction runs and fails. What is left None comes from the service's policy, then from the defaults of `Settled`.

    Parameters
    ----------
    retry:
        When to try again.
    timeout:
        The longest a run may take, in seconds or as a timedelta (default 30 s).
    on_failure:
        `"park"`: later events of the same key wait until the failed one is settled, so that order is kept.
        `"skip"`: they go on without it.
    when_dead:
        `"release"`: a dead letter lets the later events of its key go on; `"hold"`: it holds them until it is
        retried or discarded.
    concurrency:
        How many runs of an outside reaction at once, in each process.
    lane:
        A name: reactions of a service that share it share one consumer group.
    outside:
        True: never batch it and hold no transaction while it runs. By default this follows from its parameters.
    parked_per_key:
        How many events of one key may wait; beyond it the lane pauses.
    task:
        True: a person is asked to see to what it gives up on (`farandole tasks`). By default compensations ask, and others do not.
    """

    retry: Retry | None = None
    timeout: float | timedelta | None = None
    on_failure: Literal["park", "skip"] | None = None
    when_dead: Literal["release", "hold"] | None = None
    concurrency: int | None = None
    lane: str | None = None
    outside: bool | None = None
    parked_per_key: int | None = None
    task: bool | None = None

    def __post_init__(self) -> None:
        _expect(self.on_failure in (None, "park", "skip"), "on_failure", '"park" or "skip"', self.on_failure)
        _expect(self.when_dead in (None, "release", "hold"), "when_dead", '"release" or "hold"', self.when_dead)
        _expect(self.task in (None, True, False), "task", "True or False", self.task)
        for name in ("concurrency", "parked_per_key"):
            number = getattr(self, name)
            _expect(number is None or _is_count(number), name, "an integer >= 1", number)
        if isinstance(self.timeout, timedelta):
            object.__setattr__(self, "timeout", self.timeout.total_seconds())
        _expect(
            self.timeout is None or (_is_number(self.timeout) and self.timeout > 0),
            "timeout",
            "more than 0 seconds",
            self.timeout,
        )
        lane = self.lane
        _expect(
            lane is None or (isinstance(lane, str) and _LANE.fullmatch(lane) is not None),
            "lane",
            'letters, digits, "-" and "_"',
            lane,
        )

    def over(self, base: Policy) -> Policy:
        """This policy, with what it leaves open taken from `base`."""
        merged = {f.name: getattr(base, f.name) if getattr(self, f.name) is None else getattr(self, f.name) for f in fields(self)}
        return Policy(**merged)


def policy_from(who: str, given: Any) -> Policy:
    """What somebody gave as `policy=`; None leaves everything open.

    Raises
    ------
    DeclarationError
        It is something else.
    """
    if given is not None and not isinstance(given, Policy):
        raise DeclarationError(f"{who}: policy= takes a Policy(…), got: {given!r}")
    return given or Policy()


@dataclass(frozen=True, slots=True)
class Settled:
    """A policy in which nothing is left open (what the runtime reads)."""

    retry: Retry = field(default_factory=Retry)
    timeout: float = 30.0
    park: bool = True
    hold: bool = False
    concurrency: int = 16
    parked_per_key: int = 1000

    @classmethod
    def of(cls, policy: Policy) -> Settled:
        """Fill what `policy` leaves open with the defaults."""
        default = cls()
        return cls(
            retry=policy.retry or default.retry,
            timeout=default.timeout if policy.timeout is None else cast(float, policy.timeout),
            park=policy.on_failure != "skip",
            hold=policy.when_dead == "hold",
            concurrency=policy.concurrency or default.concurrency,
            parked_per_key=policy.parked_per_key or default.parked_per_key,
        )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not isnan(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _expect(fine: bool, name: str, expected: str, got: object) -> None:
    if not fine:
        raise DeclarationError(f"expected {name} to be {expected}, got: {got!r}")
