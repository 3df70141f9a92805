"""SQLAlchemy's handles over the store's asyncpg connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import ForeignKey, MetaData, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from farandole.stores import open_store
from farandole.testing.store_scene import raises
from farandole.testing.virtual import VirtualWorld
from farandole.world import World


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {dict[str, Any]: JSONB}


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[dict[str, Any] | None]
    total: Mapped[Decimal | None]
    placed: Mapped[datetime | None]
    day: Mapped[date | None]
    code: Mapped[UUID | None]
    lines: Mapped[list[Line]] = relationship()


Order.__table__.c.placed.type.timezone = True


@asynccontextmanager
async def opened(url: str, world: World | None = None) -> AsyncIterator[Any]:
    store = open_store(url, world or VirtualWorld(), tables=Base.metadata)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_values_of_all_kinds_come_back_as_they_went(schema):
    went = {
        "id": 1, "note": {"a": [1, "é", None]}, "total": Decimal("12.50"), "placed": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        "day": date(2026, 1, 2), "code": UUID(int=7),
    }  # fmt: skip
    async with opened(schema) as store:
        async with store.begin() as transaction:
            transaction.resource("session").add(Order(**went))
        async with store.begin() as transaction:
            order = await transaction.resource("session").get(Order, 1)
            assert {name: getattr(order, name) for name in went} == went
            assert await transaction.resource("driver").fetchval("SELECT note FROM orders") == '{"a": [1, "é", null]}'


async def test_opening_twice_makes_the_tables_once(schema):
    async with opened(schema) as store, opened(schema):
        async with store.begin() as transaction:
            await transaction.resource("connection").execute(insert(Order), [{"id": n} for n in range(3)])
            assert (await transaction.resource("connection").execute(select(func.count()).select_from(Order))).scalar() == 3


async def test_rowcounts_relations_streams_and_nested_parts_work(schema):
    async with opened(schema) as store, store.begin() as transaction:
        session = transaction.resource("session")
        session.add_all([Order(id=1, lines=[Line(id=1), Line(id=2)]), Order(id=2)])
        await session.flush()
        assert (await session.execute(update(Order).values(day=date(2026, 1, 1)))).rowcount == 2
        session.expunge_all()
        found = (await session.execute(select(Order).order_by(Order.id).options(selectinload(Order.lines)))).scalars().all()
        assert [[line.id for line in order.lines] for order in found] == [[1, 2], []]
        assert [n async for n in (await session.stream(select(Line.id).order_by(Line.id))).scalars()] == [1, 2]
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                await session.execute(insert(Line), {"id": 1, "order_id": 1})
        assert (await session.execute(text("SELECT count(*) FROM lines"))).scalar() == 2


async def test_the_isolation_level_is_the_stores(schema):
    async with opened(schema) as store:
        with raises(InvalidRequestError, saying="isolation_level may not be altered"):
            async with store.begin() as transaction:
                await transaction.resource("connection").execution_options(isolation_level="AUTOCOMMIT")


async def test_statements_are_prepared_once_for_all_transactions_of_a_connection(schema):
    async with opened(f"{schema}&pool=2") as store:
        for n in range(3):
            async with store.begin() as transaction:
                await transaction.resource("connection").execute(insert(Order), {"id": n})
        async with store.begin() as transaction:
            prepared = await transaction.resource("driver").fetch("SELECT statement FROM pg_prepared_statements")
            assert sum(row["statement"].startswith("INSERT INTO orders") for row in prepared) <= 1


@pytest.mark.real_time
async def test_a_plain_def_reaction_reads_and_writes_from_its_thread(schema):
    async with opened(schema, World()) as store:
        late = store.begin_late()

        def react(session: Session) -> int:
            assert session.get(Order, 1) is None
            assert not late.writing
            session.add(Order(id=1, lines=[Line(id=1)]))
            session.flush()
            assert late.writing
            return session.execute(text("SELECT count(*) FROM lines")).scalar() or 0

        assert await asyncio.to_thread(react, late.resource("sync_session")) == 1
        async with late.finish() as transaction:
            await transaction.claim([("shop.react", "1")])
        await late.close()
        async with store.begin() as transaction:
            assert await transaction.resource("driver").fetchval("SELECT count(*) FROM lines") == 1


async def test_a_statement_that_waits_can_be_cut_off(schema):
    async with opened(schema) as store:
        async with store.begin() as transaction:
            await transaction.resource("connection").execute(insert(Order), {"id": 1})
        for kind in ("connection", "session"):
            late = store.begin_late()
            async with store.begin() as holder:
                await holder.resource("connection").execute(update(Order).values(day=date(2026, 1, 1)))
                waiting = asyncio.create_task(late.resource(kind).execute(update(Order).values(day=date(2027, 1, 1))))
                await asyncio.wait([waiting], timeout=5)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            await late.close()
        async with store.begin() as transaction:
            assert await transaction.resource("driver").fetchval("SELECT day FROM orders") == date(2026, 1, 1)
