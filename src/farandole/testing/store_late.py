"""The cases of outside reactions' transactions that every store must pass; part of `conformance_store.StoreSuite`."""

from __future__ import annotations

import asyncio
from typing import Any

from farandole.errors import ClaimLost, StoreError, TransactionOwned
from farandole.stores.base import InboxRow, LateTransaction, Store, Verdict
from farandole.testing.store_scene import INSERT, Leaked, R, StoreCases, add, at_most, message, raises, thing

__all__ = ["LateCases"]


def writing(late: LateTransaction) -> bool:
    """Whether it holds the lock now; a type checker takes the property for a constant."""
    return late.writing


class LateCases(StoreCases):
    """Transactions of outside reactions: open late, or not at all."""

    async def taken(self, store: Store, id: str = "1") -> InboxRow:
        """A claimed row."""
        await store.ingest([InboxRow(reaction=R, id=id, key=id, topic="t", body=b"{}")], at_most(10))
        (found,) = await store.take([R], 1, 30.0)
        return found

    async def test_reads_hold_no_lock_and_writes_commit_with_the_rest(self) -> None:
        from sqlalchemy import text

        async with self.stores(2) as (store, other):
            row = await self.taken(store)
            late = store.begin_late()
            session = late.resource("session")
            assert (await session.execute(text("SELECT count(*) FROM suite_things"))).scalar() == 0
            assert not writing(late)
            async with other.begin() as transaction:  # nobody is in its way
                await add(transaction, "connection", "theirs")
            assert (await session.execute(text("SELECT count(*) FROM suite_things"))).scalar() == 1
            session.add(thing(id="ours", name="x"))
            async with late.finish() as transaction:
                assert writing(late)
                await transaction.settle(row, Verdict("done"))
                await transaction.emit([message("m")])
            assert not writing(late)
            await late.close()
            assert await self.things(store) == ["ours", "theirs"]
            assert (await store.status()).outbox == 1

    async def test_the_first_write_takes_the_lock_and_sees_itself(self) -> None:
        from sqlalchemy import text

        async with self.stores(1) as (store,):
            late = store.begin_late()
            await add(late, "connection", "1")
            assert writing(late)
            assert (await late.resource("connection").execute(text("SELECT id FROM suite_things"))).all() == [("1",)]
            await late.close()
            assert not writing(late)
            await late.close()
            assert await self.things(store) == []

    async def test_a_nested_part_of_a_late_transaction_may_fail_alone(self) -> None:
        async with self.stores(1) as (store,):
            late = store.begin_late()
            session = late.resource("session")
            with raises(ZeroDivisionError):
                async with session.begin_nested():
                    session.add(thing(id="1", name="x"))
                    await session.flush()
                    raise ZeroDivisionError
            session.add(thing(id="2", name="x"))
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
            late.resource("session").add(thing(id="1", name="x"))
            await self.world.sleep(30)
            (again,) = await other.take([R], 1, 30.0)
            assert again.crashed
            with raises(ClaimLost):
                async with late.finish() as transaction:
                    await transaction.emit([message("m")])
                    await transaction.settle(row, Verdict("done"))
            assert not writing(late)
            await late.close()
            assert await self.things(store) == []
            assert (await store.status()).outbox == 0

    async def test_a_flush_that_fails_at_the_end_undoes_all_and_frees_the_lock(self) -> None:
        from sqlalchemy.exc import IntegrityError

        async with self.stores(1) as (store,):
            late = store.begin_late()
            await add(late, "session", "1")
            late.resource("session").add(thing(id="1", name="again"))
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
                await add(Leaked(handle), "connection", "1")
            assert await self.things(store) == []

    async def test_a_plain_function_in_a_thread_uses_the_same_transaction(self) -> None:
        from sqlalchemy import text

        def work(late: Any) -> list[str]:
            session = late.resource("sync_session")
            assert session.execute(text("SELECT count(*) FROM suite_things")).scalar() == 0
            session.add(thing(id="1", name="x"))
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
