"""The cases of `conformance_broker.BrokerSuite` with many hands: crowds, slow handlers, members that come back."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager

from farandole.brokers.base import Broker, Consumer, Delivery
from farandole.model.envelope import Message
from farandole.testing.broker_scene import Scene, by_key, ids

__all__ = ["CrowdCases"]


class CrowdCases:
    """What must hold when many do it at once, or one takes long."""

    patience = 60.0

    def scene(self, claim: str | None = None) -> AbstractAsyncContextManager[tuple[Scene, Broker]]:
        """As in the suite."""
        raise NotImplementedError

    async def test_fifty_publishers_and_fifty_consumers_lose_nothing_and_keep_order(self) -> None:
        async with self.scene("assigns_partitions") as (scene, broker):
            handles = [broker, *[await scene.broker() for _ in range(4)]]
            members = [await handles[n % 5].subscribe(scene.of()) for n in range(50)]
            sent = [scene.messages(20, keys=1) for _ in range(50)]
            for n, some in enumerate(sent):
                sent[n] = [Message(m.topic, f"publisher-{n}", m.id, m.type, m.body) for m in some]
            settled: list[Delivery] = []

            async def publish(number: int) -> None:
                for message in sent[number]:
                    await scene.publish(handles[number % 5], [message])

            async def consume(member: Consumer) -> None:
                while len(settled) < 1000:
                    batch = await member.fetch(10, 0.5)
                    settled.extend(batch)
                    await member.ack(batch)

            async with asyncio.timeout(self.patience * 3):
                await asyncio.gather(*(publish(n) for n in range(50)), *(consume(member) for member in members))
            assert Counter(ids(settled)) == Counter(message.id for some in sent for message in some)
            assert by_key(settled) == {f"publisher-{n}": ids(some) for n, some in enumerate(sent)}

    async def test_a_handler_that_takes_longer_than_any_lease_keeps_what_it_holds(self) -> None:
        async with self.scene("assigns_partitions") as (scene, broker):
            slow = await broker.subscribe(scene.of())
            await scene.publish(broker, scene.messages(30, keys=30))
            held = await scene.read(slow, 30, ack=False)
            taken: list[Delivery] = []

            async def look(other: Broker, seconds: float) -> Consumer:
                until = scene.world.monotonic() + seconds
                quick = await other.subscribe(scene.of())
                while scene.world.monotonic() < until:
                    taken.extend(await quick.fetch(10, 1.0))
                return quick

            looking = asyncio.create_task(look(await scene.broker(), 17.0))
            await scene.world.sleep(15.0)
            await slow.ack(held)
            quick = await looking
            await slow.close()
            await scene.nothing(quick)
            assert not taken, "what is in hand, and its process lives, is nobody else's"

    async def test_a_member_that_leaves_and_returns_goes_on_in_the_middle(self) -> None:
        async with self.scene() as (scene, broker):
            before = await broker.subscribe(scene.of())
            sent = scene.messages(300, keys=20)
            await scene.publish(broker, sent)
            settled: list[Delivery] = []
            consumer = before
            for _ in range(6):
                batch = await scene.read(consumer, 50, ack=False)
                await consumer.ack(batch[:40])
                await consumer.release(batch[40:])
                settled += batch[:40]
                await consumer.close()
                consumer = await broker.subscribe(scene.of())
            settled += await scene.read(consumer, 300 - len(settled))
            assert Counter(ids(settled)) == Counter(ids(sent))
            assert by_key(settled) == by_key(sent)

    async def test_members_beyond_the_partitions_wait_for_their_turn(self) -> None:
        async with self.scene("assigns_partitions") as (scene, broker):
            members = [await broker.subscribe(scene.of()) for _ in range(15)]
            sent = scene.messages(200, keys=50)
            await scene.publish(broker, sent)
            settled: list[Delivery] = []
            async with asyncio.timeout(self.patience):
                while len(settled) < 200:
                    for member in members:
                        batch = await member.fetch(50, 0.05)
                        await member.ack(batch)
                        settled += batch
            assert Counter(ids(settled)) == Counter(ids(sent))
            for member in members[:14]:
                await member.close()
            more = scene.messages(60, keys=50)
            await scene.publish(broker, more)
            assert Counter(ids(await scene.read(members[14], 60))) == Counter(ids(more))

    async def test_who_drains_before_leaving_leaves_nothing_to_do_twice(self) -> None:
        async with self.scene() as (scene, broker):
            first = await broker.subscribe(scene.of())
            sent = scene.messages(120, keys=12)
            await scene.publish(broker, sent)
            held = await scene.read(first, 60, ack=False)
            await first.ack(held)
            await first.close()
            second = await broker.subscribe(scene.of())
            rest = await scene.read(second, 60)
            await scene.nothing(second)
            assert Counter(ids(held + rest)) == Counter(ids(sent))
            assert not any(delivery.redelivered for delivery in rest)
