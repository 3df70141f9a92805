"""The transactional step on PostgreSQL: events through the worker's batch, beside the same by hand.

Each step decodes a batch, marks it in the inbox, calls a handler per event that inserts one row and returns one event, writes these events into
the outbox, and commits. By hand: the same tables, the same statements for inbox and outbox (one each per batch), the same insert per event, on asyncpg
and on SQLAlchemy. Needs FARANDOLE_POSTGRES.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any

import asyncpg
import msgspec
from benchmarks.by_hand import Emits, read
from benchmarks.overhead import OrderPlaced, PaymentCompleted, make
from benchmarks.report import left_out, report
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole.brokers.base import Delivery
from farandole.model.choreography import Choreography
from farandole.model.service import Service
from farandole.model.wire import Wire, partition_of
from farandole.runtime.batch import Batch
from farandole.runtime.plan import Limits, compile_plan
from farandole.runtime.signals import Signals
from farandole.runtime.worker import Reader
from farandole.stores import open_store
from farandole.world import World

ROUNDS = 5
metadata = MetaData()
paid = Table("paid", metadata, Column("id", String, primary_key=True), Column("cents", Integer, nullable=False))
ADD = "INSERT INTO paid (id, cents) VALUES ($1, $2)"
INBOX = (
    "INSERT INTO farandole_inbox (reaction, id, state, handled_at) SELECT 'payments.charge', id, 'done', $2 "
    "FROM unnest($1::text[]) AS id ORDER BY id ON CONFLICT DO NOTHING RETURNING id"
)
OUTBOX = (
    "INSERT INTO farandole_outbox (bucket, aggregatetype, aggregateid, id, type, payload, created_at) "
    "SELECT bucket, 'shop.payments', key, id, 'shop.PaymentCompleted.v1', body, $5 "
    "FROM unnest($1::int[], $2::text[], $3::text[], $4::bytea[]) AS m (bucket, key, id, body)"
)


class Base(DeclarativeBase):
    pass


class Paid(Base):
    __tablename__ = "paid"
    id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]


async def on_driver(order: OrderPlaced, db: asyncpg.Connection) -> PaymentCompleted:
    await db.execute(ADD, order.order_id, order.total_cents)
    return PaymentCompleted(order_id=order.order_id, payment_id="p")


async def on_core(order: OrderPlaced, db: AsyncConnection) -> PaymentCompleted:
    await db.execute(insert(paid), {"id": order.order_id, "cents": order.total_cents})
    return PaymentCompleted(order_id=order.order_id, payment_id="p")


async def on_orm(order: OrderPlaced, db: AsyncSession) -> PaymentCompleted:
    db.add(Paid(id=order.order_id, cents=order.total_cents))
    return PaymentCompleted(order_id=order.order_id, payment_id="p")


async def farandole(url: str, deliveries: list[Delivery], batch: int, handler: Any) -> float:
    """Events per second through the worker's batch."""
    service = Service("payments")
    handler.__name__ = "charge"
    service.on(OrderPlaced)(handler)
    wire = Wire(Choreography("shop", service))
    plan = compile_plan(service.reactions["charge"], service, wire, {}, Limits())
    reader = Reader("payments", [plan], wire.types_of_topic, Limits())
    store = open_store(url, World(), tables=metadata)
    await store.open()
    runner = Batch(store, World(), Signals())
    begun = time.perf_counter()
    for at in range(0, len(deliveries), batch):
        works, dead = reader.read(deliveries[at : at + batch])
        await runner.run(works, dead)
    took = time.perf_counter() - begun
    await store.close()
    return len(deliveries) / took


