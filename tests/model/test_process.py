"""Declaring processes: what is refused, with the place and the remedy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from farandole import Choreography, Command, DeclarationError, Event, Process, Service
from farandole.model.process import Step
from farandole.model.triggers import OnDeadline, OnUndo


class Paid(Event, of="shop.payments", key="order"):
    order: str


class Picked(Event, of="shop.stock", key="order"):
    order: str


class PutBack(Event, of="shop.stock", key="order"):
    order: str


class Numbered(Event, of="shop.stock", key="number"):
    number: int


class OtherOrder(Event, of="shop.stock"):
    order: int


class Pick(Command):
    order: str


class State(msgspec.Struct):
    lines: int = 0


class Old(msgspec.Struct):
    lines: int = 0


class Older(msgspec.Struct):
    lines: int = 0


class Frozen(msgspec.Struct, frozen=True):
    lines: int = 0


class Needy(msgspec.Struct):
    lines: int
    label: str
    done: bool = False


class Odd(msgspec.Struct):
    who: Old | Older | None = None


def begun(service: Service | None = None) -> tuple[Service, Process[State]]:
    service = service or Service("orders")
    process = service.process("fulfilment", by="order", state=State)

    @process.starts(Paid)
    async def begin(event: Paid, state: State) -> None: ...

    return service, process


def sound() -> tuple[Service, Process[State]]:
    service, process = begun()

    @process.on(Picked)
    async def picked(event: Picked, state: State) -> None: ...

    @process.completes(PutBack)
    async def done(event: PutBack) -> None: ...

    return service, process


def test_handlers_are_reactions_of_the_service_with_a_note_of_their_process() -> None:
    service, process = sound()

    @process.timeout(after=Paid, within=timedelta(hours=1), fails=True)
    async def slow(event: Paid) -> None: ...

    @process.undo(Picked, until=PutBack)
    async def put_back(event: Picked, state: State) -> None: ...

    Choreography("shop", service)
    assert list(service.reactions) == ["begin", "picked", "done", "slow", "put_back"]
    assert service.reactions["begin"].step == Step(process, "starts")
    assert service.reactions["slow"].trigger == OnDeadline((Paid,), (), 3600.0, "order")
    assert service.reactions["put_back"].trigger == OnUndo(Picked, PutBack)
    assert (put_back.events, put_back.causes) == ((Picked, PutBack), (Picked,))
    assert repr(process) == "<Process orders.fulfilment: 5 handlers>"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            Needy,
            r"orders\.process\('fulfilment', state=Needy\): a process begins with nothing known, .* Give one to: lines, label",
        ),
        (Frozen, "handlers change the state in place, so it cannot be frozen"),
        (Odd, "it cannot be kept as JSON"),
        (dict, r"its state is a class of msgspec\.Struct: class dict\(msgspec\.Struct\)"),
        (Paid, r"its state is a class of msgspec\.Struct"),
    ],
)
def test_a_state_that_cannot_be_kept_is_refused(state: Any, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        Service("orders").process("fulfilment", by="order", state=state)


def test_a_name_is_a_name_and_taken_once() -> None:
    service, _ = begun()
    with pytest.raises(DeclarationError, match='expected a name of lower-case letters, digits, "-" and "_", got: \'A b\''):
        service.process("A b", by="order", state=State)
    with pytest.raises(DeclarationError, match=r"orders\.fulfilment is declared already"):
        service.process("fulfilment", by="order", state=State)
    with pytest.raises(DeclarationError, match=r"orders\.begin is declared already"):
        service.process("begin", by="order", state=State)

    async def fulfilment(event: Paid) -> None: ...

    with pytest.raises(DeclarationError, match=r"a process of orders has this name"):
        service.on(Paid)(fulfilment)


def test_every_event_has_the_field_and_all_fields_have_one_type() -> None:
    _, process = begun()
    with pytest.raises(
        DeclarationError, match=r"orders\.fulfilment\.on\(\.\.\.\): by='order' is no field of Numbered, which has: number"
    ):
        process.on(Numbered)
    with pytest.raises(
        DeclarationError, match="instances are told apart by values of one type, but Paid has str, OtherOrder has int"
    ):
        process.completes(OtherOrder)
    keyless = Service("orders").process("fulfilment", state=State)
    with pytest.raises(DeclarationError, match=r"OtherOrder has no key, .* Say by=, or give it key="):
        keyless.starts(OtherOrder)


def test_only_events_set_it_off_and_options_are_known() -> None:
    _, process = begun()
    with pytest.raises(
        DeclarationError, match=r"orders\.fulfilment\.on\(\.\.\.\) takes one or several classes of Event, got: Pick"
    ):
        process.on(Pick)
    with pytest.raises(DeclarationError, match=r"orders\.fulfilment\.on\(\.\.\.\) has no option 'compensates'"):
        process.on(Picked, compensates=None)  # type: ignore[call-overload]


def test_a_process_without_a_start_or_an_end_is_refused() -> None:
    service = Service("orders")
    process = service.process("fulfilment", by="order", state=State)
    with pytest.raises(DeclarationError, match=r"orders\.fulfilment \(.*test_process\.py:\d+\) has no start"):
        Choreography("shop", service)

    @process.starts(Paid)
    async def begin(event: Paid) -> None: ...

    with pytest.raises(
        DeclarationError, match=r"orders\.fulfilment \(.*\) never ends\. Say what completes it: @fulfilment\.completes"
    ):
        Choreography("shop", service)


def test_an_undo_needs_a_step_and_a_failure_and_stands_alone() -> None:
    service, process = begun()

    @process.completes(PutBack)
    async def done(event: PutBack) -> None: ...

    @process.undo(Picked)
    async def put_back(event: Picked) -> None: ...

    with pytest.raises(DeclarationError, match=r"orders\.put_back \(.*\) undoes Picked, which is no step of orders\.fulfilment"):
        Choreography("shop", service)

    @process.on(Picked)
    async def picked(event: Picked) -> None: ...

    with pytest.raises(DeclarationError, match=r"orders\.put_back \(.*\) never runs: nothing fails orders\.fulfilment"):
        Choreography("shop", service)

    @process.timeout(after=Paid, within=1, fails=True)
    async def slow(event: Paid) -> None: ...

    Choreography("shop", service)

    @process.undo(Picked)
    async def again(event: Picked) -> None: ...

    with pytest.raises(DeclarationError, match=r"Picked is undone twice, by orders\.put_back \(.*\) and orders\.again"):
        Choreography("shop", service)


def test_a_handler_takes_the_state_of_its_own_process() -> None:
    service, process = sound()

    @process.on(PutBack)
    async def wrong(event: PutBack, state: Old) -> None: ...

    with pytest.raises(
        DeclarationError, match=r"orders\.wrong \(.*\) takes 'state' of type Old, but the state of .* Annotate it with State"
    ):
        Choreography("shop", service)
    service.provide(Old, Old())
    Choreography("shop", service)


def test_a_command_that_the_service_does_not_handle_is_refused() -> None:
    service, process = sound()

    @process.on(PutBack)
    async def again(event: PutBack) -> Pick: ...

    with pytest.raises(DeclarationError, match=r"orders\.again \(.*\) returns the command Pick, which orders does not handle"):
        _ = Choreography("shop", service).owners


def test_upgrades_are_a_chain_that_ends_in_the_state_of_today() -> None:
    service, process = sound()

    @process.upgrade
    def v2(old: Older) -> Old: ...

    with pytest.raises(DeclarationError, match=r"orders\.fulfilment: its last upgrade \(.*\) gives Old, but its state is State"):
        Choreography("shop", service)

    def v3(old: Older) -> State: ...

    with pytest.raises(DeclarationError, match=r"v3 \(.*\) takes Older, but the upgrade before it gives Old"):
        process.upgrade(v3)

    def v4(old: Old) -> None: ...

    with pytest.raises(DeclarationError, match="expected one old state and a new one"):
        process.upgrade(v4)

    @process.upgrade
    def v5(old: Old) -> State: ...

    Choreography("shop", service)


def test_the_handler_of_an_undo_takes_the_step_again() -> None:
    _, process = sound()

    async def put_back(event: PutBack) -> None: ...

    with pytest.raises(
        DeclarationError, match=r"orders\.put_back \(.*\) reacts to Picked, which its first parameter does not accept"
    ):
        process.undo(Picked, until=PutBack)(put_back)  # type: ignore[arg-type]


def test_nothing_comes_late_for_an_undo() -> None:
    _, process = sound()

    @process.undo(Picked)
    async def put_back(event: Picked) -> None: ...

    async def late(event: Picked) -> None: ...

    with pytest.raises(DeclarationError, match="nothing comes late for it"):
        put_back.late(late)
