"""SQLAlchemy's handles on the inline store: as on a server for whoever writes a reaction, without its price."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import greenlet
import pytest
from sqlalchemy import ForeignKey, MetaData, insert, select
from sqlalchemy.exc import IntegrityError, MissingGreenlet
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload


class Base(DeclarativeBase):
    metadata = MetaData()


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[list[Line]] = relationship()


@contextmanager
def counted_switches() -> Iterator[list[str]]:
    """What greenlets do meanwhile."""
    seen: list[str] = []
    before = greenlet.settrace(lambda what, _: seen.append(what))
    try:
        yield seen
    finally:
        greenlet.settrace(before)


async def test_awaited_statements_of_a_batch_need_no_greenlet(opened):
    async with opened(tables=Base.metadata) as store, store.begin() as transaction:
        connection, session = transaction.resource("connection"), transaction.resource("session")
        with counted_switches() as switches:
            await connection.execute(insert(Order), {"id": 1})
            await connection.exec_driver_sql("INSERT INTO orders (id) VALUES (?)", (2,))
            assert (await session.execute(select(Order.id).order_by(Order.id))).scalars().all() == [1, 2]
            assert (await session.get(Order, 1)).id == 1
            assert await session.get(Order, 3) is None
        assert switches == []


async def test_an_outside_reaction_may_wait_within_a_statement(opened):
    async with opened(tables=Base.metadata) as store:
        late = store.begin_late()
        connection, session = late.resource("connection"), late.resource("session")
        with counted_switches() as switches:
            await connection.execute(insert(Order), {"id": 1})
            await connection.exec_driver_sql("INSERT INTO orders (id) VALUES (?)", (2,))
            assert (await session.execute(select(Order.id))).scalars().all() == [1, 2]
            assert (await session.get(Order, 2)).id == 2
        assert "switch" in switches
        await late.close()


@pytest.mark.parametrize("kind", ["connection", "session"])
async def test_a_statement_that_waits_can_be_cut_off(opened, kind):
    async with opened(tables=Base.metadata) as store:
        late = store.begin_late()
        async with store.begin():  # whoever writes now must wait
            waiting = asyncio.create_task(late.resource(kind).execute(insert(Order), {"id": 1}))
            await asyncio.wait([waiting], timeout=0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await late.close()
        async with store.begin() as transaction:
            assert (await transaction.resource("session").get(Order, 1)) is None


async def test_what_is_not_awaited_is_refused_as_on_a_server(opened):
    async with opened(tables=Base.metadata) as store, store.begin() as transaction:
        connection, session = transaction.resource("connection"), transaction.resource("session")
        await connection.execute(insert(Order), {"id": 1})
        order = await session.get(Order, 1)
        with pytest.raises(MissingGreenlet):
            order.lines  # noqa: B018 - reading it would load it
        with pytest.raises(MissingGreenlet):
            connection.sync_connection.execute(select(Order.id))


async def test_after_a_statement_that_failed_what_is_not_awaited_is_still_refused(opened):
    async with opened(tables=Base.metadata) as store, store.begin() as transaction:
        connection = transaction.resource("connection")
        await connection.execute(insert(Order), {"id": 1})
        for attempt in (
            connection.execute(insert(Order), {"id": 1}),
            connection.exec_driver_sql("INSERT INTO orders VALUES (1)"),
        ):
            with pytest.raises(IntegrityError):
                await attempt
            with pytest.raises(MissingGreenlet):
                connection.sync_connection.execute(select(Order.id))


async def test_relations_that_a_query_asks_for_are_there(opened):
    async with opened(tables=Base.metadata) as store, store.begin() as transaction:
        session = transaction.resource("session")
        session.add(Order(id=1, lines=[Line(id=1), Line(id=2)]))
        await transaction.flush()
        session.expunge_all()
        found = await session.execute(select(Order).options(selectinload(Order.lines)))
        assert [line.id for line in found.scalars().one().lines] == [1, 2]


async def test_options_of_an_execution_are_kept(opened):
    async with opened(tables=Base.metadata) as store, store.begin() as transaction:
        session = transaction.resource("session")
        session.add(Order(id=1, lines=[Line(id=1)]))
        await transaction.flush()
        line = await session.get(Line, 1)
        line.order_id = 2
        with session.no_autoflush:
            await session.execute(select(Line))
            assert line.order_id == 2
            await session.execute(select(Line), execution_options={"populate_existing": True})
        assert line.order_id == 1
