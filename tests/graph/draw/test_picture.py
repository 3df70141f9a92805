"""What is drawn, and what is said to be left out."""

from __future__ import annotations

from dataclasses import replace

from tests.graph.kit import PLACE, checkout, graph, large, reaction, tp

from farandole.graph import Message, short
from farandole.graph.draw import Picture, picture_of


def arrows(picture: Picture, look: str) -> set[tuple[str, str]]:
    return {(short(arrow.tail), short(arrow.head)) for arrow in picture.arrows if arrow.look == look}


def test_failures_compensations_and_what_stops_a_deadline_have_looks_of_their_own() -> None:
    picture = picture_of(checkout())
    assert ("charge", "PaymentDone") in arrows(picture, "usual")
    assert arrows(picture, "fails") == {
        ("charge", "PaymentFailed"),
        ("ship", "ShippedTooLate"),
        ("expire", "OrderExpired"),
    }
    assert arrows(picture, "undoes") == {("PaymentFailed", "release"), ("OrderExpired", "release"), ("release", "StockReleased")}
    assert arrows(picture, "stops") == {("PaymentDone", "expire"), ("PaymentFailed", "expire")}


def test_nodes_say_what_they_are_wait_for_and_end() -> None:
    nodes = {node.label: node for node in picture_of(checkout()).nodes}
    assert (nodes["ship"].kind, nodes["ship"].notes) == ("all", ("all of 2 within 1 day",))
    assert (nodes["expire"].kind, nodes["expire"].notes) == ("deadline", ("after 15 min",))
    assert nodes["release"].notes == ("undoes reserve",)
    assert (nodes["OrderShipped"].end, nodes["OrderShipped"].notes) == ("succeeds", ("checkout succeeds",))
    assert (nodes["OrderExpired"].end, nodes["OrderExpired"].look) == ("fails", "fails")
    assert nodes["charge"].outside and not nodes["reserve"].outside
    assert (nodes["PlaceOrder"].kind, nodes["PlaceOrder"].group) == ("command", "shop.orders")


def test_a_message_that_nobody_here_says_stands_elsewhere() -> None:
    picture = picture_of(graph(reaction("orders.hear", "SomethingStrange")))
    assert [node.group for node in picture.nodes if node.label == "SomethingStrange"] == ["elsewhere"]
    assert picture.groups == {"shop.orders": "orders", "elsewhere": "elsewhere"}


def test_names_are_short_only_where_they_mean_one() -> None:
    whole = graph(reaction("orders.place", "Begun", "shop.Placed.v1 club.Placed.v1"))
    assert {"Begun", "shop.Placed.v1", "club.Placed.v1"} <= {node.label for node in picture_of(whole).nodes}


def test_a_service_that_does_not_say_what_causes_what_is_named_below() -> None:
    whole = graph(reaction("orders.place", "Begun", "Placed"))
    vague = replace(whole, services=tuple(replace(service, complete=False) for service in whole.services))
    assert picture_of(vague).left_out == ("orders: what causes what is not declared, so arrows are missing.",)


def test_texts_that_would_steer_something_are_made_plain() -> None:
    nasty = "Bad\x00\x1b[31m\u202eName"
    message = Message(f"shop.{nasty}.v1", "shop.orders", PLACE, doc=nasty)
    picture = picture_of(graph(reaction("orders.place", tp(nasty)), messages=[message], name=nasty))
    assert picture.name.isprintable()
    assert all(node.label.isprintable() and node.title.isprintable() for node in picture.nodes)


def test_a_thousand_services_are_drawn_by_domain_and_what_is_left_out_is_counted() -> None:
    picture = picture_of(large())
    assert picture.by == "domain"
    assert len(picture.nodes) == 40
    assert picture.subtitle == "by domain: 1,000 services, 10,000 messages, 10,000 reactions"
    told = {end for arrow in picture.arrows for end in (arrow.tail, arrow.head)}
    assert told == {node.id for node in picture.nodes}, "each domain has an arrow at least"
    assert len(picture.left_out) == 1
    assert picture.left_out[0].endswith("arrows that stand for fewer messages left out.")


def test_chosen_services_are_shown_one_by_one_among_domains() -> None:
    whole = large(domains=10, services=300, events=3000)
    chosen = frozenset(service.id for service in whole.services if service.domain == "area03")
    picture = picture_of(whole, None, None, chosen)
    assert {node.id for node in picture.nodes if node.kind == "service"} == chosen
    assert {node.id for node in picture.nodes if node.kind == "domain"} == {f"area{n:02}" for n in range(10) if n != 3}


def test_many_services_of_one_domain_are_drawn_by_service_and_the_busiest_stay() -> None:
    picture = picture_of(large(domains=1, services=200, events=400))
    assert picture.by == "service"
    assert len(picture.nodes) == 80
    assert picture.left_out[0].startswith("120 services with fewer connections left out: name with --service")
