"""The graph: edges, owners, commands and workflows, and declarations that contradict each other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from farandole import Choreography, Command, DeclarationError, Event, Service, Workflow
from farandole.model.choreography import Edge


class Placed(Event):
    pass


class Paid(Event):
    pass


class Failed(Event):
    pass


class Refunded(Event):
    pass


class Foreign(Event, of="crm.customers"):
    pass


class Place(Command):
    pass


def shop() -> tuple[Choreography, Service, Service]:
    orders, payments = Service("orders"), Service("payments")

    @orders.command
    async def place(command: Place) -> Placed: ...

    @payments.on(Placed)
    async def charge(event: Placed) -> Paid | Failed: ...

    @charge.exhausted
    async def gave_up(event: Placed) -> Failed: ...

    @payments.on(Failed, compensates=charge, undoes=Paid)
    async def refund(event: Failed) -> Refunded | None: ...

    @orders.on(Paid, Failed)
    async def finish(event: Paid | Failed) -> None: ...

    checkout = Workflow("checkout", starts=Placed, succeeds=Paid, fails=(Failed, Refunded), within=timedelta(minutes=5))
    return Choreography("shop", orders, payments, workflows=[checkout]), orders, payments


def test_every_declared_arrow_is_an_edge() -> None:
    choreography, _, _ = shop()
    assert choreography.edges == [
        Edge("orders", "place", Place, Placed),
        Edge("orders", "finish", Paid, None),
        Edge("orders", "finish", Failed, None),
        Edge("payments", "charge", Placed, Paid),
        Edge("payments", "charge", Placed, Failed),
        Edge("payments", "charge", Placed, Failed, exhausted=True),
        Edge("payments", "refund", Failed, Refunded, compensates=True),
    ]


def test_an_exhausted_handler_that_emits_nothing_adds_no_edge() -> None:
    service = Service("one")

    @service.on(Placed)
    async def charge(event: Placed) -> None: ...

    @charge.exhausted
    async def gave_up(event: Placed) -> None: ...

    assert Choreography("shop", service).edges == [Edge("one", "charge", Placed, None)]


def test_the_owner_of_an_event_is_whoever_emits_it() -> None:
    choreography, _, _ = shop()
    assert choreography.owners == {
        Placed: ("orders",),
        Paid: ("payments",),
        Failed: ("payments",),
        Refunded: ("payments",),
    }


def test_an_event_of_two_emitters_has_two_owners() -> None:
    one, two = Service("one"), Service("two")
    for service in (one, two):

        @service.on(Placed)
        async def handler(event: Placed) -> Paid: ...

    assert Choreography("shop", one, two).owners == {Paid: ("one", "two")}


def test_every_command_has_its_handler() -> None:
    choreography, orders, _ = shop()
    assert choreography.commands == {Place: orders.reactions["place"]}
    assert [reaction.id for reaction in choreography.reactions] == [
        "orders.place",
        "orders.finish",
        "payments.charge",
        "payments.refund",
    ]


def test_a_command_with_two_handlers_is_refused_with_both_places() -> None:
    one, two = Service("one"), Service("two")
    for service in (one, two):

        @service.command
        async def place(command: Place) -> None: ...

    with pytest.raises(
        DeclarationError, match=r"Place has two handlers, one\.place \(.*\) and two\.place \(.*\)\. A command has exactly one"
    ):
        _ = Choreography("shop", one, two).commands


def test_a_command_may_be_returned_to_its_own_service_only() -> None:
    one, two = Service("one"), Service("two")

    @one.on(Placed)
    async def handler(event: Placed) -> Place: ...

    with pytest.raises(
        DeclarationError, match=r"one\.handler \(.*\) returns the command Place, which one does not handle: nobody does"
    ):
        _ = Choreography("shop", one).owners

    @two.command
    async def place(command: Place) -> None: ...

    with pytest.raises(
        DeclarationError, match=r"which one does not handle: two\.place \(.*\) does\. Commands stay within one service"
    ):
        _ = Choreography("shop", one, two).owners

    @one.command
    async def place_here(command: Place) -> None: ...

    assert Choreography("shop", one).owners == {}


def test_a_reaction_that_emits_what_another_team_owns_is_refused() -> None:
    service = Service("one")

    @service.on(Placed)
    async def handler(event: Placed) -> Foreign: ...

    with pytest.raises(
        DeclarationError, match=r"Foreign, which is a reader class \(of='crm\.customers'\): its owner alone emits it"
    ):
        _ = Choreography("shop", service).owners


def test_a_choreography_shows_its_services() -> None:
    choreography, orders, payments = shop()
    assert repr(choreography) == "<Choreography shop: orders, payments>"
    assert choreography.services == {"orders": orders, "payments": payments}


@pytest.mark.parametrize("name", ["", "Shop", "my shop", "a.b", None])
def test_a_name_that_cannot_stand_on_the_wire_is_refused(name: Any) -> None:
    with pytest.raises(DeclarationError, match="expected a choreography name of lower-case letters"):
        Choreography(name, Service("one"))


def test_a_choreography_needs_services_of_different_names() -> None:
    with pytest.raises(DeclarationError, match=r"Choreography\('shop'\) has no services\. Give it at least one"):
        Choreography("shop")
    with pytest.raises(DeclarationError, match="expected services, got: 'orders'"):
        Choreography("shop", "orders")  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="two services are called 'one'"):
        Choreography("shop", Service("one"), Service("one"))


def test_two_workflows_of_one_name_are_refused() -> None:
    flow = Workflow("checkout", starts=Placed, succeeds=Paid)
    with pytest.raises(DeclarationError, match="two workflows are called 'checkout'"):
        Choreography("shop", Service("one"), workflows=[flow, flow])


def test_a_workflow_takes_one_event_or_several() -> None:
    flow = Workflow("checkout", starts=Placed, succeeds=(Paid,), fails=(Failed, Refunded))
    assert flow.starts == (Placed,)
    assert flow.outcomes == (Paid, Failed, Refunded)
    assert Workflow("short", starts=Placed, succeeds=Paid).outcomes == (Paid,)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"starts": int}, "starts= takes event classes, got: "),
        ({"starts": ()}, "starts= takes event classes, got: "),
        ({"succeeds": (Paid, "Failed")}, "succeeds= takes event classes, got: "),
        ({"fails": None}, "fails= takes event classes, got: None"),
        ({"within": timedelta(0)}, "expected within to be a timedelta or seconds, more than 0, got: "),
        ({"within": "5 min"}, "expected within to be a timedelta or seconds, more than 0, got: '5 min'"),
    ],
)
def test_a_workflow_that_cannot_be_observed_is_refused(keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=rf"Workflow\('checkout'\): {words}"):
        Workflow("checkout", **({"starts": Placed, "succeeds": Paid} | keywords))
