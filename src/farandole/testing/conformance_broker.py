"""What every broker must do, as tests: subclass `BrokerSuite`, say how to make yours, and let pytest collect the class.

    class TestMine(BrokerSuite):
        async def make(self, world: World) -> Broker:
            return MyBroker("mine://localhost", world)

The suite picks topics, groups and keys, and counts every delivery: nothing is dropped before it is counted. What
`Capabilities` claims is tested; only what is not claimed is skipped.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from unittest import SkipTest

from farandole.brokers.base import Broker, Delivery
from farandole.errors import BrokerClosed
from farandole.model.envelope import Message
from farandole.testing.broker_crowd import CrowdCases
from farandole.testing.broker_scene import Scene, by_key, ids
from farandole.world import World

__all__ = ["BrokerSuite"]


class BrokerSuite(CrowdCases):
    """Subclass it; see the module."""

    patience = 60.0  # seconds in which whatever must come has come
    quiet = 2.0  # seconds without a message that prove that none comes

    async def make(self, world: World) -> Broker:
        """A broker, not yet open. Every call within one test gives a handle on the same data."""
        raise NotImplementedError("say how to make your broker: async def make(self, world): return MyBroker(...)")

    async def die(self, broker: Broker) -> None:
        """Let a broker vanish while its consumers hold messages. Override it where yours can vanish without a goodbye."""
        await broker.close()

    @asynccontextmanager
    async def scene(self, claim: str | None = None) -> AsyncIterator[tuple[Scene, Broker]]:
        """A scene and its first broker; skips where the broker does not claim `claim`."""
        scene = Scene(self.make, self.patience, self.quiet)
        broker = await scene.broker()
        try:
            if claim is not None and not getattr(broker.capabilities, claim):
                print(f"SKIP: {type(broker).__name__}: {claim} not claimed")  # noqa: T201 - a suite says what it leaves out
                raise SkipTest(f"{claim} not claimed")
            yield scene, broker
        finally:
            for opened in scene.opened:
                await opened.close()

    # what comes

    async def test_a_message_arrives_as_it_was_published(self) -> None:
        async with self.scene() as (scene, broker):
            bodies = [
                b"",
                b"\x00\xff\xfe\n\r\x00",
                "Grüße, 世界 🎉".encode(),
                b"{}",
                b"m" * min(1_000_000, broker.capabilities.max_bytes),
            ]
            sent = [Message(scene.topic, "schlüssel 🔑", f"id-{n}", "shop.Ärger.v1", body) for n, body in enumerate(bodies)]
            await scene.publish(broker, sent)
            found = await scene.read(await broker.subscribe(scene.of()), len(sent))
            assert [Message(d.topic, d.key, d.id, d.type, d.body) for d in found] == sent
            assert not any(d.redelivered for d in found)

    async def test_topics_do_not_mix(self) -> None:
        async with self.scene() as (scene, broker):
            other = f"{scene.topic}-other"
            ours, theirs = scene.messages(20), scene.messages(20, topic=other)
            await scene.publish(broker, [message for pair in zip(ours, theirs, strict=True) for message in pair])
            first = await broker.subscribe(scene.of())
            both = await broker.subscribe(scene.of(group=f"{scene.group}-both", topics=(scene.topic, other)))
            assert by_key(await scene.read(first, 20)) == by_key(ours)
            assert Counter(ids(await scene.read(both, 40))) == Counter(ids(ours) + ids(theirs))
            await scene.nothing(first, both)

    async def test_each_group_gets_everything(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(50)
            one, two = [await broker.subscribe(scene.of(group=f"{scene.group}-{n}")) for n in (1, 2)]
            await scene.publish(broker, sent)
            assert by_key(await scene.read(one, 50)) == by_key(await scene.read(two, 50)) == by_key(sent)
            await scene.nothing(one, two)

    async def test_a_listener_sees_all_and_keeps_no_position(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(30)
            await scene.publish(broker, sent)
            for _ in range(2):
                listener = await broker.subscribe(scene.of(group=None))
                assert Counter(ids(await scene.read(listener, 30))) == Counter(ids(sent))
                await scene.nothing(listener)
                await listener.close()

    async def test_a_backlog_comes_whole_and_in_order(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(20_000, keys=100)
            for begin in range(0, len(sent), 1000):
                await scene.publish(broker, sent[begin : begin + 1000])
            consumer = await broker.subscribe(scene.of())
            assert by_key(await scene.read(consumer, len(sent), limit=500)) == by_key(sent)
            await scene.nothing(consumer)
            assert await broker.lag(scene.of()) == 0

    async def test_a_message_too_large_is_refused_for_good_and_alone(self) -> None:
        async with self.scene() as (scene, broker):
            small = scene.messages(2)
            large = Message(scene.topic, "k", "large", "shop.Tested.v1", b"x" * (broker.capabilities.max_bytes + 1))
            results = await broker.publish([small[0], large, small[1]])
            assert [result.error is None for result in results] == [True, False, True]
            assert results[1].permanent
            consumer = await broker.subscribe(scene.of())
            assert Counter(ids(await scene.read(consumer, 2))) == Counter(ids(small))
            await scene.nothing(consumer)

    async def test_publishing_nothing_is_fine(self) -> None:
        async with self.scene() as (_, broker):
            assert list(await broker.publish([])) == []

    # members

    async def test_members_share_and_never_overlap(self) -> None:
        async with self.scene("assigns_partitions") as (scene, broker):
            handles = [broker, broker, await scene.broker()]
            members = [await handle.subscribe(scene.of()) for handle in handles]
            held: dict[tuple[str, int], int] = {}
            seen: list[tuple[int, Delivery]] = []
            stop = False

            async def work(name: int) -> None:
                while not stop:
                    batch = await members[name].fetch(5, 0.5)
                    for d in batch:
                        assert held.setdefault((d.topic, d.partition), name) == name, "a partition is in two hands"
                    seen.extend((name, d) for d in batch)
                    await scene.world.sleep(0.01)
                    for d in batch:
                        held.pop((d.topic, d.partition), None)
                    await members[name].ack(batch)

            tasks = [asyncio.create_task(work(name)) for name in range(3)]
            sent: list[Message] = []
            until = scene.world.monotonic() + self.patience
            while len({name for name, _ in seen[-60:]}) < 3 or len(seen) < len(sent):
                assert scene.world.monotonic() < until, (
                    f"after {self.patience} s only {dict(Counter(n for n, _ in seen))} of {len(sent)}"
                )
                if len(seen) == len(sent):
                    fresh = scene.messages(60, keys=60)
                    await scene.publish(broker, fresh)
                    sent += fresh
                await scene.world.sleep(0.1)
                assert not any(task.done() and task.exception() for task in tasks)
            stop = True
            await asyncio.gather(*tasks)
            assert Counter(d.id for _, d in seen) == Counter(ids(sent))

    async def test_order_per_key_survives_members_that_come_and_go(self) -> None:
        async with self.scene("assigns_partitions") as (scene, broker):
            sent = scene.messages(1200, keys=40)
            settled: list[Delivery] = []
            handles = [broker, await scene.broker()]

            async def work(handle: Broker, most: int) -> None:
                """Settle up to so many, then leave with a batch half done."""
                consumer = await handle.subscribe(scene.of())
                while most > 0 and len(settled) < len(sent):
                    batch = await consumer.fetch(20, 0.2)
                    half = batch if most > len(batch) else batch[: len(batch) // 2]
                    settled.extend(half)
                    await scene.world.sleep(0.005)
                    await consumer.ack(half)
                    await consumer.release(batch[len(half) :])
                    most -= len(batch)
                await consumer.close()

            async def publish() -> None:
                for begin in range(0, len(sent), 60):
                    await scene.publish(broker, sent[begin : begin + 60])
                    await scene.world.sleep(0.02)

            async with asyncio.timeout(self.patience * 5):
                await asyncio.gather(publish(), *(work(handles[n % 2], 150) for n in range(4)))
                while len(settled) < len(sent):
                    await asyncio.gather(*(work(handles[n % 2], 200) for n in range(3)))
            assert Counter(d.id for d in settled) == Counter(ids(sent))
            assert by_key(settled) == by_key(sent)

    async def test_equal_keys_of_two_topics_reach_one_member(self) -> None:
        async with self.scene("assigns_partitions") as (scene, broker):
            topics = (scene.topic, f"{scene.topic}-other")
            members = [await broker.subscribe(scene.of(topics=topics)) for _ in range(2)]
            for topic in topics:
                await scene.publish(broker, scene.messages(60, keys=60, topic=topic))
            owner: dict[str, set[int]] = defaultdict(set)
            count, until = 0, scene.world.monotonic() + self.patience
            while count < 120 and scene.world.monotonic() < until:
                for name, member in enumerate(members):
                    batch = await member.fetch(200, 0.5)
                    count += len(batch)
                    for d in batch:
                        owner[d.key].add(name)
            assert count == 120
            assert [key for key, names in owner.items() if len(names) > 1] == []

    async def test_positions_of_a_partition_grow(self) -> None:
        async with self.scene() as (scene, broker):
            consumer = await broker.subscribe(scene.of())
            await scene.publish(broker, scene.messages(200, keys=50))
            last: dict[int, int] = {}
            for d in await scene.read(consumer, 200):
                assert d.position > last.get(d.partition, -1)
                last[d.partition] = d.position

    # what comes again

    async def test_what_was_not_acknowledged_comes_again(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(40)
            await scene.publish(broker, sent)
            first = await broker.subscribe(scene.of())
            await first.ack((await scene.read(first, 40, ack=False))[:0])
            await scene.nothing(first)
            await first.close()
            second = await (await scene.broker()).subscribe(scene.of())
            assert by_key(await scene.read(second, 40)) == by_key(sent)
            await scene.nothing(second)

    async def test_what_was_released_comes_again_in_order_and_unflagged(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(30, keys=3)
            await scene.publish(broker, sent)
            consumer = await broker.subscribe(scene.of())
            batch = await scene.read(consumer, 30, ack=False)
            await consumer.release(batch[::-1])
            again = await scene.read(consumer, 30, ack=False)
            assert by_key(again) == by_key(sent)
            await consumer.release(again)
            await consumer.close()
            other = await broker.subscribe(scene.of())
            last = await scene.read(other, 30)
            assert by_key(last) == by_key(sent)
            assert not any(d.redelivered for d in [*again, *last])
            await scene.nothing(other)

    async def test_a_late_ack_changes_nothing(self) -> None:
        async with self.scene("fenced_ack") as (scene, broker):
            sent = scene.messages(20)
            await scene.publish(broker, sent)
            first = await broker.subscribe(scene.of())
            held = await scene.read(first, 20, ack=False)
            await first.close()
            second = await (await scene.broker()).subscribe(scene.of())
            await scene.read(second, 20, ack=False)
            await first.ack(held)
            await first.release(held)
            await second.close()
            third = await broker.subscribe(scene.of())
            assert by_key(await scene.read(third, 20)) == by_key(sent)

    async def test_acks_in_any_order_settle_all(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.publish(broker, scene.messages(30, keys=2))
            consumer = await broker.subscribe(scene.of())
            batch = await scene.read(consumer, 30, ack=False)
            for d in reversed(batch):
                await consumer.ack([d])
            assert await broker.lag(scene.of()) == 0
            await consumer.close()
            await scene.nothing(await broker.subscribe(scene.of()))

    async def test_a_gap_between_acks_comes_again(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.publish(broker, scene.messages(10, keys=1))
            consumer = await broker.subscribe(scene.of())
            batch = await scene.read(consumer, 10, ack=False)
            await consumer.ack([*batch[:3], *batch[5:]])
            await consumer.close()
            other = await broker.subscribe(scene.of())
            again = list(await scene.read(other, 2, ack=False))
            while more := await other.fetch(100, self.quiet):
                again += more
            assert set(ids(batch[3:5])) <= set(ids(again)) <= set(ids(batch[3:]))

    async def test_a_consumer_that_comes_back_goes_on_where_it_was(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(90)
            seen: list[Delivery] = []
            for begin in range(0, 90, 30):
                await scene.publish(broker, sent[begin : begin + 30])
                consumer = await broker.subscribe(scene.of())
                seen += await scene.read(consumer, 20)
                await consumer.close()
            last = await broker.subscribe(scene.of())
            seen += await scene.read(last, 30)
            await scene.nothing(last)
            assert by_key(seen) == by_key(sent)

    async def test_only_what_may_have_been_handled_is_flagged(self) -> None:
        async with self.scene("redelivery_flag") as (scene, broker):
            doomed = await scene.broker()
            await scene.publish(broker, scene.messages(20))
            victim = await doomed.subscribe(scene.of())
            held = await scene.read(victim, 20, ack=False)
            await self.die(doomed)
            heir = await broker.subscribe(scene.of())
            again = await scene.read(heir, 20)
            assert Counter(ids(again)) == Counter(ids(held))
            assert all(d.redelivered for d in again)
            await scene.publish(broker, scene.messages(20))
            later = await scene.read(heir, 20, ack=False)
            await heir.ack(later[:10])
            await heir.release(later[10:])
            await heir.close()
            fresh = await scene.read(await broker.subscribe(scene.of()), 10)
            assert not any(d.redelivered for d in [*later, *fresh])

    # where a group begins

    async def test_a_group_begins_where_it_says(self) -> None:
        async with self.scene("replay") as (scene, broker):
            first, second = scene.messages(20, keys=1), scene.messages(20, keys=1)
            await scene.publish(broker, first)
            await scene.world.sleep(1)
            moment = datetime.fromtimestamp(scene.world.time() - 0.5, UTC)
            await scene.publish(broker, second)
            whole = await scene.read(await broker.subscribe(scene.of()), 40)
            assert ids(whole) == ids(first) + ids(second)
            by_offset = await broker.subscribe(scene.of(group=f"{scene.group}-offset", start=whole[15].position))
            assert ids(await scene.read(by_offset, 25)) == ids(whole[15:])
            by_time = await broker.subscribe(scene.of(group=f"{scene.group}-time", start=moment))
            assert ids(await scene.read(by_time, 20)) == ids(second)
            at_end = await broker.subscribe(scene.of(group=f"{scene.group}-end", start="end"))
            await scene.nothing(by_offset, by_time, at_end)
            third = scene.messages(5, keys=1)
            await scene.publish(broker, third)
            for consumer in (by_offset, by_time, at_end):
                assert ids(await scene.read(consumer, 5)) == ids(third)

    async def test_a_group_that_began_does_not_begin_again(self) -> None:
        async with self.scene("replay") as (scene, broker):
            at_end = scene.of(start="end")
            await (await broker.subscribe(at_end)).close()
            sent = scene.messages(10)
            await scene.publish(broker, sent)
            consumer = await broker.subscribe(at_end)
            assert Counter(ids(await scene.read(consumer, 10))) == Counter(ids(sent))

    async def test_a_topic_new_to_a_group_begins_at_its_start(self) -> None:
        async with self.scene("replay") as (scene, broker):
            other = f"{scene.topic}-other"
            old, new = scene.messages(20), scene.messages(20, topic=other)
            await scene.publish(broker, [*new[:10], *old, *new[10:]])
            first = await broker.subscribe(scene.of())
            await scene.read(first, 20)
            await first.close()
            second = await broker.subscribe(scene.of(topics=(scene.topic, other)))
            assert by_key(await scene.read(second, 20)) == by_key(new)
            await scene.nothing(second)

    async def test_lag_counts_what_the_group_has_not_settled(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.publish(broker, scene.messages(30, keys=1))
            assert await broker.lag(scene.of()) == 30
            consumer = await broker.subscribe(scene.of())
            batch = await scene.read(consumer, 20, ack=False)
            assert await broker.lag(scene.of()) == 30
            await consumer.ack(batch)
            assert await broker.lag(scene.of()) == 10
            await scene.read(consumer, 10)  # had asking for the lag joined the group, some would be missing here
            assert await (await scene.broker()).lag(scene.of()) == 0
            if broker.capabilities.replay:
                assert await broker.lag(scene.of(group=f"{scene.group}-new", start="end")) == 0

    # waiting and closing

    async def test_a_waiting_fetch_returns_when_something_comes(self) -> None:
        async with self.scene() as (scene, broker):
            consumer = await broker.subscribe(scene.of())
            await consumer.fetch(1, 0.0)
            for publisher in (broker, await scene.broker()):
                waiting = asyncio.create_task(consumer.fetch(10, self.patience))
                await scene.world.sleep(self.quiet)
                began = scene.world.monotonic()
                await scene.publish(publisher, scene.messages(1))
                assert len(await waiting) == 1
                assert scene.world.monotonic() - began < self.quiet

    async def test_a_fetch_that_was_cancelled_lost_nothing(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(20)
            consumer = await broker.subscribe(scene.of())
            found: list[Delivery] = []
            for message in sent:
                waiting = asyncio.create_task(consumer.fetch(1, self.patience))
                await scene.world.sleep(0.01)
                await scene.publish(broker, [message])
                waiting.cancel()
                await asyncio.wait([waiting])
                found += [] if waiting.cancelled() else waiting.result()
            found += await scene.read(consumer, 20 - len(found))
            await scene.nothing(consumer)
            assert by_key(found) == by_key(sent)

    async def test_a_wait_ends_in_time_or_when_woken(self) -> None:
        async with self.scene() as (scene, broker):
            consumer = await broker.subscribe(scene.of())
            began = scene.world.monotonic()
            assert list(await consumer.fetch(10, 1.5)) == []
            assert 1.4 <= scene.world.monotonic() - began < 1.5 + self.quiet
            waiting = asyncio.create_task(consumer.fetch(10, self.patience))
            await scene.world.sleep(0.1)
            began = scene.world.monotonic()
            consumer.wake()
            assert list(await waiting) == []
            assert scene.world.monotonic() - began < self.quiet
            began = scene.world.monotonic()
            assert list(await consumer.fetch(10, 1.5)) == []
            assert scene.world.monotonic() - began >= 1.4, "one wake ends one wait"

    async def test_closing_twice_is_fine_and_use_after_it_is_not(self) -> None:
        async with self.scene() as (scene, broker):
            consumer = await broker.subscribe(scene.of())
            for _ in range(2):
                await consumer.close()
            with_consumer = await broker.subscribe(scene.of())
            for _ in range(2):
                await broker.close()
            for use in (
                consumer.fetch(1, 0.0),
                with_consumer.fetch(1, 0.0),
                broker.publish(scene.messages(1)),
                broker.subscribe(scene.of()),
                broker.lag(scene.of()),
            ):
                try:
                    await use
                except BrokerClosed as error:
                    assert str(error)
                else:
                    raise AssertionError(f"{use} works after close()")

    async def test_what_a_closing_publisher_reported_is_there(self) -> None:
        async with self.scene() as (scene, broker):
            publisher = await scene.broker()
            reported: list[str] = []

            async def publish() -> None:
                while True:
                    batch = scene.messages(10)
                    try:
                        results = await publisher.publish(batch)
                    except BrokerClosed:
                        return
                    reported.extend(message.id for message, result in zip(batch, results, strict=True) if result.error is None)
                    await scene.world.sleep(0.001)

            tasks = [asyncio.create_task(publish()) for _ in range(3)]
            await scene.world.sleep(0.05)
            await publisher.close()
            await asyncio.gather(*tasks)
            assert reported
            found = ids(await scene.read(await broker.subscribe(scene.of()), len(reported)))
            assert set(reported) <= set(found)
            assert max(Counter(found).values()) == 1

    async def test_ten_open_and_close_at_once(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(10)

            async def visit(message: Message) -> None:
                visitor = await scene.broker()
                await scene.publish(visitor, [message])
                await visitor.close()

            await asyncio.gather(*(visit(message) for message in sent))
            consumer = await broker.subscribe(scene.of())
            assert Counter(ids(await scene.read(consumer, 10))) == Counter(ids(sent))
            await scene.nothing(consumer)
