from __future__ import annotations

from dataclasses import replace

from tests.checks.sketch import at, branch, changed, chart, deadline, found, only, reaction, wire, workflow

from farandole.checks.exhausted_missing import RULE

SHOP = chart(
    reaction("payments.charge", "OrderPlaced", "Paid | Declined", outside=True),
    reaction("orders.confirm", "Paid", "OrderConfirmed"),
    reaction("orders.cancel", "Declined", "OrderCancelled"),
    workflow(),
)


def test_a_call_that_may_fail_for_good_without_an_event_is_found():
    finding = only(RULE, SHOP)
    assert finding.what == (
        "payments.charge calls the outside, and it has no exhausted handler: "
        "when its retries are used up, checkout reaches no outcome."
    )
    assert (
        finding.fix
        == "Declare @charge.exhausted, which states the failure as an event, so that the workflow goes on and is undone."
    )
    assert finding.place == at("payments.charge")
    assert finding.trail == (*wire("OrderPlaced"), "shop.payments.charge")


def test_an_exhausted_handler_that_states_the_failure_is_fine():
    assert found(RULE, changed(SHOP, "payments.charge", exhausted=branch("Declined", "charge.exhausted"))) == []


def test_an_exhausted_handler_that_says_nothing_is_none():
    silent = changed(SHOP, "payments.charge", exhausted=branch("None", "charge.exhausted"))
    assert "its exhausted handler emits nothing" in only(RULE, silent).what


def test_a_reaction_inside_its_database_needs_none():
    assert found(RULE, changed(SHOP, "payments.charge", outside=False)) == []


def test_a_call_on_a_side_branch_needs_none():
    mail = reaction("email.send", "OrderPlaced", "Mailed", outside=True)
    inside = changed(SHOP, "payments.charge", outside=False)
    assert found(RULE, replace(inside, reactions=(*inside.reactions, mail))) == []


def test_a_deadline_that_waits_for_the_answer_makes_up_for_it():
    timer = deadline("orders.give_up", "OrderPlaced", "Paid | Declined", "OrderCancelled")
    assert found(RULE, replace(SHOP, reactions=(*SHOP.reactions, timer))) == []


def test_a_deadline_that_something_else_has_stopped_does_not():
    timer = deadline("orders.give_up", "OrderPlaced", "Noted", "OrderCancelled")
    note = reaction("crm.note", "OrderPlaced", "Noted")
    assert only(RULE, replace(SHOP, reactions=(*SHOP.reactions, timer, note)))


def test_a_call_in_parallel_is_found_though_the_other_branch_may_cancel():
    graph = chart(
        reaction("payments.charge", "OrderPlaced", "Paid", outside=True),
        reaction("inventory.reserve", "OrderPlaced", "Reserved | SoldOut"),
        reaction("shipping.ship", "Paid + Reserved", "OrderConfirmed"),
        reaction("orders.cancel", "SoldOut", "OrderCancelled"),
        workflow(),
    )
    assert only(RULE, graph).place == at("payments.charge")


def test_one_of_many_calls_of_a_kind_is_not_judged_alone():
    graph = chart(
        reaction("a.scatter", "OrderPlaced", "Item", many=wire("Item")),
        reaction("b.fetch", "Item", "OrderConfirmed", outside=True),
        workflow(fails=""),
    )
    assert found(RULE, graph) == []
