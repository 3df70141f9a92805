"""The cases of what comes again, and what does not; part of `conformance_broker.BrokerSuite`."""

from __future__ import annotations

from collections import Counter

from farandole.brokers.base import Delivery
from farandole.testing.broker_scene import BrokerCases, by_key, exactly, ids
from farandole.testing.checkers import lost, out_of_order, repeated, require

__all__ = ["AgainCases"]


class AgainCases(BrokerCases):
    """Acknowledging, giving back, dying."""

    async def test_what_was_not_acknowledged_comes_again(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(40)
            await scene.publish(broker, sent)
            first = await broker.subscribe(scene.of())
            await first.ack((await scene.read(first, 40, ack=False))[:0])
            await scene.nothing(first)
            await first.close()
            second = await (await scene.broker()).subscribe(scene.of())
            assert by_key(await scene.read(second, 40)) == by_key(sent)
            await scene.nothing(second)

    async def test_what_a_consumer_that_died_held_comes_again_and_nothing_else(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(40)
            await scene.publish(broker, sent)
            doomed = await scene.broker()
            victim = await doomed.subscribe(scene.of())
            settled = await scene.read(victim, 10)
            await scene.read(victim, 20, ack=False)
            await self.die(doomed)
            heir = await broker.subscribe(scene.of())
            again = await scene.read(heir, 30)
            await scene.nothing(heir)
            exactly(sent, [*settled, *again], at="the victim and its heir")

    async def test_what_was_released_comes_again_in_order_and_unflagged(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
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

    async def test_what_was_settled_is_not_given_back(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(20, keys=1)
            await scene.publish(broker, sent)
            consumer = await broker.subscribe(scene.of())
            batch = await scene.read(consumer, 20, ack=False)
            await consumer.ack(batch[:10])
            await consumer.release(batch)
            assert ids(await scene.read(consumer, 10)) == ids(sent[10:])
            await scene.nothing(consumer)

    async def test_a_late_ack_loses_nothing_and_raises_nothing(self) -> None:
        """Whoever acknowledges has handled it. Without a fence the next owner may then miss what is settled, and only that."""
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(20)
            await scene.publish(broker, sent)
            first = await broker.subscribe(scene.of())
            held = await scene.read(first, 20, ack=False)
            await first.close()
            second = await (await scene.broker()).subscribe(scene.of())
            found = await scene.read(second, 10, ack=False)
            await first.ack(held)
            await first.release(held)
            await scene.publish(broker, later := scene.messages(20))
            while more := await second.fetch(100, self.quiet):
                found += more
            require(repeated(ids(found), at="the next owner"), out_of_order([*sent, *later], ids(found), at="the next owner"))
            require(lost(later, ids(found), at="the next owner"))
            await second.ack(found)
            await scene.settled(broker, scene.of())
            await scene.nothing(second)

    async def test_a_late_ack_changes_nothing(self) -> None:
        async with self.scene("fenced_ack") as (scene, broker):
            await scene.begin(broker)
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
            await scene.begin(broker)
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
            await scene.begin(broker)
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
            await scene.begin(broker)
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
            await scene.begin(broker)
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
