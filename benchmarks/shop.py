"""The chain that is measured: four services, each with its own database; each reacts to the one before with one row and one event.

    PlaceOrder -> orders -> OrderPlaced -> payments -> PaymentCompleted -> stock -> StockReserved -> shipping -> OrderShipped -> orders

The handlers exist in four kinds, which differ in how they write their row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg
from benchmarks.by_hand import Wired, encode
from sqlalchemy import MetaData, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Choreography, Command, Context, Event, Policy, Retry, Service
from farandole.model.envelope import Message

WRITE = "INSERT INTO work (order_id, cents) VALUES (?, ?)"
WRITE_POSTGRES = "INSERT INTO work (order_id, cents) VALUES ($1, $2)"


class Base(DeclarativeBase):
    metadata = MetaData()


class Work(Base):
    """The one table of each service."""

    __tablename__ = "work"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]


class PlaceOrder(Command, key="order_id"):
    order_id: str
    cents: int


class OrderPlaced(Event, key="order_id"):
    order_id: str
    cents: int
    declined_once: bool = False


class PaymentCompleted(Event, key="order_id"):
    order_id: str
    cents: int


class StockReserved(Event, key="order_id"):
    order_id: str
    cents: int


class OrderShipped(Event, key="order_id"):
    order_id: str
    cents: int


class Step(NamedTuple):
    """What a service does, for those who do it by hand; `emits` is None for the last."""

    service: str
    reaction: str
    owner: str
    takes: type[Event]
    emits: type[Event] | None


CHAIN = (
    Step("payments", "charge", "orders", OrderPlaced, PaymentCompleted),
    Step("stock", "reserve", "payments", PaymentCompleted, StockReserved),
    Step("shipping", "ship", "stock", StockReserved, OrderShipped),
    Step("orders", "confirm", "shipping", OrderShipped, None),
)


class Declined(Exception):
    """The payment fails at the first try."""


def charged(event: OrderPlaced, context: Context) -> PaymentCompleted:
    """What all kinds of `charge` decide."""
    if event.declined_once and context.attempt == 1:
        raise Declined
    return PaymentCompleted(order_id=event.order_id, cents=event.cents)


def _services() -> tuple[Service, Service, Service, Service]:
    retry = Policy(retry=Retry(delay=0.01, jitter=0.0))
    orders, payments, stock, shipping = (
        Service(name, policy=retry, tables=Base.metadata) for name in ("orders", "payments", "stock", "shipping")
    )

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced:
        return OrderPlaced(order_id=command.order_id, cents=command.cents)

    return orders, payments, stock, shipping


def raw() -> Choreography:
    """Handlers on the driver's own connection."""
    orders, payments, stock, shipping = _services()

    @payments.on(OrderPlaced)
    async def charge(event: OrderPlaced, db: sqlite3.Connection, context: Context) -> PaymentCompleted:
        answer = charged(event, context)
        db.execute(WRITE, (event.order_id, event.cents))
        return answer

    @stock.on(PaymentCompleted)
    async def reserve(event: PaymentCompleted, db: sqlite3.Connection) -> StockReserved:
        db.execute(WRITE, (event.order_id, event.cents))
        return StockReserved(order_id=event.order_id, cents=event.cents)

    @shipping.on(StockReserved)
    async def ship(event: StockReserved, db: sqlite3.Connection) -> OrderShipped:
        db.execute(WRITE, (event.order_id, event.cents))
        return OrderShipped(order_id=event.order_id, cents=event.cents)

    @orders.on(OrderShipped)
    async def confirm(event: OrderShipped, db: sqlite3.Connection) -> None:
        db.execute(WRITE, (event.order_id, event.cents))

    return Choreography("bench", orders, payments, stock, shipping)


def raw_postgres() -> Choreography:
    """The same on PostgreSQL."""
    orders, payments, stock, shipping = _services()

    @payments.on(OrderPlaced)
    async def charge(event: OrderPlaced, db: asyncpg.Connection, context: Context) -> PaymentCompleted:
        answer = charged(event, context)
        await db.execute(WRITE_POSTGRES, event.order_id, event.cents)
        return answer

    @stock.on(PaymentCompleted)
    async def reserve(event: PaymentCompleted, db: asyncpg.Connection) -> StockReserved:
        await db.execute(WRITE_POSTGRES, event.order_id, event.cents)
        return StockReserved(order_id=event.order_id, cents=event.cents)

    @shipping.on(StockReserved)
    async def ship(event: StockReserved, db: asyncpg.Connection) -> OrderShipped:
        await db.execute(WRITE_POSTGRES, event.order_id, event.cents)
        return OrderShipped(order_id=event.order_id, cents=event.cents)

    @orders.on(OrderShipped)
    async def confirm(event: OrderShipped, db: asyncpg.Connection) -> None:
        await db.execute(WRITE_POSTGRES, event.order_id, event.cents)

    return Choreography("bench", orders, payments, stock, shipping)


