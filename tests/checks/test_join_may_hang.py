from __future__ import annotations

from dataclasses import replace

from tests.checks.sketch import at, changed, chart, command, deadline, found, only, reaction, wire, workflow

from farandole.checks import dead_end
from farandole.checks.join_may_hang import RULE

SHIP = reaction("shipping.ship", "Paid + Reserved", "OrderConfirmed")
PARTS = (reaction("payments.charge", "OrderPlaced", "Paid"), reaction("inventory.reserve", "OrderPlaced", "Reserved | SoldOut"))
CANCEL = reaction("orders.cancel", "SoldOut", "OrderCancelled")
HANGING = chart(*PARTS, SHIP, reaction("email.apologise", "SoldOut", "Mailed"), workflow())


def test_a_join_of_which_a_part_may_never_come_is_found_and_no_dead_end_beside_it():
    finding = only(RULE, HANGING)
    assert finding.what == (
        "shipping.ship may wait for Reserved for ever when Paid is there: inventory.reserve may answer SoldOut instead, "
        "and checkout has no other way to an outcome."
    )
    assert finding.fix == "Give the join within= and a late handler, or let what comes instead of Reserved end the workflow."
    assert finding.place == at("shipping.ship")
    assert finding.subject == "shop.shipping.ship"
    assert finding.trail == (*wire("OrderPlaced"), "shop.payments.charge", *wire("Paid"), "shop.shipping.ship")
    assert found(dead_end.RULE, HANGING) == []


def test_a_join_beside_which_the_workflow_ends_is_fine():
    assert found(RULE, chart(*PARTS, SHIP, CANCEL, workflow())) == []


def test_a_join_of_what_always_comes_is_fine():
    assert (
        found(RULE, chart(*PARTS[:1], reaction("inventory.reserve", "OrderPlaced", "Reserved"), SHIP, workflow(fails=""))) == []
    )


def test_a_deadline_that_ends_the_workflow_excuses_a_join():
    timer = deadline("orders.give_up", "OrderPlaced", "OrderConfirmed", "OrderCancelled")
    assert found(RULE, replace(HANGING, reactions=(*HANGING.reactions, timer))) == []


def test_a_join_with_a_time_limit_does_not_wait_for_ever_and_its_answer_is_a_dead_end():
    limited = changed(HANGING, "shipping.ship", trigger=replace(SHIP.trigger, within=60.0))
    assert found(RULE, limited) == []
    assert only(dead_end.RULE, limited).subject == "shop.inventory.reserve:shop.SoldOut.v1"


def test_two_joins_of_answers_that_exclude_each_other_hang_though_every_answer_leads_on():
    crossed = chart(
        reaction("a.choose", "OrderPlaced", "Left | Right"),
        reaction("b.choose", "OrderPlaced", "Up | Down"),
        reaction("c.good", "Left + Up", "OrderConfirmed"),
        reaction("c.bad", "Right + Down", "OrderCancelled"),
        workflow(),
    )
    assert {finding.place for finding in found(RULE, crossed)} == {at("c.good"), at("c.bad")}
    assert "one excludes the other" in found(RULE, crossed)[0].what
    mixed = (reaction("c.mixed", "Left + Down", "OrderCancelled"), reaction("c.other", "Right + Up", "OrderCancelled"))
    assert found(RULE, replace(crossed, reactions=(*crossed.reactions, *mixed))) == []


def test_a_join_of_alternatives_of_one_answer_never_completes():
    choose = reaction("a.choose", "OrderPlaced", "Left | Right")
    graph = chart(choose, reaction("c.both", "Left + Right", "OrderConfirmed"), workflow(fails=""))
    assert "one excludes the other" in only(RULE, graph).what
    assert found(RULE, changed(graph, "a.choose", answers=(wire("Left, Right"),))) == []


def test_only_the_join_that_is_the_cause_is_told():
    later = reaction("billing.close", "Shipped + Paid", "OrderConfirmed")
    graph = chart(*PARTS, reaction("shipping.ship", "Paid + Reserved", "Shipped"), later, workflow(fails=""))
    assert only(RULE, graph).place == at("shipping.ship")


def test_a_counted_join_hangs_where_one_answer_is_no_item():
    graph = chart(
        reaction("a.scatter", "OrderPlaced", "Asked"),
        reaction("b.ask", "Asked", "Quoted | Refused"),
        reaction("c.gather", "Quoted + Asked", "OrderConfirmed", kind="count", expected="count"),
        workflow(fails=""),
    )
    assert only(RULE, graph).place == at("c.gather")


def test_a_part_that_a_person_brings_is_waited_for_with_reason():
    graph = chart(
        reaction("payments.charge", "OrderPlaced", "Paid"),
        command("orders.approve", "Approve", "Approved"),
        reaction("shipping.ship", "Paid + Approved", "OrderConfirmed"),
        workflow(fails=""),
    )
    assert found(RULE, graph) == []


def test_a_part_that_comes_after_some_tries_is_waited_for_with_reason():
    graph = chart(
        reaction("payments.charge", "OrderPlaced | TriedInVain", "Paid | TriedInVain"),
        reaction("inventory.reserve", "OrderPlaced", "Reserved"),
        reaction("shipping.ship", "Paid + Reserved", "OrderConfirmed"),
        workflow(fails=""),
    )
    assert found(RULE, graph) == []
    once = changed(graph, "payments.charge", trigger=replace(graph.reactions[0].trigger, receives=wire("OrderPlaced")))
    assert found(RULE, once)[0].place == at("shipping.ship")
