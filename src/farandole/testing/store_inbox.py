"""The cases of the inbox that every store must pass; part of `conformance_store.StoreSuite`."""

from __future__ import annotations

import asyncio
from collections import Counter

from farandole.errors import ClaimLost, StoreError
from farandole.stores.base import DeadFilter, Store, Verdict
from farandole.testing.store_scene import OTHER, R, StoreCases, at_most, bury, ids, message, put, raises, row, settle

__all__ = ["InboxCases"]

DAY = 86_400.0


class InboxCases(StoreCases):
    """What is known, waits, is claimed or dead."""

    async def test_an_event_is_claimed_once_in_one_batch_and_across(self) -> None:
        async with self.stores(2) as (first, second):
            async with first.begin() as transaction:
                new = await transaction.claim([(R, "a"), (R, "b"), (R, "a"), (OTHER, "a")])
                assert sorted(new) == [(OTHER, "a"), (R, "a"), (R, "b")]
                assert sorted(await transaction.claim([(R, "b"), (R, "c")])) == [(R, "c")]
            async with second.begin() as transaction:
                assert sorted(await transaction.claim([(R, "c"), (R, "d"), (OTHER, "a")])) == [(R, "d")]
                assert not await transaction.claim([])

    async def test_ids_are_told_apart_whatever_characters_they_have(self) -> None:
        odd = ["a", "A", "a ", "a\x00b", "a\x00c", "é", "e\u0301", "'", '"', "\\", "🎉", "[1]"]
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                assert set(await transaction.claim([(R, id) for id in odd])) == {(R, id) for id in odd}
            async with store.begin() as transaction:
                assert not await transaction.claim([(R, id) for id in odd])

    async def test_workers_with_overlapping_batches_share_the_events_out(self) -> None:
        async with self.stores(2) as stores:

            async def work(store: Store, start: int) -> list[tuple[str, str]]:
                got: list[tuple[str, str]] = []
                for n in range(start, start + 40, 10):
                    async with store.begin() as transaction:
                        got += await transaction.claim([(R, str(i)) for i in range(n, n + 20)])
                        await self.world.sleep(0.01)
                return got

            found = await asyncio.gather(work(stores[0], 0), work(stores[1], 5), work(stores[0], 15))
            assert Counter(mark for got in found for mark in got) == Counter((R, str(i)) for i in range(65))

    async def test_workers_with_one_batch_in_opposite_orders_do_not_lock_each_other_out(self) -> None:
        async with self.stores(2) as stores:

            async def work(store: Store, marks: list[tuple[str, str]]) -> list[tuple[str, str]]:
                async with store.begin() as transaction:
                    new = list(await transaction.claim(marks))
                    await self.world.sleep(0.01)
                    await transaction.emit([message(id, key=id) for _, id in new])
                    await transaction.park([row(id, key=id) for _, id in new if id.endswith("7")])
                return new

            for n in range(10):
                marks = [(R, f"{n}-{i}") for i in range(20)]
                found = await asyncio.gather(
                    work(stores[0], marks), work(stores[1], marks[::-1]), work(stores[0], [*marks[10:], *marks[:10]])
                )
                assert Counter(mark for new in found for mark in new) == Counter(marks)
            assert sorted(r.message.id for r in await stores[0].outbox(range(64), 1000)) == sorted(
                f"{n}-{i}" for n in range(10) for i in range(20)
            )

    async def test_an_event_known_in_any_state_drops_out(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, *(row(state, key=state) for state in ("done", "skipped", "exhausted", "dead", "claimed", "parked")))
            taken = {r.id: r for r in await store.take([R], 10, 30.0)}
            for state in ("done", "skipped", "exhausted", "dead"):
                await settle(store, taken[state], Verdict(state))
            await store.give_back([taken["parked"]])
            async with store.begin() as transaction:
                assert not await transaction.claim([(R, state) for state in taken])
            assert await store.ingest([row(state) for state in taken], at_most(1000)) == (6, 0)
            assert {r.id: r.state for r in await store.fates(taken)} == {state: state for state in taken}

    async def test_parked_rows_block_their_key_and_come_back_in_order(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1"), (R, "2"), (R, "x"), (R, "3")])
                assert await transaction.blocked([R]) == {}
                due = self.world.time() + 10
                await transaction.park([row("1", due=due, attempts=1, reason="boom", place="f:1", error="E"), row("2"), row("3")])
                assert await transaction.blocked([R, OTHER]) == {(R, "k"): 3}
                assert await transaction.blocked([OTHER]) == {}
            assert await store.take([R], 10, 30.0) == []
            assert await store.next_due([R]) == 10.0
            seen = []
            for expected in ("1", "2", "3"):
                await self.world.sleep(10 if expected == "1" else 0)
                (taken,) = await store.take([R], 10, 30.0)
                seen.append((taken.id, taken.attempts, taken.body))
                await settle(store, taken, Verdict("done"))
            assert seen == [("1", 2, row("1").body), ("2", 1, row("2").body), ("3", 1, row("3").body)]
            async with store.begin() as transaction:
                assert await transaction.blocked([R]) == {}

    async def test_what_was_parked_by_two_workers_is_released_in_order_by_two(self) -> None:
        """Heads fail, claims are given back, and later events park behind, all at once."""
        async with self.stores(2) as stores:
            done: dict[str, list[str]] = {}
            fails: Counter[str] = Counter()
            sent = {key: [f"{key}{n}" for n in range(12)] for key in "abcd"}

            async def arrive() -> None:
                for n in range(12):
                    async with stores[n % 2].begin() as transaction:
                        new = await transaction.claim([(R, f"{key}{n}") for key in sent])
                        waits = await transaction.blocked([R])
                        heads = [(R, key) not in waits for _, key in ((id, id[0]) for _, id in sorted(new))]
                        due = [self.world.time() if head else None for head in heads]
                        await transaction.park([row(id, key=id[0], due=at) for (_, id), at in zip(sorted(new), due, strict=True)])
                    await self.world.sleep(self.world.random())

            async def work(store: Store) -> None:
                for _ in range(1000):
                    if sum(map(len, done.values())) == 48:
                        return
                    taken = await store.take([R], 3, 30.0)
                    await self.world.sleep(0.1 + self.world.random() / 2)
                    for r in taken:
                        fails[r.id] += 1
                        if fails[r.id] == 1 and r.id[-1] in "05":
                            await settle(store, r, Verdict("parked", due=self.world.time() + 2, blocks=True, reason="no"))
                        elif fails[r.id] == 1 and r.id[-1] in "38":
                            await store.give_back([r])
                        else:
                            done.setdefault(r.key, []).append(r.id)
                            await settle(store, r, Verdict("done"))

            await asyncio.gather(arrive(), *(work(store) for store in (*stores, *stores)))
            assert done == sent
            async with stores[0].begin() as transaction:
                assert await transaction.blocked([R]) == {}

    async def test_a_head_that_fails_again_keeps_the_others_waiting(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1"), row("2"))
            (head,) = await store.take([R], 10, 30.0)
            await settle(
                store, head, Verdict("parked", due=self.world.time() + 5, blocks=True, reason="again", place="f:1", error="E")
            )
            assert await store.take([R], 10, 30.0) == []
            await self.world.sleep(5)
            (head,) = await store.take([R], 10, 30.0)
            assert (head.id, head.attempts, head.reason, head.place, head.error) == ("1", 2, "again", "f:1", "E")
            await settle(store, head, Verdict("parked", due=self.world.time() + 5, blocks=False))
            assert ids(await store.take([R], 10, 30.0)) == ["2"]

    async def test_what_stands_next_is_taken_in_the_transaction_that_let_it_go(self) -> None:
        """First of its key, due, never run: anything else stays. What is undone was never taken."""
        async with self.stores(2) as (store, other):
            await put(store, row("1"), row("2"), row("3"), row("held", key="x"), row("behind it", key="x"))
            heads = sorted(await store.take([R], 10, 30.0), key=lambda taken: taken.id)
            assert ids(heads) == ["1", "held"]
            for _ in range(2):
                with raises(LookupError):
                    async with store.begin() as transaction:
                        await transaction.settle(heads[0], Verdict("done"))
                        assert ids(await transaction.take_next(heads, 30.0)) == ["2"]
                        raise LookupError
            async with store.begin() as transaction:
                assert await transaction.take_next(heads, 30.0) == [], "nobody let them go"
                async with transaction.savepoint() as part:
                    await part.settle(heads[0], Verdict("done"))
                (second,) = await transaction.take_next(heads, 30.0)
                assert (second.state, second.attempts, second.body, second.crashed) == ("claimed", 1, row("2").body, False)
                assert await transaction.take_next([second], 30.0) == [], "it is taken, not done"
                with raises(LookupError):
                    async with transaction.savepoint() as part:
                        await part.settle(second, Verdict("done"))
                        raise LookupError
                await transaction.settle(second, Verdict("parked", due=self.world.time(), blocks=True, reason="no"))
                assert await transaction.take_next([second], 30.0) == [], "it ran"
            assert {r.id: r.state for r in await store.fates(["1", "2", "3"])} == {"1": "done", "2": "parked", "3": "parked"}
            (second,) = await other.take([R], 10, 30.0)
            assert (second.id, second.attempts) == ("2", 2)
            async with other.begin() as transaction:
                await transaction.settle(second, Verdict("done"))
                assert ids(await transaction.take_next([second], 30.0)) == ["3"]
            assert await store.take([R], 10, 30.0) == [], "what was taken so and not settled is claimed"
            await self.world.sleep(31)
            assert [(r.crashed, r.attempts) for _ in range(2) for r in await store.take([R], 10, 30.0)] == [(True, 2)] * 2

    async def test_a_dead_row_lets_its_key_go_or_holds_it(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1"), row("2"), row("3", key="held"), row("4", key="held"))
            first, held = await store.take([R], 10, 30.0)
            await settle(store, first, Verdict("dead", reason="no"))
            await settle(store, held, Verdict("dead", blocks=True, reason="no"))
            assert ids(await store.take([R], 10, 30.0)) == ["2"]
            await put(store, row("aside", key="held", blocks=False))
            (aside,) = await store.take([R], 10, 30.0)
            await settle(store, aside, Verdict("done"))
            assert await store.take([R], 10, 30.0) == [], "what is dead does not run because another of its key is done"
            async with store.begin() as transaction:
                assert await transaction.blocked([R]) == {(R, "k"): 1, (R, "held"): 2}
            assert await store.discard_dead(await store.dead(DeadFilter(id="3")), "by hand") == 1
            assert ids(await store.take([R], 10, 30.0)) == ["4"]
            (fate,) = await store.fates(["3"])
            assert (fate.state, fate.reason, fate.body) == ("skipped", "by hand", b"")

    async def test_parking_what_was_not_claimed_is_refused(self) -> None:
        async with self.stores(1) as (store,):
            with raises(StoreError):
                async with store.begin() as transaction:
                    await transaction.park([row("1")])

    async def test_ingested_rows_stop_before_a_key_that_is_full(self) -> None:
        async with self.stores(1) as (store,):
            batch = [row("1"), row("2"), row("1"), row("3"), row("4")]
            assert await store.ingest(batch, at_most(3)) == (4, 3)
            assert await store.ingest([row("2"), row("9", key="free"), row("4")], at_most(3)) == (2, 1)
            assert sorted(ids(await store.take([R], 10, 30.0))) == ["1", "9"]

    async def test_rows_that_do_not_block_do_not_wait_for_each_other(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1", blocks=False), row("2", blocks=False))
            assert ids(await store.take([R], 10, 30.0)) == ["1"], "but one of a key is taken at a time"
            assert ids(await store.take([R], 10, 30.0)) == ["2"]

    async def test_takers_never_overlap_and_keep_the_order_of_a_key(self) -> None:
        async with self.stores(2) as stores:
            await put(stores[0], *(row(f"{key}{n}", key=key) for n in range(5) for key in "abcdefgh"))
            seen: dict[str, list[str]] = {}
            running: set[str] = set()

            async def work(store: Store) -> None:
                while taken := await store.take([R], 3, 30.0):
                    assert len({r.token for r in taken if r.token}) >= 1
                    assert not running & {r.key for r in taken}
                    running.update(r.key for r in taken)
                    await self.world.sleep(self.world.random())
                    for r in taken:
                        seen.setdefault(r.key, []).append(r.id)
                        running.discard(r.key)
                        await settle(store, r, Verdict("done"))

            await asyncio.gather(work(stores[0]), work(stores[1]), work(stores[0]), work(stores[1]))
            await work(stores[0])
            assert seen == {key: [f"{key}{n}" for n in range(5)] for key in "abcdefgh"}

    async def test_take_looks_at_the_reactions_it_is_asked_for(self) -> None:
        async with self.stores(1) as (store,):
            other = row("1")
            other.reaction = OTHER
            await put(store, other, row("2"))
            assert await store.next_due([]) is None
            assert await store.take([], 10, 30.0) == []
            assert await store.take([R], 0, 30.0) == []
            assert ids(await store.take([R], 10, 30.0)) == ["2"]
            assert await store.waiting([R], 100) == 1
            assert await store.waiting([R, OTHER], 100) == 2
            assert await store.waiting([R, OTHER], 1) == 1, "and counts no further than it is told"

    async def test_a_row_whose_claimer_vanished_comes_alone(self) -> None:
        async with self.stores(2) as (first, second):
            await put(first, row("1"), row("2", key="other"))
            await first.take([R], 10, 30.0)
            await self.world.sleep(29)
            assert await second.take([R], 10, 30.0) == []
            await self.world.sleep(1)
            await put(first, row("3", key="third"))
            found = [await second.take([R], 10, 30.0) for _ in range(4)]
            assert [[(r.id, r.crashed, r.attempts) for r in rows] for rows in found] == [
                [("1", True, 2)], [("2", True, 2)], [("3", False, 1)], [],
            ]  # fmt: skip

    async def test_a_row_that_was_abandoned_does_not_come_with_others(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("abandoned"))
            await store.take([R], 10, 30.0)
            await put(store, row("waited", key="other"))
            await self.world.sleep(31)
            found = [await store.take([R], 10, 30.0) for _ in range(2)]
            assert [[(r.id, r.crashed) for r in rows] for rows in found] == [[("waited", False)], [("abandoned", True)]]

    async def test_a_claimer_that_shows_life_keeps_its_claim(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1"))
            (taken,) = await store.take([R], 10, 30.0)
            for _ in range(5):
                await self.world.sleep(20)
                await store.extend([taken], 30.0)
                assert await store.take([R], 10, 30.0) == []
            await settle(store, taken, Verdict("done"))

    async def test_a_claim_that_was_taken_over_writes_nothing(self) -> None:
        async with self.stores(2) as (first, second):
            await put(first, row("1"))
            (old,) = await first.take([R], 10, 30.0)
            await self.world.sleep(30)
            (new,) = await second.take([R], 10, 30.0)
            with raises(ClaimLost):
                async with first.begin() as transaction:
                    await transaction.emit([message("late")])
                    await transaction.settle(old, Verdict("done"))
            await first.extend([old], 1000.0)
            await first.give_back([old])
            assert (await first.status()).outbox == 0
            assert await first.next_due([R]) == 30.0, "the lease of the one who holds it"
            await settle(second, new, Verdict("done"))
            with raises(ClaimLost):
                await settle(second, new, Verdict("dead"))

    async def test_what_is_given_back_is_due_and_not_counted(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1"), row("2"))
            taken = await store.take([R], 10, 30.0)
            await store.give_back(taken)
            assert await store.next_due([R]) == 0.0
            assert [(r.id, r.attempts) for r in await store.take([R], 10, 30.0)] == [("1", 1)]

    async def test_a_verdict_may_set_the_attempts(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1"))
            (taken,) = await store.take([R], 10, 30.0)
            await settle(store, taken, Verdict("parked", due=self.world.time(), blocks=True, attempts=7))
            (taken,) = await store.take([R], 10, 30.0)
            assert taken.attempts == 8

    async def test_a_receipt_is_kept_with_its_command(self) -> None:
        async with self.stores(1) as (store,):
            assert await store.receipt(R, "1") is None
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                await transaction.keep_receipt(R, "1", b"\x00answer")
            assert await store.receipt(R, "1") == b"\x00answer"
            with raises(StoreError):
                async with store.begin() as transaction:
                    await transaction.keep_receipt(R, "unknown", b"")

    async def test_only_what_is_settled_and_old_is_purged(self) -> None:
        async with self.stores(1) as (store,):
            await bury(store, row("dead"))
            await put(store, row("parked"), row("skipped", key="s"), row("exhausted", key="e"))
            for taken in await store.take([R], 10, 30.0):
                verdict = Verdict("parked", due=self.world.time() + 1, blocks=True) if taken.id == "parked" else Verdict(taken.id)
                await settle(store, taken, verdict)
            async with store.begin() as transaction:
                await transaction.claim([(R, str(n)) for n in range(25)])
            assert await store.purge(DAY, 100) == 0
            await self.world.sleep(DAY + 1)
            async with store.begin() as transaction:
                await transaction.claim([(R, "young")])
            assert [await store.purge(DAY, 10) for _ in range(4)] == [10, 10, 7, 0]
            left = await store.fates(["dead", "parked", "skipped", "exhausted", "young", "0", "24"])
            assert sorted(ids(left)) == ["dead", "parked", "young"]
            async with store.begin() as transaction:
                assert await transaction.claim([(R, "0")]), "what is forgotten is new again"

    async def test_rows_are_purged_while_others_come(self) -> None:
        async with self.stores(2) as (first, second):

            async def traffic() -> None:
                for n in range(50):
                    async with first.begin() as transaction:
                        await transaction.claim([(R, f"{n}-{i}") for i in range(10)])
                    await self.world.sleep(10)

            async def janitor() -> int:
                count = 0
                for _ in range(100):
                    count += await second.purge(100.0, 7)
                    await self.world.sleep(5)
                return count

            _, count = await asyncio.gather(traffic(), janitor())
            assert 300 <= count < 500
            await self.world.sleep(200)
            while more := await second.purge(100.0, 7):
                count += more
            assert count == 500

    async def test_many_rows_are_purged_while_workers_go_on(self) -> None:
        async with self.stores(2) as (first, second):
            many = self.scaled(20_000, 1000)
            for begin in range(0, many, 1000):
                async with first.begin() as transaction:
                    await transaction.claim([(R, f"old {n}") for n in range(begin, min(many, begin + 1000))])
            await put(first, row("parked", key="waits"))
            (waits,) = await first.take([R], 1, 30.0)
            await settle(first, waits, Verdict("parked", due=self.world.time() + 10 * DAY, blocks=True))
            await self.world.sleep(DAY + 1)
            done: list[str] = []

            async def work(name: str) -> None:
                for n in range(20):
                    await put(first, *(row(f"{name}{n}-{i}", key=f"{name}{i}") for i in range(3)))
                    for taken in await first.take([R], 10, 30.0):
                        await settle(first, taken, Verdict("done"))
                        done.append(taken.id)
                    await self.world.sleep(0.1)

            async def clean() -> int:
                count = 0
                while some := await second.purge(DAY, 500):
                    assert some <= 500
                    count += some
                    await self.world.sleep(0.01)
                return count

            _, _, count = await asyncio.gather(work("a"), work("b"), clean())
            assert count == many
            assert Counter(done) == Counter(f"{name}{n}-{i}" for name in "ab" for n in range(20) for i in range(3))
            assert {r.state for r in await first.fates(done)} == {"done"}
            assert [r.state for r in await first.fates(["parked", "old 0", f"old {many - 1}"])] == ["parked"]

    async def test_dead_letters_are_found_by_all_that_is_known_of_them(self) -> None:
        async with self.stores(1) as (store,):
            first = row("1", reason="card 100% declined", place="pay.py:1", error="Declined")
            second = row("2", reason="no route", place="ship.py:9", error="OSError")
            second.reaction = OTHER
            await bury(store, first, second, row("3", error="Declined"))
            found = {
                "all": DeadFilter(), "reaction": DeadFilter(reaction=OTHER), "id": DeadFilter(id="3"),
                "error": DeadFilter(error="Declined"), "place": DeadFilter(place="pay.py:1"), "reason": DeadFilter(text="100% d"),
                "body": DeadFilter(text='"id":"2"'), "both": DeadFilter(error="Declined", text="card"), "none": DeadFilter(text="_"),
            }  # fmt: skip
            assert {name: ids(await store.dead(which)) for name, which in found.items()} == {
                "all": ["1", "2", "3"], "reaction": ["2"], "id": ["3"], "error": ["1", "3"], "place": ["1"], "reason": ["1"],
                "body": ["2"], "both": ["1"], "none": [],
            }  # fmt: skip
            assert ids(await store.dead(DeadFilter(), 2)) == ["1", "2"]

    async def test_a_dead_row_retried_by_hand_runs_from_its_first_attempt(self) -> None:
        async with self.stores(1) as (store,):
            await bury(store, row("1"), row("2", key="other"))
            (one, two) = await store.dead(DeadFilter())
            assert await store.retry_dead([one]) == 1
            assert await store.retry_dead([one]) == 0, "it is dead no more"
            assert [(r.id, r.attempts, r.body) for r in await store.take([R], 10, 30.0)] == [("1", 1, row("1").body)]
            assert await store.discard_dead([one, two], "old") == 1

    async def test_an_exhausted_row_is_retried_by_force_only(self) -> None:
        async with self.stores(1) as (store,):
            await put(store, row("1"))
            await settle(store, (await store.take([R], 10, 30.0))[0], Verdict("exhausted", reason="gave up"))
            assert await store.dead(DeadFilter()) == []
            found = await store.dead(DeadFilter(exhausted=True))
            assert await store.retry_dead(found) == 0
            assert await store.retry_dead(found, force=True) == 1
            assert [(r.id, r.attempts) for r in await store.take([R], 10, 30.0)] == [("1", 1)]

    async def test_fates_come_in_the_order_of_arrival_from_all_reactions(self) -> None:
        async with self.stores(1) as (store,):
            assert await store.fates(["1"]) == []
            async with store.begin() as transaction:
                await transaction.claim([(OTHER, "2"), (R, "1"), (R, "3"), (OTHER, "1")])
            found = await store.fates(["1", "2", "nothing"])
            assert [(r.reaction, r.id, r.state) for r in found] == [(OTHER, "2", "done"), (R, "1", "done"), (OTHER, "1", "done")]

    async def test_the_status_counts_what_waits(self) -> None:
        async with self.stores(1) as (store,):
            empty = await store.status()
            assert (empty.outbox, empty.outbox_age, empty.parked, empty.due_retries, empty.claimed, empty.dead) == (
                0,
                None,
                0,
                0,
                0,
                0,
            )
            await put(store, row("1"), row("2"), row("3", key="b"), row("4", key="c"))
            await bury(store, row("5", key="d"))
            async with store.begin() as transaction:
                await transaction.emit([message("m")])
            await store.take([R], 1, 30.0)
            await self.world.sleep(7)
            status = await store.status()
            assert (status.outbox, round(status.outbox_age or 0), status.parked, status.parked_keys) == (1, 7, 3, 3)
            assert (status.due_retries, status.claimed, status.dead) == (2, 1, 1)
