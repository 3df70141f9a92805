from __future__ import annotations

from dataclasses import replace

from tests.checks.sketch import at, chart, command, deadline, found, only, reaction, wire, without, workflow

from farandole.checks.dead_end import RULE

SHOP = chart(
    reaction("inventory.reserve", "OrderPlaced", "Reserved | SoldOut"),
    reaction("payments.charge", "Reserved", "Paid | Declined"),
    reaction("orders.confirm", "Paid", "OrderConfirmed"),
    reaction("orders.cancel", "SoldOut | Declined", "OrderCancelled"),
    workflow(),
)
HOLED = replace(SHOP, reactions=(*SHOP.reactions[:3], reaction("orders.cancel", "SoldOut", "OrderCancelled")))


def test_an_answer_that_nobody_takes_on_is_a_dead_end():
    finding = only(RULE, HOLED)
    assert finding.what == "Where payments.charge answers Declined, checkout reaches no outcome: nobody goes on from there."
    assert finding.fix == "Let a reaction take Declined on to OrderCancelled, or set a deadline that ends the workflow."
    assert finding.place == at("payments.charge")
    assert finding.subject == "shop.payments.charge:shop.Declined.v1"
    assert finding.trail == (
        *wire("OrderPlaced"),
        "shop.inventory.reserve",
        *wire("Reserved"),
        "shop.payments.charge",
        *wire("Declined"),
    )


def test_an_answer_that_somebody_takes_on_is_none():
    assert found(RULE, SHOP) == []


def test_another_branch_that_may_have_ended_the_workflow_excuses_nothing_where_it_excludes_this_one():
    assert {finding.subject for finding in found(RULE, HOLED)} == {"shop.payments.charge:shop.Declined.v1"}


def test_an_answer_whose_consumers_lead_nowhere_is_a_dead_end():
    finding = only(RULE, chart(*HOLED.reactions, reaction("email.tell", "Declined", "Mailed"), workflow()))
    assert finding.what.endswith("what follows leads to no outcome.")


def test_a_side_branch_stays_silent():
    assert found(RULE, chart(*SHOP.reactions, reaction("email.send", "OrderPlaced", "Mailed | Bounced"), workflow())) == []


def test_a_side_branch_whose_failure_cancels_is_not_to_blame_for_what_others_leave_open():
    mail = reaction("email.send", "OrderPlaced", "Mailed | Bounced")
    cancel = reaction("orders.cancel", "SoldOut | Bounced", "OrderCancelled")
    graph = chart(*without(HOLED, "orders.cancel").reactions, mail, cancel, workflow())
    assert [finding.subject for finding in found(RULE, graph)] == ["shop.payments.charge:shop.Declined.v1"]


def test_what_comes_after_an_outcome_may_end_anywhere():
    assert found(RULE, chart(*SHOP.reactions, reaction("shipping.ship", "OrderConfirmed", "Shipped | Lost"), workflow())) == []


def test_answers_that_are_emitted_together_are_no_alternatives():
    graph = chart(
        reaction("a.split", "OrderPlaced", "Noted + Paid"), reaction("b.end", "Paid", "OrderConfirmed"), workflow(fails="")
    )
    assert found(RULE, graph) == []


def test_to_answer_nothing_is_no_alternative():
    assert found(RULE, chart(reaction("a.end", "OrderPlaced", "OrderConfirmed | None"), workflow(fails=""))) == []


def test_a_deadline_is_a_way_on():
    timer = deadline("orders.give_up", "OrderPlaced", "Paid", "OrderCancelled")
    assert found(RULE, chart(*HOLED.reactions, timer, workflow())) == []


def test_a_deadline_that_was_stopped_before_is_none():
    timer = deadline("orders.give_up", "OrderPlaced", "Reserved | SoldOut", "OrderCancelled")
    assert [f.subject for f in found(RULE, chart(*HOLED.reactions, timer, workflow()))] == [
        "shop.payments.charge:shop.Declined.v1"
    ]


