"""The smaller rules about compensations, and about what comes late."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.checks.sketch import at, branch, changed, chart, command, deadline, found, only, reaction, wire, workflow

from farandole.checks import (
    compensation_can_fail,
    compensation_cannot_follow,
    compensation_chain,
    cycle,
    deadline_without_late,
    late_compensation_of_later,
)
from farandole.graph import AllowedCycle, Effects, Message

SHOP = chart(
    reaction("inventory.reserve", "OrderPlaced", "Reserved | SoldOut"),
    reaction("payments.charge", "Reserved", "Paid | Declined"),
    reaction("orders.confirm", "Paid", "OrderConfirmed"),
    reaction("orders.cancel", "SoldOut | Declined", "OrderCancelled"),
    reaction("inventory.release", "Declined", "Released", compensates="inventory.reserve", undoes="Reserved"),
    workflow(),
)


def heard(words: str):
    return changed(
        SHOP, "inventory.release", trigger=replace(SHOP.reaction["shop.inventory.release"].trigger, receives=wire(words))
    )


def plus(graph, *reactions):
    return replace(graph, reactions=(*graph.reactions, *reactions))


# --- compensation-cannot-follow


def test_a_compensation_that_may_follow_is_fine():
    assert found(compensation_cannot_follow.RULE, SHOP) == []


def test_a_compensation_of_what_its_trigger_excludes_never_runs():
    finding = only(compensation_cannot_follow.RULE, heard("SoldOut"))
    assert finding.what == (
        "inventory.release never undoes anything: where inventory.reserve emitted Reserved, SoldOut cannot come any more."
    )
    assert finding.fix == "Let it react to a failure that comes after Reserved, or remove it."
    assert finding.place == at("inventory.release")


def test_a_compensation_that_hears_a_refused_start_never_runs():
    graph = plus(heard("OrderRejected"), command("orders.place", "PlaceOrder", "OrderPlaced | OrderRejected"))
    assert only(compensation_cannot_follow.RULE, graph).place == at("inventory.release")


def test_one_trigger_that_may_follow_is_enough():
    assert found(compensation_cannot_follow.RULE, heard("SoldOut, Declined")) == []


@pytest.mark.parametrize(
    "other",
    [
        command("orders.drop", "DropOrder", "SoldOut"),
        deadline("orders.give_up", "OrderPlaced", "Reserved", "SoldOut"),
        reaction("stock.count", "CountedElsewhere", "SoldOut"),
        reaction("stock.recount", "Reserved", "SoldOut"),
    ],
    ids=["a person", "a deadline", "another flow", "a later step"],
)
def test_a_trigger_that_has_another_way_to_come_may_follow(other):
    assert found(compensation_cannot_follow.RULE, plus(heard("SoldOut"), other)) == []


def test_a_choice_that_is_made_several_times_excludes_nothing():
    graph = chart(
        reaction("a.scatter", "OrderPlaced", "Item", many=wire("Item")),
        reaction("b.pick", "Item", "Picked | Missing"),
        reaction("c.pack", "Picked", "OrderConfirmed"),
        reaction("c.fail", "Missing", "OrderCancelled"),
        reaction("b.put_back", "Missing", "PutBack", compensates="b.pick", undoes="Picked"),
        workflow(),
    )
    assert found(compensation_cannot_follow.RULE, graph) == []
    assert only(compensation_cannot_follow.RULE, changed(graph, "a.scatter", many=()))


# --- compensation-can-fail

OUTSIDE = changed(SHOP, "inventory.release", outside=True)


def test_a_compensation_that_may_fail_in_silence_is_found():
    finding = only(compensation_can_fail.RULE, OUTSIDE)
    assert finding.what == (
        "inventory.release undoes inventory.reserve by calling the outside, and it has no exhausted handler for when that fails."
    )
    assert finding.fix == (
        "Declare @release.exhausted with an event that ends the workflow, or that somebody reacts to, such as a person's list."
    )
    assert finding.place == at("inventory.release")


@pytest.mark.parametrize(
    ("emits", "says"), [("Stuck", "gives up with Stuck, which nobody hears."), ("None", "gives up with nothing.")]
)
def test_a_compensation_that_gives_up_unheard_is_found(emits, says):
    finding = only(
        compensation_can_fail.RULE, changed(OUTSIDE, "inventory.release", exhausted=branch(emits, "release.exhausted"))
    )
    assert finding.what.endswith(says)
    assert finding.place == at("release.exhausted")


def test_a_compensation_that_gives_up_with_something_that_is_heard_is_fine():
    spent = changed(OUTSIDE, "inventory.release", exhausted=branch("Stuck", "release.exhausted"))
    assert found(compensation_can_fail.RULE, plus(spent, reaction("desk.list", "Stuck"))) == []
    assert found(compensation_can_fail.RULE, replace(spent, workflows=(workflow(fails="OrderCancelled, Stuck"),))) == []
    public = Message(*wire("Stuck"), "shop.inventory", at("Stuck"), public=True)
    assert found(compensation_can_fail.RULE, replace(spent, messages=(public,))) == []


def test_a_compensation_inside_its_database_cannot_fail_for_good():
    assert found(compensation_can_fail.RULE, SHOP) == []
    assert found(compensation_can_fail.RULE, changed(OUTSIDE, "inventory.release", effects=Effects(outside="none"))) == []


# --- compensation-chain


def test_compensations_in_a_circle_are_found():
    graph = changed(SHOP, "inventory.reserve", compensates="shop.inventory.release")
    finding = only(compensation_chain.RULE, graph)
    assert finding.what == (
        "Compensations undo each other in a circle: inventory.reserve -> inventory.release -> inventory.reserve."
    )
    assert finding.fix == "Let one of them be the action, and the others undo it."
    assert finding.place == at("inventory.release")


def test_a_compensation_that_undoes_another_once_is_no_circle():
    again = reaction("inventory.hold_again", "Regretted", "Held", compensates="inventory.release", undoes="Released")
    assert found(compensation_chain.RULE, plus(SHOP, again)) == []


AGAIN = changed(SHOP, "inventory.release", emits=wire("OrderPlaced"), answers=(wire("OrderPlaced"),))


def test_a_compensation_that_sets_off_its_action_again_is_found_and_told_once():
    finding = only(compensation_chain.RULE, AGAIN)
    assert finding.what == "inventory.release undoes inventory.reserve and sets it off again with OrderPlaced."
    assert (
        finding.fix == "Emit another event than OrderPlaced, or, if trying again is meant, allow_cycle(OrderPlaced, at_most=...)."
    )
    assert finding.place == at("inventory.release")
    assert found(cycle.RULE, AGAIN) == []
    assert found(compensation_chain.RULE, SHOP) == []


def test_trying_again_may_be_allowed():
    graph = replace(AGAIN, cycles=(AllowedCycle(wire("OrderPlaced"), 3, at("allow_cycle")),))
    assert found(compensation_chain.RULE, graph) == []
    assert found(cycle.RULE, graph) == []


# --- deadline-without-late

TIMER = deadline("orders.give_up", "OrderPlaced", "Paid | Declined", "OrderCancelled")


def test_a_deadline_without_a_late_handler_is_found():
    finding = only(deadline_without_late.RULE, plus(SHOP, TIMER))
    assert (
        finding.what == "orders.give_up has no late handler: Paid or Declined after its deadline is noted, and nobody acts on it."
    )
    assert finding.fix == "Declare @give_up.late, which undoes what came too late, or states it as an event."
    assert finding.place == at("orders.give_up")


def test_a_deadline_with_one_is_fine():
    assert found(deadline_without_late.RULE, plus(SHOP, replace(TIMER, late=branch("PaidTooLate", "give_up.late")))) == []


@pytest.mark.parametrize("kind", ["all", "count"])
def test_a_join_with_a_time_limit_needs_one_too(kind):
    join = reaction("a.gather", "Left + Right", "Both", kind=kind, within=60.0)
    assert "after its time is noted" in only(deadline_without_late.RULE, chart(join)).what
    assert found(deadline_without_late.RULE, chart(reaction("a.gather", "Left + Right", "Both", kind=kind))) == []
    assert found(deadline_without_late.RULE, chart(replace(join, late=branch("None", "gather.late")))) == []


def test_the_first_of_several_leaves_nothing_that_is_late():
    assert found(deadline_without_late.RULE, chart(reaction("a.first", "Left | Right", "One", kind="any", within=60.0))) == []


# --- late-compensation-of-later


def keyed(graph, **keys: str):
    said = {wire(name)[0]: key for name, key in keys.items()}
    messages = {message.type: message for message in graph.messages}
    for tp, key in said.items():
        messages[tp] = replace(messages.get(tp) or Message(tp, "shop.orders", at(tp)), key=key)
    return replace(graph, messages=tuple(messages.values()))


STALE = keyed(SHOP, OrderPlaced="order_id", Declined="customer_id")


def test_a_stale_cancel_of_a_later_reservation_is_found():
    finding = only(late_compensation_of_later.RULE, STALE)
    assert finding.what == (
        "inventory.release is set off per customer_id by Declined, and inventory.reserve acts per order_id: "
        "when it comes late, it may undo what was done for a later order_id."
    )
    assert finding.fix == 'Give Declined the key order_id, or say by="order_id" and undo that one only.'
    assert finding.place == at("inventory.release")


def test_a_compensation_that_is_tied_to_its_action_is_fine():
    assert found(late_compensation_of_later.RULE, keyed(SHOP, OrderPlaced="order_id", Declined="order_id")) == []
    tied = replace(STALE.reaction["shop.inventory.release"].trigger, by="order_id")
    assert found(late_compensation_of_later.RULE, changed(STALE, "inventory.release", trigger=tied)) == []


def test_what_says_no_key_proves_nothing():
    assert found(late_compensation_of_later.RULE, replace(STALE, messages=())) == []
