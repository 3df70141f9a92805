"""What concerns a violation is kept, the rest is folded."""

from __future__ import annotations

from hypothesis import given
from tests.rehearse.story.cases import beats, busy_day, order, runs, stale_cancel

from farandole.rehearse.beats import Beat
from farandole.rehearse.story import Fold, relevant, sentences


def test_a_long_run_is_folded_to_what_its_violation_names_and_to_all_faults() -> None:
    assert sentences(busy_day()) == [
        "… 16 more events of other orders",
        "payments crashed before ack.",
        "… 6 more events of other orders",
        "The client sent PlaceOrder (order o-12) to sales, which published OrderPlaced (order o-12).",
        "… 16 more events of other orders",
        "Violated: every_order_is_paid: order o-12 is placed and never paid.",
    ]


def test_folds_stand_in_the_order_of_time() -> None:
    run = [*order(1, 0.0), Beat(5.0, "crash", "sales"), *order(2, 6.0), *order(3, 7.0), Beat(8.0, "restart", "sales")]
    run += [*order(4, 9.0), Beat(20.0, "violation", "", "rule", note="o-4 is wrong")]
    times = [beat.time for beat in relevant(run)]
    assert [str(beat) for beat in relevant(run) if isinstance(beat, Fold)] == ["… 6 more events of other keys"]
    assert times == sorted(times)


def test_every_event_that_is_left_out_is_counted_once() -> None:
    left_out = sum(beat.events for beat in relevant(busy_day()) if isinstance(beat, Fold))
    assert left_out == 2 * 19


def test_causes_and_effects_of_other_keys_are_kept_and_effects_of_causes_are_not() -> None:
    run = [
        Beat(0.0, "published", "dock", "ShipArrived", "ship", key="s-1"),
        Beat(0.0, "published", "stock", "StockReceived", "delivery", key="d-1", cause="ship"),
        Beat(0.1, "published", "sales", "OrderPlaced", "placed", key="o-1", cause="delivery"),
        Beat(0.2, "published", "payments", "Refunded", "refund", key="r-1", cause="placed"),
        Beat(0.3, "published", "sales", "OrderPlaced", "other", key="o-2", cause="delivery"),
        Beat(0.4, "violation", "", "refunds", note="o-1 got too much"),
    ]
    kept = [beat.id for beat in relevant(run) if isinstance(beat, Beat)]
    assert kept == ["ship", "delivery", "placed", "refund", ""]


def test_an_id_in_a_violation_counts_as_its_key_does() -> None:
    run = [*order(1, 0.0), *order(2, 1.0), Beat(5.0, "violation", "", "lost", note="placed-2 was lost")]
    kept = {beat.id for beat in relevant(run) if isinstance(beat, Beat)}
    assert kept == {"placed-2", "command-2", ""}


def test_a_key_is_a_word_of_its_own() -> None:
    run = [*order(1, 0.0), *order(12, 1.0), Beat(5.0, "violation", "", "lost", note="order o-12, again: o-12-b.")]
    assert {beat.key for beat in relevant(run) if isinstance(beat, Beat)} == {"o-12", ""}


def test_a_violation_that_names_nothing_is_about_what_met_trouble() -> None:
    run = [beat for number in range(20) for beat in order(number, float(number))]
    run.insert(50, Beat(15.0, "failed", "payments", "OrderPlaced", "placed-3", key="o-3", note="why"))
    run.append(Beat(50.0, "violation", "", "the_sum_is_right", note="3 is not 4"))
    assert {beat.key for beat in relevant(run) if isinstance(beat, Beat)} == {"o-3", ""}


def test_a_short_run_or_one_without_a_violation_is_told_whole() -> None:
    run = [*order(1, 0.0), *order(2, 1.0)]
    assert relevant(run) == run
    assert relevant([*run, Beat(3.0, "violation", "", "rule", note="words")])[:-1] == run


def test_what_is_outside_belongs_to_the_event_that_its_service_works_on() -> None:
    call = Beat(0.0, "outside", "payments", "Gateway.charge", note="charged")
    run = [
        beat
        for number in (1, 2)
        for at, beat in enumerate(order(number, number))
        for beat in ([beat, call] if at == 2 else [beat])
    ]
    run.append(Beat(5.0, "violation", "", "rule", note="o-2 is wrong"))
    kept = relevant(run)
    assert [beat.kind for beat in kept if isinstance(beat, Beat)].count("outside") == 1


def test_selecting_twice_is_selecting_once() -> None:
    for run in (busy_day(), stale_cancel()):
        assert relevant(relevant(run)) == relevant(run)


@given(runs, beats)
def test_no_fault_and_no_violation_is_ever_left_out(run: list[Beat], last: Beat) -> None:
    kept = relevant([*run, last])
    loud = ("crash", "restart", "pause", "clock", "cut", "fault", "database", "heal", "violation")
    assert [beat for beat in kept if isinstance(beat, Beat) and beat.kind in loud] == [
        beat for beat in [*run, last] if beat.kind in loud
    ]
