"""Signals: deaf by default; counters count what they hear."""

from __future__ import annotations

from farandole.runtime.signals import Counters, Signals


def speak(to: Signals) -> None:
    to.handled("lane", 3)
    to.handled("other", 2)
    to.duplicates("lane", 4)
    to.failed("r", "e", "parked", "why")
    to.failed("r", "e", "dead", "why")
    to.failed("r", "f", "dead", "why")
    to.failed("r", "f", "skipped", "why")
    to.retried("r", 6)
    to.published("s", 7)
    to.trouble("who", ValueError())


def test_counters_count_what_they_hear() -> None:
    counters = Counters()
    speak(counters)
    assert dict(counters) == {
        "handled": 5,
        "duplicates": 4,
        "retries": 6,
        "parked": 1,
        "dead": 2,
        "skipped": 1,
        "published": 7,
        "trouble": 1,
    }
    assert len(counters) == 8


def test_what_never_happened_counts_nothing() -> None:
    assert set(Counters().values()) == {0}


def test_signals_themselves_are_deaf() -> None:
    signals = Signals()
    speak(signals)
    assert vars(signals) == {}
