"""Guards as declarations: what a reader must be, where the valid states come from, and what is refused."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Literal

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from farandole import Command, Context, DeclarationError, Event, Guard, Move, Service, all_of
from farandole.graph.of_code import graph_of
from farandole.model.choreography import Choreography
from farandole.model.resources import check_parameters

if TYPE_CHECKING:
    from decimal import Decimal


class OrderEvent(Event, key="order"):
    order: str


class Placed(OrderEvent):
    pass


class Paid(OrderEvent):
    pass


class Ticked(Event):
    pass


class Cancel(Command):
    order: str


class Gateway:
    pass


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(Enum):
    SMALL = 1


async def order_state(event: OrderEvent, db: AsyncSession, context: Context) -> str | None: ...


async def state_of_order(event: Event) -> Color | Literal["green"] | None: ...


async def size(event: Event) -> Size: ...


async def cancel_state(command: Cancel) -> str: ...


def moves(service: Service, name: str) -> tuple[Move, ...]:
    return service.reactions[name].notes.states


@pytest.fixture
def orders() -> Service:
    return Service("orders")


def test_a_guard_alone_tells_drawings_and_checks_which_states_are_valid(orders: Service) -> None:
    @orders.on(Paid, guard=Guard(order_state, "placed", "reserved"))
    async def confirm(event: Paid) -> None: ...

    @orders.on(Paid, guard=Guard(state_of_order, Color.RED, None, otherwise="wait"))
    async def paint(event: Paid) -> None: ...

    @orders.on(Paid, guard=Guard(size, Size.SMALL))
    async def pack(event: Paid) -> None: ...

    assert moves(orders, "confirm") == (Move("order", valid=("placed", "reserved")),)
    assert moves(orders, "paint") == (Move("order", valid=("red",)),)
    assert moves(orders, "pack") == (Move("size", valid=("SMALL",)),)
    assert paint.guarding is not None
    assert paint.guarding.guard == Guard(state_of_order, "red", None, otherwise="wait")
    assert paint.reader is not None
    assert paint.reader.known == ("red", "blue", "green")
    graph = graph_of(Choreography("shop", orders))
    assert [node.moves for node in graph.reactions] == [moves(orders, name) for name in ("confirm", "paint", "pack")]


def test_a_reader_alone_takes_the_states_from_the_move_and_a_guard_gives_it_those_that_it_lacks(orders: Service) -> None:
    parcel = Move("parcel", valid=("packed",), to="sent")

    @orders.on(Paid, states=(parcel, Move("order", valid=("placed",), to="confirmed")), guard=order_state)
    async def confirm(event: Paid) -> None: ...

    @orders.on(Placed, states=Move("order", to="placed"), guard=order_state)
    async def place(event: Placed) -> None: ...

    @orders.on(Placed, states=Move("order", to="kept"), guard=Guard(order_state, "placed"))
    async def keep(event: Placed) -> None: ...

    @orders.on(Placed, states=Move("order", valid=("a", "b")), guard=Guard(order_state, "b", "a", otherwise="dead"))
    async def both(event: Placed) -> None: ...

    found = [reaction.guarding for reaction in orders.reactions.values()]
    assert [(each.guard.states, each.guard.otherwise) for each in found if each] == [
        (("placed",), "skip"),
        ((None,), "skip"),  # it makes a new one
        (("placed",), "skip"),
        (("b", "a"), "dead"),
    ]
    assert moves(orders, "confirm") == (parcel, Move("order", valid=("placed",), to="confirmed"))
    assert moves(orders, "keep") == (Move("order", valid=("placed",), to="kept"),)


def test_commands_joins_and_deadlines_have_guards_too(orders: Service) -> None:
    @orders.command(guard=Guard(cancel_state, "placed"))
    async def cancel(command: Cancel) -> None: ...

    @orders.command()
    async def close(command: Cancel) -> None: ...

    @orders.on(all_of(Placed, Paid), guard=Guard(order_state, "placed"))
    async def ship(placed: Placed, paid: Paid) -> None: ...

    async def placed_state(event: Placed) -> str: ...

    @orders.deadline(after=Placed, unless=Paid, within=timedelta(1), guard=Guard(placed_state, "new"))
    async def give_up(event: Placed) -> None: ...

    assert [bool(reaction.reader) for reaction in orders.reactions.values()] == [True, False, True, True]


async def no_event() -> str: ...


async def no_annotation(event) -> str: ...  # type: ignore[no-untyped-def]


async def no_return(event: Event): ...  # type: ignore[no-untyped-def]


async def a_number(event: Event) -> int: ...


async def of_others(event: Ticked) -> str: ...


def plain(event: Event, db: Session) -> str: ...


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (plain, {}, "Guard: expected a function that reads the state, `async def order_state"),
    ("placed", {}, "Guard: expected a function that reads the state, .* got: 'placed'"),
    (no_event, {}, r"orders\.react: its guard no_event \(.*\) takes no parameter\. The event is the first one"),
    (no_annotation, {}, "parameter 'event' has no annotation"),
    (no_return, {}, r"its guard no_return \(.*\) has no return annotation\. Say what it gives: `-> str \| None`"),
    (a_number, {}, r"its guard a_number \(.*\) is declared to return int\. It returns the state: a str, an Enum member, or None"),
    (of_others, {}, r"its guard of_others \(.*\) must take Paid, .* Annotate it with a base class of all, or with: Paid"),
    (order_state, {"states": ()}, r'the guard order_state has no valid states\. Write guard=Guard\(order_state, "placed"\)'),
    (
        Guard(order_state, "placed"),
        {"states": Move("order", valid=("new",))},
        r"the guard order_state says that 'placed' are valid, and states= says 'new'\. Say it once",
    ),
    (
        Guard(order_state, None),
        {"states": Move("order", valid=("new",))},
        "the guard order_state says that none yet are valid, and states= says 'new'",
    ),
    (
        Guard(size, "SMALL"),
        {"states": (Move("order"), Move("parcel"))},
        r"nobody can tell which of the states= the guard size reads: 'order', 'parcel'\. Name the reader after it, such as order_state",
    ),
    (
        Guard(state_of_order, "gren"),
        {},
        r"its guard state_of_order \(.*\) never gives 'gren'\. By its annotation it gives: 'red', 'blue', 'green'",
    ),
]


@pytest.mark.parametrize(("guard", "more", "words"), REFUSED)
def test_a_guard_that_cannot_work_is_refused_where_it_is_declared(
    orders: Service, guard: Any, more: dict[str, Any], words: str
) -> None:
    plain_guard = guard if isinstance(guard, Guard) or more else None
    with pytest.raises(DeclarationError, match=words):

        @orders.on(Paid, guard=plain_guard or Guard(guard, "placed"), **more)
        async def react(event: Paid) -> None: ...


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Guard(size, 5), "expected states to be texts, Enum members or None, got: 5"),  # type: ignore[arg-type]
        (lambda: Guard(size, ""), "expected states to be texts"),
        (lambda: Guard(size, "a", otherwise="stop"), 'expected otherwise to be "skip", "dead" or "wait", got: \'stop\''),  # type: ignore[arg-type]
        (
            lambda: Service("orders").command(guard=Guard(cancel_state, "a", otherwise="wait")),
            r"orders\.command\(\.\.\.\): otherwise='wait' is for events\. The caller of a command is told at once",
        ),
        (
            lambda: Service("orders").command(policy=None),  # type: ignore[call-overload]
            r"orders\.command\(\.\.\.\) has no option 'policy'\. Known are effects, states, guard",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_there_is_a_handler(make: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        make()


def test_a_reader_is_read_again_when_what_its_annotation_names_is_there(orders: Service) -> None:
    async def order_state(event: Order) -> str: ...  # noqa: F821 - not there yet

    async def lost_state(event: Event, price: Decimal) -> str: ...

    @orders.on(Paid, guard=Guard(order_state, "placed"))
    async def confirm(event: Paid) -> None: ...

    @orders.on(Paid, guard=Guard(lost_state, "placed"))
    async def lose(event: Paid) -> None: ...

    order_state.__globals__["Order"] = OrderEvent
    try:
        assert confirm.reader is not None
        assert confirm.reader.signature.events == (OrderEvent,)
    finally:
        del order_state.__globals__["Order"]
    with pytest.raises(DeclarationError, match=r"orders\.lose: an annotation of its guard \(.*\) names something that is not"):
        check_parameters(orders)


async def with_gateway(event: Event, gateway: Gateway) -> str: ...


async def with_session(event: Event, db: Session) -> str: ...


async def with_error(event: Event, error: Exception) -> str: ...


async def with_driver(event: Event, db: sqlite3.Connection, gateway: Gateway | None = None) -> str: ...


@pytest.mark.parametrize(
    ("reader", "provided", "words"),
    [
        (with_gateway, None, r"its guard with_gateway \(.*\): nobody provides the parameter 'gateway' of type Gateway"),
        (with_gateway, False, r"runs inside the transaction, so it must not call anything outside: 'gateway' is provided"),
        (with_session, None, "its guard with_session .* is `async def`, so 'db' must be AsyncSession or AsyncConnection"),
        (with_error, None, "nobody provides the parameter 'error' of type Exception"),
        (with_gateway, True, None),
        (with_driver, None, None),
    ],
)
def test_a_reader_takes_the_database_the_context_and_what_is_local(
    orders: Service, reader: Any, provided: bool | None, words: str | None
) -> None:
    if provided is not None:
        orders.provide(Gateway, Gateway(), local=provided)

    @orders.on(Paid, guard=Guard(reader, "placed"))
    async def confirm(event: Paid) -> None: ...

    if words is None:
        check_parameters(orders)
    else:
        with pytest.raises(DeclarationError, match=words):
            check_parameters(orders)
