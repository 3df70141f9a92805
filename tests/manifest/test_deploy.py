"""Whether versions may go where others are deployed, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.manifest.choreographies import changed, graphs, of, reaction
from tests.manifest.test_diff import CHARGE, PLACED, SHOP

from farandole.graph import Graph
from farandole.manifest.deploy import part_of, plan, with_part


def deployed(graph: Graph, version: str = "1.0") -> Graph:
    """All services of a graph, one after the other."""
    there = Graph(graph.name)
    for id in graph.service:
        there = with_part(there, part_of(graph, id, version))
    return there


def part(graph: Graph, name: str) -> Graph:
    return part_of(graph, f"shop.{name}", "2.0")


def reasons(graph: Graph, *names: str) -> list[str]:
    return [
        change.what for step in plan(deployed(SHOP), [part(graph, name) for name in names]).blocked for change in step.breaking
    ]


def test_what_is_deployed_may_be_deployed_again() -> None:
    done = plan(deployed(SHOP), [part(SHOP, "orders"), part(SHOP, "mail")])
    assert [step.service for step in done.steps] == ["shop.mail", "shop.orders"]
    assert {change.kind for step in done.steps for change in step.changes} == {"service-version"}


def test_a_part_keeps_what_it_reads_with_the_owner_s_class() -> None:
    mine = part(SHOP, "payments")
    assert mine.read[("shop.payments", "shop.OrderPlaced.v1")].schema == SHOP.owned["shop.OrderPlaced.v1"].schema
    assert mine.service["shop.payments"].version == "2.0"


def test_a_sender_may_not_go_before_readers_that_need_what_it_drops() -> None:
    new = changed(SHOP, "messages", PLACED, schema=of("order_id", "total", "note?"))
    assert reasons(new, "orders") == ["field `email` of OrderPlaced is gone"]


def test_readers_go_first_and_then_the_sender() -> None:
    new = changed(SHOP, "messages", PLACED, schema=of("order_id", "total", "note?"))
    new = changed(new, "messages", 6, schema=of("order_id"))
    done = plan(deployed(SHOP), [part(new, name) for name in ("orders", "mail", "payments")])
    assert [step.service for step in done.steps] == ["shop.mail", "shop.payments", "shop.orders"]
    assert done.blocked == ()


def test_a_reader_may_not_go_before_the_sender_that_gives_it_what_it_needs() -> None:
    new = changed(SHOP, "messages", PLACED, schema=of("order_id", "email", "total", "note?", "country"))
    new = changed(new, "messages", 6, schema=of("order_id", "country"))
    assert reasons(new, "mail") == ["mail cannot read OrderPlaced"]
    done = plan(deployed(SHOP), [part(new, "mail"), part(new, "orders")])
    assert [step.service for step in done.steps] == ["shop.orders", "shop.mail"]


def test_two_that_wait_for_each_other_are_both_told() -> None:
    new = changed(SHOP, "messages", PLACED, schema=of("order_id", "email", "total", "country"), topic="shop.elsewhere")
    new = changed(new, "messages", 6, schema=of("order_id", "country"))
    done = plan(deployed(SHOP), [part(new, "mail"), part(new, "orders")])
    assert done.steps == ()
    assert [step.service for step in done.blocked] == ["shop.mail", "shop.orders"]


def test_a_rename_without_formerly_may_not_go() -> None:
    new = changed(SHOP, "reactions", CHARGE, id="shop.payments.bill", name="bill", group="shop.payments.bill")
    assert "payments.charge seems to be payments.bill now, without formerly=" in reasons(new, "payments")


def test_a_command_that_others_send_may_not_become_stricter() -> None:
    assert reasons(changed(SHOP, "messages", 0, schema=of("order_id", "customer")), "orders") == [
        "field `customer` of PlaceOrder is new, and required"
    ]


def test_a_new_reader_goes_before_the_one_that_begins_to_send() -> None:
    from tests.manifest.choreographies import event

    new = replace(
        changed(SHOP, "reactions", 2, emits=("shop.OrderConfirmed.v1", "shop.Cheered.v1")),
        messages=(*SHOP.messages, event("Cheered", "orders")),
        reactions=(
            *changed(SHOP, "reactions", 2, emits=("shop.OrderConfirmed.v1", "shop.Cheered.v1")).reactions,
            reaction("crm.cheer", "Cheered"),
        ),
    )
    done = plan(deployed(SHOP), [part(new, "orders"), part(new, "crm")])
    assert [step.service for step in done.steps] == ["shop.crm", "shop.orders"]


def test_many_that_all_wait_for_each_other_are_given_up_in_time() -> None:
    parts = []
    for number in range(14):
        mine = changed(SHOP, "services", 0, id=f"shop.n{number}")
        parts.append(part_of(replace(mine, reactions=(), messages=()), f"shop.n{number}", "1"))
    new = changed(SHOP, "messages", PLACED, topic="shop.elsewhere")
    done = plan(deployed(SHOP), [part(new, "orders"), *parts])
    assert [step.service for step in done.blocked] == ["shop.orders"]
    assert len(done.steps) == 14


@settings(max_examples=30)
@given(graphs(), st.data())
def test_what_is_deployed_is_always_compatible(graph: Graph, data: st.DataObject) -> None:
    there = deployed(graph)
    again = data.draw(st.lists(st.sampled_from(sorted(graph.service)), unique=True, min_size=1))
    done = plan(there, [part_of(there, id, "1.0") for id in again])
    assert done.blocked == ()
    assert [change for step in done.steps for change in step.changes] == []


@settings(max_examples=30)
@given(graphs(), graphs(), st.randoms(use_true_random=False))
def test_a_plan_breaks_nothing_at_any_step(old: Graph, new: Graph, random: Any) -> None:
    from farandole.manifest.diff import diff

    there = deployed(old)
    parts = {id: part_of(new, id, "2.0") for id in new.service}
    done = plan(there, list(parts.values()))
    for step in done.steps:
        after = with_part(there, parts[step.service])
        assert [change.what for change in diff(there, after) if change.weight == "breaking"] == []
        there = after
    assert sorted([*(step.service for step in done.steps), *(step.service for step in done.blocked)]) == sorted(parts)
    assert all(step.breaking for step in done.blocked)
