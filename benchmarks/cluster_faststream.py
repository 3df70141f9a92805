"""The chain on NATS and PostgreSQL under FastStream, with inbox and outbox written by hand as its users write them.

`per message`: a push subscriber per service, which handles one after the other and so keeps the order per key; a transaction per event, a relay that looks every 50 ms while there is nothing, and goes on at once while there
is. `batch`: a pull subscriber of 100, one transaction for all of them, a relay that each commit wakes. Either on asyncpg, or on SQLAlchemy's
session as FastStream's and SQLAlchemy's documentation show it. Relays use asyncpg, publish up to 100 at once, and delete them in one statement.
No logging, no injection of types, msgspec in place of pydantic.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import asyncpg
import msgspec
from benchmarks.by_hand import Emits, read
from benchmarks.clock import Goal
from benchmarks.cluster_by_hand import ByHand, Streams, streams
from benchmarks.faststream_clients import as_is
from benchmarks.shop import CHAIN, WRITE_POSTGRES, Step
from sqlalchemy import BigInteger, Identity
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["faststream"]

BATCH, POLL, LINGER = 100, 0.05, 5.0
"""Seconds: a pull waits so long for a full batch, also where some have come (FastStream's default). With 0.1 messages were lost to pulls that the
client had given up, and came again after 30 s."""
TABLES = """
CREATE TABLE inbox (id text PRIMARY KEY);
CREATE TABLE work (order_id text PRIMARY KEY, cents integer NOT NULL);
CREATE TABLE outbox (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea NOT NULL);
"""
OLDEST, PUBLISHED = "SELECT seq, body FROM outbox ORDER BY seq LIMIT $1", "DELETE FROM outbox WHERE seq = ANY($1::bigint[])"


class Base(DeclarativeBase):
    pass


class Inbox(Base):
    __tablename__ = "inbox"
    id: Mapped[str] = mapped_column(primary_key=True)


class Work(Base):
    __tablename__ = "work"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]


class Outbox(Base):
    __tablename__ = "outbox"
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    body: Mapped[bytes]


class Unit(Protocol):
    """A transaction, to those who handle events in it."""

    async def is_new(self, id: str) -> bool: ...
    async def write(self, key: str, cents: int) -> None: ...
    async def emit(self, body: bytes) -> None: ...


class OnDriver:
    """A transaction on asyncpg."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def is_new(self, id: str) -> bool:
        tag: str = await self._connection.execute("INSERT INTO inbox VALUES ($1) ON CONFLICT DO NOTHING", id)
        return tag.endswith("1")

    async def write(self, key: str, cents: int) -> None:
        await self._connection.execute(WRITE_POSTGRES, key, cents)

    async def emit(self, body: bytes) -> None:
        await self._connection.execute("INSERT INTO outbox (body) VALUES ($1)", body)


class OnSession:
    """A transaction of SQLAlchemy's session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def is_new(self, id: str) -> bool:
        found: Any = await self._session.execute(insert(Inbox).values(id=id).on_conflict_do_nothing())
        return bool(found.rowcount == 1)

    async def write(self, key: str, cents: int) -> None:
        self._session.add(Work(order_id=key, cents=cents))

    async def emit(self, body: bytes) -> None:
        self._session.add(Outbox(body=body))


Begin = Callable[[], AbstractAsyncContextManager[Unit]]


@asynccontextmanager
async def database(url: str, schema: str, driver: str) -> AsyncIterator[tuple[Any, Begin]]:
    """A pool for the relay, and how transactions begin."""
    path = {"search_path": schema}
    connection = await asyncpg.connect(url)
    await connection.execute(f'CREATE SCHEMA "{schema}"; SET search_path TO "{schema}"; {TABLES}')
    await connection.close()
    engine = create_async_engine(
        url.replace("postgresql:", "postgresql+asyncpg:"), connect_args={"server_settings": path}, pool_size=2
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def on_driver() -> AsyncIterator[Unit]:
        async with pool.acquire() as connection, connection.transaction():
            yield OnDriver(connection)

    @asynccontextmanager
    async def on_session() -> AsyncIterator[Unit]:
        async with sessions() as session, session.begin():
            yield OnSession(session)

    async with asyncpg.create_pool(url, min_size=2, max_size=2, server_settings=path) as pool:
        yield pool, on_driver if driver == "asyncpg" else on_session
        await engine.dispose()


class _Service:
    """One service's subscriber and relay."""

    def __init__(self, step: Step, stream: Streams, goal: Goal, pool: Any, begin: Begin) -> None:
        name, reaction, self.owner, takes, emits = step
        self.name, self.emits = name, emits
        self.decode = msgspec.json.Decoder(takes).decode
        self.out = Emits(f"{name}.{reaction}", f"/bench/{name}", f"bench.{emits.__name__}.v1" if emits else "")
        self.stream, self.goal, self.pool, self.begin = stream, goal, pool, begin
        self.woken: asyncio.Event | None = None

    def subscribe(self, broker: Any, *, batch: bool) -> None:
        from faststream.nats import PullSub

        subject, kind = self.stream.subject(self.owner), {"stream": self.stream.name, "durable": self.name}
        if batch:
            self.woken = asyncio.Event()
            pull = PullSub(batch_size=BATCH, batch=True, timeout=LINGER)
            broker.subscriber(subject, **kind, pull_sub=pull)(self.handle, decoder=as_is)
        else:
            with warnings.catch_warnings(action="ignore"):  # it advises a pull subscriber, which runs handlers of one key at once
                broker.subscriber(subject, **kind)(self.handle_one, decoder=as_is)

    async def handle_one(self, body: bytes) -> None:
        await self.handle([body])

    async def handle(self, bodies: list[bytes]) -> None:
        now, count = datetime.now(UTC), 0
        async with self.begin() as unit:
            for body in bodies:
                envelope = read(body)
                if not await unit.is_new(envelope.id):
                    continue
                event: Any = self.decode(envelope.data)
                await unit.write(event.order_id, event.cents)
                if self.emits is not None:
                    answer: Any = self.emits
                    answer = answer(order_id=event.order_id, cents=event.cents)
                    await unit.emit(self.out.message(envelope, event.order_id, answer, now)[1])
                count += 1
        if self.emits is None:
            self.goal.add(count)
        elif self.woken is not None:
            self.woken.set()

    async def relay(self) -> None:
        while True:
            rows = await self.pool.fetch(OLDEST, BATCH)
            if rows:
                await self.stream.publish(self.name, [body for _, body in rows])
                await self.pool.execute(PUBLISHED, [seq for seq, _ in rows])
            elif self.woken is None:
                await asyncio.sleep(POLL)
            else:
                await self.woken.wait()
                self.woken.clear()


@asynccontextmanager
async def faststream(broker: str, url: str, name: str, *, driver: str, batch: bool) -> AsyncIterator[ByHand]:
    """Run it."""
    from faststream.nats import NatsBroker

    rival = NatsBroker(broker, logger=None, apply_types=False)
    async with streams(broker, name) as stream, AsyncExitStack() as stack:
        chain = ByHand(stream)
        services = []
        for step in CHAIN:
            pool, begin = await stack.enter_async_context(database(url, f"{name}_{step.service}", driver))
            services.append(_Service(step, stream, chain.goal, pool, begin))
            services[-1].subscribe(rival, batch=batch)
        relays = [asyncio.create_task(service.relay()) for service in services]
        await rival.start()
        try:
            yield chain
        finally:
            await rival.stop()
            for relay in relays:
                relay.cancel()
            await asyncio.gather(*relays, return_exceptions=True)
