"""Connections to RabbitMQ that are lost."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from tests.brokers.rabbitmq_place import URL, place, pytestmark  # noqa: F401
from tests.wire import End, Wire

from farandole.brokers import open_broker
from farandole.brokers.base import Consumer, Delivery
from farandole.brokers.rabbitmq.broker import RabbitBroker
from farandole.brokers.rabbitmq.consumer import Listener
from farandole.brokers.rabbitmq.member import Member
from farandole.errors import BrokerError
from farandole.testing.broker_scene import Scene, by_key, ids


class Proxy(Wire):
    """Before RabbitMQ; breaks after so many bytes towards it."""

    def __init__(self) -> None:
        parts = urlsplit(URL)
        super().__init__(lambda: asyncio.open_connection(parts.hostname, parts.port or 5672))
        self.carried = 0  # bytes towards the server
        self.cut_after: int | None = None  # of these; then everything is cut

    async def join(self, client: End, server: End) -> None:
        await asyncio.gather(self._count(client, server), self.carry(server, client))

    async def _count(self, client: End, server: End) -> None:
        async for data in self.pieces(client):
            if self.cut_after is not None and self.carried + len(data) > self.cut_after:
                await server.send(data[: self.cut_after - self.carried])
                self.cut_after = None
                self.cut()
                return
            self.carried += len(data)
            await server.send(data)
        server.writer.close()


def through(proxy: Proxy, options: str = "") -> str:
    parts = urlsplit(URL)
    return f"{parts.scheme}://{parts.username}:{parts.password}@127.0.0.1:{proxy.port}{parts.path or '/'}{options}"


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
    async with place() as (scene, broker), Proxy() as proxy:
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
    async with place() as (scene, broker), Proxy() as proxy:
        _, consumer = await joined(scene, through(proxy))
        waiting = asyncio.create_task(consumer.fetch(10, 30.0))
        await scene.world.sleep(0.1)
        proxy.cut()
        await scene.publish(broker, scene.messages(1))
        assert len(await waiting) == 1


async def test_while_the_server_is_away_everything_raises_and_later_everything_goes_on() -> None:
    async with place() as (scene, _), Proxy() as proxy:
        away, consumer = await joined(scene, through(proxy))
        first, second = scene.messages(10), scene.messages(10)
        await scene.publish(away, first)
        await noticed(proxy.shut, consumer)
        for use in (
            lambda: consumer.fetch(10, 5.0),
            lambda: away.publish(second),
            lambda: away.subscribe(scene.of()),
            lambda: away.lag(scene.of()),
        ):
            with pytest.raises(BrokerError, match=rf"127\.0\.0\.1:{proxy.port} .*cannot be reached.*Is RabbitMQ running there"):
                await use()
        proxy.open()
        await scene.publish(away, second)
        assert Counter(ids(await scene.read(consumer, 20))) == Counter(ids(first) + ids(second))
        await scene.nothing(consumer)


async def test_a_connection_lost_while_publishing_is_told_per_message_and_order_is_kept() -> None:
    async with place() as (scene, broker), Proxy() as proxy:
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
    async with place() as (scene, broker), Proxy() as one, Proxy() as two:
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
    async with place() as (scene, broker), Proxy() as proxy:
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
        proxy.shut()
        again = await scene.read(heir, len(held))
        assert Counter(ids(again)) == Counter(ids(held))
        assert all(d.redelivered for d in again)


async def test_a_listener_may_give_back_what_it_has_and_goes_on_after_a_loss() -> None:
    async with place() as (scene, broker), Proxy() as proxy:
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
