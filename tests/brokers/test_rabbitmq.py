"""The broker on RabbitMQ, against a real server."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aio_pika
import aiormq
import pytest
from cloudevents.core.bindings import amqp, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from tests.brokers.restarts import RestartSuite
from tests.brokers.tcp_proxy import Proxy

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Consumer, Delivery, Subscription
from farandole.brokers.rabbitmq.broker import RabbitBroker
from farandole.brokers.rabbitmq.consumer import Listener
from farandole.brokers.rabbitmq.member import Member
from farandole.brokers.rabbitmq.setup import exchange_name, members_name, queue_name
from farandole.errors import BrokerError, ConfigurationError
from farandole.model.envelope import Message, decode
from farandole.model.wire import partition_of
from farandole.testing.broker_scene import Scene, by_key, ids
from farandole.world import World

URL = os.environ.get("FARANDOLE_RABBITMQ", "")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.real_time,
    pytest.mark.skipif(
        not URL and not os.environ.get("FARANDOLE_REQUIRE_SERVERS"),
        reason="FARANDOLE_RABBITMQ is not set: start the server with `scripts/servers up rabbitmq`",
    ),
]


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

    @pytest.mark.real_time
    @pytest.mark.skipif(
        os.environ.get("FULL") != "1", reason="SKIP: with FULL=1 only, until what it finds is mended: RabbitMQ in docs/brokers.md"
    )
    async def test_a_broker_that_restarts_twice_loses_nothing_and_keeps_order(self) -> None:
        await super().test_a_broker_that_restarts_twice_loses_nothing_and_keeps_order()

    async def tidy(self, scene: Scene) -> None:
        if self.url == URL:
            groups = {named.group for named in scene.named if named.group is not None}
            await tidy(sorted(groups), tuple({topic for named in scene.named for topic in named.topics} | {scene.topic}))


async def tidy(groups: list[str], topics: tuple[str, ...]) -> None:
    """Delete what a test made, once its members left: they would make it anew. A server with thousands of queues is slow."""
    async with aiormq.connect(URL) as connection:
        channel = await connection.channel()
        for topic in topics:
            for group in groups:
                for number in range(12):
                    await channel.queue_delete(queue_name(group, topic, number), nowait=True)
                    await channel.queue_delete(f"farandole.{group}:{number}:notes", nowait=True)
            await channel.exchange_delete(exchange_name(topic))
            await channel.queue_delete(f"farandole.{topic}:partitions")
        for group in groups:
            await channel.exchange_delete(members_name(group))


# a connection that is lost


def through(proxy: Proxy, options: str = "") -> str:
    parts = urlsplit(URL)
    return f"{parts.scheme}://{parts.username}:{parts.password}@127.0.0.1:{proxy.port}{parts.path or '/'}{options}"


def proxied() -> Proxy:
    parts = urlsplit(URL)
    return Proxy(parts.hostname or "", parts.port or 5672)


@asynccontextmanager
async def place(*, topics: tuple[str, ...] = ("",), groups: tuple[str, ...] = ("",)) -> AsyncIterator[tuple[Scene, Broker]]:
    """A scene whose names are tidied up after the test."""

    async def make(world: World) -> Broker:
        return open_broker(URL, world)

    scene = Scene(make, 60.0, 1.0)
    try:
        yield scene, await scene.broker()
    finally:
        for broker in scene.opened:
            await broker.close()
        await tidy([f"{scene.group}{group}" for group in groups], tuple(f"{scene.topic}{topic}" for topic in topics))


async def joined(scene: Scene, url: str) -> tuple[RabbitBroker, Consumer]:
    broker = open_broker(url, scene.world)
    assert isinstance(broker, RabbitBroker)
    await broker.open()
    scene.opened.append(broker)
    return broker, await broker.subscribe(scene.of())


async def noticed(end: Callable[[], None], consumer: Consumer) -> None:
    """End connections, until the consumer knows: till then it hands out what has arrived."""
    assert isinstance(consumer, Member)
    assert consumer._talk is not None
    closing = consumer._talk.closing
    end()
    await asyncio.wait([closing])


async def test_a_consumer_goes_on_after_its_connection_was_lost_and_a_late_ack_changes_nothing() -> None:
    async with place() as (scene, broker), proxied() as proxy:
        _, consumer = await joined(scene, through(proxy))
        sent = scene.messages(100)
        await scene.publish(broker, sent)
        held = await scene.read(consumer, 40, ack=False)
        await consumer.ack(held[:20])
        assert await broker.lag(scene.of()) == 80
        await noticed(proxy.cut, consumer)
        again = await scene.read(consumer, 80, ack=False)
        await consumer.ack(held[20:])
        await consumer.release(held[20:])
        assert by_key(again) == by_key([message for message in sent if message.id not in ids(held[:20])])
        assert {d.id for d in again if not d.redelivered} <= set(ids(sent)) - set(ids(held))
        assert await broker.lag(scene.of()) == 80
        await consumer.ack(again)
        assert await broker.lag(scene.of()) == 0


async def test_a_waiting_fetch_survives_a_lost_connection() -> None:
    async with place() as (scene, broker), proxied() as proxy:
        _, consumer = await joined(scene, through(proxy))
        waiting = asyncio.create_task(consumer.fetch(10, 30.0))
        await scene.world.sleep(0.1)
        proxy.cut()
        await scene.publish(broker, scene.messages(1))
        assert len(await waiting) == 1


async def test_while_the_server_is_away_everything_raises_and_later_everything_goes_on() -> None:
    async with place() as (scene, _), proxied() as proxy:
        away, consumer = await joined(scene, through(proxy))
        first, second = scene.messages(10), scene.messages(10)
        await scene.publish(away, first)
        await noticed(proxy.close, consumer)
        for use in (
            lambda: consumer.fetch(10, 5.0),
            lambda: away.publish(second),
            lambda: away.subscribe(scene.of()),
            lambda: away.lag(scene.of()),
        ):
            with pytest.raises(BrokerError, match=rf"127\.0\.0\.1:{proxy.port} .*cannot be reached.*Is RabbitMQ running there"):
                await use()
        await proxy.open()
        await scene.publish(away, second)
        assert Counter(ids(await scene.read(consumer, 20))) == Counter(ids(first) + ids(second))
        await scene.nothing(consumer)


async def test_a_connection_lost_while_publishing_is_told_per_message_and_order_is_kept() -> None:
    async with place() as (scene, broker), proxied() as proxy:
        consumer = await broker.subscribe(scene.of())
        publisher = open_broker(through(proxy), scene.world)
        await publisher.open()
        scene.opened.append(publisher)
        sent = scene.messages(2000)
        await scene.publish(publisher, scene.messages(1))
        await scene.read(consumer, 1)
        proxy.cut_after = proxy.carried + 300_000
        results = await publisher.publish(sent)
        failed = [message for message, result in zip(sent, results, strict=True) if result.error]
        assert failed
        assert not any(result.permanent for result in results)
        assert all("connection was lost" in r.error or "not tried" in r.error for r in results if r.error)
        await scene.publish(publisher, failed)
        found: list[Delivery] = []
        while more := await consumer.fetch(100, 1.0):
            found += more
            await consumer.ack(more)
        assert set(ids(found)) == set(ids(sent))
        for key, came in by_key(found).items():
            assert list(dict.fromkeys(came)) == by_key(sent)[key]


async def test_order_survives_members_whose_connections_are_lost() -> None:
    """The prefetched backlog goes from hand to hand, cut off at any moment; what is new comes in order."""
    async with place() as (scene, broker), proxied() as one, proxied() as two:
        sent = scene.messages(4000, keys=40)
        await (await broker.subscribe(scene.of())).close()
        await scene.publish(broker, sent)
        seen: dict[str, list[str]] = defaultdict(list)
        settled: set[str] = set()
        members = [(await joined(scene, through(proxy)))[1] for proxy in (one, two)]

        async def work(consumer: Consumer) -> None:
            while len(settled) < len(sent):
                try:
                    batch = await consumer.fetch(50, 0.5)
                    half = batch[: max(1, len(batch) // 2)]
                    for delivery in half:
                        if delivery.id not in seen[delivery.key]:
                            seen[delivery.key].append(delivery.id)
                        else:
                            assert delivery.redelivered
                    await scene.world.sleep(0.01)
                    await consumer.ack(half)
                    await consumer.release(batch[len(half) :])
                    settled.update(ids(half))
                except BrokerError:
                    await scene.world.sleep(0.05)

        tasks = [asyncio.create_task(work(member)) for member in members]
        for n in range(8):
            await scene.world.sleep(0.3 + scene.world.random() / 2)
            (one, two)[n % 2].cut()
        done, late = await asyncio.wait(tasks, timeout=60)
        assert not late, f"{len(settled)} of {len(sent)}"
        for task in done:
            task.result()
        assert dict(seen) == by_key(sent)


async def test_a_member_that_vanishes_is_noticed_and_what_it_had_goes_to_others() -> None:
    async with place() as (scene, broker), proxied() as proxy:
        _, victim = await joined(scene, through(proxy))
        heir = await broker.subscribe(scene.of())
        sent = scene.messages(60, keys=60)
        await scene.publish(broker, sent)
        mine = await scene.read(heir, 1)
        while more := await heir.fetch(100, 1.0):
            mine += more
            await heir.ack(more)
        held = await scene.read(victim, 60 - len(mine), ack=False)
        assert held
        assert mine
        proxy.close()
        again = await scene.read(heir, len(held))
        assert Counter(ids(again)) == Counter(ids(held))
        assert all(d.redelivered for d in again)


async def test_a_listener_may_give_back_what_it_has_and_goes_on_after_a_loss() -> None:
    async with place() as (scene, broker), proxied() as proxy:
        away, _ = await joined(scene, through(proxy))
        listener = await away.subscribe(scene.of(group=None))
        first, second = scene.messages(500), scene.messages(10)
        await scene.publish(broker, first)
        found = await scene.read(listener, 300, ack=False)
        await listener.release(found[100:])
        assert ids(await scene.read(listener, 200, ack=False)) == ids(found[100:])
        assert Counter(ids(found + await scene.read(listener, 200, ack=False))) == Counter(ids(first))
        assert isinstance(listener, Listener)
        closing = listener._all()[0].channel.closing
        proxy.cut()
        await asyncio.wait([closing])
        assert await listener.fetch(10, 0.0) == []  # listens again
        await scene.publish(broker, second)
        assert Counter(ids(await scene.read(listener, 10))) == Counter(ids(second))


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


# other programs


def sdk_message(binding: str, mode: str) -> aio_pika.Message:
    """An event as the CloudEvents SDK writes it: by its binding for RabbitMQ, or for AMQP with either of its prefixes."""
    event = CloudEvent(
        {
            "id": "e-1",
            "source": "/elsewhere",
            "type": "shop.OrderPlaced.v1",
            "partitionkey": "o-7",
            "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "datacontenttype": "application/json",
        },
        {"total": 12.5},
    )
    if binding == "ce-":
        plain = (rabbitmq.to_binary if mode == "binary" else rabbitmq.to_structured)(event, JSONFormat())
        return aio_pika.Message(plain.body, headers=dict(plain.headers), content_type=plain.content_type)
    told = (amqp.to_binary if mode == "binary" else amqp.to_structured)(event, JSONFormat())
    headers = {name.replace("cloudEvents_", binding): value for name, value in told.application_properties.items()}
    return aio_pika.Message(told.application_data, headers=headers, content_type=told.properties["content-type"])


@pytest.mark.parametrize("binding", ["cloudEvents_", "cloudEvents:", "ce-"])
@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_events_of_the_cloudevents_sdk_are_read(mode: str, binding: str) -> None:
    async with place() as (scene, broker), await aio_pika.connect(URL) as connection:
        consumer = await broker.subscribe(scene.of())
        exchange = await (await connection.channel()).get_exchange(exchange_name(scene.topic))
        await exchange.publish(sdk_message(binding, mode), routing_key=str(partition_of("o-7", 12)))
        (found,) = await scene.read(consumer, 1)
        event = decode(found.body)
        assert (event.id, event.source, event.type, event.partitionkey) == ("e-1", "/elsewhere", "shop.OrderPlaced.v1", "o-7")
        assert event.time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert json.loads(bytes(event.data)) == {"total": 12.5}
        if mode == "binary":
            assert (found.id, found.key, found.type) == ("e-1", "o-7", "shop.OrderPlaced.v1")


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_a_plain_client_with_the_cloudevents_sdk_reads_our_events(mode: str) -> None:
    async with place() as (scene, _), await aio_pika.connect(URL) as connection:
        broker = open_broker(f"{URL}?mode={mode}", scene.world)
        await broker.open()
        scene.opened.append(broker)
        consumer = await broker.subscribe(scene.of())
        queue = await (await connection.channel()).declare_queue(exclusive=True)
        await queue.bind(exchange_name(scene.topic), str(partition_of("o-7", 12)))
        body = b'{"specversion":"1.0","id":"e-1","source":"/shop","type":"shop.OrderPlaced.v1","partitionkey":"o-7","data":{"total":1}}'
        await scene.publish(broker, [Message(scene.topic, "o-7", "e-1", "shop.OrderPlaced.v1", body)])
        came = await queue.get(timeout=5)
        assert came is not None
        assert (came.message_id, came.type, came.delivery_mode) == ("e-1", "shop.OrderPlaced.v1", 2)
        assert came.timestamp is not None
        event = amqp.from_amqp(amqp.AMQPMessage({"content-type": came.content_type}, dict(came.headers), came.body), JSONFormat())
        assert (event.get_id(), event.get_source(), event.get_type()) == ("e-1", "/shop", "shop.OrderPlaced.v1")
        assert event.get_extension("partitionkey") == "o-7"
        assert event.get_data() == {"total": 1}
        (ours,) = await scene.read(consumer, 1)
        assert (ours.id, ours.key, json.loads(bytes(decode(ours.body).data))) == ("e-1", "o-7", {"total": 1})
        assert mode == "binary" or ours.body == body
        await came.ack()


async def test_what_is_no_event_at_all_is_handed_out_as_it_is() -> None:
    async with place() as (scene, broker), await aio_pika.connect(URL) as connection:
        consumer = await broker.subscribe(scene.of())
        exchange = await (await connection.channel()).get_exchange(exchange_name(scene.topic))
        odd = {"n": 1, "b": bytearray(b"\xff"), "t": True, "l": [1, {"x": None}], "d": scene.world.now(), "farandole-id": 7}
        await exchange.publish(aio_pika.Message(b"\x00nonsense", headers=odd), routing_key="3")
        (found,) = await scene.read(consumer, 1)
        assert (found.body, found.partition, found.id) == (b"\x00nonsense", 3, "7")


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
