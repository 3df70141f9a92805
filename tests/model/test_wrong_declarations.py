"""Whatever is given where something is declared, it is taken, or refused in words of our own: never an error from within."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from farandole import (
    Breaker,
    Choreography,
    Command,
    Event,
    Later,
    Measure,
    Policy,
    Retry,
    Service,
    Workflow,
    all_items,
    all_of,
    allow_cycle,
    any_of,
    expect,
)
from farandole.errors import DeclarationError, FarandoleError


class Asked(Event, key="id"):
    id: str


class Told(Event, key="id"):
    id: str


class Ask(Command):
    id: str


JUNK: list[Any] = [
    None, "x", "", b"x", -1, 0, 1.5, math.nan, math.inf, 1e300, True, [], {}, ("a",), object(), int, Asked, Ask, lambda: 1,
    timedelta(-1), timedelta.max,
]  # fmt: skip


SAID = Asked(id="1")


def on(by: Any = None, within: Any = None, policy: Any = None, guard: Any = None, formerly: Any = None) -> None:
    @Service("s").on(all_of(Asked, Told), by=by, within=within, policy=policy, guard=guard, formerly=formerly)
    async def join(asked: Asked, told: Told) -> None: ...


def deadline(after: Any = Asked, unless: Any = Told, within: Any = 5, by: Any = None) -> None:
    @Service("s").deadline(after=after, unless=unless, within=within, by=by)
    async def late(asked: Asked) -> None: ...


def choreography(name: Any = "c", service: Any = None, workflows: Any = (), cycles: Any = (), measures: Any = ()) -> None:
    Choreography(name, service or Service("s"), workflows=workflows, cycles=cycles, measures=measures)


DECLARE: list[Callable[..., Any]] = [
    Policy,
    Retry,
    Breaker,
    on,
    deadline,
    choreography,
    lambda name="s", policy=None: Service(name, policy=policy),
    lambda name="w", starts=Asked, succeeds=Told, fails=(), within=None, expects=(): Workflow(
        name, starts, succeeds, fails, within=within, expects=expects
    ),
    lambda message=SAID, after=5: Later(message, after=after),
    lambda event=Told, after=Asked, within=5, name=None: expect(event, after=after, within=within, name=name),
    lambda name="m", since=Asked, until=Told: Measure.open(name, since=since, until=until),
    lambda name="m", since=Asked, until=Told, buckets=(1.0,): Measure.time(name, since, until, buckets=buckets),
    lambda name="m", of=Asked, reach=Told: Measure.share(name, of=of, reach=reach),
    lambda name="m", of=Asked, field="id", until=Told: Measure.sum(name, of, field, until=until),
    lambda one=Asked, other=Told: all_of(one, other),
    lambda one=Asked, other=Told: any_of(one, other),
    lambda event=Asked, expected="n": all_items(event, expected=expected),
    lambda event=Asked, at_most=3, reason="": allow_cycle(event, at_most=at_most, reason=reason),
    lambda name="p", by="id", state=None: Service("s").process(name, by=by, state=state),
    lambda kind=int, value=1, breaker=None: Service("s").provide(kind, value, breaker=breaker),
]


@pytest.mark.parametrize("declare", DECLARE, ids=range(len(DECLARE)))
def test_anything_is_taken_or_refused_in_our_words(declare: Callable[..., Any]) -> None:
    for parameter in inspect.signature(declare).parameters:
        for junk in JUNK:
            with suppress(FarandoleError):
                declare(**{parameter: junk})


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (
            lambda: choreography(workflows=Workflow("w", Asked, Told)),
            r"workflows= takes a list of Workflow\(…\), got: Workflow\(",
        ),
        (lambda: choreography(cycles=[Asked]), r"cycles= takes a list of allow_cycle\(…\), got: \["),
        (lambda: choreography(measures=None), r"measures= takes a list of Measure.open\(…\) and the like, got: None"),
        (lambda: on(policy=Retry()), r"s\.join \(.*\): policy= takes a Policy\(…\), got: Retry\("),
        (lambda: Service("s", policy="park"), r"Service\('s'\): policy= takes a Policy\(…\), got: 'park'"),  # type: ignore[arg-type]
        (lambda: Policy(lane=5), "lane"),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_is_named_with_what_is_wanted(declare: Callable[[], Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        declare()