def driver_sql() -> Choreography:
    """Handlers that send SQL text through SQLAlchemy's connection."""
    orders, payments, stock, shipping = _services()

    @payments.on(OrderPlaced)
    async def charge(event: OrderPlaced, db: AsyncConnection, context: Context) -> PaymentCompleted:
        answer = charged(event, context)
        await db.exec_driver_sql(WRITE, (event.order_id, event.cents))
        return answer

    @stock.on(PaymentCompleted)
    async def reserve(event: PaymentCompleted, db: AsyncConnection) -> StockReserved:
        await db.exec_driver_sql(WRITE, (event.order_id, event.cents))
        return StockReserved(order_id=event.order_id, cents=event.cents)

    @shipping.on(StockReserved)
    async def ship(event: StockReserved, db: AsyncConnection) -> OrderShipped:
        await db.exec_driver_sql(WRITE, (event.order_id, event.cents))
        return OrderShipped(order_id=event.order_id, cents=event.cents)

    @orders.on(OrderShipped)
    async def confirm(event: OrderShipped, db: AsyncConnection) -> None:
        await db.exec_driver_sql(WRITE, (event.order_id, event.cents))

    return Choreography("bench", orders, payments, stock, shipping)


def core() -> Choreography:
    """Handlers that execute SQLAlchemy Core's insert()."""
    orders, payments, stock, shipping = _services()
    write = insert(Work.__table__)  # type: ignore[arg-type]  # SQLAlchemy types it as FromClause

    @payments.on(OrderPlaced)
    async def charge(event: OrderPlaced, db: AsyncConnection, context: Context) -> PaymentCompleted:
        answer = charged(event, context)
        await db.execute(write, {"order_id": event.order_id, "cents": event.cents})
        return answer

    @stock.on(PaymentCompleted)
    async def reserve(event: PaymentCompleted, db: AsyncConnection) -> StockReserved:
        await db.execute(write, {"order_id": event.order_id, "cents": event.cents})
        return StockReserved(order_id=event.order_id, cents=event.cents)

    @shipping.on(StockReserved)
    async def ship(event: StockReserved, db: AsyncConnection) -> OrderShipped:
        await db.execute(write, {"order_id": event.order_id, "cents": event.cents})
        return OrderShipped(order_id=event.order_id, cents=event.cents)

    @orders.on(OrderShipped)
    async def confirm(event: OrderShipped, db: AsyncConnection) -> None:
        await db.execute(write, {"order_id": event.order_id, "cents": event.cents})

    return Choreography("bench", orders, payments, stock, shipping)


def orm() -> Choreography:
    """Handlers that add an object to SQLAlchemy's session; nobody flushes by hand."""
    orders, payments, stock, shipping = _services()

    @payments.on(OrderPlaced)
    async def charge(event: OrderPlaced, db: AsyncSession, context: Context) -> PaymentCompleted:
        answer = charged(event, context)
        db.add(Work(order_id=event.order_id, cents=event.cents))
        return answer

    @stock.on(PaymentCompleted)
    async def reserve(event: PaymentCompleted, db: AsyncSession) -> StockReserved:
        db.add(Work(order_id=event.order_id, cents=event.cents))
        return StockReserved(order_id=event.order_id, cents=event.cents)

    @shipping.on(StockReserved)
    async def ship(event: StockReserved, db: AsyncSession) -> OrderShipped:
        db.add(Work(order_id=event.order_id, cents=event.cents))
        return OrderShipped(order_id=event.order_id, cents=event.cents)

    @orders.on(OrderShipped)
    async def confirm(event: OrderShipped, db: AsyncSession) -> None:
        db.add(Work(order_id=event.order_id, cents=event.cents))

    return Choreography("bench", orders, payments, stock, shipping)


KINDS: dict[str, Callable[[], Choreography]] = {"raw": raw, "core text": driver_sql, "core insert": core, "orm": orm}
ON_POSTGRES: dict[str, Callable[[], Choreography]] = {"asyncpg": raw_postgres, "orm": orm}


def starts(first: int, count: int, *, failing: float = 0.0, key: str | None = None) -> Iterator[Message]:
    """The events that begin so many workflows, ready for the log; of them a share `failing` is declined once, evenly spread.

    Each has its own key, or all have this one.
    """
    for number in range(first, first + count):
        declined = int((number + 1) * failing) > int(number * failing)
        id, order = f"0198c0de-1234-7000-8000-{number:012x}", f"o-{number}"
        event = OrderPlaced(order_id=order, cents=number, declined_once=declined)
        lane = key or order
        envelope = Wired(
            "1.0", id, "/bench/orders", "bench.OrderPlaced.v1", datetime.now(UTC), "application/json", id, id, lane, 1, event
        )
        yield Message("bench.orders", lane, id, envelope.type, encode(envelope))
