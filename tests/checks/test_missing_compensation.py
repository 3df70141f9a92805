from __future__ import annotations

from dataclasses import replace

import pytest
from tests.checks.sketch import at, changed, chart, command, deadline, found, only, reaction, wire, without, workflow

from farandole.checks.missing_compensation import RULE
from farandole.graph import Effects

REFUND = reaction("payments.refund", "SoldOut", "Refunded", compensates="payments.charge", undoes="Paid")
SHOP = chart(
    reaction("payments.charge", "OrderPlaced", "Paid | Declined", outside=True),
    reaction("inventory.reserve", "Paid", "Reserved | SoldOut"),
    reaction("orders.confirm", "Reserved", "OrderConfirmed"),
    reaction("orders.cancel", "SoldOut | Declined", "OrderCancelled"),
    REFUND,
    workflow(),
)


def test_a_failure_that_sets_off_the_compensation_is_fine():
    assert found(RULE, SHOP) == []


def test_a_failure_after_an_outside_action_that_nothing_undoes_is_found():
    finding = only(RULE, without(SHOP, "payments.refund"))
    assert finding.what == (
        "checkout may end in OrderCancelled by way of orders.cancel after payments.charge emitted Paid, and nothing undoes it."
    )
    assert finding.fix == (
        "Declare a compensation, such as on(OrderCancelled, compensates=charge, undoes=Paid), "
        'or say that there is nothing to undo: effects=Effects(outside="none").'
    )
    assert finding.place == at("payments.charge")
    assert finding.subject == "shop.payments.charge:shop.OrderCancelled.v1"
    assert finding.trail == (
        *wire("OrderPlaced"),
        "shop.payments.charge",
        *wire("Paid"),
        "shop.inventory.reserve",
        *wire("SoldOut"),
        "shop.orders.cancel",
        *wire("OrderCancelled"),
    )


@pytest.mark.parametrize("outside", ["none", "idempotent"])
def test_an_outside_action_that_leaves_nothing_needs_no_compensation(outside):
    graph = without(SHOP, "payments.refund")
    assert found(RULE, changed(graph, "payments.charge", effects=Effects(outside=outside))) == []


def test_an_action_inside_the_database_needs_one_only_if_it_declares_one():
    assert found(RULE, changed(without(SHOP, "payments.refund"), "payments.charge", outside=False)) == []
    wrong = changed(SHOP, "payments.refund", trigger=replace(REFUND.trigger, receives=wire("Lost")))
    assert only(RULE, changed(wrong, "payments.charge", outside=False))


def test_a_reservation_is_left_dangling_where_its_release_hears_of_one_failure_only():
    graph = chart(
        reaction("inventory.reserve", "OrderPlaced", "Reserved | SoldOut"),
        reaction("fraud.screen", "Reserved", "Cleared | Suspected"),
        reaction("payments.charge", "Cleared", "Paid | Declined"),
        reaction("orders.confirm", "Paid", "OrderConfirmed"),
        reaction("orders.cancel", "SoldOut | Declined | Suspected", "OrderCancelled"),
        reaction("inventory.release", "Declined", "Released", compensates="inventory.reserve", undoes="Reserved"),
        workflow(),
    )
    finding = only(RULE, graph)
    assert finding.what == (
        "checkout may end in OrderCancelled by way of orders.cancel after inventory.reserve emitted Reserved, "
        "and inventory.release is not set off."
    )
    assert finding.fix == "Let inventory.release react to OrderCancelled too, or to what leads to it."
    assert finding.trail[-3:] == (*wire("Suspected"), "shop.orders.cancel", *wire("OrderCancelled"))
    both = replace(graph.reaction["shop.inventory.release"].trigger, receives=wire("Declined, Suspected"))
    assert found(RULE, changed(graph, "inventory.release", trigger=both)) == []


def test_a_compensation_that_hears_the_outcome_itself_is_fine():
    heard = replace(REFUND.trigger, receives=wire("OrderCancelled"))
    assert found(RULE, changed(SHOP, "payments.refund", trigger=heard)) == []


def test_a_compensation_that_follows_from_the_outcome_is_fine():
    heard = replace(REFUND.trigger, receives=wire("RefundDue"))
    graph = changed(SHOP, "payments.refund", trigger=heard)
    due = reaction("orders.owe", "OrderCancelled", "RefundDue")
    assert found(RULE, replace(graph, reactions=(*graph.reactions, due))) == []


CANCEL = command("orders.drop", "CancelOrder", "OrderCancelled")


def test_no_refund_after_a_cancel_during_payment_is_found():
    finding = only(RULE, replace(SHOP, reactions=(*SHOP.reactions, CANCEL)))
    assert finding.what == (
        "checkout may end in OrderCancelled by way of orders.drop after payments.charge emitted Paid, and payments.refund is not set off."
    )
    assert finding.trail[-3:] == (*wire("CancelOrder"), "shop.orders.drop", *wire("OrderCancelled"))


