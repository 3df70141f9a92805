"""Mistakes in services: what good teams write wrong, in a few lines each, beside what is right."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from tests.rehearse.cafe import any_key, by_key, cafe
from tests.rehearse.planted.defect import Defect

from farandole.model.choreography import Choreography, Workflow
from farandole.model.event import Command, Event
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.rehearse import Rehearsal, Stage, View
from farandole.runtime.context import Context

__all__ = ["SERVICES"]

PATIENT = Policy(retry=Retry(attempts=60, delay=0.1, factor=1.5, longest=5.0))
ORDERS = ("a", "b", "c", "d")


class Order(Command):
    id: str
    number: int = 1


class CallOff(Command):
    id: str
    number: int = 1


class Ordered(Event, key="id"):
    id: str
    number: int


class CalledOff(Event, key="id"):
    id: str
    number: int


class Kept(Event, key="id"):
    id: str


class Missing(Event, key="id"):
    id: str


class Free(Event, key="id"):
    id: str


class Paid(Event, key="id"):
    id: str


class Unpaid(Event, key="id"):
    id: str


class PaidBack(Event, key="id"):
    id: str


def desks() -> tuple[Service, Service]:
    """Orders come to one desk, and are called off at another: two topics, so that either may overtake."""
    orders, complaints = Service("orders"), Service("complaints")

    @orders.command
    async def order(command: Order) -> Ordered:
        return Ordered(id=command.id, number=command.number)

    @complaints.command
    async def call_off(command: CallOff) -> CalledOff:
        return CalledOff(id=command.id, number=command.number)

    return orders, complaints


def rehearsed(choreography: Choreography, *commands: Any, pause: float = 0.5) -> Rehearsal:
    """One client sends these."""
    rehearsal = Rehearsal(choreography, horizon=900.0)

    @rehearsal.scenario
    async def client(stage: Stage) -> None:
        for command in stage.some(commands):
            await stage.send(command)
            await stage.sleep(stage.chance.random() * pause)

    return rehearsal


def compensation_without_guard(wrong: bool) -> Rehearsal:
    """Whatever is called off comes back onto the shelf, whether it was taken from it or not."""
    shelf = Service("shelf", tables="CREATE TABLE pieces (id TEXT PRIMARY KEY); CREATE TABLE stock (left INTEGER)")
    orders, complaints = desks()

    @shelf.on(Ordered)
    async def keep(event: Ordered, db: sqlite3.Connection) -> Kept | Missing:
        if not db.execute("SELECT 1 FROM stock").fetchall():
            db.execute("INSERT INTO stock VALUES (2)")
        if db.execute("SELECT left FROM stock").fetchone()[0] == 0:
            return Missing(id=event.id)
        db.execute("UPDATE stock SET left = left - 1")
        db.execute("INSERT INTO pieces VALUES (?)", (event.id,))
        return Kept(id=event.id)

    @shelf.on(CalledOff)
    async def put_back(event: CalledOff, db: sqlite3.Connection) -> None:
        taken = db.execute("DELETE FROM pieces WHERE id = ?", (event.id,)).rowcount
        if taken or wrong:
            db.execute("UPDATE stock SET left = left + 1")

    choreography = Choreography("shop", orders, complaints, shelf)

    @choreography.invariant
    async def pieces_neither_come_nor_go(world: View) -> None:
        left, kept = world.one("shelf", "SELECT sum(left) FROM stock"), world.one("shelf", "SELECT count(*) FROM pieces")
        assert left + kept == 2, f"{left} left and {kept} kept of 2"

    return rehearsed(choreography, *(Order(id=id) for id in ORDERS), *(CallOff(id=id) for id in ORDERS))


def compensation_before_its_action(wrong: bool) -> Rehearsal:
    """What is called off before the order is heard of is ordered all the same."""
    shelf = Service("shelf", tables="CREATE TABLE pieces (id TEXT PRIMARY KEY, state TEXT)")
    orders, complaints = desks()

    @shelf.on(Ordered)
    async def keep(event: Ordered, db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO pieces VALUES (?, 'kept') ON CONFLICT DO NOTHING", (event.id,))

    @shelf.on(CalledOff)
    async def put_back(event: CalledOff, db: sqlite3.Connection) -> None:
        if wrong:
            db.execute("DELETE FROM pieces WHERE id = ?", (event.id,))
        else:
            db.execute("INSERT INTO pieces VALUES (?, 'off') ON CONFLICT DO UPDATE SET state = 'off'", (event.id,))

    choreography = Choreography("shop", orders, complaints, shelf)

    @choreography.invariant
    async def nothing_is_kept_for_who_called_off(world: View) -> list[str]:
        off = {event.id for event in world.events(CalledOff)}
        kept = world.rows("shelf", "SELECT id FROM pieces WHERE state = 'kept'")
        return [f"{id} is kept" for (id,) in kept if id in off]

    both = [command for id in ORDERS for command in (Order(id=id), CallOff(id=id))]
    return rehearsed(choreography, *both, pause=0.01)


class Bank:
    """Keeps what it is told, once for each key."""

    def __init__(self) -> None:
        self.charged: dict[str, str] = {}
        self.refunded: dict[str, str] = {}

    async def charge(self, key: str, id: str) -> None:
        self.charged.setdefault(key, id)

    async def refund(self, key: str, id: str) -> None:
        self.refunded.setdefault(key, id)


def refund_with_a_fresh_id(wrong: bool) -> Rehearsal:
    """Every attempt to pay back is another payment to the bank."""
    payments = Service("payments")
    payments.provide(Bank, Bank)
    orders, complaints = desks()

    @payments.on(CalledOff, policy=PATIENT)
    async def pay_back(event: CalledOff, bank: Bank, context: Context) -> PaidBack:
        await bank.refund(context.uuid() if wrong else context.idempotency_key, event.id)
        return PaidBack(id=event.id)

    choreography = Choreography("shop", orders, complaints, payments)

    @choreography.invariant
    async def nobody_is_paid_back_twice(world: View) -> None:
        paid = list(world.outside(Bank).refunded.values())
        assert len(paid) == len(set(paid)), f"{len(paid)} refunds for {len(set(paid))} orders"

    return rehearsed(choreography, *(CallOff(id=id) for id in ORDERS))


def oversell(wrong: bool) -> Rehearsal:
    """One reaction sees that a piece is there, and another one takes it."""
    shelf = Service("shelf", tables="CREATE TABLE taken (id TEXT PRIMARY KEY)")
    orders, complaints = desks()

    @shelf.on(Ordered)
    async def look(event: Ordered, db: sqlite3.Connection) -> Free | Missing:
        if db.execute("SELECT count(*) FROM taken").fetchone()[0] >= 2:
            return Missing(id=event.id)
        if not wrong:
            db.execute("INSERT INTO taken VALUES (?)", (event.id,))
        return Free(id=event.id)

    @shelf.on(Free)
    async def take(event: Free, db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO taken VALUES (?) ON CONFLICT DO NOTHING", (event.id,))

    choreography = Choreography("shop", orders, complaints, shelf)

    @choreography.invariant
    async def no_more_is_sold_than_there_is(world: View) -> None:
        assert world.one("shelf", "SELECT count(*) FROM taken") <= 2

    return rehearsed(choreography, *(Order(id=id) for id in ORDERS))


class PutIn(Command):
    id: str
    amount: int


class PutInto(Event, key="id"):
    id: str
    amount: int
    balance: int


def lost_update(wrong: bool) -> Rehearsal:
    """A balance is read when the command comes, and written when its event does."""
    wallet = Service("wallet", tables="CREATE TABLE balances (id TEXT PRIMARY KEY, amount INTEGER)")

    @wallet.command
    async def put_in(command: PutIn, db: sqlite3.Connection) -> PutInto:
        row = db.execute("SELECT amount FROM balances WHERE id = ?", (command.id,)).fetchone()
        return PutInto(id=command.id, amount=command.amount, balance=(row[0] if row else 0) + command.amount)

    @wallet.on(PutInto)
    async def book(event: PutInto, db: sqlite3.Connection) -> None:
        then = "excluded.amount" if wrong else "amount + excluded.amount"
        amount = event.balance if wrong else event.amount
        db.execute(f"INSERT INTO balances VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = {then}", (event.id, amount))

    choreography = Choreography("bank", wallet)

    @choreography.invariant
    async def every_penny_is_there(world: View) -> None:
        put_in = sum(event.amount for event in world.events(PutInto))
        assert world.one("wallet", "SELECT sum(amount) FROM balances") == put_in

    return rehearsed(choreography, *(PutIn(id="w", amount=n) for n in (1, 2, 4, 8)), pause=0.01)


class Cache:
    """In memory, beside the database."""

    def __init__(self) -> None:
        self.known: set[str] = set()


def dirty_read(wrong: bool) -> Rehearsal:
    """A cache knows what a transaction that was rolled back wanted to write."""
    desk = Service("desk", tables="CREATE TABLE known (id TEXT PRIMARY KEY)")
    desk.provide(Cache, Cache, local=True)
    orders, complaints = desks()

    @desk.on(Ordered, policy=PATIENT)
    async def learn(event: Ordered, db: sqlite3.Connection, cache: Cache, context: Context) -> Kept:
        if wrong and event.id in cache.known:
            return Kept(id=event.id)
        cache.known.add(event.id)
        db.execute("INSERT INTO known VALUES (?)", (event.id,))
        return Kept(id=event.id)

    choreography = Choreography("shop", orders, complaints, desk)

    @choreography.invariant
    async def whatever_is_kept_is_known(world: View) -> list[str]:
        known = {id for (id,) in world.rows("desk", "SELECT id FROM known")}
        return [f"{event.id} is kept and not known" for event in world.events(Kept) if event.id not in known]

    return rehearsed(choreography, *(Order(id=id) for id in ORDERS))


def stale_cancel(wrong: bool) -> Rehearsal:
    """Who calls off the first order and orders again may find the second one called off."""
    shelf = Service("shelf", tables="CREATE TABLE pieces (id TEXT PRIMARY KEY, number INTEGER, off INTEGER DEFAULT 0)")
    orders, complaints = desks()

    @shelf.on(Ordered)
    async def keep(event: Ordered, db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT INTO pieces (id, number) VALUES (?, ?) ON CONFLICT DO UPDATE SET "
            "off = CASE WHEN off >= excluded.number THEN off ELSE 0 END, number = excluded.number",
            (event.id, event.number),
        )

    @shelf.on(CalledOff)
    async def put_back(event: CalledOff, db: sqlite3.Connection) -> None:
        if wrong:
            db.execute("UPDATE pieces SET off = number WHERE id = ?", (event.id,))
        else:
            db.execute("UPDATE pieces SET off = ? WHERE id = ? AND number = ?", (event.number, event.id, event.number))

    choreography = Choreography("shop", orders, complaints, shelf)

    @choreography.invariant
    async def the_second_order_stands(world: View) -> list[str]:
        rows = world.rows("shelf", "SELECT id FROM pieces WHERE number = 2 AND off = 2")
        return [f"the second order of {id} is off" for (id,) in rows]

    each = [command for id in ORDERS for command in (Order(id=id), CallOff(id=id), Order(id=id, number=2))]
    return rehearsed(choreography, *each, pause=0.05)


def paying(wrong: bool, *, swallow: bool) -> Rehearsal:
    """An order is paid, or it is told that it is not."""
    payments = Service("payments")
    payments.provide(Bank, Bank)
    orders, complaints = desks()

    @payments.on(Ordered, policy=PATIENT)
    async def charge(event: Ordered, bank: Bank, context: Context) -> Paid | Unpaid | None:
        try:
            await bank.charge(context.idempotency_key, event.id)
        except TimeoutError:
            if not wrong:
                raise
            return None if swallow else Unpaid(id=event.id)
        return Paid(id=event.id)

    workflow = Workflow("paying", starts=Ordered, succeeds=Paid, fails=Unpaid)
    choreography = Choreography("shop", orders, complaints, payments, workflows=[workflow])

    @choreography.invariant
    async def who_has_not_paid_is_not_charged(world: View) -> list[str]:
        charged = set(world.outside(Bank).charged.values())
        return [f"{event.id} is charged" for event in world.events(Unpaid) if event.id in charged]

    return rehearsed(choreography, *(Order(id=id) for id in ORDERS))


def missing_rejection(wrong: bool) -> Rehearsal:
    """Who gets nothing is not told."""
    shelf = Service("shelf", tables="CREATE TABLE pieces (id TEXT PRIMARY KEY)")
    orders, complaints = desks()

    @shelf.on(Ordered)
    async def keep(event: Ordered, db: sqlite3.Connection) -> Kept | Missing | None:
        if db.execute("SELECT count(*) FROM pieces").fetchone()[0] >= 2:
            return None if wrong else Missing(id=event.id)
        db.execute("INSERT INTO pieces VALUES (?)", (event.id,))
        return Kept(id=event.id)

    workflow = Workflow("keeping", starts=Ordered, succeeds=Kept, fails=Missing)
    choreography = Choreography("shop", orders, complaints, shelf, workflows=[workflow])
    return rehearsed(choreography, *(Order(id=id) for id in ORDERS))


class Post:
    """Sends letters; the same key, the same letter."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    async def send(self, key: str, id: str) -> None:
        if (key, id) not in self.sent or not key:
            self.sent.append((key, id))


