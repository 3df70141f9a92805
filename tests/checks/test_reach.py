"""Rules about what can be reached, how deep, and out of which states."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.checks.sketch import at, changed, chart, command, deadline, found, only, reaction, wire, workflow

from farandole.checks import redelivered_reapproval, too_deep, unreachable
from farandole.graph import Message, Move, Service

# --- unreachable


def test_events_that_only_follow_from_each_other_set_off_nothing():
    graph = chart(reaction("a.ping", "Pong", "Ping"), reaction("b.pong", "Ping", "Pong"), reaction("c.note", "Ping"))
    finding = only(unreachable.RULE, graph)
    assert finding.what == "Nothing can set off a.ping (and 2 more behind it): Ping and Pong only follow from each other."
    assert finding.fix == "Let a command, or an event that comes from outside, lead to Ping, or remove what cannot run."
    assert finding.place == at("a.ping")


def test_a_command_that_leads_there_repairs_it():
    graph = chart(reaction("a.ping", "Pong", "Ping"), reaction("b.pong", "Ping", "Pong"), command("c.serve", "Serve", "Ping"))
    assert found(unreachable.RULE, graph) == []


def test_what_is_behind_an_event_that_nobody_emits_is_told_once_and_without_the_first():
    graph = chart(reaction("a.one", "Nothing", "One"), reaction("b.two", "One", "Two"), reaction("c.three", "Two"))
    graph = replace(graph, messages=(*graph.messages, Message(*wire("Nothing"), "shop.a", at("Nothing"))))
    finding = only(unreachable.RULE, graph)
    assert finding.what == "Nothing can set off b.two (and 1 more behind it): it is behind Nothing, which nobody emits."
    assert finding.place == at("b.two")


def test_an_event_that_nobody_emits_is_another_rules_business():
    graph = chart(reaction("a.one", "Nothing", "One"))
    assert found(unreachable.RULE, replace(graph, messages=(Message(*wire("Nothing"), "shop.a", at("Nothing")),))) == []


@pytest.mark.parametrize(
    "said",
    [
        Message(*wire("Far"), "shop.a", at("Far"), role="reader", topic="elsewhere.other"),
        Message(*wire("Far"), "elsewhere.other", at("Far")),
        Message(*wire("Far"), "shop.a", at("Far"), public=True),
        Message(*wire("Far"), "shop.old", at("Far")),
    ],
    ids=["read from afar", "an owner that is not here", "public", "a service that does not declare its reactions"],
)
def test_what_comes_from_outside_is_a_door(said):
    graph = chart(reaction("a.one", "Far", "One"), reaction("b.two", "One"), Service("shop.old", at("old"), complete=False))
    assert found(unreachable.RULE, replace(graph, messages=(*graph.messages, said))) == []


def test_a_start_of_a_workflow_is_a_door():
    graph = chart(
        reaction("a.ping", "Pong", "Ping"), reaction("b.pong", "Ping", "Pong"), workflow(starts="Ping", succeeds="Pong", fails="")
    )
    assert found(unreachable.RULE, graph) == []


def test_a_join_that_lacks_a_part_for_ever_is_behind_it():
    graph = chart(
        command("a.go", "Go", "Left"),
        reaction("b.right", "Right", "Right"),
        reaction("c.both", "Left + Right", "Both"),
        reaction("d.end", "Both"),
    )
    finding = only(unreachable.RULE, graph)
    assert finding.what == "Nothing can set off b.right (and 2 more behind it): Right only follows from itself."


# --- too-deep


def chain(length: int, *more):
    steps = [reaction(f"s{number}.step", f"E{number}", f"E{number + 1}") for number in range(length)]
    return chart(command("s0.begin", "Begin", "E0"), *steps, *more)


def test_a_chain_of_32_causes_is_borne_and_one_of_33_is_not():
    assert found(too_deep.RULE, chain(32)) == []
    finding = only(too_deep.RULE, chain(40))
    assert finding.what == "s32.step may emit at depth 33, and s32 bears a chain of 32 causes at most."
    assert finding.fix == "Shorten the chain that begins with Begin, or raise the depth of s32."
    assert finding.place == at("s32.step")
    assert finding.trail[0] == "shop.Begin.v1"
    assert finding.trail[-1] == "shop.E33.v1"
    assert len(finding.trail) == 2 * 34 + 1


def test_the_service_that_bears_least_decides():
    narrow = Service("shop.s3", at("s3"), depth=3)
    assert only(too_deep.RULE, chain(8, narrow)).place == at("s3.step")
    assert found(too_deep.RULE, chain(8, Service("shop.s3", at("s3"), depth=4))) == []


def test_a_step_that_emits_nothing_goes_no_deeper():
    assert found(too_deep.RULE, chain(3, Service("shop.end", at("end"), depth=3), reaction("end.note", "E3"))) == []


def test_the_longest_of_several_ways_counts():
    graph = chart(
        command("a.begin", "Begin", "One"),
        reaction("b.two", "One", "Two"),
        reaction("c.three", "One | Two", "Three"),
        Service("shop.c", at("c"), depth=1),
    )
    assert only(too_deep.RULE, graph).place == at("c.three")


def test_a_cycle_counts_as_one_step():
    graph = chart(command("a.begin", "Begin", "One"), reaction("b.two", "One", "Two"), reaction("c.back", "Two", "One"))
    assert found(too_deep.RULE, replace(graph, services=tuple(replace(s, depth=2) for s in graph.services))) == []


# --- redelivered-reapproval

ORDERS = chart(
    command("orders.place", "PlaceOrder", "OrderPlaced", moves=(Move("order", to="placed"),)),
    reaction("payments.charge", "OrderPlaced", "Paid | Declined"),
    reaction("orders.approve", "Paid", "OrderConfirmed", moves=(Move("order", ("placed",), "approved"),)),
    reaction("orders.cancel", "Declined", "OrderCancelled", moves=(Move("order", ("placed",), "cancelled"),)),
    workflow(),
)


def test_moves_out_of_states_that_are_not_final_are_fine():
    assert found(redelivered_reapproval.RULE, ORDERS) == []


def test_a_move_out_of_a_final_state_is_found():
    again = changed(ORDERS, "orders.approve", moves=(Move("order", ("placed", "cancelled"), "approved"),))
    finding = only(redelivered_reapproval.RULE, again)
    assert finding.what == "orders.approve moves the order to approved out of cancelled, in which orders.cancel ended it."
    assert finding.fix == "Take cancelled out of valid=."
    assert finding.place == at("orders.approve")


def test_a_redelivered_event_that_re_approves_a_cancelled_order_is_found():
    finding = only(redelivered_reapproval.RULE, changed(ORDERS, "orders.approve", moves=(Move("order", to="approved"),)))
    assert finding.what == (
        "orders.approve moves the order to approved whatever its state is, even from cancelled, in which orders.cancel ended it."
    )
    assert finding.fix == "Say in which states it may run: valid=(...), without cancelled."


def test_who_makes_a_new_one_asks_for_no_state():
    other = command("orders.import", "ImportOrder", "OrderPlaced", moves=(Move("order", to="placed"),))
    assert found(redelivered_reapproval.RULE, replace(ORDERS, reactions=(*ORDERS.reactions, other))) == []


def test_a_deadline_is_counted_like_any_other_step():
    timer = deadline("s9.late", "E2", "E3", "E9")
    assert found(too_deep.RULE, chain(3, timer)) == []
    assert only(too_deep.RULE, chain(3, timer, Service("shop.s9", at("s9"), depth=2))).place == at("s9.late")
