"""Services and reactions: what a declaration keeps, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from farandole import Command, DeclarationError, Event, Policy, Reaction, Retry, Service
from farandole.model.reaction import OnCommand, OnEvents
from farandole.model.service import Provided


class Placed(Event):
    order_id: str


class Paid(Event):
    order_id: str


class Failed(Event):
    order_id: str


class Refunded(Event):
    order_id: str


class Base(Event):
    order_id: str


class Derived(Base):
    pass


class Place(Command):
    order_id: str


class Other(Command):
    pass


class Gateway:
    pass


@pytest.fixture
def payments() -> Service:
    return Service("payments", policy=Policy(timeout=9, retry=Retry(attempts=2)))


def charge_of(service: Service) -> Reaction[Any, ..., Any]:
    @service.on(Placed)
    async def charge(order: Placed, gateway: Gateway) -> Paid | Failed:
        """Take the money."""
        return Paid(order_id=order.order_id)

    return charge


async def test_a_reaction_stays_directly_callable(payments: Service) -> None:
    charge = charge_of(payments)
    assert await charge(Placed(order_id="1"), gateway=Gateway()) == Paid(order_id="1")


def test_a_reaction_knows_its_identity_place_trigger_and_edges(payments: Service) -> None:
    charge = charge_of(payments)
    assert charge.id == "payments.charge"
    assert repr(charge) == "<Reaction payments.charge>"
    assert charge.place.startswith(__file__)
    assert charge.trigger == OnEvents((Placed,))
    assert (charge.events, charge.emits) == ((Placed,), (Paid, Failed))
    assert charge.__doc__ == "Take the money."
    assert charge.policy == Policy(timeout=9, retry=Retry(attempts=2))
    assert payments.reactions == {"charge": charge}


def test_a_service_says_how_many_reactions_it_has(payments: Service) -> None:
    assert repr(payments) == "<Service payments: 0 reactions>"
    charge_of(payments)
    assert repr(payments) == "<Service payments: 1 reaction>"


def test_a_reaction_may_say_more_than_its_service(payments: Service) -> None:
    @payments.on(Placed, policy=Policy(timeout=1), formerly="old_name")
    async def charge(order: Placed) -> None: ...

    assert charge.policy == Policy(timeout=1, retry=Retry(attempts=2))
    assert charge.formerly == "old_name"


def test_a_renamed_reaction_keeps_its_identity_and_so_does_its_exhausted_handler(payments: Service) -> None:
    @payments.on(Placed, formerly="old_name")
    async def charge(order: Placed) -> None: ...

    @charge.exhausted
    async def gave_up(order: Placed) -> None: ...

    assert (charge.name, charge.id) == ("charge", "payments.old_name")
    assert charge.on_exhausted is not None
    assert charge.on_exhausted.id == "payments.old_name.exhausted"


def test_two_reactions_cannot_go_on_under_one_identity(payments: Service) -> None:
    @payments.on(Placed, formerly="old_name")
    async def charge(order: Placed) -> None: ...

    with pytest.raises(DeclarationError, match=r"payments\.old_name .* and payments\.charge .* would both be payments\.old_name"):

        @payments.on(Placed)
        async def old_name(order: Placed) -> None: ...

    assert list(payments.reactions) == ["charge"]


def test_a_reaction_to_several_events_takes_their_union_or_a_base(payments: Service) -> None:
    @payments.on(Placed, Failed)
    async def union(event: Placed | Failed) -> None: ...

    @payments.on(Derived)
    async def base(event: Base) -> None: ...

    @payments.on(Placed, Derived)
    async def anything(event: Event) -> None: ...

    assert union.events == (Placed, Failed)
    assert base.events == (Derived,)
    assert anything.events == (Placed, Derived)


def test_one_function_can_serve_two_services() -> None:
    async def record(event: Placed) -> None: ...

    assert Service("one").on(Placed)(record).id == "one.record"
    assert Service("two").on(Placed)(record).id == "two.record"


@pytest.mark.parametrize("name", ["", "Payments", "1st", "pay ments", "payments.eu", "é", None, 5])
def test_a_service_name_that_cannot_stand_on_the_wire_is_refused(name: Any) -> None:
    with pytest.raises(DeclarationError, match='expected a service name of lower-case letters, digits, "-" and "_", got: '):
        Service(name)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((), r"payments\.on\(\.\.\.\) takes one or several classes of Event, got: nothing"),
        ((int,), r"got: int"),
        ((Event,), r"got: Event"),
        ((Placed, "Paid"), r"got: Placed, 'Paid'"),
        ((Placed, Placed), r"names an event twice: Placed, Placed"),
        ((Place,), r"payments\.on\(Place\): that is a Command\. Use @payments\.command"),
    ],
)
def test_only_distinct_event_classes_are_reacted_to(payments: Service, events: tuple[Any, ...], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        payments.on(*events)


def test_a_parameter_that_does_not_accept_every_event_is_refused(payments: Service) -> None:
    async def handler(event: Placed) -> None: ...

    with pytest.raises(
        DeclarationError,
        match=r"reacts to Failed, which its first parameter does not accept\. Annotate it with: Placed \| Failed",
    ):
        payments.on(Placed, Failed)(handler)  # type: ignore[arg-type]
    assert payments.reactions == {}


def test_two_reactions_of_one_name_are_refused_with_both_places(payments: Service) -> None:
    first = charge_of(payments)
    with pytest.raises(DeclarationError, match=r"payments\.charge \(.*\) is declared already: ") as caught:
        charge_of(payments)
    assert first.place in str(caught.value)


def test_what_has_no_name_is_refused(payments: Service) -> None:
    with pytest.raises(DeclarationError, match="a reaction is named by its function, so it needs one with a name"):
        payments.on(Placed)(lambda event: None)
    with pytest.raises(DeclarationError, match="Use `def`"):
        payments.on(Placed)(5)  # type: ignore[arg-type]


# --- exhausted


def test_an_exhausted_handler_is_a_reaction_of_its_own_with_the_same_trigger(payments: Service) -> None:
    charge = charge_of(payments)

    @charge.exhausted
    async def gave_up(order: Placed, error: Exception) -> Failed:
        return Failed(order_id=order.order_id)

    assert charge.on_exhausted is not None
    assert charge.on_exhausted.id == "payments.charge.exhausted"
    assert (charge.on_exhausted.events, charge.on_exhausted.emits) == ((Placed,), (Failed,))
    assert charge.on_exhausted.function is gave_up
    assert charge.on_exhausted.policy == charge.policy


def test_a_second_exhausted_handler_is_refused_with_the_place_of_the_first(payments: Service) -> None:
    charge = charge_of(payments)

    @charge.exhausted
    async def gave_up(order: Placed) -> None: ...

    with pytest.raises(DeclarationError, match=r"payments\.charge \(.*\) has an exhausted handler already: ") as caught:
        charge.exhausted(gave_up)
    assert charge.on_exhausted is not None
    assert charge.on_exhausted.place in str(caught.value)


def test_an_exhausted_handler_must_accept_the_same_events(payments: Service) -> None:
    charge = charge_of(payments)

    async def gave_up(order: Paid) -> None: ...

    with pytest.raises(DeclarationError, match=r"payments\.charge\.exhausted .* reacts to Placed, which its first parameter"):
        charge.exhausted(gave_up)


# --- commands


def test_a_command_handler_is_set_off_by_the_command_of_its_first_parameter(payments: Service) -> None:
    @payments.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    assert place.trigger == OnCommand(Place)
    assert (place.events, place.emits) == ((Place,), (Placed,))


@pytest.mark.parametrize("annotation", [Placed, Place | Other, Event, Command])
def test_a_command_handler_takes_one_command(payments: Service, annotation: Any) -> None:
    async def place(command: Any) -> None: ...

    place.__annotations__["command"] = annotation
    with pytest.raises(
        DeclarationError, match=r"payments\.place .* handles a command, so its first parameter is one subclass of Command"
    ):
        payments.command(place)


def test_a_command_handler_with_a_forward_reference_is_checked_when_it_is_read(payments: Service) -> None:
    @payments.command
    async def place(command: SomethingLater) -> None: ...  # noqa: F821 - defined below

    globals()["SomethingLater"] = Placed
    try:
        with pytest.raises(DeclarationError, match="handles a command"):
            _ = place.signature
        globals()["SomethingLater"] = Place
        assert place.events == (Place,)
    finally:
        del globals()["SomethingLater"]


def test_the_exhausted_handler_of_a_command_takes_that_command(payments: Service) -> None:
    @payments.command
    async def place(command: Place) -> None: ...

    async def other(command: Other) -> None: ...

    async def same(command: Place) -> Failed: ...

    with pytest.raises(DeclarationError, match=r"payments\.place\.exhausted .* takes another command than payments\.place"):
        place.exhausted(other)  # type: ignore[arg-type]
    place.exhausted(same)
    assert place.on_exhausted is not None
    assert place.on_exhausted.trigger == OnCommand(Place)


# --- compensation


def test_a_compensation_names_the_reaction_and_the_event_that_it_undoes(payments: Service) -> None:
    charge = charge_of(payments)

    @payments.on(Failed, compensates=charge, undoes=Paid)
    async def refund(event: Failed) -> Refunded | None: ...

    assert (refund.compensates, refund.undoes) == (charge, Paid)


def test_a_compensation_that_names_half_of_it_is_refused(payments: Service) -> None:
    charge = charge_of(payments)
    for keywords in ({"compensates": charge}, {"undoes": Paid}):
        with pytest.raises(DeclarationError, match="compensates= and undoes= go together"):
            payments.on(Failed, **keywords)  # type: ignore[call-overload]


def test_an_event_that_the_compensated_reaction_does_not_emit_cannot_be_undone(payments: Service) -> None:
    charge = charge_of(payments)
    with pytest.raises(DeclarationError, match=r"undoes=Refunded is not emitted by payments\.charge, which emits: Paid, Failed"):
        payments.on(Failed, compensates=charge, undoes=Refunded)

    @payments.on(Placed)
    async def quiet(event: Placed) -> None: ...

    with pytest.raises(DeclarationError, match="which emits: nothing"):
        payments.on(Failed, compensates=quiet, undoes=Paid)


def test_a_service_compensates_its_own_work_only(payments: Service) -> None:
    charge = charge_of(payments)
    with pytest.raises(
        DeclarationError,
        match=r"compensates=payments\.charge, but a service undoes its own work only\. Declare the compensation on payments",
    ):
        Service("orders").on(Failed, compensates=charge, undoes=Paid)


# --- what is provided


def test_what_is_provided_is_kept_by_type(payments: Service) -> None:
    gateway = Gateway()
    payments.provide(Gateway, gateway)
    payments.provide(dict, dict, local=True)
    assert payments.provided == [Provided(Gateway, gateway, local=False), Provided(dict, dict, local=True)]


def test_a_type_is_provided_once(payments: Service) -> None:
    payments.provide(Gateway, Gateway)
    with pytest.raises(DeclarationError, match=r"payments\.provide\(Gateway\): it is provided already"):
        payments.provide(Gateway, Gateway())