async def by_hand(url: str, deliveries: list[Delivery], batch: int, step: Callable[..., Awaitable[None]]) -> float:
    """Events per second, written out."""
    place, _, schema = url.partition("?schema=")
    store = open_store(url, World(), tables=metadata)
    await store.open()
    await store.close()
    path = {"server_settings": {"search_path": schema}}
    if step is asyncpg_step:
        connection: Any = await asyncpg.connect(place, **path)
    else:
        engine = create_async_engine(place.replace("postgresql:", "postgresql+asyncpg:"), connect_args=path)
        connection = await engine.connect()
    begun = time.perf_counter()
    for at in range(0, len(deliveries), batch):
        await step(connection, [read(delivery.body) for delivery in deliveries[at : at + batch]])
    took = time.perf_counter() - begun
    await connection.close()
    return len(deliveries) / took


decode = msgspec.json.Decoder(OrderPlaced).decode
EMITS = Emits("payments.charge", "/shop/payments", "shop.PaymentCompleted.v1")


def emitted(envelope: Any, event: PaymentCompleted, now: datetime) -> tuple[int, str, str, bytes]:
    """An outbox row, by hand."""
    id, body = EMITS.message(envelope, event.order_id, event, now)
    return partition_of(event.order_id, 64), event.order_id, id, body


async def asyncpg_step(connection: Any, envelopes: list[Any]) -> None:
    now = datetime.now(UTC)
    stamp = int(now.timestamp() * 1000)
    async with connection.transaction():
        new = {row[0] for row in await connection.fetch(INBOX, [envelope.id for envelope in envelopes], stamp)}
        out = [
            emitted(envelope, await on_driver(decode(envelope.data), connection), now)
            for envelope in envelopes
            if envelope.id in new
        ]
        await connection.execute(OUTBOX, *map(list, zip(*out, strict=True)), stamp)


async def sqlalchemy_step(connection: AsyncConnection, envelopes: list[Any]) -> None:
    now = datetime.now(UTC)
    stamp = int(now.timestamp() * 1000)
    async with connection.begin():
        found = await connection.exec_driver_sql(INBOX, ([envelope.id for envelope in envelopes], stamp))
        new = {row[0] for row in found}
        out = [
            emitted(envelope, await on_core(decode(envelope.data), connection), now)
            for envelope in envelopes
            if envelope.id in new
        ]
        await connection.exec_driver_sql(OUTBOX, (*map(list, zip(*out, strict=True)), stamp))


async def fresh(url: str) -> str:
    """The URL of an empty schema."""
    return f"{url}?schema=bench_{secrets.token_hex(4)}"


async def forget(url: str) -> None:
    connection = await asyncpg.connect(url)
    for (name,) in await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bench\\_%'"):
        await connection.execute(f'DROP SCHEMA "{name}" CASCADE')
    await connection.close()


def main() -> None:
    """Rounds in turn."""
    url = os.environ.get("FARANDOLE_POSTGRES")
    if url is None:
        left_out("the step on PostgreSQL", "postgres")
        return
    deliveries = make()
    pairs = (
        ("asyncpg", on_driver, asyncpg_step, ">= 0.7"), ("SQLAlchemy Core", on_core, sqlalchemy_step, ">= 0.8"),
        ("SQLAlchemy ORM beside Core", on_orm, sqlalchemy_step, None),
    )  # fmt: skip
    for batch, count in ((100, 10_000), (1, 1_000)):
        for name, handler, step, target in pairs:
            found = []
            for _ in range(ROUNDS):
                ours = asyncio.run(farandole(asyncio.run(fresh(url)), deliveries[:count], batch, handler))
                hand = asyncio.run(by_hand(asyncio.run(fresh(url)), deliveries[:count], batch, step))
                found.append((ours, hand))
            asyncio.run(forget(url))
            report(
                f"inbox, state and outbox on PostgreSQL, {name}, batch {batch}",
                farandole_per_s=round(median(a for a, _ in found)),
                by_hand_per_s=round(median(b for _, b in found)),
                ratio=round(median(a / b for a, b in found), 2),
                target=target,
            )


if __name__ == "__main__":
    main()
