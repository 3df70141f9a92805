"""What happened, in sentences."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given
from tests.rehearse.story.cases import crash_before_ack, double_refund, runs, stale_cancel

from farandole.rehearse.beats import Beat, Kind
from farandole.rehearse.story import sentences
from farandole.rehearse.story.points import point_words


def test_a_crash_between_commit_and_ack_is_told_with_what_came_of_it() -> None:
    assert sentences(crash_before_ack()) == [
        "The client sent PlaceOrder (order o-1) to sales, which published OrderPlaced (order o-1).",
        "payments handled OrderPlaced (order o-1).",
        "payments crashed after commit, before ack; it restarted 3.0 s later.",
        "inventory was cut off from the broker for 12.0 s.",
        "payments published PaymentCaptured (order o-1).",
        "OrderPlaced (order o-1) came to payments again and was dropped: payments knew it.",
        "shipping failed on PaymentCaptured (order o-1): the disk is full; it waits to be tried again.",
        "The faults ended.",
        "Violated: everything_paid_ships: order o-1 is paid and not shipped.",
    ]


def test_a_call_that_was_done_and_heard_a_time_out_is_told_as_such_and_its_repeat_too() -> None:
    told = sentences(double_refund())
    assert "payments called Gateway.refund; it was done, and the answer was lost." in told
    assert "payments called Gateway.refund again: refunded." in told
    assert (
        "payments.refund failed on OrderCancelled (order o-1): TimeoutError; it waits to be tried again: tried again in 2 s."
        in told
    )
    assert told[-2] == "payments.refund handled OrderCancelled (order o-1) and published PaymentRefunded (order o-1)."


def test_an_event_that_overtakes_an_older_one_says_so_and_the_other_comes_late() -> None:
    told = sentences(stale_cancel())
    assert (
        "OrderCancelled (order o-7) came to shipping ahead of OrderPlaced (order o-7), which had been published earlier, "
        "and was skipped: no such order." in told
    )
    assert "OrderPlaced (order o-7) came to shipping late and was handled, and shipping published ParcelSent (order o-7)." in told
    assert "The broker held OrderPlaced (order o-7) back for 5.0 s." in told


def test_an_effect_that_comes_before_its_cause_has_overtaken_it() -> None:
    told = sentences(
        [
            Beat(0.0, "published", "sales", "OrderPlaced", "one", key="o-1"),
            Beat(0.1, "delivered", "broker", "OrderPlaced", "one", to="payments", key="o-1"),
            Beat(0.2, "published", "payments", "PaymentFailed", "two", key="p-1", cause="one"),
            Beat(0.3, "delivered", "broker", "PaymentFailed", "two", to="shipping", key="p-1"),
            Beat(0.4, "delivered", "broker", "OrderPlaced", "one", to="shipping", key="o-1"),
        ]
    )
    assert "PaymentFailed (p-1) came to shipping ahead of OrderPlaced (o-1), which had been published earlier." in told


def test_events_of_different_publishers_overtake_nobody() -> None:
    told = sentences(
        [
            Beat(0.0, "published", "sales", "A", "one", key="k"),
            Beat(0.1, "published", "payments", "B", "two", key="k"),
            Beat(0.2, "delivered", "broker", "B", "two", to="shipping", key="k"),
            Beat(0.3, "delivered", "broker", "A", "one", to="shipping", key="k"),
        ]
    )
    assert told[2:] == ["B (k) came to shipping.", "A (k) came to shipping."]


def test_events_that_share_type_and_key_are_numbered_and_ids_in_notes_become_names() -> None:
    first, second = "0197a000-aaaa-8bbb-8ccc-000000000001", "0197a000-aaaa-8bbb-8ccc-000000000002"
    told = sentences(
        [
            Beat(0.0, "published", "payments", "Captured", first, key="o-1"),
            Beat(0.1, "published", "payments", "Captured", second, key="o-1"),
            Beat(0.2, "violation", "", "once", note=f"{second} repeats {first}."),
        ]
    )
    assert told == [
        "payments published Captured (o-1) #1 and Captured (o-1) #2.",
        "Violated: once: Captured (o-1) #2 repeats Captured (o-1) #1.",
    ]


def test_a_key_that_is_the_events_own_id_is_not_told() -> None:
    id = "0197a000-aaaa-8bbb-8ccc-000000000001"
    assert sentences([Beat(0.0, "published", "stock", "Counted", id, key=id)]) == ["stock published Counted."]


def test_a_long_key_loses_its_middle_unless_another_looks_like_it() -> None:
    ends = [Beat(0.0, "published", "s", "E", f"id-{middle}", key=f"customer-{middle * 20}-number-one") for middle in "ab"]
    assert sentences(ends[:1]) == ["s published E (customer…er-one)."]
    assert "E (customer-aaaaaaaaaaaaaaaaaaaa-number-one)" in sentences(ends)[0]


def test_one_event_in_two_lanes_of_a_service_does_not_come_again() -> None:
    beats = [
        Beat(0.0, "delivered", "broker", "Placed", "one", to="payments", note="shop.payments"),
        Beat(0.1, "delivered", "broker", "Placed", "one", to="payments", note="shop.payments.charge"),
        Beat(0.2, "handled", "payments", "book", "one"),
        Beat(0.3, "handled", "payments", "charge", "one"),
    ]
    assert sentences(beats)[-2:] == ["payments.book handled Placed.", "payments.charge handled Placed."]
    assert not any("again" in sentence for sentence in sentences(beats))


def test_equal_sentences_in_a_row_are_counted() -> None:
    refused = [Beat(float(at), "fault", "sales", "refused") for at in range(3)]
    assert sentences(refused) == ["The broker refused a publish of sales (3 times)."]


def test_a_command_is_told_with_its_refusal_or_its_answer() -> None:
    send = Beat(0.0, "command", "client", "PlaceOrder", "c", to="sales", key="o-1")
    assert sentences([send, Beat(0.1, "refused", "sales", "PlaceOrder", "c", note="sold out")]) == [
        "The client sent PlaceOrder (o-1) to sales, which refused it: sold out."
    ]
    assert sentences([send, Beat(0.1, "answered", "sales", "PlaceOrder", "c", note="accepted")]) == [
        "The client sent PlaceOrder (o-1) to sales; the answer was: accepted."
    ]
    assert sentences([send, Beat(0.1, "crash", "sales", note="await"), Beat(1.0, "answered", "sales", "PlaceOrder", "c")]) == [
        "The client sent PlaceOrder (o-1) to sales.",
        "sales crashed while it waited.",
        "PlaceOrder (o-1) was answered.",
    ]


def test_an_arrival_is_told_apart_where_something_happens_before_its_outcome() -> None:
    told = sentences(
        [
            Beat(0.0, "delivered", "broker", "Placed", "one", to="payments"),
            Beat(0.1, "database", "payments", "refused"),
            Beat(0.2, "dead", "payments", "Placed", "one", note="tried 5 times"),
        ]
    )
    assert told == [
        "Placed came to payments.",
        "payments had a commit refused by its database.",
        "payments gave up on Placed: tried 5 times.",
    ]


@pytest.mark.parametrize(
    ("beat", "sentence"),
    [
        (Beat(0, "crash", "sales"), "sales crashed."),
        (Beat(0, "restart", "sales", note="newer version"), "sales restarted (newer version)."),
        (Beat(0, "pause", "sales", seconds=0.25), "sales stood still for 250 ms."),
        (Beat(0, "clock", "sales", seconds=-30), "sales had its clock set back by 30.0 s."),
        (Beat(0, "clock", "sales", seconds=30), "sales had its clock set forward by 30.0 s."),
        (Beat(0, "cut", "sales", "one_way", seconds=3), "sales reached the broker, but heard nothing back for 3.0 s."),
        (Beat(0, "cut", "broker", seconds=3), "The broker was cut off from everyone for 3.0 s."),
        (Beat(0, "fault", "broker", "failover"), "The broker failed over to another machine."),
        (Beat(0, "fault", "sales", "unanswered"), "The broker stored a publish of sales, and the answer was lost."),
        (Beat(0, "fault", "sales", "partial"), "The broker stored only part of a publish of sales."),
        (Beat(0, "fault", "broker", "duplicate"), "The broker stored a message twice."),
        (Beat(0, "fault", "sales", "skew", seconds=2), "sales had a clock that was off by 2.0 s."),
        (Beat(0, "fault", "sales", "moonlight", seconds=2, note="full"), "sales met the fault moonlight for 2.0 s: full."),
        (Beat(0, "database", "sales", "statement"), "sales had a statement fail in its database."),
        (Beat(0, "database", "sales", "slow", seconds=4), "sales had a slow database for 4.0 s."),
        (
            Beat(0, "database", "sales", "unknown"),
            "sales got an error from a commit, which may have been kept all the same.",
        ),
        (
            Beat(0, "outside", "sales", "Mail.send", note="timed out before acting"),
            "sales called Mail.send and heard a time-out; nothing was done.",
        ),
        (Beat(0, "skipped", "sales", "Placed", "one", note="too old"), "sales skipped Placed: too old."),
        (Beat(0, "parked", "sales", "Placed", "one", note="one ahead failed"), "sales made Placed wait: one ahead failed."),
        (Beat(0, "heal", "broker", note="20 s of calm"), "The faults ended: 20 s of calm."),
        (Beat(0, "violation", "", "lost"), "Violated: lost."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_trouble_has_its_words(beat: Beat, sentence: str) -> None:
    assert sentences([beat]) == [sentence]


def test_a_crash_is_before_ack_only_where_an_event_was_in_hand() -> None:
    crash = Beat(0.3, "crash", "sales", note="store.commit:after")
    delivered = Beat(0.1, "delivered", "broker", "Placed", "one", to="sales")
    published = Beat(0.2, "published", "sales", "Told", "two")
    command = Beat(0.2, "command", "client", "Place", "three", to="sales")
    assert sentences([delivered, crash])[-1] == "sales crashed after commit, before ack."
    assert sentences([delivered, published, crash])[-1] == "sales crashed after commit."
    assert sentences([delivered, command, crash])[-1] == "sales crashed after commit."
    assert sentences([crash]) == ["sales crashed after commit."]


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("store.claim:before", "before marking events as handled"),
        ("claim:after", "after marking events as handled"),
        ("store.fates:before", "before the statement fates"),
        ("broker.publish:after", "after publishing, before noting it"),
        ("broker.release:before", "before handing back what it had fetched"),
        ("broker.fault:failover", "when the broker's fault failover struck"),
        ("somewhere else", "at somewhere else"),
    ],
)
def test_crash_points_are_told_in_words(point: str, words: str) -> None:
    assert point_words(point) == words


@given(runs)
def test_no_run_is_beyond_words(beats: list[Beat]) -> None:
    for sentence in sentences(beats):
        assert sentence
        assert sentence.isprintable()


@pytest.mark.parametrize("kind", typing.get_args(Kind))
def test_a_beat_with_nothing_but_its_kind_is_a_sentence(kind: Kind) -> None:
    (sentence,) = sentences([Beat(0.0, kind, "")])
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("note", "end"), [("answered", "."), ("", "."), ("slow", ", which took long."), ("raised Declined", ": raised Declined.")]
)
def test_an_outside_call_ends_as_its_note_says(note: str, end: str) -> None:
    assert sentences([Beat(0.0, "outside", "sales", "Mail.send", note=note)]) == [f"sales called Mail.send{end}"]
