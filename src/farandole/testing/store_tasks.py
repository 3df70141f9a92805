"""The cases of tasks for people, and of the order of actions, for every store; part of `conformance_store.StoreSuite`."""

from __future__ import annotations

import asyncio

from farandole.stores.base import DeadFilter, InboxRow, Store, Task, Verdict
from farandole.testing.store_scene import OTHER, Death, DyingWorld, R, StoreCases, ids, put, row, settle

__all__ = ["TaskCases"]

DAY = 86_400.0
TEXT = "Give the money back by hand"
DEAD = Verdict("dead", reason="no answer", error="TimeoutError", place="pay.py:7")


async def give_up(store: Store, *ids: str, verdict: Verdict = DEAD) -> None:
    """Rows whose reaction asks for people are taken, and given up on."""
    await put(store, *(asking(id) for id in ids))
    for taken in sorted(await store.take([R], len(ids), 30.0), key=lambda one: one.seq):
        taken.task = TEXT
        await settle(store, taken, verdict)


def asking(id: str) -> InboxRow:
    """A row whose event names its workflow."""
    waits = row(id, key=f"k{id}", task=TEXT)
    waits.body = b'{"specversion":"1.0","id":"%s","source":"/s","type":"T","correlationid":"c-%s"}' % (id.encode(), id.encode())
    return waits


async def again(store: Store, id: str, verdict: Verdict) -> None:
    """A letter is retried by hand, and ends so."""
    assert await store.retry_dead(await store.dead(DeadFilter(id=id, exhausted=True)), force=True) == 1
    (taken,) = await store.take([R], 1, 30.0)
    taken.task = TEXT
    await settle(store, taken, verdict)


