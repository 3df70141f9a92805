"""The sequence diagram and the report for a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rehearse.story.cases import ALL, busy_day, crash_before_ack, double_refund, runs, stale_cancel, texts

from farandole.drawing.letters import cells
from farandole.rehearse.beats import Beat
from farandole.rehearse.story import diagram, sentences, tell
from farandole.rehearse.story.times import clock


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_crash_and_the_delivery_after_it_are_drawn() -> None:
    assert diagram(crash_before_ack(), width=80).splitlines()[:8] == [
        "              client         sales       payments      inventory     shipping",
        "    0.00         ├────────────▶│ PlaceOrder  │             │             │",
        "    0.02         │◀·· done ····┤             │             │             │",
        "    0.03         │             ├────────────▶│ OrderPlaced │             │",
        "    0.05         │             │             ✗ crashed after commit, before ack",
        "    3.05         │             │             ↻ restarted   │             │",
        "    3.06         │      cut off from the broker for 12.0 s ↯             │",
        "    3.20         │             ├╌╌╌╌╌╌╌╌╌╌╌╌▶│ OrderPlaced again         │",
    ]


def test_long_names_of_services_are_cut_and_stay_apart() -> None:
    names = [f"order-management-{word}" for word in ("intake", "output", "a", "b", "c", "d", "e", "f")]
    run = [Beat(0.0, "pause", name, seconds=1.0) for name in names]
    heading = diagram(run, width=80).splitlines()[0].split()
    assert len(heading) == len(set(heading)) == len(names)


def test_more_lifelines_than_fit_become_a_list() -> None:
    run = [Beat(0.5, "pause", f"service-{number}", seconds=1.0) for number in range(9)]
    assert diagram(run, width=80).splitlines()[0] == "    0.50  service-0 stood still for 1.0 s."
    assert "•" not in diagram(run, width=80)
    assert "↯ stood still" in diagram(run, width=120)


def test_a_service_that_is_down_has_no_lifeline_and_a_hindered_one_a_broken_one() -> None:
    run = [
        Beat(0.0, "crash", "payments", note="await"),
        Beat(0.0, "cut", "stock", "cut", seconds=5.0),
        Beat(1.0, "pause", "sales", seconds=0.5),
        Beat(2.0, "restart", "payments"),
        Beat(6.0, "pause", "sales", seconds=0.5),
    ]
    lines = diagram(run, width=120).splitlines()
    payments, stock = lines[1].index("✗"), lines[2].index("↯")
    assert [line[payments] for line in lines[1:6]] == ["✗", " ", " ", "↻", "│"]
    assert [line[stock] for line in lines[2:6]] == ["↯", "┊", "┊", "│"]


def test_what_was_lost_and_what_was_repeated_look_like_it() -> None:
    drawn = diagram(double_refund(), width=80)
    assert re.search(r"✗─+ done, but the answer was lost: timed out ─+┤|✗─+┤", drawn)
    assert "done, but the answer was lost: timed out" in drawn
    assert re.search(r"├╌+ refund again ╌+▶|├╌+▶│ refund again", drawn)


def test_an_overtaking_is_told_at_both_arrows() -> None:
    drawn = diagram(stale_cancel(), width=80)
    assert "OrderCancelled (ahead of OrderPlaced)" in drawn
    assert "OrderPlaced (late)" in drawn


def test_colour_changes_nothing_but_colour() -> None:
    for make in ALL.values():
        assert plain(tell(make(), width=90, colour=True)) == tell(make(), width=90)
        assert "\x1b" not in tell(make(), width=90)
    assert "\x1b[1;31m" in diagram(crash_before_ack(), colour=True)


def test_the_report_says_first_what_was_violated_then_draws_then_tells() -> None:
    report = tell(busy_day(), width=80)
    headline, drawn, told = report.split("\n\n")
    assert headline == "Violated: every_order_is_paid: order o-12 is placed and never paid."
    assert "═ ✗ every_order_is_paid" in drawn
    assert " ".join(line[10:] for line in told.splitlines()) == " ".join(sentences(busy_day()))


def test_without_a_violation_the_report_says_so() -> None:
    assert tell([]) == "Nothing was violated."
    assert tell(crash_before_ack()[:-1]).startswith("Nothing was violated.\n\n")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [30, 60, 80, 100, 200])
def test_real_stories_keep_within_the_terminal(name: str, width: int) -> None:
    assert all(cells(line) <= width for line in tell(ALL[name](), width=width).splitlines())


@given(runs, st.integers(0, 140), st.booleans())
def test_any_story_keeps_within_the_terminal(run: list[Beat], width: int, colour: bool) -> None:
    lines = plain(tell(run, width=width, colour=colour)).split("\n")
    assert all(cells(line) <= max(width, 30) for line in lines)
    assert all(line.isprintable() for line in lines)


@given(texts, texts, st.integers(30, 100))
def test_labels_of_any_length_keep_within_the_terminal(what: str, note: str, width: int) -> None:
    run = [
        Beat(0.0, "command", "client", what, "one", to="sales"),
        Beat(1.0, "delivered", "sales", what, "two", to="payments"),
        Beat(2.0, "crash", "payments", note=note),
        Beat(3.0, "violation", "", what, note=note),
    ]
    assert all(cells(line) <= width for line in diagram(run, width=width).split("\n"))


@pytest.mark.parametrize("time", [0.0, 99999.99, 1e9, -1.05e100, float("inf"), float("nan")])
def test_any_time_fits_its_column(time: float) -> None:
    assert cells(clock(time)) <= 8


@pytest.mark.parametrize("width", range(30, 100, 7))
def test_no_word_of_the_violation_is_cut(width: int) -> None:
    words = " ".join(f"word-{number}" for number in range(40))
    drawn = diagram([Beat(0.0, "pause", "sales"), Beat(1.0, "violation", "", "rule", note=words)], width=width)
    assert [word for word in drawn.split() if word.startswith("word-")] == words.split()
