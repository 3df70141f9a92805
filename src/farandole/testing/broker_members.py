"""The cases of members that share a group, come, drain and go; part of `conformance_broker.BrokerSuite`."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from farandole.brokers.base import Broker, Delivery
from farandole.model.envelope import Message
from farandole.testing.broker_crew import Crew
from farandole.testing.broker_scene import BrokerCases, by_key, exactly, ids
from farandole.testing.checkers import lost, out_of_order, repeated, require, two_owners

__all__ = ["MemberCases"]


class MemberCases(BrokerCases):
    """A partition has one owner, and order outlives him."""

    async def test_members_share_and_never_overlap(self) -> None:
        async with self.scene("assigns_partitions") as (scene, broker), Crew(scene, limit=5) as crew:
            for name, handle in zip("abc", (broker, broker, await scene.broker()), strict=True):
                await crew.join(name, handle, scene.of())
            sent: list[Message] = []
            until = scene.world.monotonic() + self.patience
            while len({name for name, _ in crew.seen[-60:]}) < 3:
                shares = dict(Counter(name for name, _ in crew.seen))
                assert scene.world.monotonic() < until, f"after {self.patience} s only {shares} of {len(sent)}"
                fresh = scene.messages(60, keys=60)
                await scene.publish(broker, fresh)
                sent += fresh
                await crew.until_seen(len(sent))
            await crew.rest()
            await crew.leave()
            require(two_owners(crew.holds))
            exactly(sent, crew.came(), at="three members")

    async def test_order_per_key_survives_members_that_come_and_go(self) -> None:
        async with self.scene("assigns_partitions") as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(self.scaled(2000, 400), keys=200)
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

            async with asyncio.timeout(self.patience * 5):
                visits = (work(handles[n % 2], len(sent) // 8) for n in range(4))
                await asyncio.gather(scene.publish_slowly(broker, sent, size=60), *visits)
                while len(settled) < len(sent):
                    await asyncio.gather(*(work(handles[n % 2], len(sent) // 6) for n in range(3)))
            exactly(sent, settled, at="members that came and went")
            assert len({d.partition for d in settled}) > 1 or len({d.key for d in settled}) == 1, "200 keys are in one partition"

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
                    batch = await member.fetch(5, 0.5)
                    count += len(batch)
                    for d in batch:
                        owner[d.key].add(name)
            assert count == 120
            assert [key for key, names in owner.items() if len(names) > 1] == []

    async def test_more_members_than_partitions_wait_until_one_is_free(self) -> None:
        """Give your broker few partitions here, if it has more than some dozens."""
        async with self.scene("assigns_partitions") as (scene, broker), Crew(scene) as crew:
            first = await broker.subscribe(scene.of())
            await scene.publish(broker, scene.messages(1000, keys=1000))
            partitions = len({d.partition for d in await scene.read(first, 1000, limit=500)})
            await first.close()
            handles = [broker, await scene.broker(), await scene.broker()]
            for n in range(partitions + 3):
                await crew.join(f"{n}", handles[n % 3], scene.of())
            sent: list[Message] = []

            async def owners() -> list[str]:
                """Who gets something of each key, when all have settled down."""
                fresh = scene.messages(300, keys=300)
                sent.extend(fresh)
                await scene.publish(broker, fresh)
                await crew.until_seen(len(sent))
                return sorted({name for name, _ in crew.seen[-300:]})

            busy, until = await owners(), scene.world.monotonic() + self.patience
            while len(busy) < partitions and scene.world.monotonic() < until:
                busy = await owners()
            assert len(busy) <= partitions
            await crew.leave(*busy[1:])
            await owners()
            await crew.rest()
            await crew.leave()
            require(two_owners(crew.holds))
            exactly(sent, crew.came(), at=f"{partitions + 3} members of {partitions} partitions")

    async def test_a_member_keeps_what_it_handles_for_longer_than_any_lease(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(60, keys=60)
            slow = await broker.subscribe(scene.of())
            await scene.publish(broker, sent)
            held = await scene.read(slow, 60, ack=False)
            joining = asyncio.create_task((await scene.broker()).subscribe(scene.of()))  # it may have to wait for its share
            until = scene.world.monotonic() + self.lease
            while scene.world.monotonic() < until:
                if joining.done():
                    got = ids(await joining.result().fetch(100, 1.0))
                    assert got == [], f"the first lives, and another got what it handles: {got}"
                await scene.world.sleep(0.2)
            await slow.ack(held)
            async with asyncio.timeout(self.patience):
                other = await joining
            await scene.settled(broker, scene.of())
            await scene.publish(broker, later := scene.messages(60, keys=60))
            came: list[Delivery] = []
            until = scene.world.monotonic() + self.patience
            while len(came) < 60 and scene.world.monotonic() < until:
                for consumer in (slow, other):
                    batch = await consumer.fetch(100, 0.5)
                    await consumer.ack(batch)
                    came += batch
            await scene.nothing(slow, other)
            exactly(later, came, at="both, afterwards", ordered=broker.capabilities.assigns_partitions)

    async def test_a_consumer_closed_and_reopened_mid_stream_misses_nothing(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            handles = [await scene.broker(), await scene.broker()]
            sent = scene.messages(self.scaled(600, 200), keys=20)
            came: list[Delivery] = []
            settled: list[Delivery] = []
            left: Counter[str] = Counter()
            publishing = asyncio.create_task(scene.publish_slowly(broker, sent, size=10, pause=0.05))
            async with asyncio.timeout(self.patience * 5):
                while len(settled) < len(sent):
                    consumer = await handles[len(left) % 2].subscribe(scene.of())
                    for _ in range(3):
                        batch = await consumer.fetch(20, 0.2)
                        came += batch
                        settled += batch
                        await consumer.ack(batch)
                    in_hand = await consumer.fetch(10, 0.2)
                    came += in_hand
                    left.update(ids(in_hand))
                    await consumer.close()
            await publishing
            exactly(sent, settled, at="what was settled")
            require(lost(sent, ids(came), at="one"), out_of_order(sent, ids(came), at="one"))
            assert Counter(ids(came)) == Counter(ids(sent)) + left, "what was left in hand comes once more, and nothing else"
            await scene.nothing(await broker.subscribe(scene.of()))

    async def test_members_that_drain_and_leave_cause_no_repeats(self) -> None:
        """Stop fetching, settle what is in hand, leave: a deployment."""
        async with self.scene() as (scene, broker), Crew(scene, limit=10) as crew:
            await scene.begin(broker)
            sent = scene.messages(self.scaled(900, 300), keys=60)
            publishing = asyncio.create_task(scene.publish_slowly(broker, sent, size=15))
            for n in range(3):
                await crew.join(f"old {n}", await scene.broker(), scene.of())
            for n in range(3):
                await crew.until_seen((n + 1) * len(sent) // 5)
                await crew.join(f"new {n}", await scene.broker(), scene.of())
                await crew.leave(f"old {n}")
            await crew.until_seen(len(sent))
            await publishing
            await crew.rest()
            await crew.leave()
            exactly(sent, crew.came(), at="old members and new", ordered=broker.capabilities.assigns_partitions)
            require(two_owners(crew.holds) if broker.capabilities.assigns_partitions else ())

    async def test_what_a_draining_member_settles_last_is_settled(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(60)
            await scene.publish(broker, sent)
            old, new = await broker.subscribe(scene.of()), await scene.broker()
            in_hand = [await scene.read(old, 15, ack=False) for _ in range(2)]
            joining = asyncio.create_task(new.subscribe(scene.of()))
            await scene.world.sleep(0.1)
            for batch in reversed(in_hand):
                await old.ack(batch)
            await old.close()
            async with asyncio.timeout(self.patience):
                heir = await joining
            rest = await scene.read(heir, 30)
            await scene.nothing(heir)
            came = [*in_hand[0], *in_hand[1], *rest]
            require(repeated(ids(came), at="both"))
            assert by_key(came) == by_key(sent)
            assert not any(d.redelivered for d in rest), "who leaves in order leaves nothing suspect"
