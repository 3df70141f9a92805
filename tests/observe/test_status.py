"""Where an instance is: derived from the declarations and its events, at every moment of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.checks.sketch import chart, command, deadline, reaction, workflow
from tests.observe.told import START, brief, names, says, status

from farandole.graph import Graph, Reaction
from farandole.model.envelope import caused_id
from farandole.observe.expected import Ways
from farandole.observe.status import Statuses
from farandole.stores.record import Entry

PLACE = command("orders.place", "PlaceOrder", "OrderPlaced")
CHARGE = reaction("payments.charge", "OrderPlaced", "Paid | Declined")
CONFIRM = reaction("orders.confirm", "Paid", "OrderConfirmed")
CANCEL = reaction("orders.cancel", "Declined", "OrderCancelled")
NOTIFY = reaction("email.notify", "OrderPlaced", "Mailed | None")
LISTEN = reaction("analytics.count", "OrderPlaced", "None")
SHOP = chart(PLACE, CHARGE, CONFIRM, CANCEL, NOTIFY, LISTEN, workflow())
PLACED = says("orders", "OrderPlaced", "command")
PAID = says("payments", "Paid", "OrderPlaced", at=1)
DECLINED = says("payments", "Declined", "OrderPlaced", at=1)


# --- reactions


def test_who_must_answer_is_expected_and_who_may_be_silent_is_possible() -> None:
    found = status(SHOP, PLACED, at=2)
    assert brief(found) == ("running", ["payments.charge"])
    (charge,) = found.expected
    assert (names(charge.types), charge.service, charge.way, charge.causes) == (
        "Paid Declined",
        "shop.payments",
        "reaction",
        ("OrderPlaced",),
    )
    assert (charge.since, charge.due) == (START, None)
    assert [one.reaction for one in found.possible] == ["shop.email.notify"]
    assert (found.workflow, found.began, found.since) == ("checkout", START, START)


def test_an_answer_opens_the_next_question() -> None:
    assert brief(status(SHOP, PLACED, PAID)) == ("running", ["orders.confirm"])


def test_a_success_ends_it_and_a_failure_too() -> None:
    good = status(SHOP, PLACED, PAID, says("orders", "OrderConfirmed", "Paid", at=3), at=9)
    assert (brief(good), good.since, good.is_over, good.changes_at) == (("succeeded", []), START + 3, True, None)
    bad = status(SHOP, PLACED, DECLINED, says("orders", "OrderCancelled", "Declined", at=3), at=9)
    assert (brief(bad), bad.since, bad.is_over) == (("failed", []), START + 3, True)


def test_an_outcome_that_is_recorded_before_the_beginning_counts_all_the_same() -> None:
    found = status(SHOP, says("orders", "OrderConfirmed", "Paid", at=3))
    assert (found.state, found.workflow, found.since) == ("succeeded", "checkout", START + 3)


def test_the_first_outcome_counts() -> None:
    both = [says("orders", "OrderConfirmed", "Paid"), says("orders", "OrderCancelled", "x")]
    assert status(SHOP, PLACED, PAID, *both).state == "succeeded"
    assert status(SHOP, PLACED, PAID, *reversed(both)).state == "failed"


def test_what_another_service_says_is_no_answer() -> None:
    assert brief(status(SHOP, PLACED, says("elsewhere", "Paid", "OrderPlaced")))[1] == ["orders.confirm", "payments.charge"]


def test_several_answers_that_belong_together_are_expected_until_all_are_there() -> None:
    graph = chart(reaction("a.split", "OrderPlaced", "Left + Right | OrderCancelled"), workflow())
    assert names(status(graph, PLACED, says("a", "Left", "OrderPlaced")).expected[0].types) == "Right"
    whole = status(graph, PLACED, says("a", "Left", "OrderPlaced"), says("a", "Right", "OrderPlaced"))
    assert (whole.expected, whole.state) == ((), "stalled")


def test_what_is_said_when_retries_are_used_up_is_an_answer() -> None:
    graph = chart(reaction("a.try", "OrderPlaced", "OrderConfirmed", exhausted="GaveUp + Doubt"), workflow())
    assert names(status(graph, PLACED, says("a", "GaveUp", "OrderPlaced")).expected[0].types) == "Doubt"
    assert not status(graph, PLACED, says("a", "GaveUp", "OrderPlaced"), says("a", "Doubt", "OrderPlaced")).expected


def test_two_reactions_of_one_service_are_told_apart_by_the_ids_of_what_they_say() -> None:
    graph = chart(reaction("a.one", "OrderPlaced", "Done"), reaction("a.two", "OrderPlaced", "Done"), workflow())
    assert brief(status(graph, PLACED))[1] == ["a.one", "a.two"]
    ours = caused_id("OrderPlaced", None, "a.two\nOrderPlaced\n0")
    assert brief(status(graph, PLACED, says("a", "Done", "OrderPlaced", id=ours)))[1] == ["a.one"]
    assert brief(status(graph, PLACED, says("a", "Done", "OrderPlaced", id="of a stranger")))[1] == []


def test_each_event_of_a_type_is_answered_for_itself() -> None:
    graph = chart(reaction("a.pick", "Line", "Picked"), workflow("Line"))
    lines = [says("o", "Line", id=f"l{number}", at=number) for number in range(3)]
    found = status(graph, *lines, says("a", "Picked", "l1"))
    assert [one.causes for one in found.expected] == [("l0",), ("l2",)]


def test_a_repeat_in_the_events_says_nothing_new() -> None:
    assert status(SHOP, PLACED, PLACED, PAID).expected == status(SHOP, PLACED, PAID).expected


# --- time


def test_an_instance_that_did_not_end_in_time_is_stalled() -> None:
    timed = replace(SHOP, workflows=(replace(SHOP.workflows[0], within=300.0),))
    early, late = status(timed, PLACED, at=299), status(timed, PLACED, at=301)
    assert (early.state, early.expected[0].due, early.changes_at) == ("running", START + 300, START + 300)
    assert (brief(late), late.since, late.is_over, late.changes_at) == (
        ("stalled", ["payments.charge"]),
        START + 300,
        False,
        None,
    )
    assert status(timed, PLACED, PAID, says("orders", "OrderConfirmed", "Paid", at=400), at=500).state == "succeeded"


def test_an_instance_that_can_go_no_further_is_stalled() -> None:
    found = status(chart(CHARGE, CONFIRM, workflow()), PLACED, DECLINED)
    assert (brief(found), found.since) == (("stalled", []), START + 1)
    assert "nothing is expected any more" in str(found)


def test_an_instance_that_waits_for_a_command_is_running() -> None:
    found = status(chart(CHARGE, command("orders.drop", "Drop", "OrderCancelled"), workflow()), PLACED, DECLINED)
    assert brief(found) == ("running", [])


def test_an_instance_that_waits_for_a_stranger_is_running() -> None:
    found = status(chart(CHARGE, reaction("orders.drop", "Revoked", "OrderCancelled"), workflow()), PLACED, DECLINED)
    assert brief(found) == ("running", [])


def test_an_instance_of_no_workflow_ends_when_nothing_more_is_expected() -> None:
    graph = chart(CHARGE, workflow("Other"))
    assert brief(status(graph, PLACED)) == ("running", ["payments.charge"])
    ended = status(graph, PLACED, PAID)
    assert (ended.state, ended.workflow, ended.since, ended.is_over) == ("ended", None, START + 1, True)


DEADLINE = deadline("orders.give_up", "OrderPlaced", "Paid, Declined", "OrderCancelled")


def test_a_deadline_says_when_what_it_waits_for_is_due_and_is_expected_when_it_is_over() -> None:
    graph = chart(CHARGE, DEADLINE, workflow())
    early = status(graph, PLACED, at=10)
    assert brief(early) == ("running", ["payments.charge"])
    assert (early.expected[0].due, early.changes_at) == (START + 900, START + 900)
    assert [(one.way, one.due) for one in early.possible] == [("deadline", START + 900)]
    late = status(graph, PLACED, at=900)
    assert brief(late) == ("running", ["orders.give_up", "payments.charge"])
    fired = status(graph, PLACED, says("orders", "OrderCancelled", "OrderPlaced", at=901), at=902)
    assert brief(fired) == ("failed", ["payments.charge"])


def test_what_comes_in_time_ends_a_deadline_of_its_key_only() -> None:
    graph = chart(DEADLINE, workflow())
    two = [says("orders", "OrderPlaced", id=key, key=key) for key in ("k", "l")]
    assert [one.causes for one in status(graph, *two, PAID).possible] == [("l",)]


# --- joins

SHIP = reaction("shipping.ship", "Paid + Reserved", "OrderConfirmed", within=60.0)
RESERVE = reaction("stock.reserve", "OrderPlaced", "Reserved | SoldOut")
JOINED = chart(CHARGE, RESERVE, SHIP, workflow())


def test_a_join_names_the_part_that_is_missing() -> None:
    found = status(JOINED, PLACED, PAID, at=5)
    assert brief(found) == ("running", ["shipping.ship", "stock.reserve"])
    (ship,) = [one for one in found.expected if one.way == "join"]
    assert (names(ship.missing), ship.since, ship.due, ship.causes) == ("Reserved", START + 1, START + 61, ("Paid",))
    assert "OrderConfirmed from shipping.ship, which waits for Reserved, since" in str(found)


def test_a_join_with_all_parts_is_expected_since_the_last() -> None:
    found = status(JOINED, PLACED, PAID, says("stock", "Reserved", "OrderPlaced", at=7))
    (ship,) = found.expected
    assert (ship.missing, ship.since, ship.due) == ((), START + 7, None)
    done = says("shipping", "OrderConfirmed", "Paid", "Reserved", at=8)
    assert status(JOINED, PLACED, PAID, says("stock", "Reserved", "OrderPlaced", at=7), done).state == "succeeded"


def test_a_join_whose_missing_part_cannot_come_any_more_is_not_expected() -> None:
    assert brief(status(JOINED, PLACED, PAID, says("stock", "SoldOut", "OrderPlaced"))) == ("stalled", [])


def test_a_join_that_waits_for_a_stranger_is_possible() -> None:
    graph = chart(CHARGE, reaction("a.match", "Paid + Stamped", "OrderConfirmed"), workflow())
    found = status(graph, PLACED, PAID)
    assert (brief(found), [one.way for one in found.possible]) == (("running", []), ["join"])


def test_a_join_of_joins_is_expected_as_long_as_the_first_is() -> None:
    second = reaction("a.pack", "Boxed + Labelled", "OrderConfirmed")
    first = reaction("a.box", "Paid + Reserved", "Boxed")
    graph = chart(CHARGE, RESERVE, first, second, reaction("b.label", "OrderPlaced", "Labelled"), workflow())
    label = says("b", "Labelled", "OrderPlaced")
    assert brief(status(graph, PLACED, PAID, label))[1] == ["a.box", "a.pack", "stock.reserve"]
    assert brief(status(graph, PLACED, PAID, label, says("stock", "SoldOut", "OrderPlaced"))) == ("stalled", [])


def test_a_join_whose_time_is_over_is_stalled() -> None:
    found = status(JOINED, PLACED, PAID, at=62)
    assert (found.state, found.since) == ("stalled", START + 61)


def test_joins_are_told_apart_by_key_or_by_the_field_that_they_name() -> None:
    parts = [says("p", "Paid", key="a", truck="t"), says("s", "Reserved", key="b", truck="t")]
    assert len(status(chart(SHIP, workflow("Paid")), *parts).expected) == 0  # nobody says the other parts
    by_key = chart(SHIP, reaction("p.x", "X", "Paid"), reaction("s.x", "X", "Reserved"), workflow("Paid"))
    assert [one.missing for one in status(by_key, *parts).expected] == []
    by_truck = chart(reaction("shipping.ship", "Paid + Reserved", "OrderConfirmed", by="truck"), workflow("Paid"))
    assert [one.missing for one in status(by_truck, *parts).expected] == [()]


def test_the_first_of_several_is_answered_once() -> None:
    graph = chart(reaction("a.first", "Paid | Reserved", "OrderConfirmed", kind="any"), workflow("OrderPlaced"))
    one, two = says("p", "Paid", "OrderPlaced"), says("s", "Reserved", "OrderPlaced")
    assert len(status(graph, PLACED, one, two).expected) == 1
    assert not status(graph, PLACED, one, two, says("a", "OrderConfirmed", "Reserved")).expected


def test_a_counted_join_waits_for_as_many_as_its_events_say() -> None:
    graph = chart(
        reaction("a.split", "OrderPlaced", "Picked", many=("shop.Picked.v1",)),
        reaction("a.pack", "Picked", "OrderConfirmed", kind="count", expected="of"),
        workflow(),
    )
    picked = [says("a", "Picked", "OrderPlaced", id=f"p{number}", of=2) for number in range(2)]
    assert brief(status(graph, PLACED, picked[0])) == ("stalled", [])  # whoever says them has spoken: no second will come
    (pack,) = status(graph, PLACED, *picked).expected
    assert (pack.reaction, pack.missing, pack.causes) == ("shop.a.pack", (), ("p0", "p1"))


# --- compensations

REFUND = reaction("payments.refund", "SoldOut", "Refunded", compensates="payments.charge", undoes="Paid")
DROP = reaction("orders.drop", "SoldOut", "OrderCancelled")
UNDONE = chart(CHARGE, RESERVE, REFUND, DROP, CANCEL, SHIP, workflow())
SOLD_OUT = says("stock", "SoldOut", "OrderPlaced", at=2)
CANCELLED = says("orders", "OrderCancelled", "SoldOut", at=3)
REFUNDED = says("payments", "Refunded", "SoldOut", at=4)


def test_an_instance_compensates_until_what_was_done_is_undone() -> None:
    assert brief(status(UNDONE, PLACED, PAID, SOLD_OUT)) == ("compensating", ["orders.drop", "payments.refund"])
    cancelled = status(UNDONE, PLACED, PAID, SOLD_OUT, CANCELLED)
    assert (brief(cancelled), cancelled.is_over) == (("compensating", ["payments.refund"]), False)
    assert (cancelled.expected[0].way, cancelled.since) == ("compensation", START + 2)
    done = status(UNDONE, PLACED, PAID, SOLD_OUT, CANCELLED, REFUNDED)
    assert (brief(done), done.since, done.is_over) == (("compensated", []), START + 4, True)
    assert brief(status(UNDONE, PLACED, PAID, SOLD_OUT, REFUNDED)) == (
        "compensating",
        ["orders.drop"],
    )  # only failures can follow


def test_what_did_not_happen_is_not_undone() -> None:
    found = status(UNDONE, PLACED, DECLINED, SOLD_OUT, CANCELLED)
    assert (found.state, [one.way for one in found.possible]) == ("failed", [])


def test_what_has_not_happened_yet_may_be_forbidden_by_its_compensation() -> None:
    found = status(UNDONE, PLACED, SOLD_OUT)
    assert brief(found) == ("running", ["orders.drop"])
    assert sorted(one.reaction for one in found.possible) == ["shop.payments.charge", "shop.payments.refund"]


def test_what_happened_after_all_is_undone() -> None:
    assert brief(status(UNDONE, PLACED, SOLD_OUT, CANCELLED, PAID))[0] == "compensating"


def test_a_compensation_that_two_events_ask_for_runs_once() -> None:
    refund = reaction("payments.refund", "SoldOut | Lost", "Refunded", compensates="payments.charge", undoes="Paid")
    graph = chart(CHARGE, RESERVE, refund, DROP, reaction("x.x", "X", "Lost"), workflow())
    lost = says("x", "Lost", "y")
    assert brief(status(graph, PLACED, PAID, SOLD_OUT, lost, CANCELLED))[1] == ["payments.refund"]
    assert brief(status(graph, PLACED, PAID, SOLD_OUT, lost, CANCELLED, REFUNDED)) == ("compensated", [])


def test_each_key_is_undone_for_itself() -> None:
    reserve = reaction("stock.reserve", "Line", "Reserved | SoldOut")
    release = reaction("stock.release", "Dropped", "Released", compensates="stock.reserve", undoes="Reserved")
    graph = chart(reserve, release, reaction("o.x", "X", "Line | Dropped"), workflow("Line"))
    events = [
        *(says("o", "Line", id=f"l{key}", key=key) for key in "abc"),
        *(says("stock", "Reserved", f"l{key}", id=f"r{key}", key=key) for key in "ab"),
        says("stock", "SoldOut", "lc", key="c"),
        *(says("o", "Dropped", id=f"d{key}", key=key) for key in "abc"),
        says("stock", "Released", "da", id="xa", key="a"),
    ]
    found = status(graph, *events)
    assert [(one.reaction, one.causes) for one in found.expected] == [("shop.stock.release", ("db",))]


def test_what_a_command_did_is_undone_whenever_somebody_asks() -> None:
    undo = reaction("orders.undo", "Declined", "OrderCancelled", compensates="orders.place", undoes="OrderPlaced")
    assert brief(status(chart(PLACE, CHARGE, undo, workflow()), PLACED, DECLINED)) == ("compensating", ["orders.undo"])


# --- for people


def test_it_can_be_read_at_three_at_night() -> None:
    text = str(status(chart(CHARGE, DEADLINE, workflow()), PLACED, at=200))
    assert text.splitlines() == [
        "checkout c running for 3.3 min: 1 event, the last OrderPlaced from orders",
        "  expected: Paid or Declined from payments.charge, since 08:00:00 (3.3 min), due in 11.7 min",
        "  possible: OrderCancelled from orders.give_up, unless something comes in time, since 08:00:00 (3.3 min), due in 11.7 min",
    ]


def test_what_is_overdue_says_so() -> None:
    timed = replace(SHOP, workflows=(replace(SHOP.workflows[0], within=300.0),))
    first, expected = str(status(timed, PLACED, at=86_400)).splitlines()
    assert first.endswith("; it was due at 2027-01-15 08:05:00 UTC")
    assert expected.endswith("since 08:00:00 (24.0 h), overdue for 23.9 h")


def test_times_that_are_not_known_are_left_out() -> None:
    timeless = says("orders", "OrderPlaced")
    found = status(SHOP, Entry(**{name: getattr(timeless, name) for name in Entry.__struct_fields__} | {"time": None}))
    assert (found.since, found.due, found.expected[0].since) == (None, None, None)
    assert (
        str(found)
        == "checkout c running: 1 event, the last OrderPlaced from orders\n  expected: Paid or Declined from payments.charge"
    )


# --- whatever is declared

NAMES = [f"E{number}" for number in range(8)]


@st.composite
def runs(draw: st.DrawFn) -> tuple[Graph, list[tuple[Entry, set[tuple[str, str]]]]]:
    """A choreography without cycles, and a run of it: each event, with who has still to answer which event after it."""
    nodes: list[Reaction] = []
    for number in range(draw(st.integers(1, 6))):
        on = draw(st.integers(0, len(NAMES) - 2))
        later = st.sampled_from(NAMES[on + 1 :])
        ways = draw(
            st.lists(st.lists(later, min_size=1, max_size=2, unique=True).map(" + ".join), min_size=1, max_size=3, unique=True)
        )
        nodes.append(reaction(f"s{number}.r", NAMES[on], " | ".join([*ways, "None"] if draw(st.booleans()) else ways)))
    graph = chart(*nodes, workflow("E0", "E7", "E6"))
    told: list[tuple[Entry, set[tuple[str, str]]]] = []
    waiting: list[tuple[Reaction, str]] = []
    unsaid = [says("door", "E0", id="0")]
    count = 0
    while unsaid or waiting:
        if unsaid:
            entry = unsaid.pop(0)
            waiting += [(node, entry.id) for node in nodes if entry.type in node.trigger.receives]
            left = {(node.id, cause) for node, cause in waiting} | {(f"shop.{e.source[6:]}.r", e.causationid) for e in unsaid}
            told.append((entry, left))
            continue
        node, cause = waiting.pop(draw(st.integers(0, len(waiting) - 1)))
        if len(told) > 12:
            break
        for tp in draw(st.sampled_from(node.alternatives)):
            count += 1
            unsaid.append(says(node.service[5:], tp.split(".")[1], cause, id=str(count), at=count))
    return graph, told


@settings(max_examples=60)
@given(runs())
def test_at_every_moment_of_any_run_exactly_those_who_have_not_answered_are_expected(run) -> None:
    graph, told = run
    statuses = Statuses(graph)
    for count in range(1, len(told) + 1):
        entries, (_, left) = [entry for entry, _ in told[:count]], told[count - 1]
        found = statuses.of(entries, START + 1000)
        missing = {(one.reaction, cause) for one in found.expected for cause in one.causes}
        shortened = {pair for pair in left - missing if _is_an_answer_already(graph.reaction[pair[0]], pair[1], entries)}
        silent = {pair for pair in left if graph.reaction[pair[0]].may_emit_nothing and not _has_begun(*pair, entries)}
        assert missing == {pair for pair in left - shortened if not graph.reaction[pair[0]].may_emit_nothing}, found
        maybe = {(one.reaction, cause) for one in found.possible for cause in one.causes}
        assert silent <= maybe, "whoever may be silent may also answer"
        ends = [entry.type for entry in entries if entry.type in ("shop.E6.v1", "shop.E7.v1")]
        wanted = ({"shop.E7.v1": "succeeded", "shop.E6.v1": "failed"}[ends[0]],) if ends else ("running", "stalled")
        assert found.state in wanted
        over = not ends and not found.expected and not found.possible and not Ways(graph).by_hand(graph.workflows[0])
        assert (found.state == "stalled") == over


def _has_begun(reaction: str, cause: str, entries: list[Entry]) -> bool:
    return any(cause in entry.causes and entry.source == f"/{'/'.join(reaction.split('.')[:2])}" for entry in entries)


def _is_an_answer_already(node: Reaction, cause: str, entries: list[Entry]) -> bool:
    """Whether the part of an answer that is there would be a whole one too: nobody can know that more is to come."""
    said = {entry.type for entry in entries if cause in entry.causes and entry.source.endswith(node.service[5:])}
    return any(set(way) <= said for way in node.alternatives)


@pytest.mark.parametrize("count", [2000])
def test_a_long_instance_is_no_trouble(count: int) -> None:
    graph = chart(reaction("a.next", "Step", "Step"), workflow("Step"))
    entries = [says("a", "Step", str(number - 1), id=str(number)) for number in range(count)]
    assert len(status(graph, *entries).expected) == 1
