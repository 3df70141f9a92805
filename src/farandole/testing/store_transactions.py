"""The cases of transactions that every store must pass; part of `conformance_store.StoreSuite`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

from farandole.errors import ClaimLost, StoreError, TransactionOwned
from farandole.model.envelope import Message
from farandole.stores.base import InboxRow, Store, Transaction, Verdict
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

__all__ = ["LateCases", "StoreCases", "TransactionCases", "message", "raises"]

R = "shop.react"
INSERT = "INSERT INTO suite_things (id, name) VALUES ('{0}', 'thing {0}')"


def message(id: str, key: str = "k") -> Message:
    """A message for the outbox."""
    return Message("shop.orders", key, id, "shop.OrderPlaced.v1", b"\x00\xff" + id.encode())


@contextmanager
def raises(kind: type[BaseException], *, saying: str = "") -> Iterator[None]:
    """Something of this kind is raised in here, and its message says this."""
    try:
        yield
    except kind as error:
        assert saying in str(error), f"expected {saying!r} in: {error}"
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


class Death(BaseException):
    """The process dies here."""


class DyingWorld(VirtualWorld):
    """Dies at the n-th crash point, and at every later one: a dead process does nothing."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at
        self.passed: list[str] = []

    def point(self, name: str) -> None:
        self.passed.append(name)
        self.left -= 1
        if self.left <= 0:
            raise Death(name)


class StoreCases:
    """What the cases share."""

    tables = "CREATE TABLE IF NOT EXISTS suite_things (id VARCHAR(40) PRIMARY KEY, name TEXT NOT NULL)"
    """The table that the suite's reactions write; give it to your store as `tables=`."""

    async def make(self, world: World) -> Store:
        """A store, not yet open. Every call within one test gives a handle on the same data."""
        raise NotImplementedError("say how to make your store: async def make(self, world): return MyStore(...)")

    @asynccontextmanager
    async def stores(self, count: int, world: World | None = None) -> AsyncIterator[list[Store]]:
        """Open stores on the same data."""
        self.world = world or VirtualWorld()
        opened = []
        try:
            for _ in range(count):
                opened.append(await self.make(self.world))
                await opened[-1].open()
            yield opened
        finally:
            for store in opened:
                await store.close()

    async def things(self, store: Store) -> list[str]:
        """The committed rows of the suite's own table."""
        from sqlalchemy import text

        late = store.begin_late()
        try:
            found = await late.resource("connection").execute(text("SELECT id FROM suite_things ORDER BY id"))
            return [id for (id,) in found]
        finally:
            await late.close()

    async def nothing_remains(self, store: Store) -> None:
        assert await self.things(store) == []
        assert (await store.status()).outbox == 0
        assert await store.fates(["1", "2"]) == []


async def add(transaction: Any, kind: str, id: str) -> None:
    """Insert a thing, through a handle of this kind."""
    handle = transaction.resource(kind)
    if kind == "driver":
        found = handle.execute(INSERT.format(id))
        if asyncio.iscoroutine(found):
            await found
    else:
        from sqlalchemy import text

        await handle.execute(text(INSERT.format(id)))


