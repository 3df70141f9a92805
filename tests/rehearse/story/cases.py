"""Runs as they happen, written by hand; and beats of any kind, drawn at random."""

from __future__ import annotations

import typing

from hypothesis import strategies as st

from farandole.rehearse.beats import Beat, Kind

PLACE, PLACED, RESERVED = (f"0197a000-aaaa-8bbb-8ccc-00000000000{digit}" for digit in "123")
CAPTURED, CAPTURED_TOO = (f"0197a000-aaaa-8bbb-8ccc-00000000000{digit}" for digit in "45")


def crash_before_ack() -> list[Beat]:
    """A consumer dies between commit and ack; the event comes again and is known."""
    return [
        Beat(0.0, "command", "client", "PlaceOrder", PLACE, to="sales", key="o-1"),
        Beat(0.01, "published", "sales", "OrderPlaced", PLACED, key="o-1", cause=PLACE),
        Beat(0.02, "answered", "sales", "PlaceOrder", PLACE, key="o-1"),
        Beat(0.03, "delivered", "broker", "OrderPlaced", PLACED, to="payments", key="o-1"),
        Beat(0.04, "handled", "payments", "OrderPlaced", PLACED, key="o-1"),
        Beat(0.05, "crash", "payments", note="store.commit:after"),
        Beat(3.05, "restart", "payments"),
        Beat(3.06, "cut", "inventory", "cut", seconds=12.0),
        Beat(3.1, "published", "payments", "PaymentCaptured", CAPTURED, key="o-1", cause=PLACED),
        Beat(3.2, "delivered", "broker", "OrderPlaced", PLACED, to="payments", key="o-1"),
        Beat(3.21, "duplicate", "payments", "OrderPlaced", PLACED, key="o-1"),
        Beat(3.3, "delivered", "broker", "PaymentCaptured", CAPTURED, to="shipping", key="o-1"),
        Beat(3.31, "failed", "shipping", "PaymentCaptured", CAPTURED, key="o-1", note="the disk is full"),
        Beat(3.32, "parked", "shipping", "PaymentCaptured", CAPTURED, key="o-1", note="the disk is full"),
        Beat(9.0, "heal", "broker"),
        Beat(20.0, "violation", "", "everything_paid_ships", note="order o-1 is paid and not shipped"),
    ]


def double_refund() -> list[Beat]:
    """The answer of the gateway is lost, and the refund is asked for once more."""
    return [
        Beat(1.0, "published", "sales", "OrderCancelled", "cancel-1", key="o-1"),
        Beat(1.1, "delivered", "broker", "OrderCancelled", "cancel-1", to="payments", key="o-1"),
        Beat(1.2, "outside", "payments", "Gateway.refund", "cancel-1", key="o-1", note="timed out after acting"),
        Beat(1.3, "failed", "payments", "refund", "cancel-1", note="TimeoutError"),
        Beat(1.3, "parked", "payments", "refund", "cancel-1", note="tried again in 2 s"),
        Beat(3.3, "outside", "payments", "Gateway.refund", "cancel-1", key="o-1", note="refunded"),
        Beat(3.4, "handled", "payments", "refund", "cancel-1"),
        Beat(3.5, "published", "payments", "PaymentRefunded", "refunded-1", key="o-1", cause="cancel-1"),
        Beat(9.0, "violation", "payments", "refunds_at_most_what_was_paid", note="order o-1 got back 20.00 of 10.00"),
    ]