def letter_before_the_commit(wrong: bool) -> Rehearsal:
    """A letter leaves before the transaction is committed, and leaves again when it is tried again."""
    letters = Service("letters", tables="CREATE TABLE sent (id TEXT)")
    letters.provide(Post, Post)
    orders, complaints = desks()

    @letters.on(Ordered, policy=PATIENT)
    async def thank(event: Ordered, post: Post, db: AsyncConnection, context: Context) -> None:
        await post.send("" if wrong else context.idempotency_key, event.id)
        await db.exec_driver_sql("INSERT INTO sent VALUES (?)", (event.id,))

    choreography = Choreography("shop", orders, complaints, letters)

    @choreography.invariant
    async def one_letter_each(world: View) -> None:
        sent = [id for _, id in world.outside(Post).sent]
        assert len(sent) == len(set(sent)), f"{len(sent)} letters to {len(set(sent))}"

    return rehearsed(choreography, *(Order(id=id) for id in ORDERS))


class Sum:
    """In memory."""

    def __init__(self) -> None:
        self.count = 0


def sum_in_memory(wrong: bool) -> Rehearsal:
    """A figure is counted in memory, and begins again with its process."""
    figures = Service("figures", tables="CREATE TABLE figures (count INTEGER)")
    figures.provide(Sum, Sum, local=True)
    orders, complaints = desks()

    @figures.on(Ordered)
    async def count(event: Ordered, db: sqlite3.Connection, sums: Sum) -> None:
        sums.count += 1
        before = db.execute("SELECT coalesce(max(count), 0) FROM figures").fetchone()[0]
        db.execute("INSERT INTO figures VALUES (?)", (sums.count if wrong else before + 1,))

    choreography = Choreography("shop", orders, complaints, figures)

    @choreography.invariant
    async def all_are_counted(world: View) -> None:
        assert world.one("figures", "SELECT max(count) FROM figures") == len(world.events(Ordered))

    return rehearsed(choreography, *(Order(id=id) for id in ORDERS))


