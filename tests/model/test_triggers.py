"""Joins and deadlines as declarations: what a handler must take, and what is refused."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from farandole import (
    Choreography,
    Command,
    DeclarationError,
    Effects,
    Event,
    Move,
    Service,
    Workflow,
    all_items,
    all_of,
    allow_cycle,
    any_of,
)
from farandole.model.triggers import OnAll, OnAny, OnCount, OnDeadline


class Placed(Event, key="order"):
    order: str


class Paid(Event, key="order"):
    order: str
    cents: int = 0


class Reserved(Event, key="order"):
    order: str


class Picked(Event, key="order"):
    order: str
    lines: int


class Shipped(Event, key="order"):
    order: str


class Ticked(Event):
    pass


class Numbered(Event, key="order"):
    order: int


class Ship(Command):
    order: str


@pytest.fixture
def shipping() -> Service:
    return Service("shipping")


def test_a_join_takes_its_events_by_its_first_parameters_in_order(shipping: Service) -> None:
    @shipping.on(all_of(Paid, Reserved), by="order", within=timedelta(hours=1))
    async def ship(paid: Paid, reserved: Reserved) -> Shipped: ...

    assert ship.trigger == OnAll((Paid, Reserved), "order", 3600.0)
    assert ship.events == ship.causes == (Paid, Reserved)
    assert ship.signature.parameters == ()


def test_a_join_with_too_few_or_exchanged_parameters_is_refused(shipping: Service) -> None:
    async def one(paid: Paid) -> None: ...

    async def exchanged(reserved: Reserved, paid: Paid) -> None: ...

    with pytest.raises(DeclarationError, match="waits for 2 events, so its first 2 parameters are these"):
        shipping.on(all_of(Paid, Reserved))(one)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="joins Paid, Reserved: its first parameters are these, in this order"):
        shipping.on(all_of(Paid, Reserved))(exchanged)  # type: ignore[arg-type]
    assert shipping.reactions == {}


def test_the_first_of_several_is_taken_as_their_union(shipping: Service) -> None:
    @shipping.on(any_of(Paid, Reserved))
    async def first(event: Paid | Reserved) -> None: ...

    assert first.trigger == OnAny((Paid, Reserved))


def test_a_counted_join_takes_a_sequence(shipping: Service) -> None:
    @shipping.on(all_items(Picked, expected="lines"))
    async def pack(lines: Sequence[Picked]) -> None: ...

    assert pack.trigger == OnCount((Picked,), "lines")
    with pytest.raises(DeclarationError, match=r"its first parameter 'line' takes a sequence: Sequence\[Picked\]"):

        @shipping.on(all_items(Picked, expected="lines"))  # type: ignore[arg-type]
        async def wrong(line: Picked) -> None: ...


def test_a_deadline_hears_of_what_ends_it_but_follows_from_what_starts_it(shipping: Service) -> None:
    @shipping.deadline(after=Placed, unless=(Paid, Reserved), within=timedelta(minutes=15))
    async def give_up(order: Placed) -> Shipped: ...

    assert give_up.trigger == OnDeadline((Placed,), (Paid, Reserved), 900.0)
    assert (give_up.events, give_up.causes) == ((Placed, Paid, Reserved), (Placed,))
    edges = Choreography("shop", shipping).edges
    assert [(edge.cause, edge.effect) for edge in edges] == [(Placed, Shipped)]


def test_what_is_late_for_a_deadline_is_what_it_waited_for(shipping: Service) -> None:
    @shipping.deadline(after=Placed, unless=(Paid, Reserved), within=60)
    async def give_up(order: Placed) -> None: ...

    @give_up.late
    async def anyway(event: Paid | Reserved) -> Shipped: ...

    assert give_up.on_late is not None
    assert (give_up.on_late.id, give_up.on_late.events) == ("shipping.give_up.late", (Paid, Reserved))
    edges = Choreography("shop", shipping).edges
    assert {(edge.cause, edge.effect) for edge in edges if edge.late} == {(Paid, Shipped), (Reserved, Shipped)}
    with pytest.raises(DeclarationError, match="has a late handler already"):
        give_up.late(anyway)


def test_nothing_comes_late_for_a_plain_reaction(shipping: Service) -> None:
    @shipping.on(Paid)
    async def ship(event: Paid) -> None: ...

    with pytest.raises(DeclarationError, match=r"nothing comes late for it\. Only joins and deadlines end"):
        ship.late(ship.function)


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda s: all_of(Paid), "takes two classes of Event or more"),
        (lambda s: all_of(Paid, Paid), "names an event twice"),
        (lambda s: any_of(Paid, Ship), "takes one or several classes of Event, got: Paid, Ship"),
        (lambda s: all_items(Picked, expected="count"), "expected='count' is no field of Picked, which has: order, lines"),
        (lambda s: s.on(all_of(Paid, Reserved), by="id"), "by='id' is no field of Paid, which has: order, cents"),
        (lambda s: s.on(all_of(Paid, Ticked)), "Ticked has no key, so nobody can tell which events belong together"),
        (lambda s: s.on(all_of(Paid, Numbered)), "told apart by values of one type, but Paid has str, Numbered has int"),
        (lambda s: s.on(all_of(Paid, Reserved), within=0), "expected within to be a timedelta or seconds, more than 0, got: 0"),
        (lambda s: s.on(Paid, by="order"), r"by= and within= belong to joins"),
        (lambda s: s.on(Paid, lane="x"), "has no option 'lane'"),
        (lambda s: s.deadline(after=Placed, unless=(), within=None), "expected within to be"),
        (lambda s: s.deadline(after=Placed, unless=Placed, within=5), "names an event twice"),
        (lambda s: Effects(outside="twice"), "expected outside to be one of 'none', 'idempotent', 'once', got: 'twice'"),
        (lambda s: Effects(reads=5), r'expected reads to be a tuple of names, such as \("credit",\), got: 5'),
        (lambda s: Move("order", valid="placed"), "expected valid to be a tuple of names"),  # type: ignore[arg-type]
        (lambda s: Move(""), "expected entity to be a name"),
        (lambda s: allow_cycle(Paid, at_most=0), "expected at_most to be an integer >= 1, got: 0"),
        (lambda s: allow_cycle(at_most=1), "got: nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_remedy(shipping: Service, declare: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        declare(shipping)


def test_one_clearance_stands_for_a_tuple_of_one() -> None:
    assert Service("mail", cleared="email").cleared == ("email",)


def test_alternatives_tell_what_comes_together(shipping: Service) -> None:
    @shipping.on(Placed)
    async def several(event: Placed) -> tuple[Paid, Reserved | Shipped] | list[Picked] | None: ...

    signature = several.signature
    assert signature.answers == ((Paid, Reserved), (Paid, Shipped), (Picked,), ())
    assert signature.many == (Picked,)
    assert signature.emits == (Paid, Reserved, Shipped, Picked)


def test_declarations_know_their_lines() -> None:
    here = inspect.currentframe()
    assert here is not None
    line = here.f_lineno
    workflow = Workflow("checkout", starts=Placed, succeeds=Paid)
    cycle = allow_cycle(Paid, at_most=1)
    service = Service("mail")

    class Here(Event):
        pass

    meta = Here.__farandole__
    assert [int(place.rpartition(":")[2]) - line for place in (workflow.place, cycle.place, service.place, meta.place)] == [
        1,
        2,
        3,
        5,
    ]
    assert workflow.place.startswith(__file__)