def test_a_cancel_button_is_no_way_to_finish():
    assert only(RULE, chart(*HOLED.reactions, command("orders.drop", "DropOrder", "OrderCancelled"), workflow()))


def test_a_person_who_takes_it_on_to_success_is_a_way_on():
    again = command("payments.pay_by_hand", "PayByHand", "Paid")
    assert found(RULE, chart(*HOLED.reactions, again, workflow())) == []


def test_an_event_of_others_that_leads_to_success_is_a_way_on():
    graph = chart(
        reaction("a.ask", "OrderPlaced", "Asked | Known"),
        reaction("b.end", "Known | AnsweredElsewhere", "OrderConfirmed"),
        workflow(fails=""),
    )
    assert found(RULE, graph) == []


def test_what_retries_give_up_with_may_be_a_dead_end_too():
    charge = reaction("payments.charge", "Reserved", "Paid", exhausted="GaveUp")
    graph = chart(SHOP.reactions[0], charge, *HOLED.reactions[2:], workflow())
    finding = only(RULE, graph)
    assert finding.what == "Where payments.charge gives up with GaveUp, checkout reaches no outcome: nobody goes on from there."
    assert finding.place == at("payments.charge.exhausted")


def test_a_join_by_hand_that_says_how_far_it_is_ends_nowhere_only_until_the_last_part():
    graph = chart(
        reaction("a.one", "OrderPlaced", "One"),
        reaction("b.two", "OrderPlaced", "Two"),
        reaction("c.tally", "One | Two", "Progress | OrderConfirmed"),
        workflow(fails=""),
    )
    assert found(RULE, graph) == []


def test_a_tally_of_many_ends_nowhere_only_until_the_last():
    graph = chart(
        reaction("a.scatter", "OrderPlaced", "Item", many=wire("Item")),
        reaction("b.pick", "Item", "Picked"),
        reaction("c.tally", "Picked", "Progress | OrderConfirmed"),
        workflow(fails=""),
    )
    assert found(RULE, graph) == []


def test_an_answer_that_tries_again_is_no_dead_end():
    graph = chart(reaction("a.work", "OrderPlaced | Again", "Again | OrderConfirmed"), workflow(fails=""))
    assert found(RULE, graph) == []


def test_a_parallel_branch_that_ends_nowhere_is_found_though_the_other_may_cancel():
    graph = chart(
        reaction("inventory.reserve", "OrderPlaced", "Reserved | SoldOut"),
        reaction("payments.charge", "OrderPlaced", "Paid | Declined"),
        reaction("shipping.ship", "Reserved + Paid", "OrderConfirmed", within=60.0),
        reaction("orders.cancel", "SoldOut", "OrderCancelled"),
        workflow(),
    )
    assert [finding.subject for finding in found(RULE, graph)] == ["shop.payments.charge:shop.Declined.v1"]


def test_a_workflow_that_cannot_end_is_a_finding_of_its_own():
    graph = chart(
        reaction("a.go", "OrderPlaced", "Paid"),
        reaction("b.end", "Unrelated", "OrderConfirmed"),
        command("c.x", "X", "Unrelated"),
        workflow(starts="OrderPlaced", fails=""),
    )
    graph = without(graph, "c.x")
    graph = replace(graph, reactions=(*graph.reactions, reaction("c.loop", "OrderConfirmed", "Unrelated")))
    finding = only(RULE, graph)
    assert finding.what == "checkout can never end: no way leads from OrderPlaced to OrderConfirmed."
    assert finding.subject == "checkout"
    assert finding.place == at("checkout")


def test_a_workflow_that_can_only_fail_is_a_finding_too():
    graph = chart(
        reaction("a.go", "OrderPlaced", "OrderCancelled"),
        reaction("b.end", "OrderConfirmed", "OrderConfirmed"),
        workflow(),
    )
    assert only(RULE, graph).what == "checkout can never succeed: no way leads from OrderPlaced to OrderConfirmed."
