"""Parts of a graph: what is in them, and what is not."""

from __future__ import annotations

import pytest
from tests.graph.kit import checkout, graph, reaction, tp, workflow

from farandole.errors import ConfigurationError
from farandole.graph import Graph, short
from farandole.graph.filter import around_message, of_services, of_workflow, services_named


def names(part: Graph) -> set[str]:
    return {one.name for one in part.reactions}


def said(part: Graph) -> set[str]:
    return {short(node.type) for node in part.messages}


def test_a_workflow_begins_at_the_door_and_is_not_followed_beyond_its_outcomes() -> None:
    whole = graph(
        reaction("orders.place", "PlaceOrder", "OrderPlaced OrderRejected", kind="command"),
        reaction("orders.confirm", "OrderPlaced", "OrderConfirmed"),
        reaction("mail.regret", "OrderRejected", "RegretSent"),
        reaction("mail.thank", "OrderConfirmed", "ThanksSent"),
        reaction("stock.count", "StockCounted", "StockKnown"),
        workflows=[workflow("checkout", "OrderPlaced", "OrderConfirmed"), workflow("counting", "StockCounted", "StockKnown")],
    )
    part = of_workflow(whole, "checkout")
    assert names(part) == {"place", "confirm"}
    assert said(part) == {"PlaceOrder", "OrderPlaced", "OrderRejected", "OrderConfirmed"}
    assert [flow.name for flow in part.workflows] == ["checkout"]
    assert {service.name for service in part.services} == {"orders"}


def test_what_is_undone_after_a_bad_end_belongs_to_the_workflow() -> None:
    whole = graph(
        reaction("stock.reserve", "Placed", "Reserved"),
        reaction("orders.cancel", "Reserved", "Cancelled"),
        reaction("stock.release", "Cancelled", "Released", compensates="stock.reserve"),
        reaction("mail.regret", "Cancelled", "RegretSent"),
        workflows=[workflow("checkout", "Placed", "Done", "Cancelled")],
    )
    assert names(of_workflow(whole, "checkout")) == {"reserve", "cancel", "release"}


def test_a_join_is_shown_with_all_that_it_waits_for() -> None:
    whole = graph(
        reaction("shipping.ship", "Paid Reserved", "Shipped", kind="all"),
        workflows=[workflow("checkout", "Paid", "Shipped")],
    )
    assert of_workflow(whole, "checkout").reaction["shop.shipping.ship"].trigger.receives == (tp("Paid"), tp("Reserved"))


def test_what_only_keeps_a_deadline_from_firing_is_shown_but_leads_nowhere() -> None:
    whole = graph(
        reaction("orders.expire", "Placed Paid", "Expired", kind="deadline", after="Placed", unless="Paid", within=60.0),
        reaction("orders.begin", "Begun", "Paid"),
        workflows=[workflow("payment", "Begun", "Expired")],
    )
    part = of_workflow(whole, "payment")
    assert names(part) == {"begin", "expire"}
    assert part.reaction["shop.orders.expire"].trigger.after == (tp("Placed"),)


def test_a_service_is_whole_and_its_neighbours_show_what_concerns_it() -> None:
    part = of_services(checkout(), ["payments"])
    assert names(part) == {"place", "charge", "ship", "release", "expire"}
    assert part.reaction["shop.orders.place"].emits == (tp("OrderPlaced"),)
    assert part.reaction["shop.shipping.ship"].emits == ()


def test_services_are_named_in_full_in_short_or_by_a_pattern() -> None:
    whole = checkout()
    assert services_named(whole, ["payments"]) == services_named(whole, ["shop.payments"]) == {"shop.payments"}
    assert services_named(whole, ["shop.s*"]) == {"shop.stock", "shop.shipping"}


def test_around_an_event_are_those_who_say_and_hear_it_with_their_causes_and_effects() -> None:
    part = around_message(checkout(), "PaymentDone")
    assert names(part) == {"charge", "ship", "expire"}
    assert said(part) == {"OrderPlaced", "PaymentDone", "OrderShipped", "ShippedTooLate", "OrderExpired"}


@pytest.mark.parametrize("name", ["PaymentDone", "shop.PaymentDone", "shop.PaymentDone.v1"])
def test_a_message_is_named_as_people_or_as_the_wire_say_it(name: str) -> None:
    assert around_message(checkout(), name).name == "shop: PaymentDone"


def test_unknown_names_are_refused_with_the_nearest() -> None:
    whole = checkout()
    with pytest.raises(ConfigurationError, match=r"there is no workflow 'chekout'\. Did you mean checkout\?"):
        of_workflow(whole, "chekout")
    with pytest.raises(ConfigurationError, match=r"there is no service 'paymints'\. Did you mean payments\?"):
        of_services(whole, ["paymints"])
    with pytest.raises(ConfigurationError, match=r"there is no message 'PaymntDone'\. Did you mean PaymentDone\?"):
        around_message(whole, "PaymntDone")
    with pytest.raises(ConfigurationError, match=r"there is no service 'x\.\*'. Known are: mail, orders"):
        of_services(whole, ["x.*"])
    with pytest.raises(ConfigurationError, match=r"there is no workflow 'a'\. There is no workflow at all"):
        of_workflow(graph(reaction("a.b", "C")), "a")


def test_a_name_that_could_mean_two_is_refused_with_both() -> None:
    whole = graph(reaction("orders.place", "shop.Placed.v1", "club.Placed.v1"))
    with pytest.raises(ConfigurationError, match=r"'Placed' may be club\.Placed\.v1 or shop\.Placed\.v1: say which message"):
        around_message(whole, "Placed")


def test_the_order_of_a_part_is_that_of_the_whole() -> None:
    whole = checkout()
    part = of_services(whole, ["mail", "orders", "payments", "shipping", "stock"])
    assert [one.id for one in part.reactions] == [one.id for one in whole.reactions]
