from __future__ import annotations

import pytest
from tests.checks.sketch import at, chart, command, deadline, found, only, reaction, wire

from farandole.checks.cycle import RULE
from farandole.graph import AllowedCycle


def allow(words: str) -> AllowedCycle:
    return AllowedCycle(wire(words), 3, at("allow_cycle"))


def test_a_function_that_writes_what_sets_it_off_is_the_smallest_cycle():
    finding = only(RULE, chart(reaction("images.resize", "ImageStored", "ImageStored")))
    assert finding.what == "ImageStored causes itself: ImageStored -> images.resize -> ImageStored."
    assert finding.fix == (
        "Cut it, such as by a check in images.resize that ends it, or, if it is meant, say so: allow_cycle(ImageStored, at_most=...)."
    )
    assert finding.place == at("images.resize")
    assert finding.trail == (*wire("ImageStored"), "shop.images.resize", *wire("ImageStored"))


def test_the_same_function_that_writes_elsewhere_is_none():
    assert found(RULE, chart(reaction("images.resize", "ImageStored", "ThumbnailStored"))) == []


def test_a_cycle_begins_where_one_comes_in_and_blames_who_closes_it():
    finding = only(
        RULE,
        chart(
            command("orders.place", "PlaceOrder", "OrderPlaced"),
            reaction("stock.check", "OrderPlaced", "Checked"),
            reaction("orders.again", "Checked", "OrderPlaced | OrderConfirmed"),
        ),
    )
    assert finding.what == "OrderPlaced causes itself: OrderPlaced -> stock.check -> Checked -> orders.again -> OrderPlaced."
    assert finding.place == at("orders.again")


@pytest.mark.parametrize("way", ["exhausted", "late"])
def test_a_cycle_through_another_way_on_counts(way):
    more = {"kind": "all", "within": 60.0} if way == "late" else {}
    graph = chart(reaction("a.work", "Begun", "Done", **{way: "Failed"}, **more), reaction("b.retry", "Failed", "Begun"))
    assert only(RULE, graph).subject == "shop.Begun.v1+shop.Failed.v1"


def test_a_cycle_through_a_compensation_counts():
    graph = chart(
        reaction("a.act", "Begun", "Done"),
        reaction("b.fail", "Done", "Failed"),
        reaction("a.undo", "Failed", "Undone", compensates="a.act"),
        reaction("c.again", "Undone", "Begun"),
    )
    assert only(RULE, graph).place == at("c.again")


def test_a_deadline_on_the_way_does_not_excuse_a_cycle():
    timer = deadline("a.remind", "Asked", "Answered", "Reminded")
    assert only(RULE, chart(timer, reaction("b.ask", "Reminded", "Asked"))).subject == "shop.Asked.v1+shop.Reminded.v1"


def test_what_stops_a_deadline_does_not_cause_what_it_emits():
    timer = deadline("a.remind", "Asked", "Answered", "Reminded")
    assert found(RULE, chart(timer, reaction("b.answer", "Reminded", "Answered"))) == []


def test_an_allowed_cycle_is_silent():
    assert found(RULE, chart(reaction("a.poll", "Polled", "Polled | Arrived"), allow("Polled"))) == []


def test_an_allowed_cycle_excuses_only_those_through_all_its_types():
    graph = chart(
        reaction("a.one", "Begun", "Tried"),
        reaction("b.two", "Tried", "Begun | Checked"),
        reaction("c.three", "Checked", "Begun"),
        allow("Tried, Checked"),
    )
    assert only(RULE, graph).what == "Begun causes itself: Begun -> a.one -> Tried -> b.two -> Begun."


def test_two_allowed_cycles_may_cover_a_knot_together():
    graph = chart(
        reaction("a.one", "Begun", "Tried"),
        reaction("b.two", "Tried", "Begun | Checked"),
        reaction("c.three", "Checked", "Begun"),
        allow("Tried, Checked"),
        allow("Tried"),
    )
    assert found(RULE, graph) == []


@pytest.mark.parametrize("words", ["Begun", "Begun, Done", "Nowhere"])
def test_an_allowed_cycle_that_is_not_there_is_a_finding(words):
    finding = only(RULE, chart(reaction("a.one", "Begun", "Done"), allow(words)))
    assert finding.what == f"allow_cycle({words}) allows a cycle that is not there."
    assert finding.place == at("allow_cycle")


def test_each_way_round_is_shown_and_a_knot_is_not_told_without_end():
    two = chart(
        reaction("a.one", "Begun", "Left | Right"), reaction("b.left", "Left", "Begun"), reaction("c.right", "Right", "Begun")
    )
    assert {f.subject for f in found(RULE, two)} == {"shop.Begun.v1+shop.Left.v1", "shop.Begun.v1+shop.Right.v1"}
    names = [f"E{number}" for number in range(8)]
    knot = chart(*(reaction(f"s.r{number}", name, " | ".join(names)) for number, name in enumerate(names)))
    assert len(found(RULE, knot)) == 5


def test_cycles_that_have_nothing_to_do_with_each_other_are_told_one_by_one():
    assert len(found(RULE, chart(reaction("a.one", "A", "A"), reaction("b.two", "B", "B"), reaction("c.three", "A", "B")))) == 2


def test_a_graph_without_anything_is_fine():
    assert found(RULE, chart()) == []


def test_what_a_deadline_runs_after_does_not_cause_what_is_late_for_it():
    timer = deadline("a.remind", "Asked", "Answered", "Reminded", late="AnsweredLate")
    assert found(RULE, chart(timer, reaction("b.ask_more", "AnsweredLate", "Asked"))) == []
    assert only(RULE, chart(timer, reaction("b.again", "AnsweredLate", "Answered"))).place == at("b.again")