class TransactionCases(StoreCases):
    """Everything commits together, or nothing does; whatever the user tries."""

    async def test_inbox_state_and_outbox_commit_together(self) -> None:
        async with self.stores(2) as (store, other):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                for kind in ("driver", "connection", "session"):
                    await add(transaction, kind, kind)
                await transaction.emit([message("m")])
                await transaction.emit([])
            assert await self.things(other) == ["connection", "driver", "session"]
            assert (await other.status()).outbox == 1
            assert [r.state for r in await other.fates(["1"])] == ["done"]

    async def test_what_raises_undoes_everything(self) -> None:
        for kind in ("driver", "connection", "session"):
            async with self.stores(1) as (store,):
                with raises(ZeroDivisionError):
                    async with store.begin() as transaction:
                        await transaction.claim([(R, "1")])
                        await add(transaction, kind, "1")
                        await transaction.emit([message("m")])
                        await transaction.flush()
                        raise ZeroDivisionError
                await self.nothing_remains(store)

    async def test_a_cancelled_transaction_leaves_nothing_and_the_next_one_begins(self) -> None:
        async with self.stores(1) as (store,):

            async def stuck() -> None:
                async with store.begin() as transaction:
                    await transaction.claim([(R, "1")])
                    await self.world.sleep(1000)

            task, waiting = asyncio.create_task(stuck()), asyncio.create_task(stuck())
            await self.world.sleep(1)
            waiting.cancel()
            task.cancel()
            await asyncio.wait([task, waiting])
            await self.nothing_remains(store)
            async with store.begin() as transaction:
                assert await transaction.claim([(R, "1")])

    async def test_a_user_who_ends_the_transaction_is_told_where_and_nothing_remains(self) -> None:
        for kind in ("session", "connection"):
            for method in ("commit", "rollback", "close", "begin"):
                async with self.stores(1) as (store,):
                    with raises(TransactionOwned, saying=f"{__file__}:"):
                        async with store.begin() as transaction:
                            await transaction.claim([(R, "1")])
                            await add(transaction, kind, "1")
                            await self._end(transaction.resource(kind), method)
                    await self.nothing_remains(store)

    async def _end(self, handle: Any, method: str) -> None:
        ended = getattr(handle, method)()
        if method == "begin":
            async with ended:
                pass
        else:
            await ended

    async def test_a_refusal_that_is_swallowed_changes_nothing(self) -> None:
        for kind in ("session", "connection"):
            async with self.stores(1) as (store,):
                with raises(ZeroDivisionError):
                    async with store.begin() as transaction:
                        await transaction.claim([(R, "1")])
                        await add(transaction, kind, "1")
                        for method in ("commit", "rollback"):
                            with raises(TransactionOwned):
                                await self._end(transaction.resource(kind), method)
                        await add(transaction, kind, "2")
                        raise ZeroDivisionError
                await self.nothing_remains(store)

    async def test_a_commit_by_the_synchronous_back_door_commits_nothing(self) -> None:
        for method in ("commit", "rollback"):
            async with self.stores(1) as (store,):
                with raises((TransactionOwned, StoreError)):  # type: ignore[arg-type]
                    async with store.begin() as transaction:
                        await transaction.claim([(R, "1")])
                        await add(transaction, "connection", "1")
                        await transaction.resource("connection").run_sync(
                            lambda connection, method=method: getattr(connection.get_transaction(), method)()
                        )
                await self.nothing_remains(store)

    async def test_a_swallowed_database_error_is_found_before_anything_commits(self) -> None:
        from sqlalchemy.exc import IntegrityError

        async with self.stores(1) as (store,):
            with raises(StoreError, saying="swallowed"):
                async with store.begin() as transaction:
                    await transaction.claim([(R, "1")])
                    session = transaction.resource("session")
                    session.add(self._thing("1"))
                    session.add(self._thing("1", name=None))
                    try:
                        await session.flush()
                    except IntegrityError:
                        pass
            await self.nothing_remains(store)

    async def test_a_nested_part_of_the_session_may_fail_alone(self) -> None:
        from sqlalchemy.exc import IntegrityError

        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                session = transaction.resource("session")
                session.add(self._thing("1"))
                await session.flush()
                with raises(IntegrityError):
                    async with session.begin_nested():
                        session.add(self._thing("2"))
                        session.add(self._thing("1b", name=None))
                session.add(self._thing("3"))
            assert await self.things(store) == ["1", "3"]

    def _thing(self, id: str, **what: Any) -> Any:
        return _mapped()(**{"id": id, "name": f"thing {id}", **what})

    async def test_pending_objects_are_written_at_the_end(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                thing = self._thing("1")
                transaction.resource("session").add(thing)
                await transaction.flush()
                transaction.resource("session").add(self._thing("2"))
            assert await self.things(store) == ["1", "2"]
            assert thing.name == "thing 1", "objects can still be read"

    async def test_a_savepoint_is_undone_alone(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1"), (R, "2"), (R, "3")])
                for id in ("1", "2", "3"):
                    try:
                        async with transaction.savepoint() as part:
                            await add(part, "driver", f"d{id}")
                            part.resource("session").add(self._thing(f"s{id}"))
                            await add(part, "connection", f"c{id}")
                            await part.emit([message(id)])
                            if id == "2":
                                raise ZeroDivisionError
                    except ZeroDivisionError:
                        await transaction.park([InboxRow(reaction=R, id="2", key="k", topic="t", body=b"", due=self.world.time())])
            assert await self.things(store) == ["c1", "c3", "d1", "d3", "s1", "s3"]
            assert [r.message.id for r in await store.outbox(range(64), 10)] == ["1", "3"]
            assert {r.id: r.state for r in await store.fates(["1", "2", "3"])} == {"1": "done", "2": "parked", "3": "done"}

    async def test_a_flush_that_fails_after_the_emission_undoes_the_emission(self) -> None:
        from sqlalchemy.exc import IntegrityError

        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                await add(transaction, "connection", "1")
                with raises(IntegrityError):
                    async with transaction.savepoint() as part:
                        part.resource("session").add(self._thing("1"))
                        await part.emit([message("lost")])
                async with transaction.savepoint() as part:
                    part.resource("session").add(self._thing("2"))
                    await part.emit([message("kept")])
            assert await self.things(store) == ["1", "2"]
            assert [r.message.id for r in await store.outbox(range(64), 10)] == ["kept"]

    async def test_savepoints_nest(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin() as transaction, transaction.savepoint() as outer:
                await add(outer, "session", "1")
                with raises(ZeroDivisionError):
                    async with outer.savepoint() as inner:
                        await add(inner, "session", "2")
                        raise ZeroDivisionError
                await add(outer, "session", "3")
            assert await self.things(store) == ["1", "3"]

    async def test_handles_work_no_more_after_the_end(self) -> None:
        async with self.stores(1) as (store,):
            kept: dict[str, Any] = {}
            async with store.begin() as transaction:
                for kind in ("session", "connection"):
                    kept[kind] = transaction.resource(kind)
                await add(transaction, "session", "1")
            for handle in kept.values():
                for begun in (False, True):  # not even into somebody else's transaction
                    with raises(Exception, saying=""):
                        if begun:
                            async with store.begin():
                                await add(_Leaked(handle), "any", "2")
                        else:
                            await add(_Leaked(handle), "any", "2")
            with raises(StoreError):
                await transaction.emit([message("m")])
            assert await self.things(store) == ["1"]

    async def test_a_transaction_that_need_not_last_commits_too(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin(durable=False) as transaction:
                await transaction.claim([(R, "1")])
            assert len(await store.fates(["1"])) == 1

    async def test_a_death_at_any_point_leaves_all_or_nothing(self) -> None:
        for at in range(1, 100):
            world = DyingWorld(10**9)
            async with self.stores(1, world) as (store,):
                world.passed.clear()
                world.left = at
                try:
                    await self._a_step(store)
                except Death:
                    died = world.passed[-1]
                else:
                    break
            async with self.stores(1) as (store,):
                done = [r.state for r in await store.fates([f"{at}"])] == ["done"]
                assert done == ("1" in await self.things(store)) == ((await store.status()).outbox == 1), died
                async with store.begin() as transaction:  # whatever happened, it can be done again
                    await transaction.resource("connection").exec_driver_sql("DELETE FROM suite_things")
                await store.published([r.seq for r in await store.outbox(range(64), 10)])
        else:
            raise AssertionError("it never came to an end")
        assert at > 10

    async def _a_step(self, store: Store) -> None:
        at = self.world.left  # type: ignore[attr-defined]  # a DyingWorld: the id tells the runs apart
        async with store.begin() as transaction:
            await transaction.blocked([R])
            await transaction.claim([(R, f"{at}")])
            async with transaction.savepoint() as part:
                await add(part, "session", "1")
            await transaction.emit([message("m")])

    async def test_a_store_that_is_closed_says_so(self) -> None:
        async with self.stores(1) as (store,):
            await store.close()
            await store.close()
            with raises(StoreError, saying="not open"):
                await store.status()
            with raises(StoreError, saying="not open"):
                async with store.begin():
                    pass


class _Leaked:
    """A handle that outlived its transaction."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def resource(self, kind: str) -> Any:
        return self.handle


@cache
def _mapped() -> Any:
    """A mapped class for the suite's table; SQLAlchemy is imported when a case needs it."""
    from sqlalchemy import Column, String
    from sqlalchemy.orm import DeclarativeBase

    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "suite_things"
        id = Column(String(40), primary_key=True)
        name = Column(String, nullable=False)

    return Thing


class LateCases(StoreCases):
    """Transactions of outside reactions: open late, or not at all."""

    async def taken(self, store: Store, id: str = "1") -> InboxRow:
        """A claimed row."""
        await store.ingest([InboxRow(reaction=R, id=id, key=id, topic="t", body=b"{}")], lambda reaction: 10)
        (found,) = await store.take([R], 1, 30.0)
        return found

    async def test_reads_hold_no_lock_and_writes_commit_with_the_rest(self) -> None:
        from sqlalchemy import text

        async with self.stores(2) as (store, other):
            row = await self.taken(store)
            late = store.begin_late()
            session = late.resource("session")
            assert (await session.execute(text("SELECT count(*) FROM suite_things"))).scalar() == 0
            assert not late.writing
            async with other.begin() as transaction:  # nobody is in its way
                await add(transaction, "connection", "theirs")
            assert (await session.execute(text("SELECT count(*) FROM suite_things"))).scalar() == 1
            session.add(_mapped()(id="ours", name="x"))
            async with late.finish() as transaction:
                assert late.writing
                await transaction.settle(row, Verdict("done"))
                await transaction.emit([message("m")])
            assert not late.writing
            await late.close()
            assert await self.things(store) == ["ours", "theirs"]
            assert (await store.status()).outbox == 1

    async def test_the_first_write_takes_the_lock_and_sees_itself(self) -> None:
        from sqlalchemy import text

        async with self.stores(1) as (store,):
            late = store.begin_late()
            await add(late, "connection", "1")
            assert late.writing
            assert (await late.resource("connection").execute(text("SELECT id FROM suite_things"))).all() == [("1",)]
            await late.close()
            assert not late.writing
            await late.close()
            assert await self.things(store) == []

    async def test_a_nested_part_of_a_late_transaction_may_fail_alone(self) -> None:
        async with self.stores(1) as (store,):
            late = store.begin_late()
            session = late.resource("session")
            with raises(ZeroDivisionError):
                async with session.begin_nested():
                    session.add(_mapped()(id="1", name="x"))
                    await session.flush()
                    raise ZeroDivisionError
            session.add(_mapped()(id="2", name="x"))
            async with late.finish():
                pass
            await late.close()
            assert await self.things(store) == ["2"]

    async def test_late_transactions_run_side_by_side(self) -> None:
        from sqlalchemy import text

        async with self.stores(2) as stores:

            async def work(n: int) -> None:
                late = stores[n % 2].begin_late()
                try:
                    await late.resource("session").execute(text("SELECT count(*) FROM suite_things"))
                    await self.world.sleep(self.world.random())
                    await add(late, "session", f"{n:02}")
                    async with late.finish() as transaction:
                        await transaction.emit([message(str(n))])
                finally:
                    await late.close()

            await asyncio.gather(*map(work, range(20)))
            assert await self.things(stores[0]) == [f"{n:02}" for n in range(20)]
            assert (await stores[0].status()).outbox == 20

    async def test_a_lost_claim_undoes_what_the_reaction_wrote(self) -> None:
        async with self.stores(2) as (store, other):
            row = await self.taken(store)
            late = store.begin_late()
            late.resource("session").add(_mapped()(id="1", name="x"))
            await self.world.sleep(30)
            (again,) = await other.take([R], 1, 30.0)
            assert again.crashed
            with raises(ClaimLost):
                async with late.finish() as transaction:
                    await transaction.emit([message("m")])
                    await transaction.settle(row, Verdict("done"))
            await late.close()
            assert await self.things(store) == []
            assert (await store.status()).outbox == 0

    async def test_a_flush_that_fails_at_the_end_undoes_all_and_frees_the_lock(self) -> None:
        from sqlalchemy.exc import IntegrityError

        async with self.stores(1) as (store,):
            late = store.begin_late()
            await add(late, "session", "1")
            late.resource("session").add(_mapped()(id="1", name="again"))
            with raises(IntegrityError):
                async with late.finish():
                    pass
            await late.close()
            assert await self.things(store) == []
            with raises(StoreError, saying="over"):
                async with late.finish():
                    pass

    async def test_a_late_user_cannot_commit_either(self) -> None:
        for kind in ("session", "connection"):
            async with self.stores(1) as (store,):
                late = store.begin_late()
                await add(late, kind, "1")
                with raises(TransactionOwned, saying=f"{__file__}:"):
                    await late.resource(kind).commit()
                await late.close()
                assert await self.things(store) == []

    async def test_a_late_handle_works_no_more_after_the_end(self) -> None:
        async with self.stores(1) as (store,):
            late = store.begin_late()
            handle = late.resource("connection")
            async with late.finish():
                pass
            await late.close()
            with raises(Exception, saying=""):
                await add(_Leaked(handle), "connection", "1")
            assert await self.things(store) == []

    async def test_a_plain_function_in_a_thread_uses_the_same_transaction(self) -> None:
        from sqlalchemy import text

        def work(late: Any) -> list[str]:
            session = late.resource("sync_session")
            assert session.execute(text("SELECT count(*) FROM suite_things")).scalar() == 0
            session.add(_mapped()(id="1", name="x"))
            late.resource("sync_connection").execute(text(INSERT.format("2")))
            refused = []
            for handle in (session, late.resource("sync_connection")):
                for method in ("commit", "rollback", "close", "begin"):
                    try:
                        getattr(handle, method)()
                    except TransactionOwned as error:
                        refused.append(str(error))
            return refused

        async with self.stores(1) as (store,):
            late = store.begin_late()
            refused = await asyncio.to_thread(work, late)
            assert len(refused) == 8
            assert all(f"{__file__}:" in text for text in refused)
            async with late.finish() as transaction:
                await transaction.emit([message("m")])
            await late.close()
            assert await self.things(store) == ["1", "2"]
            late = store.begin_late()
            session = late.resource("sync_session")
            await late.close()
            with raises(Exception, saying=""):
                await asyncio.to_thread(session.execute, text("SELECT 1"))
