"""The measures themselves."""

from __future__ import annotations

import asyncio
from importlib import import_module

import pytest
from benchmarks.clock import Goal, Meter, Pace, compared

pytestmark = pytest.mark.real_time


def test_a_meter_starts_its_clock_with_a_fifth_and_ends_with_all(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("benchmarks.clock.time.perf_counter", lambda: now[0])
    meter = Meter(100)
    for at, (more, done) in enumerate(((10, False), (15, False), (50, False), (25, True), (10, True)), 1):
        now[0] = float(at)
        assert meter.add(more) is done
    assert meter.pace is not None
    assert meter.pace.per_s == 75 / 2  # from the second look, with 25 handled, to the fourth


async def test_a_goal_counts_on_from_the_one_before():
    goal = Goal()
    goal.add(3)
    await goal.until(3)
    waiting = asyncio.create_task(goal.until(2))
    await asyncio.sleep(0)
    goal.add(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    goal.add(1)
    await waiting


def test_ratios_are_taken_within_a_round():
    rounds = [
        (Pace(10, 1), Pace(5, 2), Pace(20, 3)),
        (Pace(30, 1), Pace(10, 2), Pace(10, 3)),
        (Pace(20, 1), Pace(20, 2), Pace(20, 3)),
    ]
    figures = compared(rounds, ("ours", "hand", "rival"), of="events")
    assert (figures["ours_events_per_s"], figures["hand_events_per_s"]) == (20, 10)
    assert (figures["ratio_to_hand"], figures["ratio_to_rival"]) == (2, 1)
    assert compared([pair[:2] for pair in rounds], ("ours", "hand"))["ratio"] == 2


@pytest.mark.parametrize("name", ["postgres", "brokers", "cluster", "steady"])
def test_without_servers_a_benchmark_says_how_to_include_it(name, monkeypatch, capsys):
    for server in ("POSTGRES", "NATS", "REDIS", "KAFKA", "RABBITMQ"):
        monkeypatch.delenv(f"FARANDOLE_{server}", raising=False)
    import_module(f"benchmarks.{name}").main()
    said = capsys.readouterr().out
    assert "left out" in said
    assert "scripts/servers up" in said
