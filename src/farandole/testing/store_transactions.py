"""The cases of transactions that every store must pass; part of `conformance_store.StoreSuite`."""

from __future__ import annotations

import asyncio
from typing import Any

from farandole.errors import StoreBusy, StoreError, TransactionOwned
from farandole.stores.base import InboxRow, Store
from farandole.testing.store_scene import Death, DyingWorld, Leaked, R, StoreCases, add, message, raises, thing

__all__ = ["TransactionCases"]


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

    async def test_nothing_remains_whatever_came_first_and_however_it_ended(self) -> None:
        """A driver that begins late, at the user's or at the framework's first statement, leaves rows behind."""
        for kind in ("driver", "connection", "session"):
            for first in ("framework", "user", "framework alone"):
                for ending in ("raise", "commit", "rollback"):
                    async with self.stores(1) as (store,):
                        with raises(ZeroDivisionError, TransactionOwned):
                            async with store.begin() as transaction:
                                if first == "user":
                                    await add(transaction, kind, "1")
                                await transaction.claim([(R, "1")])
                                await transaction.emit([message("m")])
                                if first == "framework":
                                    await add(transaction, kind, "1")
                                if ending != "raise":
                                    await self._end(
                                        transaction.resource("session" if kind == "session" else "connection"), ending
                                    )
                                raise ZeroDivisionError
                        await self.nothing_remains(store)

    async def test_a_commit_that_is_written_as_a_statement_commits_nothing(self) -> None:
        from sqlalchemy import text

        for kind in ("driver", "connection", "session"):
            for words in ("COMMIT", "ROLLBACK", " commit ;"):
                async with self.stores(1) as (store,):
                    with raises(Exception, saying=""):
                        async with store.begin() as transaction:
                            await transaction.claim([(R, "1")])
                            await add(transaction, kind, "1")
                            ended = transaction.resource(kind).execute(words if kind == "driver" else text(words))
                            if asyncio.iscoroutine(ended):
                                await ended
                    await self.nothing_remains(store)

    async def test_a_step_that_collides_wrote_nothing_and_is_done_once_when_it_is_tried_again(self) -> None:
        self.needs("conflict")
        async with self.stores(1) as (store,):

            async def step() -> None:
                async with store.begin() as transaction:
                    if await transaction.claim([(R, "1")]):
                        await add(transaction, "session", "1")
                        await transaction.emit([message("m")])

            with raises(StoreBusy):
                await self.conflict(store, step)
            await self.nothing_remains(store)
            for _ in range(2):
                await step()
            assert await self.things(store) == ["1"]
            assert (await store.status()).outbox == 1

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
                with raises(TransactionOwned, StoreError):
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
                    session.add(thing("1"))
                    session.add(thing("1", name=None))
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
                session.add(thing("1"))
                await session.flush()
                with raises(IntegrityError):
                    async with session.begin_nested():
                        session.add(thing("2"))
                        session.add(thing("1b", name=None))
                session.add(thing("3"))
            assert await self.things(store) == ["1", "3"]

    async def test_pending_objects_are_written_at_the_end(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                kept = thing("1")
                transaction.resource("session").add(kept)
                await transaction.flush()
                transaction.resource("session").add(thing("2"))
            assert await self.things(store) == ["1", "2"]
            assert kept.name == "thing 1", "objects can still be read"

    async def test_a_savepoint_is_undone_alone(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1"), (R, "2"), (R, "3")])
                for id in ("1", "2", "3"):
                    try:
                        async with transaction.savepoint() as part:
                            await add(part, "driver", f"d{id}")
                            part.resource("session").add(thing(f"s{id}"))
                            await add(part, "connection", f"c{id}")
                            await part.emit([message(id)])
                            if id == "2":
                                raise ZeroDivisionError
                    except ZeroDivisionError:
                        await transaction.park(
                            [InboxRow(reaction=R, id="2", key="k", topic="t", body=b"", due=self.world.time())]
                        )
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
                        part.resource("session").add(thing("1"))
                        await part.emit([message("lost")])
                async with transaction.savepoint() as part:
                    part.resource("session").add(thing("2"))
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
                                await add(Leaked(handle), "any", "2")
                        else:
                            await add(Leaked(handle), "any", "2")
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