class TaskCases(StoreCases):
    """What people are asked to do, and in which order actions happened."""

    async def test_what_is_given_up_on_is_an_open_task_with_all_that_a_person_needs(self) -> None:
        async with self.stores(1) as (store,):
            await give_up(store, "1")
            await self.world.sleep(7)
            await give_up(store, "2", verdict=Verdict("exhausted"))
            first, second = await store.tasks()
            assert first == Task(
                id=first.id, opened_at=self.world.time() - 7, reaction=R, event="1", key="k1", correlation="c-1", kind="dead", text=TEXT,
                reason="no answer",
            )  # fmt: skip
            assert (second.event, second.kind, second.opened_at) == ("2", "exhausted", self.world.time())
            assert first.id < second.id
            assert (await store.status()).tasks == 2
            assert await store.tasks(id=second.id) == [second]
            assert await store.tasks(id=second.id + 1) == []

    async def test_who_asks_for_nobody_gets_no_task(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1"), row("2", key="2"))
            for taken, state in zip(await store.take([R], 2, 30.0), ("dead", "exhausted"), strict=True):
                await settle(store, taken, Verdict(state))
            await give_up(store, "3", verdict=Verdict("parked", due=self.world.time() + 9))
            await give_up(store, "4", verdict=Verdict("done"))
            assert await store.tasks(done=True) == []

    async def test_a_row_that_dies_in_its_batch_opens_a_task_or_both_are_undone(self) -> None:
        async with self.stores(1) as (store,):
            for fails in (True, False):
                try:
                    async with store.begin() as transaction:
                        await transaction.claim([(R, "1"), (R, "2")])
                        await transaction.park([_dead("1"), row("2", task=TEXT, state="skipped")])
                        if fails:
                            raise Death
                except Death:
                    assert await store.tasks(done=True) == []
            (task,) = await store.tasks(done=True)
            assert (task.event, task.kind, task.reason, task.correlation) == ("1", "dead", "not readable", "")

    async def test_a_retry_that_ends_well_closes_the_task_and_one_that_fails_leaves_it(self) -> None:
        async with self.stores(1) as (store,):
            await give_up(store, "1", "2", "3")
            before = await store.tasks()
            await again(store, "1", Verdict("dead", reason="still away"))
            await again(store, "2", Verdict("skipped", reason="is undone already"))
            await again(store, "3", Verdict("done"))
            still, two, three = await store.tasks(done=True)
            assert (still.id, still.opened_at, still.reason) == (before[0].id, before[0].opened_at, "still away")
            assert still.done_at is None
            assert (two.who, two.why, two.done_at) == ("(retry)", "is undone already", self.world.time())
            assert (three.who, three.why) == ("(retry)", "done by retry")
            assert await store.tasks() == [still]

    async def test_a_letter_that_is_discarded_closes_its_task_with_the_reason(self) -> None:
        async with self.stores(1) as (store,):
            await give_up(store, "1", "2", "3")
            one, two, _ = await store.dead(DeadFilter())
            assert await store.discard_dead([one], "paid in cash", who="ada") == 1
            assert await store.discard_dead([one, two], "as well") == 1
            assert [(task.event, task.who, task.why) for task in await store.tasks(done=True)] == [
                ("1", "ada", "paid in cash"), ("2", "(discarded)", "as well"), ("3", None, None),
            ]  # fmt: skip

    async def test_of_two_who_did_a_task_one_is_kept_and_the_other_is_told(self) -> None:
        async with self.stores(2) as (first, second):
            await give_up(first, *map(str, range(6)))
            for task in await first.tasks():
                by = (first.finish_task(task.id, who="ada", why="wired"), second.finish_task(task.id, who="bob", why="in cash"))
                won = await asyncio.gather(*by)
                assert sorted(won) == [False, True]
                (done,) = await second.tasks(id=task.id)
                assert (done.who, done.why, done.done_at) == (*(("ada", "wired"), ("bob", "in cash"))[won[1]], self.world.time())
                assert not await first.finish_task(task.id, who="eve", why="later")
                assert await second.tasks(id=task.id) == [done]
            assert not await first.finish_task(9999, who="ada", why="there is none")
            assert (await first.status()).tasks == 0

    async def test_what_fails_again_after_its_task_was_done_is_a_new_task(self) -> None:
        async with self.stores(1) as (store,):
            await give_up(store, "1")
            (old,) = await store.tasks()
            assert await store.finish_task(old.id, who="ada", why="wired")
            await again(store, "1", DEAD)
            (new,) = await store.tasks()
            assert new.id > old.id
            assert len(await store.tasks(done=True)) == 2

    async def test_a_purge_forgets_tasks_so_long_after_they_were_done_and_never_open_ones(self) -> None:
        async with self.stores(1) as (store,):
            await give_up(store, "1", "2", "3")
            one, two, three = await store.tasks()
            assert await store.finish_task(one.id, who="ada", why="x")
            await self.world.sleep(DAY / 2)
            assert await store.finish_task(two.id, who="ada", why="x")
            await self.world.sleep(DAY / 2 + 1)
            assert [await store.purge(DAY, 10) for _ in range(2)] == [0, 0]
            assert [task.id for task in await store.tasks(done=True)] == [two.id, three.id]
            await self.world.sleep(9 * DAY)
            assert [await store.purge(DAY, 10) for _ in range(2)] == [0, 0]
            assert await store.tasks(done=True) == [three]
            await give_up(store, "4")
            assert (await store.tasks())[-1].id > three.id, "numbers are not given twice"

    async def test_a_death_at_any_point_leaves_the_letter_and_its_task_or_neither(self) -> None:
        for point in range(1, 1000):
            world = DyingWorld(10**9)
            id = f"n{point}"
            async with self.stores(1) as (store,):
                await put(store, asking(id))
            async with self.stores(1, world) as (store,):
                (taken,) = await store.take([R], 1, 30.0)
                taken.task, world.left, died = TEXT, point, True
                try:
                    await settle(store, taken, DEAD)
                    died = False
                except Death:
                    pass
            async with self.stores(1) as (store,):
                [fate] = await store.fates([id])
                open_ = [task.event for task in await store.tasks()]
                assert (fate.state == "dead") == (id in open_)
                if fate.state == "claimed":
                    await self.world.sleep(60)
                    (taken,) = await store.take([R], 1, 30.0)
                    await settle(store, taken, Verdict("done"))
            if not died:
                break
        assert point > 2, "there is more than one point"

    async def test_actions_are_numbered_in_the_order_in_which_they_happened(self) -> None:
        async with self.stores(2) as stores:
            places = [(R, "a"), (OTHER, "a"), (R, "b"), (OTHER, "b")]
            for index, place in enumerate(places[:3]):
                async with stores[index % 2].begin() as transaction:
                    instance = await transaction.instance(*place)
                    instance.state = "acted"
                    await transaction.keep(instance, happened=True)
            async with stores[0].begin() as transaction:
                first, second, third = sorted(await transaction.standing(places), key=lambda one: one.number or 0)
                assert [(one.reaction, one.key, one.state) for one in (first, second, third)] == [
                    (*place, "acted") for place in places[:3]
                ]
                await transaction.keep(await transaction.instance(R, "a"), happened=True)
                await transaction.keep(await transaction.instance(OTHER, "a"))
                (now, other) = sorted(await transaction.standing(places[:2]), key=lambda one: -(one.number or 0))
                assert (now.key, now.reaction, other.number) == ("a", R, second.number)
                assert (now.number or 0) > (third.number or 0)
                assert await transaction.standing([]) == []
                assert await transaction.standing([places[3], ("nobody", "a")]) == [], "to look makes none"

    async def test_what_was_put_off_without_blocking_is_due_when_it_is_hastened_and_nothing_else_is(self) -> None:
        async with self.stores(1) as (store,):
            later = self.world.time() + 100
            wanted, failed, blocks, other = row("1"), row("1"), row("1"), row("1")
            wanted.reaction, failed.reaction, blocks.reaction, other.reaction = "a", "b", "c", "d"
            for waits in (wanted, failed, blocks, other):
                waits.due, waits.blocks = later, waits is blocks
            failed.attempts = 1
            second = row("2")
            second.reaction, second.due, second.blocks = "a", later, False
            await put(store, wanted, failed, blocks, other, second)
            async with store.begin() as transaction:
                await transaction.hasten(["a", "b", "c"], "1")
                await transaction.hasten([], "2")
            taken = await store.take(["a", "b", "c", "d"], 10, 30.0)
            assert [(r.reaction, *ids([r])) for r in taken] == [("a", "1")]


def _dead(id: str) -> InboxRow:
    letter = row(id, task=TEXT, state="dead", reason="not readable")
    letter.body = b"no event"
    return letter
