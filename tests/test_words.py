"""How lists, lengths of time and moments are told."""

from __future__ import annotations

import math

import pytest

from farandole.words import clock, date, exactly, listed, roughly, rounded_up, stamp


def test_several_are_listed_with_the_last_apart() -> None:
    assert [listed("abc"[:count]) for count in range(4)] == ["nothing", "a", "a and b", "a, b and c"]
    assert listed(iter("abc"), "or") == "a, b or c"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "for ever"), (0, "0 s"), (0.25, "250 ms"), (1, "1 s"), (2.5, "2.5 s"), (59, "59 s"), (60, "1 min"), (90, "1.5 min"),
        (93.4629, "93.5 s"), (100, "100 s"), (130, "2.2 min"), (306_000, "85 h"), (306_001, "3.5 days"), (900, "15 min"),
        (3600, "1 h"), (5400, "1.5 h"), (129_600, "1.5 days"), (86_400, "1 day"), (604_800, "7 days"),
    ],
)  # fmt: skip
def test_what_was_declared_is_told_exactly(seconds: float | None, told: str) -> None:
    assert exactly(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 ms"), (0.0042, "4.2 ms"), (0.9994, "999 ms"), (1, "1.0 s"), (119.94, "119.9 s"), (120, "2.0 min"), (7200, "2.0 h"),
        (200_000, "2.3 d"), (-0.5, "-500 ms"), (math.inf, "ever"),
    ],
)  # fmt: skip
def test_what_was_measured_is_told_roughly(seconds: float, told: str) -> None:
    assert roughly(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (1.2, "1.5 s"), (119, "119 s"), (121, "2.5 min"), (306_000, "85 h"), (306_001, "4 days")]
)
def test_what_is_enough_is_no_less_and_round(seconds: float, told: str) -> None:
    assert exactly(rounded_up(seconds)) == told


def test_moments_are_told_in_utc() -> None:
    moment = 1_768_478_400.1239
    assert (clock(moment), clock(moment, fine=True), date(moment)) == ("12:00:00", "12:00:00.123", "2026-01-15 12:00:00")
    assert stamp(moment) == "2026-01-15T12:00:00.123+00:00"


@pytest.mark.parametrize("moment", [math.inf, -math.inf, math.nan, 1e300, -1e17])
def test_a_moment_that_no_calendar_knows_is_no_error(moment: float) -> None:
    assert (clock(moment), clock(moment, fine=True), date(moment), stamp(moment)) == (*["no such time"] * 3, None)
    assert stamp(None) is None
