"""The cases of dead letters that people change, for every store; part of `conformance_store.StoreSuite`."""

from __future__ import annotations

import asyncio

from farandole.stores.base import DeadFilter, Edit, InboxRow, Store, Verdict
from farandole.testing.store_scene import OTHER, Death, DyingWorld, R, StoreCases, bury, ids, message, put, row, settle

__all__ = ["LetterCases"]

DAY = 86_400.0
NEW = b'{"id":"1","repaired":"\xc3\xa9"}'


class LetterCases(StoreCases):
    """What operators find, edit and retry."""

    async def test_an_edited_letter_runs_with_its_new_body_under_the_same_id(self) -> None:
        async with self.stores(1) as (store,):
            await bury(store, row("1"), row("2"))
            (one, _) = await store.dead(DeadFilter())
            assert await store.edit_dead(one, NEW, who="ada", why="a comma too many")
            (now,) = await store.dead(DeadFilter(id="1"))
            assert (now.state, now.body, now.attempts, now.handled_at) == ("dead", NEW, 3, one.handled_at)
            assert await store.dead(DeadFilter(text="repaired")) == [now]
            assert await store.retry_dead([one]) == 1
            assert [(r.id, r.body) for r in await store.take([R], 10, 30.0)] == [("1", NEW)]
            assert [r.body for r in await store.dead(DeadFilter())] == [row("2").body]

    async def test_every_former_body_is_kept_with_who_when_and_why(self) -> None:
        async with self.stores(1) as (store,):
            assert await store.edits() == []
            other = row("1")
            other.reaction = OTHER
            await bury(store, row("1"), other, row("2"))
            began, bodies = self.world.time(), [row("1").body, b"", b"\x00\xff"]
            for before, after in zip(bodies, [*bodies[1:], NEW], strict=True):
                (one,) = await store.dead(DeadFilter(reaction=R, id="1"))
                assert one.body == before
                await self.world.sleep(10)
                assert await store.edit_dead(one, after, who="Ada Ü", why=f"because of {len(before)} 'quotes'")
            (theirs,) = await store.dead(DeadFilter(reaction=OTHER))
            assert await store.edit_dead(theirs, NEW, who="bob", why="as well")
            kept = [
                Edit(reaction=R, id="1", at=began + 10 * n, who="Ada Ü", why=f"because of {len(body)} 'quotes'", body=body)
                for n, body in enumerate(bodies, 1)
            ]
            kept.append(Edit(reaction=OTHER, id="1", at=began + 30, who="bob", why="as well", body=other.body))
            assert await store.edits() == await store.edits("1") == kept
            assert await store.edits("2") == []

    async def test_only_what_is_dead_is_edited(self) -> None:
        async with self.stores(1) as (store,):
            states = ("done", "skipped", "exhausted", "claimed", "parked", "dead")
            await put(store, *(row(state, key=state) for state in states))
            taken = {r.id: r for r in await store.take([R], 10, 30.0)}
            for state in ("done", "skipped", "exhausted", "dead"):
                await settle(store, taken[state], Verdict(state))
            await store.give_back([taken["parked"]])
            tried = [*(taken[state] for state in states), row("unknown")]
            found = [r.id for r in tried if await store.edit_dead(r, NEW, who="ada", why="no")]
            assert found == ["dead"]
            assert ids([r for r in await store.fates(states) if r.body == NEW]) == ["dead"]
            assert [edit.id for edit in await store.edits()] == ["dead"]

    async def test_of_two_who_edit_one_letter_one_wins_and_the_other_is_told(self) -> None:
        async with self.stores(2) as (first, second):
            await bury(first, *(row(str(n), key=str(n)) for n in range(10)))
            for seen in await first.dead(DeadFilter()):

                async def change(store: Store, who: str, seen: InboxRow = seen) -> bool:
                    return await store.edit_dead(seen, who.encode(), who=who, why="it was wrong")

                won = await asyncio.gather(change(first, "ada"), change(second, "bob"))
                assert sorted(won) == [False, True]
                (now,) = await second.dead(DeadFilter(id=seen.id))
                (edit,) = await first.edits(seen.id)
                assert (now.body, edit.who, edit.body) == (edit.who.encode(), ("ada", "bob")[won[1]], seen.body)
                assert await second.edit_dead(now, b"after a second look", who="bob", why="better"), "who looks again may"

    async def test_a_letter_that_is_edited_and_retried_at_once_runs_as_the_editor_was_told(self) -> None:
        async with self.stores(2) as (first, second):
            for n in range(10):
                await bury(first, row(str(n), key=str(n)))
                (seen,) = await first.dead(DeadFilter())
                work = first.edit_dead(seen, NEW, who="ada", why="x"), second.retry_dead([seen])
                edited, retried = await asyncio.gather(*work) if n % 2 else (await asyncio.gather(*work[::-1]))[::-1]
                assert retried == 1
                (taken,) = await first.take([R], 10, 30.0)
                assert taken.body == (NEW if edited else seen.body)
                await settle(first, taken, Verdict("done"))

    async def test_an_edited_letter_of_the_relay_returns_to_the_outbox_with_its_new_bytes(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                await transaction.emit([message("big", key="k")])
            (waits,) = await store.outbox(range(64), 10)
            await store.unpublishable(waits, "too large")
            (letter,) = await store.dead(DeadFilter())
            assert await store.edit_dead(letter, NEW, who="ada", why="cut down")
            assert await store.retry_dead([letter]) == 1
            assert [(r.message.id, r.message.key, r.message.body) for r in await store.outbox(range(64), 10)] == [
                ("big", "k", NEW)
            ]
            assert [edit.body for edit in await store.edits("big")] == [waits.message.body]

    async def test_what_was_kept_of_edits_is_forgotten_after_its_letter(self) -> None:
        async with self.stores(1) as (store,):
            await bury(store, row("stays"), row("goes", key="g"))
            for letter in await store.dead(DeadFilter()):
                assert await store.edit_dead(letter, NEW, who="ada", why="x")
            await self.world.sleep(DAY + 1)
            assert await store.retry_dead(await store.dead(DeadFilter(id="goes"))) == 1
            await settle(store, (await store.take([R], 1, 30.0))[0], Verdict("done"))
            assert [await store.purge(DAY, 10) for _ in range(2)] == [0, 0]
            assert [edit.id for edit in await store.edits()] == ["stays", "goes"], "its row is remembered"
            await self.world.sleep(DAY + 1)
            assert [await store.purge(DAY, 10) for _ in range(2)] == [1, 0]
            assert [edit.id for edit in await store.edits()] == ["stays"], "it is dead still"

    async def test_a_death_in_an_edit_leaves_the_new_body_and_the_old_one_or_neither(self) -> None:
        async with self.stores(1) as (store,):
            await bury(store, row("1"))
        for point in range(1, 1000):
            world = DyingWorld(10**9)
            async with self.stores(1, world) as (store,):
                (letter,) = await store.dead(DeadFilter())
                before = len(await store.edits())
                world.left, died = point, True
                try:
                    died = not await store.edit_dead(letter, b"%d" % point, who="ada", why="x")
                except Death:
                    pass
            async with self.stores(1) as (store,):
                (now,) = await store.dead(DeadFilter())
                edits = await store.edits()
                changed = now.body != letter.body
                assert (len(edits) - before, now.body) == ((1, b"%d" % point) if changed else (0, letter.body))
                assert not changed or edits[-1].body == letter.body
            if not died:
                assert changed
                break
        assert point > 2, "there is more than one point"

    async def test_letters_are_found_by_key_and_by_when_they_died(self) -> None:
        async with self.stores(1) as (store,):
            began = self.world.time()
            for n in range(4):
                await bury(store, row(str(n), key=f"k{n % 2}"))
                await self.world.sleep(60)
            found = {
                "key": DeadFilter(key="k1"), "since": DeadFilter(since=began + 60), "until": DeadFilter(until=began + 60),
                "between": DeadFilter(since=began + 30, until=began + 150), "all": DeadFilter(key="k0", since=began + 1, text='"2"'),
                "none": DeadFilter(since=began + 181),
            }  # fmt: skip
            assert {name: ids(await store.dead(which)) for name, which in found.items()} == {
                "key": ["1", "3"], "since": ["1", "2", "3"], "until": ["0"], "between": ["1", "2"], "all": ["2"], "none": [],
            }  # fmt: skip
            assert ids(await store.dead(DeadFilter(since=began + 60), 2)) == ["1", "2"]