class Courier:
    """Fetches each parcel that it is told of; the parcels' ids are the client's."""

    def __init__(self) -> None:
        self.parcels: dict[str, str] = {}

    async def fetch(self, parcel: str, order: str) -> None:
        self.parcels[parcel] = order


def random_ids(wrong: bool) -> Rehearsal:
    """A parcel gets its id when it is packed, another one each time it is tried."""
    packing = Service("packing", tables="CREATE TABLE parcels (id TEXT PRIMARY KEY, order_id TEXT)")
    packing.provide(Courier, Courier)
    orders, complaints = desks()

    @packing.on(Ordered, policy=PATIENT)
    async def pack(event: Ordered, courier: Courier, db: AsyncConnection, context: Context) -> None:
        parcel = context.uuid() if wrong else f"parcel-{context.event_id}"
        await courier.fetch(parcel, event.id)
        await db.exec_driver_sql("INSERT INTO parcels VALUES (?, ?)", (parcel, event.id))

    choreography = Choreography("shop", orders, complaints, packing)

    @choreography.invariant
    async def the_courier_knows_the_parcels_that_we_know(world: View) -> None:
        ours = dict(world.rows("packing", "SELECT id, order_id FROM parcels"))
        assert world.outside(Courier).parcels == ours

    return rehearsed(choreography, *(Order(id=id) for id in ORDERS))


SERVICES = [
    Defect("random instead of deterministic ids", random_ids),
    Defect("compensation without a guard", compensation_without_guard),
    Defect("compensation before its action", compensation_before_its_action),
    Defect("refund with a fresh id", refund_with_a_fresh_id),
    Defect("oversell by check-then-act", oversell),
    Defect("lost update", lost_update),
    Defect("dirty read", dirty_read),
    Defect("stale cancel", stale_cancel),
    Defect("swallowed exception", lambda wrong: paying(wrong, swallow=True)),
    Defect("timed out but charged", lambda wrong: paying(wrong, swallow=False)),
    Defect("missing rejection event", missing_rejection),
    Defect("charge with a random key", lambda wrong: cafe(any_key if wrong else by_key)),
    Defect("letter before the commit", letter_before_the_commit),
    Defect("sum kept in memory", sum_in_memory),
]
