"""The cases of the outbox that every store must pass; part of `conformance_store.StoreSuite`."""

from __future__ import annotations

import asyncio

from farandole.model.envelope import Message
from farandole.stores.base import DeadFilter, Store
from farandole.testing.checkers import altered, lost, out_of_order, require, unexpected
from farandole.testing.store_scene import StoreCases, message

__all__ = ["OutboxCases"]


class OutboxCases(StoreCases):
    """What waits for the relay, and who may publish it."""

    async def test_the_oldest_messages_come_first_until_they_are_published(self) -> None:
        async with self.stores(1) as (store,):
            sent = [message(str(n), key=f"k{n % 7}") for n in range(30)]
            async with store.begin() as transaction:
                await transaction.emit(sent[:10])
                await transaction.emit(sent[10:])
            rows = await store.outbox(range(64), 20)
            assert [r.message for r in rows] == sent[:20]
            assert [r.seq for r in rows] == sorted({r.seq for r in rows})
            buckets = {r.bucket for r in rows[:3]}
            some = await store.outbox(buckets, 5)
            assert [r.seq for r in some] == [r.seq for r in await store.outbox(range(64), 30) if r.bucket in buckets][:5]
            await store.published([r.seq for r in rows if r.seq != rows[3].seq])
            await store.published([])
            await store.published([rows[0].seq])
            assert [r.message for r in await store.outbox(range(64), 20)] == [sent[3], *sent[20:]]
            assert await store.outbox([], 20) == []

    async def test_messages_of_one_key_share_a_bucket(self) -> None:
        async with self.stores(1) as (store,):
            async with store.begin() as transaction:
                await transaction.emit([message(f"{key}{n}", key=str(key)) for n in range(3) for key in range(200)])
            rows = await store.outbox(range(64), 1000)
            assert len({(r.message.key, r.bucket) for r in rows}) == 200
            assert {r.bucket for r in rows} <= set(range(64))

    async def test_relays_share_the_buckets_out_fairly(self) -> None:
        async with self.stores(1) as (store,):
            assert await store.lease_buckets("one", 10.0) == list(range(64))
            assert await store.lease_buckets("two", 10.0) == [], "nothing is free yet"
            held = {}
            for _ in range(3):
                held = {token: await store.lease_buckets(token, 10.0) for token in ("one", "two", "three", "four")}
            assert {len(buckets) for buckets in held.values()} == {16}
            assert sorted(bucket for buckets in held.values() for bucket in buckets) == list(range(64))
            await store.release_buckets("two")
            await self.world.sleep(10)
            assert await store.lease_buckets("four", 10.0) == list(range(64)), "the others have not shown themselves"

    async def test_four_relays_publish_each_key_in_order(self) -> None:
        async with self.stores(2) as stores:
            wire: list[Message] = []
            done = asyncio.Event()

            async def relay(store: Store, token: str) -> None:
                while not done.is_set():
                    rows = await store.outbox(await store.lease_buckets(token, 5.0), 7)
                    await self.world.sleep(self.world.random())
                    wire.extend(r.message for r in rows)
                    await store.published([r.seq for r in rows])

            async def services() -> None:
                for n in range(40):
                    async with stores[n % 2].begin() as transaction:
                        await transaction.emit([message(f"{key}-{n}", key=key) for key in "abcdefghij"])
                    await self.world.sleep(0.1)
                while (await stores[0].status()).outbox:
                    await self.world.sleep(1)
                done.set()

            await asyncio.gather(services(), *(relay(stores[n % 2], f"relay{n}") for n in range(4)))
            assert len(wire) == 400
            for key in "abcdefghij":
                assert [m.id for m in wire if m.key == key] == [f"{key}-{n}" for n in range(40)]

    async def test_a_sequence_number_that_commits_late_is_not_skipped(self) -> None:
        """The first to emit commits last; where writers wait for each other, it commits first after all."""
        async with self.stores(3) as (slow, quick, relay):
            emitted, may_commit = asyncio.Event(), asyncio.Event()
            buckets = await relay.lease_buckets("relay", 1000.0)
            wire: list[str] = []

            async def first() -> None:
                async with slow.begin() as transaction:
                    await transaction.emit([message("late", key="a"), message("later", key="a")])
                    emitted.set()
                    await may_commit.wait()

            async def second() -> None:
                async with quick.begin() as transaction:
                    await transaction.emit([message("early", key="b")])

            async def publish() -> None:
                while rows := await relay.outbox(buckets, 1):
                    wire.extend(r.message.id for r in rows)
                    await relay.published([r.seq for r in rows])

            one = asyncio.create_task(first())
            await emitted.wait()
            two = asyncio.create_task(second())
            await asyncio.wait([two], timeout=5)
            overtook = two.done()
            looking = asyncio.create_task(publish())
            await asyncio.wait([looking], timeout=5)  # in a database that has one connection, it waits as well
            if looking.done():
                assert wire == (["early"] if overtook else [])
            may_commit.set()
            await asyncio.gather(one, two, looking)
            await publish()
            assert sorted(wire) == ["early", "late", "later"]
            assert wire.index("late") < wire.index("later")

    async def test_a_relay_that_loses_its_lease_while_it_publishes_repeats_and_loses_nothing(self) -> None:
        async with self.stores(2) as (first, second):
            sent = [message(f"{n}", key=f"k{n % 5}") for n in range(30)]
            async with first.begin() as transaction:
                await transaction.emit(sent[:20])
            wire: list[Message] = []
            rows = await first.outbox(await first.lease_buckets("slow", 10.0), 15)
            wire += [r.message for r in rows[:8]]
            await self.world.sleep(11)
            buckets = await second.lease_buckets("quick", 10.0)
            assert buckets == list(range(64))
            taken = await second.outbox(buckets, 10)
            wire += [r.message for r in taken]
            await second.published([r.seq for r in taken])
            async with second.begin() as transaction:
                await transaction.emit(sent[20:])
            wire += [r.message for r in rows[8:]]  # it does not know yet
            await first.published([r.seq for r in rows])
            assert await first.lease_buckets("slow", 10.0) == []
            while rest := await second.outbox(buckets, 4):
                wire += [r.message for r in rest]
                await second.published([r.seq for r in rest])
            came = [m.id for m in wire]
            require(
                lost(sent, came, at="the wire"),
                unexpected(sent, came, at="the wire"),
                out_of_order(sent, came, at="the wire"),
                altered([*sent, *wire]),
            )
            assert len(came) - len(set(came)) == 10, "what both had in hand"
            assert (await first.status()).outbox == 0

    async def test_a_relay_that_sleeps_too_long_loses_its_buckets(self) -> None:
        async with self.stores(2) as (first, second):
            await first.lease_buckets("slow", 10.0)
            await self.world.sleep(10)
            assert await second.lease_buckets("quick", 10.0) == list(range(64))
            assert await first.lease_buckets("slow", 10.0) == []

    async def test_what_no_broker_takes_becomes_a_dead_letter_and_can_return(self) -> None:
        async with self.stores(1) as (store,):
            body = b'{"specversion":"1.0","id":"big","source":"/s","type":"shop.Big.v1"}'
            async with store.begin() as transaction:
                await transaction.emit([Message("t", "k", "big", "shop.Big.v1", body), Message("t", "k", "odd", "", b"\xff")])
            for out in await store.outbox(range(64), 10):
                await store.unpublishable(out, "too large")
                await store.unpublishable(out, "twice is once")
            assert (await store.status()).outbox == 0
            dead = await store.dead(DeadFilter(reaction="(relay)"))
            assert [(r.id, r.reason, r.topic, r.key) for r in dead] == [
                ("big", "too large", "t", "k"),
                ("odd", "too large", "t", "k"),
            ]
            assert await store.retry_dead(dead) == 2
            assert await store.retry_dead(dead) == 0
            assert [r.message for r in await store.outbox(range(64), 10)] == [
                Message("t", "k", "big", "shop.Big.v1", body), Message("t", "k", "odd", "", b"\xff"),
            ]  # fmt: skip
            assert await store.dead(DeadFilter()) == []
