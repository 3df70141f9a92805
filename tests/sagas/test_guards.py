"""Guards: what comes in another state is skipped, dead or waits, with a reason; local and outside reactions, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Literal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.sagas.kit import MINUTE, Base, Desk, Paid, Picked, Placed, Refused, Reserved, desk

from farandole import Command, CommandRefused, Context, Event, Guard, Move, Policy, Retry, Sensitive, Service, all_items, all_of
from farandole.stores.base import DeadFilter
from farandole.testing.virtual import VirtualWorld

SOON = Policy(retry=Retry(attempts=3, delay=10, factor=1, jitter=0))
BOTH = pytest.mark.parametrize("outside", [False, True], ids=["local", "outside"])


class Rows(DeclarativeBase):
    pass


class Order(Rows):
    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]


class Confirmed(Event, key="order"):
    order: str


class Undone(Event, key="order"):
    order: str


class Failed(Event, key="order"):
    order: str


async def order_state(event: Base, db: AsyncSession) -> str | None:
    found = await db.get(Order, event.order)
    return found.state if found else None


Otherwise = Literal["skip", "dead", "wait"]


def orders(*, outside: bool = False, otherwise: Otherwise = "skip") -> Service:
    """`Placed` makes an order, `Refused` cancels it, and `Paid` confirms one that is placed."""
    service = Service("orders", policy=SOON, tables=Rows.metadata)

    @service.on(Placed)
    async def place(event: Placed, db: AsyncSession) -> None:
        db.add(Order(id=event.order, state="placed"))

    @service.on(Refused)
    async def cancel(event: Refused, db: AsyncSession) -> None:
        order = await db.get(Order, event.order)
        assert order is not None
        order.state = "cancelled"

    @service.on(Paid, guard=Guard(order_state, "placed", "reserved", otherwise=otherwise), policy=Policy(outside=outside))
    async def confirm(event: Paid, db: AsyncSession) -> Confirmed:
        order = await db.get(Order, event.order)
        assert order is not None
        order.state = "confirmed"
        return Confirmed(order=event.order)

    return service


async def heard(it: Desk) -> list[tuple[str, str | None]]:
    return [(event.type.split(".")[1], event.partitionkey) for event in await it.heard()]


def counts(it: Desk) -> tuple[int, int, int]:
    """Handled, skipped, dead."""
    return it.app.counters["handled"], it.app.counters["skipped"], it.app.counters["dead"]


# --- what becomes of an event


@BOTH
async def test_in_a_valid_state_the_handler_runs_and_in_another_its_event_is_skipped_with_the_reason(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    async with desk(orders(outside=outside), world, database) as it:
        await it.say(Placed(order="a"), Placed(order="b"), Refused(order="b"))
        await it.settle()
        first, second, unknown = await it.say(Paid(order="a"), Paid(order="b"), Paid(order="c"), copies=2)
        await it.app.idle()
        assert await heard(it) == [("Confirmed", "a")]
        assert await it.fates(first) == [("done", None)]
        assert await it.fates(second) == [("skipped", "order b is 'cancelled'; valid are 'placed', 'reserved'")]
        assert await it.fates(unknown) == [("skipped", "there is no order c yet; valid are 'placed', 'reserved'")]
        assert counts(it) == (4, 2, 0)


@BOTH
async def test_a_second_event_finds_the_state_that_the_first_one_made(world: VirtualWorld, outside: bool) -> None:
    async with desk(orders(outside=outside), world) as it:
        await it.say(Placed(order="a"))
        await it.settle()
        _, second = await it.say(Paid(order="a"), Paid(order="a"))
        await it.app.idle()
        assert await heard(it) == [("Confirmed", "a")]
        [(state, reason)] = await it.fates(second)
        assert (state, reason) == (
            "skipped",
            "order a is 'confirmed'; valid are 'placed', 'reserved'",
        )


async def test_an_earlier_event_of_the_same_batch_changes_what_the_guard_sees(world: VirtualWorld, database: str) -> None:
    """Also where it is only in the session yet, and the reader asks the connection."""
    service = Service("orders", tables=Rows.metadata)
    asked = []

    async def order_state(event: Base, db: AsyncConnection) -> str | None:
        state: str | None = (await db.execute(text("SELECT state FROM orders WHERE id = :id"), {"id": event.order})).scalar()
        asked.append(state)
        return state

    @service.on(Placed, states=Move("order", to="placed"), guard=order_state)
    async def place(event: Placed, db: AsyncSession) -> None:
        db.add(Order(id=event.order, state="placed"))

    @service.on(Refused, Paid, states=Move("order", valid=("placed",), to="over"), guard=order_state)
    async def end(event: Refused | Paid, db: AsyncSession) -> Confirmed:
        order = await db.get(Order, event.order)
        assert order is not None
        order.state = "over"
        return Confirmed(order=event.order)

    async with desk(service, world, database) as it:
        _, twice, _, late = await it.say(Placed(order="a"), Placed(order="a"), Refused(order="a"), Paid(order="a"))
        await it.app.idle()
        assert asked == [None, "placed", "placed", "over"]  # in one batch, which ran once
        assert await heard(it) == [("Confirmed", "a")]
        assert await it.fates(twice, late) == [
            ("skipped", "order a is 'placed'; valid is none yet"),
            ("skipped", "order a is 'over'; valid is 'placed'"),
        ]


async def test_a_write_that_fails_when_a_guard_looks_is_not_the_fault_of_the_guarded_event(
    world: VirtualWorld, database: str
) -> None:
    async with desk(orders(), world, database) as it:
        await it.say(Placed(order="a"))
        await it.settle()
        [again, _] = await it.say(Placed(order="a"), Paid(order="a"))
        await it.app.idle()
        assert await heard(it) == [("Confirmed", "a")]
        assert [row.id for row in await it.app.store("orders").dead(DeadFilter())] == [again]


@BOTH
async def test_a_dead_letter_has_the_reason_and_runs_when_it_is_retried_in_a_valid_state(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    async with desk(orders(outside=outside, otherwise="dead"), world, database) as it:
        await it.say(Paid(order="a"))
        await it.app.idle()
        assert await it.dead() == ["there is no order a yet; valid are 'placed', 'reserved'"]
        assert counts(it) == (0, 0, 1)
        await it.say(Placed(order="a"))
        await it.app.idle()
        store = it.app.store("orders")
        assert await store.retry_dead(await store.dead(DeadFilter())) == 1
        await it.app.idle()
        assert await heard(it) == [("Confirmed", "a")]


@BOTH
async def test_an_event_that_is_early_waits_until_its_state_has_come(world: VirtualWorld, database: str, outside: bool) -> None:
    async with desk(orders(outside=outside, otherwise="wait"), world, database) as it:
        await it.say(Paid(order="a"))
        await it.settle()
        assert await heard(it) == []
        await it.say(Placed(order="a"))
        await it.app.idle()
        assert await heard(it) == [("Confirmed", "a")]
        assert await it.dead() == []


@BOTH
async def test_an_event_whose_state_never_comes_is_dead_in_the_end_whatever_errors_are_retried(
    world: VirtualWorld, outside: bool
) -> None:
    service, runs = Service("orders", tables=Rows.metadata), []

    async def order_state(event: Base, context: Context) -> None:
        runs.append((context.attempt, context.event_id))

    retry = Retry(attempts=3, delay=10, factor=1, jitter=0, on=(ConnectionError,))

    @service.on(Paid, guard=Guard(order_state, "placed", otherwise="wait"), policy=Policy(outside=outside, retry=retry))
    async def confirm(event: Paid) -> None: ...

    async with desk(service, world) as it:
        [id] = await it.say(Paid(order="a"))
        await it.app.idle()
        assert await it.dead() == ["there is no order a yet; valid is 'placed'"]
        assert runs == [(1, id), (2, id), (3, id)]


@BOTH
@pytest.mark.parametrize("otherwise", ["wait", "dead"])
async def test_the_exhausted_handler_tells_of_an_event_whose_state_never_came(
    world: VirtualWorld, outside: bool, otherwise: Otherwise
) -> None:
    service = orders(outside=outside, otherwise=otherwise)

    @service.reactions["confirm"].exhausted
    async def gave_up(event: Paid, error: Exception) -> Failed:
        assert "there is no order a yet" in str(error)
        return Failed(order=event.order)

    async with desk(service, world) as it:
        [id] = await it.say(Paid(order="a"))
        await it.app.idle()
        assert await heard(it) == [("Failed", "a")]
        assert (await it.fates(id))[0][0] == "exhausted"


class Subscribed(Base):
    email: Annotated[str, Sensitive]


@pytest.mark.parametrize("otherwise", ["skip", "dead"])
async def test_what_is_sensitive_is_not_in_the_reason(world: VirtualWorld, otherwise: Otherwise) -> None:
    service = Service("letters")

    async def reader_state(event: Subscribed) -> str:
        return "gone"

    move = Move("reader", valid=("here",), to="told", by="email")

    @service.on(Subscribed, states=move, guard=Guard(reader_state, otherwise=otherwise))
    async def write(event: Subscribed) -> None: ...

    async with desk(service, world) as it:
        [id] = await it.say(Subscribed(order="a", email="ada@example.org"))
        await it.app.idle()
        [(_, reason)] = await it.fates(id)
        assert reason == "reader *** is 'gone', a state that nobody declares; valid is 'here'"


class State(Enum):
    OPEN = "open"
    SHUT = 2


async def test_states_may_be_members_of_an_enum_and_there_may_be_none_yet(world: VirtualWorld) -> None:
    service, ran = Service("orders"), []
    states: dict[str, State | None] = {"a": State.OPEN, "b": State.SHUT, "c": None}

    async def door_state(event: Base) -> State | None:
        return states[event.order]

    @service.on(Paid, guard=Guard(door_state, State.SHUT, None))
    async def knock(event: Paid) -> None:
        ran.append(event.order)

    async with desk(service, world) as it:
        ids = await it.say(*(Paid(order=order) for order in states))
        await it.app.idle()
        assert sorted(ran) == ["b", "c"]
        assert await it.fates(ids[0]) == [("skipped", "door a is 'open'; valid are 'SHUT', none yet")]


class Parcel(Base):
    parcel: str


async def test_the_reason_names_the_instance_by_the_field_of_the_move_and_a_state_that_nobody_knows(world: VirtualWorld) -> None:
    service = Service("shipping")

    states = {"p-7": "lost", "p-8": "gnoe"}

    async def parcel_state(event: Parcel) -> str:
        return states[event.parcel]

    @service.on(Parcel, states=Move("parcel", valid=("packed",), to="sent", by="parcel"), guard=parcel_state)
    async def send(event: Parcel) -> None: ...

    @service.on(Parcel, states=Move("parcel", valid=("sent",), to="lost"))
    async def lose(event: Parcel) -> None: ...

    async with desk(service, world) as it:
        ids = await it.say(*(Parcel(order="a", parcel=parcel) for parcel in states))
        await it.app.idle()
        assert [reason for _, reason in await it.fates(*ids) if reason] == [
            "parcel p-7 is 'lost'; valid is 'packed'",
            "parcel p-8 is 'gnoe', a state that nobody declares; valid is 'packed'",
        ]


# --- readers that go wrong


@BOTH
async def test_a_state_that_is_no_text_is_a_dead_letter_at_once(world: VirtualWorld, outside: bool) -> None:
    service = Service("orders", policy=SOON)

    async def order_state(event: Base) -> str:
        return 5  # type: ignore[return-value]

    @service.on(Paid, guard=Guard(order_state, "placed"), policy=Policy(outside=outside))
    async def confirm(event: Paid) -> None: ...

    async with desk(service, world) as it:
        await it.say(Paid(order="a"))
        await it.app.idle()
        [reason] = await it.dead()
        assert reason.startswith("the guard order_state (")
        assert reason.endswith("gave 5, which is no state: expected a str, an Enum member or None")


@BOTH
async def test_a_reader_that_fails_is_a_failure_of_its_reaction_and_tried_again(world: VirtualWorld, outside: bool) -> None:
    service, fails, ran = Service("orders", policy=SOON), [True, True, False], []

    async def order_state(event: Base) -> str:
        if fails.pop(0):
            raise ValueError("away")
        return "placed"

    @service.on(Paid, guard=Guard(order_state, "placed"), policy=Policy(outside=outside))
    async def confirm(event: Paid) -> None:
        ran.append(event.order)

    async with desk(service, world) as it:
        await it.say(Paid(order="a"))
        await it.app.idle()
        assert (ran, fails) == (["a"], [])


@BOTH
async def test_a_reader_that_waits_for_something_else_than_sql_is_refused_on_sqlite(world: VirtualWorld, outside: bool) -> None:
    service = Service("orders", policy=SOON)

    async def order_state(event: Base, context: Context) -> str:
        await context.sleep(1)
        return "placed"

    @service.on(Paid, guard=Guard(order_state, "placed"), policy=Policy(outside=outside))
    async def confirm(event: Paid) -> None: ...

    async with desk(service, world) as it:
        await it.say(Paid(order="a"))
        await it.app.idle()
        [reason] = await it.dead()
        assert "orders.confirm awaits something that is not SQL inside its transaction" in reason
        assert reason.endswith("The reader of a guard reads its service's own database, and waits for nothing else")


# --- what waits


@BOTH
async def test_a_join_asks_for_the_state_when_it_is_complete_and_is_over_when_it_is_refused(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service = Service("shipping", policy=SOON)
    states, asked = {"a": "placed", "b": "cancelled"}, []

    async def order_state(event: Base) -> str:
        asked.append((event.order, type(event)))
        return states[event.order]

    @service.on(all_of(Paid, Reserved), within=MINUTE, guard=Guard(order_state, "placed"), policy=Policy(outside=outside))
    async def ship(paid: Paid, reserved: Reserved) -> Confirmed:
        return Confirmed(order=paid.order)

    async with desk(service, world, database) as it:
        await it.say(Paid(order="a"), Paid(order="b"))
        await it.settle()
        assert asked == []
        _, last = await it.say(Reserved(order="a"), Reserved(order="b"))
        await it.settle()
        [again] = await it.say(Reserved(order="b"))
        await world.sleep(70)
        assert sorted(asked, key=str) == [("a", Reserved), ("b", Reserved)]
        assert await heard(it) == [("Confirmed", "a")]
        assert await it.fates(last) == [("skipped", "order b is 'cancelled'; valid is 'placed'")]
        [(state, reason)] = await it.fates(again)
        assert (state, (reason or "").startswith("too late: the join was over at ")) == ("skipped", True)
        assert await it.dead() == []
        store = it.app.store("shipping")
        while await store.purge(50, 100):
            pass
        states["b"] = "placed"
        await it.say(Paid(order="b"), Reserved(order="b"))  # nothing is left of the refused one: a new one begins
        await it.app.idle()
        assert sorted(await heard(it)) == [("Confirmed", "a"), ("Confirmed", "b")]


@BOTH
async def test_the_last_part_of_a_join_may_wait_for_its_state(world: VirtualWorld, outside: bool) -> None:
    service, states, seen = Service("packing", policy=SOON), ["new", "placed"], []

    async def order_state(event: Base) -> str:
        return states.pop(0)

    guard = Guard(order_state, "placed", otherwise="wait")

    @service.on(all_items(Picked, expected="lines"), guard=guard, policy=Policy(outside=outside))
    async def pack(lines: Sequence[Picked]) -> None:
        seen.append([line.number for line in lines])

    async with desk(service, world) as it:
        await it.say(*(Picked(order="a", lines=2, number=n) for n in (1, 2)))
        await it.app.idle()
        assert (seen, states) == ([[1, 2]], [])


@BOTH
async def test_a_deadline_asks_for_the_state_when_it_fires_and_its_late_handler_is_free(
    world: VirtualWorld, outside: bool
) -> None:
    service = Service("orders", policy=SOON)
    states: dict[str, str] = {}

    async def order_state(event: Placed) -> str:
        return states[event.order]

    @service.deadline(
        after=Placed, unless=Paid, within=MINUTE, guard=Guard(order_state, "placed"), policy=Policy(outside=outside)
    )
    async def give_up(event: Placed) -> Failed:
        return Failed(order=event.order)

    @give_up.late
    async def too_late(event: Paid) -> Undone:
        return Undone(order=event.order)

    async with desk(service, world) as it:
        _, second = await it.say(Placed(order="a"), Placed(order="b"))
        await it.settle()
        states.update(a="placed", b="confirmed")
        await it.app.idle()
        assert await heard(it) == [("Failed", "a")]
        assert await it.fates(second) == [("skipped", "order b is 'confirmed'; valid is 'placed'")]
        await it.say(Paid(order="b"))
        await it.app.idle()
        assert sorted(await heard(it)) == [("Failed", "a"), ("Undone", "b")]


# --- commands


class Cancel(Command):
    order: str


@BOTH
async def test_a_command_in_another_state_is_refused_with_the_reason_and_others_are_not(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service = Service("orders", tables=Rows.metadata, policy=Policy(outside=outside))

    async def order_state(command: Cancel, db: AsyncConnection) -> str | None:
        return (await db.execute(text("SELECT state FROM orders WHERE id = :id"), {"id": command.order})).scalar()

    @service.on(Placed)
    async def place(event: Placed, db: AsyncSession) -> None:
        db.add(Order(id=event.order, state="placed"))

    @service.command(states=Move("order", valid=("placed",), to="cancelled", by="order"), guard=order_state)
    async def cancel(command: Cancel, db: AsyncConnection) -> Undone:
        await db.execute(text("UPDATE orders SET state = 'cancelled' WHERE id = :id"), {"id": command.order})
        return Undone(order=command.order)

    async with desk(service, world, database) as it:
        await it.say(Placed(order="a"), Placed(order="b"))
        await it.settle()
        sent = [it.app.send(Cancel(order=order), idempotency_key=order) for order in ("a", "c", "b")]
        first, unknown, second = await asyncio.gather(*sent, return_exceptions=True)
        assert not isinstance(first, BaseException)
        assert not isinstance(second, BaseException)
        assert isinstance(unknown, CommandRefused)
        assert unknown.reason == "there is no order c yet; valid is 'placed'"
        with pytest.raises(CommandRefused, match=r"orders\.cancel refused: order a is 'cancelled'; valid is 'placed'"):
            await it.app.send(Cancel(order="a"), idempotency_key="again")
        repeated = await it.app.send(Cancel(order="a"), idempotency_key="a")
        assert (repeated.repeated, repeated.result) == (True, Undone(order="a"))  # a known one is answered, not guarded
        await it.say(Placed(order="c"))
        await it.settle()
        assert (await it.app.send(Cancel(order="c"), idempotency_key="c")).result == Undone(order="c")