def stale_cancel() -> list[Beat]:
    """A cancellation overtakes the order."""
    return [
        Beat(0.0, "command", "client", "PlaceOrder", "c-place", to="sales", key="o-7"),
        Beat(0.01, "published", "sales", "OrderPlaced", "e-placed", key="o-7", cause="c-place"),
        Beat(0.02, "fault", "broker", "delay", "e-placed", seconds=5.0),
        Beat(1.0, "command", "client", "CancelOrder", "c-cancel", to="sales", key="o-7"),
        Beat(1.01, "published", "sales", "OrderCancelled", "e-cancelled", key="o-7", cause="c-cancel"),
        Beat(1.02, "delivered", "broker", "OrderCancelled", "e-cancelled", to="shipping", key="o-7"),
        Beat(1.03, "skipped", "shipping", "OrderCancelled", "e-cancelled", key="o-7", note="no such order"),
        Beat(5.03, "delivered", "broker", "OrderPlaced", "e-placed", to="shipping", key="o-7"),
        Beat(5.04, "handled", "shipping", "OrderPlaced", "e-placed", key="o-7"),
        Beat(5.05, "published", "shipping", "ParcelSent", "e-sent", key="o-7", cause="e-placed"),
        Beat(9.0, "violation", "shipping", "nobody_ships_cancelled", note="order o-7 is cancelled and shipped"),
    ]


def order(number: int, at: float) -> list[Beat]:
    """One order that goes well: a command and an event."""
    command, event, key = f"command-{number}", f"placed-{number}", f"o-{number}"
    return [
        Beat(at, "command", "client", "PlaceOrder", command, to="sales", key=key),
        Beat(at + 0.1, "published", "sales", "OrderPlaced", event, key=key, cause=command),
        Beat(at + 0.2, "delivered", "broker", "OrderPlaced", event, to="payments", key=key),
        Beat(at + 0.3, "handled", "payments", "OrderPlaced", event, key=key),
    ]


def busy_day() -> list[Beat]:
    """Twenty orders, of which number 12 is lost, and a crash."""
    beats = [beat for number in range(1, 21) for beat in order(number, float(number))]
    beats.insert(30, Beat(8.5, "crash", "payments", note="broker.ack:before"))
    lost = [beat for beat in beats if not (beat.kind in ("delivered", "handled") and beat.key == "o-12")]
    return [*lost, Beat(40.0, "violation", "", "every_order_is_paid", note="order o-12 is placed and never paid")]


def long_words() -> list[Beat]:
    """Names and reasons that are longer than one would wish, from one edge of a diagram to the other."""
    event = "InventoryReservationFailedForEverAndEver"
    return [
        Beat(0.0, "command", "client", "PlaceOrderWithAVeryLongNameIndeed", "c", to="recommendation-engine", key="o-1"),
        Beat(1.0, "published", "recommendation-engine", event, "e", key="o-1", cause="c"),
        Beat(2.0, "delivered", "broker", event, "e", to="shipping", key="o-1"),
        Beat(2.0, "delivered", "broker", event, "e", to="recommendation-engine", key="o-1"),
        Beat(3.0, "crash", "shipping", note="x" * 90),
        Beat(4.0, "published", "shipping", event, "f", key="o-1"),
        Beat(4.1, "delivered", "broker", event, "f", to="stock", key="o-1"),
        Beat(5.0, "dead", "stock", event, "f", key="o-1", note="tried " * 30),
        Beat(9.0, "violation", "", "rule_" * 20, note="words that go on about o-1 " * 30),
    ]


ALL = {make.__name__: make for make in (crash_before_ack, double_refund, stale_cancel, busy_day, long_words)}

NASTY = [
    "end", "a;b", "#35;", 'say "hi"', 'ends in "', '"""', "\\", "\\N{", "two\nlines", "<b>&amp;</b>", "]]>", "%%{init}%%", "wrap: x",
    "$$", "a->>b: c", "", "  ", "\ud800", "\x00\x1b[31m", "\u2028", "{lasting} {of} {event} {}", "漢字", "e\u0301", "🎉", "x" * 90,
]  # fmt: skip

texts = (
    st.sampled_from(NASTY)
    | st.text(max_size=12)
    | st.sampled_from(["payments", "sales", "broker", "client", "o-1", "id-00000001"])
)
moments = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 100)
kinds: st.SearchStrategy[Kind] = st.sampled_from(typing.get_args(Kind))
beats = st.builds(Beat, moments, kinds, *[texts] * 7, moments)
runs = st.lists(beats, max_size=14)
