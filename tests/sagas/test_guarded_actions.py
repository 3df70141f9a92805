"""Guards around actions and compensations, in races, and where a process dies."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.runtime.kit import log_of
from tests.sagas.kit import Base, Paid, Placed, Refused, Reserved, desk

from farandole import Command, Context, Event, Guard, Move, Policy, Retry, Service, host
from farandole.model.choreography import Choreography
from farandole.testing.crash import CountingWorld, every_death, run_to_death
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


# --- actions and compensations


class Till:
    """A state that tests set, and what was done."""

    def __init__(self) -> None:
        self.state = {"charge": "open", "refund": "open"}
        self.did: list[str] = []
        self.fails = 0


def payments(till: Till, *, outside: bool) -> Service:
    service = Service("payments", policy=SOON)

    async def charge_state(event: Base) -> str:
        return till.state["charge"]

    async def refund_state(event: Base) -> str:
        return till.state["refund"]

    @service.on(Placed, Reserved, guard=Guard(charge_state, "open"), policy=Policy(outside=outside))
    async def charge(event: Placed | Reserved) -> Confirmed:
        till.did.append("charge")
        if till.fails:
            till.fails -= 1
            till.state["charge"] = "shut"
            raise ValueError("no answer")
        return Confirmed(order=event.order)

    @service.on(
        Refused, Paid, compensates=charge, undoes=Confirmed, guard=Guard(refund_state, "open"), policy=Policy(outside=outside)
    )
    async def refund(event: Refused | Paid) -> Undone:
        till.did.append("refund")
        return Undone(order=event.order)

    return service


@BOTH
async def test_an_action_that_its_guard_skipped_did_not_happen(world: VirtualWorld, outside: bool) -> None:
    till = Till()
    till.state["charge"] = "shut"
    async with desk(payments(till, outside=outside), world) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        [refused] = await it.say(Refused(order="a"))
        await it.app.idle()
        assert await it.fates(refused) == [("skipped", "payments.charge did not happen")]
        assert till.did == []


@BOTH
async def test_an_action_that_happened_is_undone_though_its_guard_skips_another_event(world: VirtualWorld, outside: bool) -> None:
    till = Till()
    async with desk(payments(till, outside=outside), world) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        till.state["charge"] = "shut"
        await it.say(Reserved(order="a"))
        await it.app.idle()
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert till.did == ["charge", "refund"]


@BOTH
async def test_a_compensation_that_its_guard_skipped_has_not_run_and_may_run_later(world: VirtualWorld, outside: bool) -> None:
    till = Till()
    till.state["refund"] = "shut"
    async with desk(payments(till, outside=outside), world) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        [refused] = await it.say(Refused(order="a"))
        await it.app.idle()
        assert await it.fates(refused) == [("skipped", "refund a is 'shut'; valid is 'open'")]
        till.state["refund"] = "open"
        await it.say(Paid(order="a"))
        await it.app.idle()
        assert till.did == ["charge", "refund"]


@BOTH
async def test_a_compensation_that_comes_first_forbids_its_action_whatever_its_guard_says(
    world: VirtualWorld, outside: bool
) -> None:
    till = Till()
    till.state["refund"] = "shut"
    async with desk(payments(till, outside=outside), world) as it:
        await it.say(Refused(order="a"))
        await it.app.idle()
        await it.say(Placed(order="a"))
        await it.app.idle()
        assert till.did == []


@BOTH
async def test_an_action_that_failed_and_is_not_valid_any_more_is_undone_only_where_it_may_have_happened(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    till = Till()
    till.fails = 1
    async with desk(payments(till, outside=outside), world, database) as it:
        [placed] = await it.say(Placed(order="a"))
        await it.app.idle()
        assert (await it.fates(placed))[0][0] == "skipped"
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert till.did == (["charge", "refund"] if outside else ["charge"])


class Line(Base, key="line"):
    line: str


async def test_an_event_that_is_refused_leaves_alone_what_another_event_of_the_workflow_does_just_now(
    world: VirtualWorld,
) -> None:
    service, did = Service("stock", policy=SOON), []

    async def line_state(event: Line) -> str:
        return "open" if event.line == "l1" else "shut"

    @service.on(Line, guard=Guard(line_state, "open"), policy=Policy(outside=True))
    async def reserve(event: Line, context: Context) -> Confirmed:
        await context.sleep(20)
        did.append(event.line)
        return Confirmed(order=event.order)

    @service.on(Refused, compensates=reserve, undoes=Confirmed)
    async def release(event: Refused) -> Undone:
        did.append("undone")
        return Undone(order=event.order)

    async with desk(service, world) as it:
        await it.say(Line(order="a", line="l1"))
        await it.settle()
        await it.say(Line(order="a", line="l2"))
        await it.settle()
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert did == ["l1", "undone"]


# --- races and deaths


async def test_of_events_that_race_in_two_processes_one_finds_the_state_valid_where_the_reader_locks(
    world: VirtualWorld, schema: str
) -> None:
    """Keys in different partitions, so that two hosts on one database have an event each about the same truck."""
    service = Service("fleet", policy=SOON, tables="CREATE TABLE IF NOT EXISTS trucks (id TEXT PRIMARY KEY, state TEXT)")

    class Called(Base):
        truck: str

    async def truck_state(event: Called, db: AsyncConnection) -> str | None:
        found = await db.execute(text("SELECT state FROM trucks WHERE id = :id FOR UPDATE"), {"id": event.truck})
        state: str | None = found.scalar()
        return state

    @service.on(Placed)
    async def buy(event: Placed, db: AsyncConnection) -> None:
        await db.execute(text("INSERT INTO trucks VALUES (:id, 'free')"), {"id": event.order})

    @service.on(Called, states=Move("truck", valid=("free",), to="taken", by="truck"), guard=truck_state)
    async def go(event: Called, db: AsyncConnection) -> Confirmed:
        await db.execute(text("UPDATE trucks SET state = 'taken' WHERE id = :id"), {"id": event.truck})
        return Confirmed(order=event.truck)

    async with desk(service, world, schema) as it, desk(service, world, schema, it.broker):
        await it.say(*(Placed(order=f"t{n}") for n in range(6)))
        await it.settle()
        for n in range(6):
            await it.say(Called(order=f"l{n}", truck=f"t{n}"), Called(order=f"r{n}", truck=f"t{n}"))
        await it.app.idle()
        await it.settle()
        assert sorted(event.partitionkey or "" for event in await it.heard()) == sorted(f"t{n}" for n in range(6))
        assert await it.dead() == []


class Place(Command):
    order: str


class Opened(Event, key="order"):
    order: str


class Moved(Event, key="order"):
    order: str
    by: str


def house() -> Choreography:
    """Two reactions want the same order, a local one and an outside one; both are guarded, so one gets it."""
    service = Service("orders", policy=Policy(retry=Retry(attempts=5, delay=0.05, jitter=0)), tables=Rows.metadata)

    async def order_state(event: Opened, db: AsyncSession) -> str | None:
        found = await db.get(Order, event.order)
        return found.state if found else None

    async def move(event: Opened, db: AsyncSession, by: str) -> Moved | None:
        order = await db.get(Order, event.order, populate_existing=True)
        assert order is not None
        if order.state != "placed":  # the outside one was guarded in the transaction before
            return None
        order.state = by
        return Moved(order=event.order, by=by)

    @service.command
    async def place(command: Place, db: AsyncSession) -> Opened:
        db.add(Order(id=command.order, state="placed"))
        return Opened(order=command.order)

    @service.on(Opened, guard=Guard(order_state, "placed"))
    async def local(event: Opened, db: AsyncSession) -> Moved | None:
        return await move(event, db, "local")

    @service.on(Opened, guard=Guard(order_state, "placed"), policy=Policy(outside=True))
    async def outside(event: Opened, db: AsyncSession) -> Moved | None:
        return await move(event, db, "outside")

    return Choreography("shop", service)


async def life(world: VirtualWorld, folder: Path) -> None:
    if isinstance(world, CountingWorld):
        world.counting = False  # while it opens its files
    places = {
        "broker": f"sqlite:///{folder}/broker.db?synchronous=normal",
        "database": f"sqlite:///{folder}/{{service}}.db?synchronous=off",
    }
    async with host.open(house(), world=world, **places) as app:
        if isinstance(world, CountingWorld):
            world.counting = True
        await app.send(Place(order="a"), idempotency_key="a")
        await app.idle()
        said = {event.id: bytes(event.data) for event in await log_of(app.broker, "shop.orders") if "Moved" in event.type}
        assert len(said) == 1, said
    with sqlite3.connect(folder / "orders.db") as db:
        [(mover,)] = db.execute("SELECT state FROM orders")
        assert mover in str(said)
        rows = db.execute("SELECT reaction, state, reason FROM farandole_inbox WHERE reaction != 'orders.place'").fetchall()
    db.close()
    assert len(rows) == 2
    for reaction, state, reason in rows:
        assert (state, reason) in (
            ("done", None),
            ("skipped", f"order a is {mover!r}; valid is 'placed'"),
        ), reaction


def test_a_stop_at_any_point_leaves_the_state_and_what_was_said_of_it_in_accord(tmp_path: Path) -> None:
    deaths = 0
    for death in every_death(life, lambda: Path(tempfile.mkdtemp(dir=tmp_path)), step=41):
        assert run_to_death(life, death.folder, None).died_at is None
        deaths += 1
    assert deaths > 5
