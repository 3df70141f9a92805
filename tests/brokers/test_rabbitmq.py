"""The broker on RabbitMQ, against a real server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import aio_pika
import aiormq
import pytest
from tests.brokers.rabbitmq_place import URL, place, pytestmark, tidy  # noqa: F401
from tests.brokers.restarts import RestartSuite

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Subscription
from farandole.brokers.rabbitmq.broker import RabbitBroker
from farandole.brokers.rabbitmq.member import Member
from farandole.brokers.rabbitmq.setup import exchange_name, queue_name
from farandole.errors import ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.testing.broker_scene import Scene, ids
from farandole.world import World


class TestConformance(RestartSuite):
    """Which message of a window a full queue refuses, is not in our hands: `refuse_some` is not given. See "What to know" in docs/brokers.md."""

    server = "rabbitmq"
    url = URL
    lease = 25.0  # more than two heartbeats

    async def make(self, world: World) -> Broker:
        return open_broker(self.url, world)

    async def die(self, broker: Broker) -> None:
        """Its connections end, and no member said a word to the others."""
        assert isinstance(broker, RabbitBroker)
        for consumer in broker._consumers:
            assert isinstance(consumer, Member)
            consumer.closed = True
            if consumer._keeper is not None:
                consumer._keeper.cancel()
        await asyncio.gather(broker._inward.close(), broker._outward.close())

    async def tidy(self, scene: Scene) -> None:
        if self.url == URL:
            groups = {named.group for named in scene.named if named.group is not None}
            await tidy(sorted(groups), tuple({topic for named in scene.named for topic in named.topics} | {scene.topic}))


# what can be wrong


async def test_wrong_credentials_are_told_with_the_remedy_and_without_the_password() -> None:
    parts = urlsplit(URL)
    broker = open_broker(f"amqp://guest:s3cret@{parts.hostname}:{parts.port}/", World())
    with pytest.raises(ConfigurationError, match=r"refuses this user or password. Say them in the URL") as caught:
        await broker.open()
    assert "s3cret" not in f"{caught.value} {broker!r}"


async def test_the_number_of_partitions_is_fixed_with_the_topic() -> None:
    async with place() as (scene, broker):
        await broker.subscribe(scene.of())
        same, other = [open_broker(f"{URL}?partitions={count}", scene.world) for count in (12, 4)]
        for opened in (same, other):
            await opened.open()
            scene.opened.append(opened)
        await scene.publish(same, scene.messages(1))
        for use in (lambda: other.publish(scene.messages(1)), lambda: other.subscribe(scene.of())):
            with pytest.raises(ConfigurationError, match=rf"{scene.topic}' has 12 partitions, the URL says 4.*or say 12"):
                await use()
    async with place() as (scene, _):
        first = open_broker(f"{URL}?partitions=3", scene.world)
        await first.open()
        scene.opened.append(first)
        await first.subscribe(scene.of())
        second = await scene.broker()  # whose URL says nothing
        consumer = await second.subscribe(scene.of(group=None))
        await scene.publish(second, scene.messages(50, keys=50))
        assert {d.partition for d in await scene.read(consumer, 50)} == {0, 1, 2}


async def test_history_is_refused_with_an_explanation() -> None:
    async with place() as (scene, broker):
        for start in (5, scene.world.now()):
            with pytest.raises(ConfigurationError, match="RabbitMQ keeps no history: a group begins when it first subscribes"):
                await broker.subscribe(scene.of(start=start))


async def test_what_amqp_cannot_hold_is_refused_for_good_and_alone() -> None:
    async with place() as (scene, broker):
        consumer = await broker.subscribe(scene.of())
        good = scene.messages(2)
        bad = [
            Message(scene.topic, "k\ud800", "bad", "T", b""),
            Message("t" * 300, "k", "bad", "T", b""),
            Message(scene.topic, "k" * 200_000, "bad", "T", b""),
        ]
        results = await broker.publish([good[0], *bad, good[1]])
        assert [(result.error is None, result.permanent) for result in results] == [
            (True, False),
            *[(False, True)] * 3,
            (True, False),
        ]
        assert Counter(ids(await scene.read(consumer, 2))) == Counter(ids(good))
        long = Message(scene.topic, "k" * 1000, "i" * 1000, "T" * 1000, b"{}")
        await scene.publish(broker, [long])
        (found,) = await scene.read(consumer, 1)
        assert (found.key, found.id, found.type) == (long.key, long.id, long.type)


async def test_members_of_other_processes_say_what_they_have_in_hand() -> None:
    async with place() as (scene, broker):
        consumer = await broker.subscribe(scene.of())
        await scene.publish(broker, scene.messages(30))
        await scene.read(consumer, 20, ack=False)
        other = await scene.broker()
        assert await other.lag(scene.of()) == 30
        member = await other.subscribe(scene.of())
        assert await (await scene.broker()).lag(scene.of()) == 30
        await member.close()


async def test_lag_of_a_group_or_topic_that_nobody_made_is_nothing_and_makes_nothing() -> None:
    async with place() as (scene, broker):
        assert await broker.lag(scene.of()) == 0
        async with aiormq.connect(URL) as connection:
            channel = await connection.channel()
            with pytest.raises(aiormq.exceptions.ChannelNotFoundEntity):
                await channel.exchange_declare(exchange_name(scene.topic), passive=True)


async def test_a_group_that_was_begun_gets_what_is_published_before_anybody_joins_it() -> None:
    world = World()
    broker = open_broker(URL, world)
    await broker.open()
    topic = f"topic-{world.token()}"
    subscription = Subscription(f"group-{world.token()}", (topic,))
    await broker.begin(subscription)  # type: ignore[attr-defined]
    await broker.begin(subscription)  # type: ignore[attr-defined]
    await broker.publish([Message(topic, "k", "1", "T", b"early")])
    consumer = await broker.subscribe(subscription)
    assert [found.body for found in await consumer.fetch(10, 20.0)] == [b"early"]
    await broker.close()


# how fast


@pytest.mark.slow
async def test_rates_against_a_plain_loop(record_property: Callable[[str, object], None]) -> None:
    count, window = 20_000, 1000
    async with place() as (scene, broker), await aio_pika.connect(URL) as connection:
        clock, consumer = scene.world.monotonic, await broker.subscribe(scene.of())
        sent = scene.messages(count, keys=100)
        exchange = await (await connection.channel()).get_exchange(exchange_name(scene.topic))
        began = clock()
        for begin in range(0, count, window):
            tasks = []
            for m in sent[begin : begin + window]:
                message = aio_pika.Message(
                    m.body, message_id=m.id, type=m.type, delivery_mode=2, headers={"farandole-key": m.key}
                )
                tasks.append(exchange.publish(message, str(partition_of(m.key, 12))))
            await asyncio.gather(*tasks)
        published = [count / (clock() - began)]
        await consumer.close()
        began, left, done = clock(), count, asyncio.Event()

        async def handle(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal left
            await message.ack()
            left -= 1
            if not left:
                done.set()

        for number in range(12):
            channel = await connection.channel()
            await channel.set_qos(200)
            await (await channel.get_queue(queue_name(scene.group, scene.topic, number))).consume(handle)
        await done.wait()
        consumed = [count / (clock() - began)]
        await scene.settled(broker, scene.of())  # a quorum queue may lose the last acknowledgements of a connection that closes
        await connection.close()
        began = clock()
        for begin in range(0, count, window):
            await scene.publish(broker, sent[begin : begin + window])
        published.append(count / (clock() - began))
        began, consumer = clock(), await broker.subscribe(scene.of())
        found = await scene.read(consumer, count)
        consumed.append(count / (clock() - began))
        assert len({d.id for d in found}) == count
        for what, (plain, ours) in {"published": published, "consumed": consumed}.items():
            record_property(
                f"RabbitMQ, {what} per second", f"{ours:.0f}, a plain loop with aio-pika {plain:.0f}: {ours / plain:.2f}x"
            )
