"""Policies: what is left open, what is refused, and how long the waits are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farandole import DeclarationError, Policy, Retry
from farandole.model.policy import Settled


def test_waits_grow_by_the_factor_up_to_the_longest() -> None:
    retry = Retry(attempts=6, delay=1.0, factor=4.0, longest=100.0, jitter=0.0)
    assert [retry.wait(n, 0.9) for n in range(1, 7)] == [1, 4, 16, 64, 100, 100]


def test_the_horizon_is_the_sum_of_the_longest_waits() -> None:
    assert Retry(attempts=4, delay=1.0, factor=4.0, jitter=0.5).horizon == 1 + 4 + 16
    assert Retry(attempts=1).horizon == 0


def test_jitter_takes_off_its_share_at_most() -> None:
    retry = Retry(delay=8.0, jitter=0.25)
    assert retry.wait(1, 0.0) == 8.0
    assert retry.wait(1, 0.5) == 7.0


@pytest.mark.parametrize("factor", [4.0, 4])
def test_a_wait_too_large_for_a_float_is_the_longest(factor: float) -> None:
    assert Retry(factor=factor, longest=9.0, jitter=0.0).wait(1_000_000_000, 0.0) == 9.0


@given(
    retry=st.builds(
        Retry,
        attempts=st.integers(1, 50),
        delay=st.floats(0, 1e6),
        factor=st.floats(1, 100),
        longest=st.floats(0, 1e6),
        jitter=st.floats(0, 1),
    ),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_every_wait_is_between_nothing_and_the_longest_and_the_horizon_bounds_their_sum(retry: Retry, chance: float) -> None:
    waits = [retry.wait(n, chance) for n in range(1, retry.attempts)]
    assert all(0 <= wait <= retry.longest for wait in waits)
    assert sum(waits) <= retry.horizon + 1e-6


def test_an_error_is_worth_another_run_where_on_says_so_and_never_does_not() -> None:
    retry = Retry(on=(LookupError,), never=(KeyError,))
    assert retry.wants(IndexError())
    assert not retry.wants(KeyError())
    assert not retry.wants(ValueError())
    assert not Retry().wants(KeyboardInterrupt())


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"attempts": 0}, "expected attempts to be an integer >= 1, got: 0"),
        ({"attempts": True}, "expected attempts to be an integer >= 1, got: True"),
        ({"attempts": 2.0}, "expected attempts to be an integer >= 1, got: 2.0"),
        ({"delay": -1}, "expected delay to be seconds >= 0, got: -1"),
        ({"delay": "1s"}, "expected delay to be seconds >= 0, got: '1s'"),
        ({"delay": float("nan")}, "expected delay to be seconds >= 0, got: nan"),
        ({"factor": 0.5}, "expected factor to be a number >= 1, got: 0.5"),
        ({"longest": -1}, "expected longest to be seconds >= 0, got: -1"),
        ({"jitter": 1.5}, "expected jitter to be a share from 0 to 1, got: 1.5"),
    ],
)
def test_a_retry_that_cannot_work_is_refused(keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Retry(**keywords)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"on_failure": "stop"}, 'expected on_failure to be "park" or "skip", got: \'stop\''),
        ({"when_dead": "wait"}, 'expected when_dead to be "release" or "hold", got: \'wait\''),
        ({"concurrency": 0}, "expected concurrency to be an integer >= 1, got: 0"),
        ({"parked_per_key": -1}, "expected parked_per_key to be an integer >= 1, got: -1"),
        ({"timeout": 0}, "expected timeout to be more than 0 seconds, got: 0"),
        ({"timeout": "30s"}, "expected timeout to be more than 0 seconds, got: '30s'"),
        ({"timeout": timedelta(0)}, "expected timeout to be more than 0 seconds, got: 0.0"),
        ({"lane": "a.b"}, 'expected lane to be letters, digits, "-" and "_", got: \'a.b\''),
    ],
)
def test_a_policy_that_cannot_work_is_refused(keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Policy(**keywords)
    assert str(caught.value) == sentence


def test_what_a_reaction_leaves_open_comes_from_its_service() -> None:
    retry = Retry(attempts=2)
    service = Policy(retry=retry, timeout=9, on_failure="skip", lane="slow")
    mine = Policy(timeout=1, on_failure="park").over(service)
    assert mine == Policy(retry=retry, timeout=1, on_failure="park", lane="slow")


def test_a_false_answer_is_not_left_open() -> None:
    assert Policy(outside=False).over(Policy(outside=True)).outside is False


def test_what_nobody_says_has_a_default() -> None:
    assert Settled.of(Policy()) == Settled()


def test_what_a_policy_says_is_what_the_runtime_reads() -> None:
    retry = Retry(attempts=1)
    policy = Policy(
        retry=retry, timeout=timedelta(minutes=2), on_failure="skip", when_dead="hold", concurrency=3, parked_per_key=7
    )
    assert Settled.of(policy) == Settled(retry=retry, timeout=120.0, park=False, hold=True, concurrency=3, parked_per_key=7)