def test_a_cancel_that_refunds_is_fine():
    heard = replace(REFUND.trigger, receives=wire("SoldOut, OrderCancelled"))
    assert found(RULE, changed(replace(SHOP, reactions=(*SHOP.reactions, CANCEL)), "payments.refund", trigger=heard)) == []


def test_a_command_that_starts_the_workflow_cannot_cancel_it_later():
    place = command("orders.place", "PlaceOrder", "OrderPlaced | OrderCancelled")
    assert found(RULE, replace(SHOP, reactions=(*SHOP.reactions, place))) == []


TIMER = deadline("orders.give_up", "OrderPlaced", "Paid | Declined", "OrderCancelled")


def test_a_deadline_before_a_late_payment_is_found():
    finding = only(RULE, replace(SHOP, reactions=(*SHOP.reactions, TIMER)))
    assert "by way of orders.give_up after payments.charge emitted Paid" in finding.what


def test_a_deadline_whose_late_handler_leads_to_the_refund_is_fine():
    timer = deadline("orders.give_up", "OrderPlaced", "Paid | Declined", "OrderCancelled", late="PaidTooLate")
    heard = replace(REFUND.trigger, receives=wire("SoldOut, PaidTooLate"))
    assert found(RULE, changed(replace(SHOP, reactions=(*SHOP.reactions, timer)), "payments.refund", trigger=heard)) == []


def test_a_failure_that_excludes_the_success_needs_no_compensation():
    graph = chart(
        reaction("inventory.reserve", "OrderPlaced", "Reserved | SoldOut"),
        reaction("payments.charge", "Reserved", "Paid | Declined", outside=True),
        reaction("orders.confirm", "Paid", "OrderConfirmed"),
        reaction("orders.cancel", "SoldOut | Declined", "OrderCancelled"),
        workflow(),
    )
    assert found(RULE, graph) == []


def test_a_parallel_branch_that_fails_is_found_though_nothing_of_it_follows_from_the_action():
    graph = chart(
        reaction("payments.charge", "OrderPlaced", "Paid | Declined", outside=True),
        reaction("inventory.reserve", "OrderPlaced", "Reserved | SoldOut"),
        reaction("shipping.ship", "Paid + Reserved", "OrderConfirmed"),
        reaction("orders.cancel", "SoldOut | Declined", "OrderCancelled"),
        workflow(),
    )
    finding = only(RULE, graph)
    assert finding.subject == "shop.payments.charge:shop.OrderCancelled.v1"
    assert finding.trail[:3] == (*wire("OrderPlaced"), "shop.payments.charge", *wire("Paid"))
    assert found(RULE, chart(*graph.reactions, REFUND, workflow())) == []


def test_a_compensation_that_surely_comes_besides_the_failure_counts():
    graph = chart(
        reaction("payments.charge", "OrderPlaced", "Paid", outside=True),
        reaction("inventory.reserve", "Paid", "Reserved | SoldOut + RefundDue"),
        reaction("orders.confirm", "Reserved", "OrderConfirmed"),
        reaction("orders.cancel", "SoldOut", "OrderCancelled"),
        reaction("payments.refund", "RefundDue", "Refunded", compensates="payments.charge", undoes="Paid"),
        workflow(),
    )
    assert found(RULE, graph) == []
    split = changed(graph, "inventory.reserve", answers=(wire("Reserved"), wire("SoldOut"), wire("SoldOut, RefundDue")))
    assert only(RULE, split)


def test_a_compensation_of_another_success_does_not_count():
    answers = (wire("Paid"), wire("Held"), wire("Declined"))
    graph = changed(SHOP, "payments.charge", emits=wire("Paid, Held, Declined"), answers=answers)
    graph = changed(graph, "payments.refund", undoes=wire("Held")[0])
    either = replace(graph.reaction["shop.inventory.reserve"].trigger, receives=wire("Paid, Held"))
    finding = only(RULE, changed(graph, "inventory.reserve", trigger=either))
    assert finding.what.endswith("after payments.charge emitted Paid, and nothing undoes it.")


def test_an_approval_by_a_person_on_the_way_does_not_hide_the_failure():
    graph = chart(
        reaction("orders.ask", "OrderPlaced", "ApprovalAsked"),
        command("orders.approve", "Approve", "Approved"),
        reaction("payments.charge", "Approved", "Paid", outside=True),
        reaction("inventory.reserve", "Paid", "Reserved | SoldOut"),
        reaction("orders.confirm", "Reserved", "OrderConfirmed"),
        reaction("orders.cancel", "SoldOut", "OrderCancelled"),
        workflow(),
    )
    assert only(RULE, graph).subject == "shop.payments.charge:shop.OrderCancelled.v1"
