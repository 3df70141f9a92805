"""What was told of events changes what is expected, and says why something does not come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.checks.sketch import chart, command, deadline, reaction, workflow
from tests.observe.told import START, says

from farandole.graph import Expectation, Graph, Workflow
from farandole.observe.status import Status, Statuses
from farandole.stores.record import Entry, Fate

SHOP = chart(
    command("orders.place", "PlaceOrder", "OrderPlaced"),
    reaction("payments.charge", "OrderPlaced", "Paid | Declined", exhausted="Declined"),
    reaction("orders.confirm", "Paid", "OrderConfirmed"),
    reaction("orders.cancel", "Declined", "OrderCancelled"),
    workflow(),
)
PLACED = says("orders", "OrderPlaced", "command")


def fate(state: str, id: str = "OrderPlaced", of: str = "payments.charge", **more: Any) -> Fate:
    return Fate(id=id, correlation_id="c", reaction=of, state=state, **({"at": START + 1} | more))


def seen(graph: Graph, entries: list[Entry], *fates: Fate, at: float = 10) -> Status:
    return Statuses(graph).of(entries, START + at, fates)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (fate("skipped", reason="not today"), "payments.charge skipped OrderPlaced: not today"),
        (fate("skipped"), "payments.charge skipped OrderPlaced: it did not say why"),
        (fate("done", emitted=0), "payments.charge answered OrderPlaced with nothing"),
        (fate("exhausted", emitted=0, reason="OSError"), "payments.charge gave up on OrderPlaced and said nothing: OSError"),
    ],
)
def test_what_comes_no_more_is_not_expected(told: Fate, reason: str) -> None:
    found = seen(SHOP, [PLACED], told)
    assert (found.expected, found.state, found.reason) == ((), "stalled", reason)
    assert f"nothing is expected any more: {reason}" in str(found)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (fate("dead", reason="no card"), "a dead letter of payments: no card"),
        (fate("dead", reason="no card", attempt=5), "a dead letter of payments after 5 runs: no card"),
        (fate("dead", of="payments.(envelope)", reason="no JSON"), "a dead letter of payments: no JSON"),
        (fate("parked", reason="away", due=START + 60), "failed 1 time, the last at 08:00:01: away; next try 08:01:00"),
        (fate("parked", reason="away", attempt=3), "failed 3 times, the last at 08:00:01: away"),
        (fate("parked"), "waits for its turn since 08:00:01, behind another event of its key"),
        (fate("done", emitted=2), "returned 2 events at 08:00:01, not published yet: in the outbox of payments"),
        (fate("done"), "ran at 08:00:01; what it said is not recorded"),
        (fate("exhausted", reason="away"), "gave up at 08:00:01: away"),
        (fate("duplicate", of="email.notify"), ""),
        (fate("done", of="email.notify"), "nothing was ever told of it: payments is down, or far behind"),
    ],
)
def test_what_may_still_come_is_expected_with_the_reason_why_it_has_not(told: Fate, reason: str) -> None:
    found = seen(SHOP, [PLACED], told)
    assert ([one.reaction for one in found.expected], found.reason) == (["shop.payments.charge"], reason)
    assert found.state == "running"
    assert reason in str(found)


def test_the_latest_that_was_told_counts_and_a_repeat_does_not() -> None:
    later = [fate("parked", reason="away"), fate("dead", reason="gone", at=START + 5), fate("duplicate", at=START + 9)]
    assert seen(SHOP, [PLACED], *reversed(later)).reason == "a dead letter of payments: gone"


def test_what_no_broker_takes_is_told_of_the_outbox() -> None:
    refused = fate("dead", id="x", of="(relay)", reason="too large")
    found = seen(SHOP, [PLACED], fate("done", emitted=1), refused)
    assert found.reason == "returned 1 event at 08:00:01, which cannot be published: too large"


def test_a_reaction_that_answered_is_settled_whatever_was_told_of_it() -> None:
    paid = says("payments", "Paid", "OrderPlaced", at=2)
    found = seen(SHOP, [PLACED, paid], fate("done", emitted=1), at=3)
    assert [one.reaction for one in found.expected] == ["shop.orders.confirm"]


def test_a_join_that_waits_says_for_what_and_from_whom_and_that_it_gave_up() -> None:
    graph = chart(
        reaction("a.pay", "OrderPlaced", "Paid"), reaction("b.pack", "OrderPlaced", "Packed"),
        reaction("c.ship", "Paid + Packed", "OrderConfirmed"), workflow(),
    )  # fmt: skip
    paid = says("a", "Paid", "OrderPlaced", at=1)
    told = [fate("dead", of="b.pack", reason="no box"), fate("dead", id="Paid", of="c.ship", reason="Packed did not come")]
    found = seen(graph, [PLACED, paid], *told)
    assert {one.reaction: one.reason for one in found.expected} == {
        "shop.b.pack": "a dead letter of b: no box",
        "shop.c.ship": "the join waits for Packed from b; it gave up: Packed did not come",
    }
    assert found.reason == "a dead letter of b: no box"  # where it began
    packed = says("b", "Packed", "OrderPlaced", at=2)
    assert seen(graph, [PLACED, paid, packed], fate("done", id="Packed", of="c.ship", emitted=0)).state == "stalled"


def test_the_time_of_a_deadline_that_runs_is_no_reason() -> None:
    graph = chart(deadline("a.late", "OrderPlaced", "Paid", "OrderCancelled"), workflow())
    running = seen(graph, [PLACED], fate("parked", of="a.late", due=START + 900))
    assert ([one.reason for one in running.possible], running.state) == ([""], "running")
    over = seen(graph, [PLACED], fate("done", of="a.late", emitted=0), at=1000)
    assert (over.possible, over.state) == ((), "stalled")


def test_a_compensation_that_was_skipped_leaves_nothing_to_undo() -> None:
    graph = chart(
        reaction("payments.charge", "OrderPlaced", "Paid"), reaction("stock.reserve", "OrderPlaced", "OrderCancelled"),
        reaction("payments.refund", "OrderCancelled", "Refunded", compensates="payments.charge", undoes="Paid"), workflow(),
    )  # fmt: skip
    entries = [PLACED, says("payments", "Paid", "OrderPlaced", at=1), says("stock", "OrderCancelled", "OrderPlaced", at=2)]
    assert seen(graph, entries).state == "compensating"
    skipped = fate("skipped", id="OrderCancelled", of="payments.refund", reason="by hand")
    assert (seen(graph, entries, skipped).state, seen(graph, entries, skipped).is_over) == ("failed", True)


# --- clocks


def test_an_event_is_not_earlier_than_its_cause_whatever_its_clock_says() -> None:
    paid = says("payments", "Paid", "OrderPlaced", at=-7200)
    found = seen(SHOP, [PLACED, paid])
    assert (found.expected[0].since, found.began) == (START, START)
    assert found.events == (PLACED, paid)  # shown as they are


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sets(st.integers(0, 9), max_size=3), st.none() | st.floats(-1e12, 1e12)), max_size=10
    )
)
def test_no_causes_and_no_times_of_strangers_are_too_odd(events: list[tuple[int, set[int], float | None]]) -> None:
    types = ["OrderPlaced", "Paid", "Declined", "Nobody"]
    entries = [PLACED]
    for number, causes, at in events:
        made = says("payments", types[number % 4], *(f"e{cause}" for cause in causes), id=f"e{number}")
        entries.append(Entry(**{name: getattr(made, name) for name in Entry.__struct_fields__ if name != "time"}, time=at))
    found = seen(SHOP, entries, fate("dead", due=1e18), fate("parked", reason="x", due=1e18, at=-1e18))
    assert found.state in ("running", "stalled", "failed", "compensating")
    assert str(found)


# --- service levels


def levels(*more: Any) -> Graph:
    flow = SHOP.workflows[0]
    expects = (Expectation("fast money", "shop.OrderPlaced.v1", ("shop.Paid.v1", "shop.Declined.v1"), 30.0), *more)
    return Graph(SHOP.name, reactions=SHOP.reactions, messages=SHOP.messages, services=SHOP.services,
                 workflows=(Workflow(flow.name, flow.place, flow.starts, flow.succeeds, flow.fails, expects=expects),))  # fmt: skip


def test_a_level_is_open_until_one_of_its_events_comes() -> None:
    early = seen(levels(), [PLACED], at=29)
    assert [(one.name, one.cause, one.due - START) for one in early.levels] == [("fast money", "OrderPlaced", 30.0)]
    assert early.changes_at == START + 30
    late = seen(levels(), [PLACED], at=31)
    assert (late.state, late.changes_at) == ("running", None)
    assert "promised: Paid or Declined, by the service level 'fast money': overdue for 1.0 s" in str(late)
    assert seen(levels(), [PLACED, says("payments", "Paid", "OrderPlaced", at=40)], at=50).levels == ()


def test_each_event_is_followed_by_one_that_is_not_earlier() -> None:
    again = says("orders", "OrderPlaced", "x", id="again", at=20)
    paid = says("payments", "Paid", "OrderPlaced", at=10)
    assert [one.cause for one in seen(levels(), [PLACED, paid, again]).levels] == ["again"]
    undated = Entry(**{name: getattr(paid, name) for name in Entry.__struct_fields__ if name != "time"}, time=None)
    assert seen(levels(), [PLACED, undated]).levels == ()


def test_a_level_lapses_where_the_workflow_failed_and_stays_where_it_succeeded() -> None:
    mail = Expectation("mail", "shop.OrderPlaced.v1", ("shop.Mailed.v1",), 60.0)
    cancelled = says("orders", "OrderCancelled", "x", at=3)
    assert seen(levels(mail), [PLACED, cancelled]).levels == ()
    confirmed = says("orders", "OrderConfirmed", "x", at=3)
    found = seen(levels(mail), [PLACED, says("payments", "Paid", "OrderPlaced", at=2), confirmed])
    assert ([one.name for one in found.levels], found.state, found.changes_at) == (["mail"], "succeeded", START + 60)
