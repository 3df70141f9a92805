"""The cases of instances, and of rows that handlers post, for every store; part of `conformance_store.StoreSuite`."""

from __future__ import annotations

from farandole.stores.base import Instance, Verdict
from farandole.testing.store_scene import OTHER, R, StoreCases, ids, put, row, settle

__all__ = ["InstanceCases"]

DAY = 86_400.0


class InstanceCases(StoreCases):
    """What joins, deadlines and processes keep; and waking what waits."""

    async def test_an_instance_is_kept_as_it_was_left(self) -> None:
        async with self.stores(2) as (store, other):
            async with store.begin() as transaction:
                fresh = await transaction.instance(R, "k")
                assert fresh == Instance(reaction=R, key="k", since=fresh.since)
                left = Instance(
                    reaction=R, key="k", state="running", timer="t", runner="r", have={"a": 2}, expected=3, data=b"\x00\xff", revision=7
                )  # fmt: skip
                await transaction.keep(left)
            async with other.begin() as transaction:
                found = await transaction.instance(R, "k")
                left.since = found.since
                assert found == left

    async def test_tombstones_are_purged_with_their_parts_and_nothing_that_goes_on(self) -> None:
        states = ("open", "full", "running", "undoing", "over", "completed", "failed")
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                for state in states:
                    instance = await transaction.instance(R, state)
                    assert await transaction.add_part(instance, "p", b"part")
                    assert not await transaction.add_part(instance, "p", b"part")
                    instance.state, instance.have = state, {"a": 1}
                    instance.data, instance.revision = b"{}", 1
                    await transaction.keep(instance)
            await self.world.sleep(2 * DAY)
            while await store.purge(DAY, 100):
                pass
            async with store.begin() as transaction:
                kept = [state for state in states if (await transaction.instance(R, state)).revision == 1]
                assert kept == ["open", "full", "running", "undoing"]
                for state in states:
                    expected = [b"part"] if state in kept else []
                    assert await transaction.parts(await transaction.instance(R, state)) == expected

    async def test_a_row_that_waits_for_nobody_ahead_is_woken(self) -> None:
        async with self.stores(1) as (store,):
            waiting = row("1", blocks=False)
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                await transaction.park([waiting])
            assert await store.take([R], 10, 30.0) == []
            assert await store.next_due([R]) is None
            async with store.begin() as transaction:
                await transaction.wake(R, "1")
                await transaction.wake(R, "unknown")
                await transaction.wake(OTHER, "1")
            assert ids(await store.take([R], 10, 30.0)) == ["1"]
            async with store.begin() as transaction:
                await transaction.wake(R, "1")  # it runs already
            assert await store.take([R], 10, 30.0) == []

    async def test_the_first_of_its_key_is_woken_before_its_time_and_no_other_one(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1"), row("2"))
            (first,) = await store.take([R], 10, 30.0)
            await settle(store, first, Verdict("parked", due=self.world.time() + 60, blocks=True))
            async with store.begin() as transaction:
                await transaction.wake(R, "2")
            assert await store.take([R], 10, 30.0) == []
            async with store.begin() as transaction:
                await transaction.wake(R, "1")
            assert ids(await store.take([R], 10, 30.0)) == ["1"]

    async def test_what_is_parked_behind_nobody_may_run_and_behind_somebody_waits(self) -> None:
        async with self.stores(1) as (store,):
            for batch in (("1", "2"), ("3",)):
                async with store.begin() as transaction:
                    await transaction.claim([(R, id) for id in batch])
                    await transaction.park([row(id) for id in batch])
            for id in "123":
                (taken,) = await store.take([R], 10, 30.0)
                assert taken.id == id
                assert await store.take([R], 10, 30.0) == []
                await settle(store, taken, Verdict("done"))
