"""The cases of where a group begins and how far it is; part of `conformance_broker.BrokerSuite`."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from farandole.testing.broker_scene import BrokerCases, by_key, ids

__all__ = ["ReplayCases"]


class ReplayCases(BrokerCases):
    """The beginning, an offset, a time, the end; and lag."""

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

    async def test_a_time_splits_every_partition(self) -> None:
        async with self.scene("replay") as (scene, broker):
            early, late = scene.messages(100, keys=50), scene.messages(100, keys=50)
            await scene.publish(broker, early)
            await scene.world.sleep(1)
            moment = datetime.fromtimestamp(scene.world.time() - 0.5, UTC)
            await scene.publish(broker, late)
            for group in (f"{scene.group}-time", None):
                consumer = await broker.subscribe(scene.of(group=group, start=moment))
                assert by_key(await scene.read(consumer, 100)) == by_key(late)
                await scene.nothing(consumer)

    async def test_a_start_before_everything_is_the_beginning(self) -> None:
        async with self.scene("replay") as (scene, broker):
            sent = scene.messages(20)
            await scene.publish(broker, sent)
            long_ago = datetime(1999, 1, 1, tzinfo=UTC)
            for first in (scene.of(group=f"{scene.group}-long-ago", start=long_ago), scene.of(group=f"{scene.group}-0", start=0)):
                assert by_key(await scene.read(await broker.subscribe(first), 20)) == by_key(sent)

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

    async def test_a_group_that_begins_at_the_end_lags_behind_nothing(self) -> None:
        async with self.scene("replay") as (scene, broker):
            await scene.publish(broker, scene.messages(30))
            assert await broker.lag(scene.of(group=f"{scene.group}-new", start="end")) == 0
            assert await broker.lag(scene.of(group=f"{scene.group}-new")) == 30

    async def test_lag_counts_what_the_group_has_not_settled(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            await scene.publish(broker, scene.messages(30, keys=1))
            assert await broker.lag(scene.of()) == 30
            consumer = await broker.subscribe(scene.of())
            batch = await scene.read(consumer, 20, ack=False)
            assert await broker.lag(scene.of()) == 30
            await consumer.ack(batch)
            assert await broker.lag(scene.of()) == 10
            await scene.read(consumer, 10)  # had asking for the lag joined the group, some would be missing here
            assert await (await scene.broker()).lag(scene.of()) == 0

    async def test_lag_adds_up_topics_and_keeps_groups_apart(self) -> None:
        async with self.scene() as (scene, broker):
            topics = scene.topic, f"{scene.topic}-other"
            both, slow = scene.of(topics=topics), scene.of(group=f"{scene.group}-slow", topics=topics)
            await scene.begin(broker, both, slow)
            for topic in topics:
                await scene.publish(broker, scene.messages(20, topic=topic))
            consumer = await broker.subscribe(both)
            await scene.read(consumer, 40)
            assert [await broker.lag(subscription) for subscription in (both, slow)] == [0, 40]
