"""Kafka when its servers are away, come back, or say nothing: a gate stands before a real one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from tests.brokers.gate import Gate
from tests.brokers.kafka_server import URL, consume, fresh, messages, needs_server, opened, read

from farandole.brokers import open_broker
from farandole.brokers.base import Subscription
from farandole.brokers.kafka import admin as kafka_admin
from farandole.brokers.kafka import aside
from farandole.errors import BrokerError
from farandole.model.envelope import Message
from farandole.testing.broker_scene import ids
from farandole.world import World

pytestmark = [pytest.mark.servers, pytest.mark.real_time, needs_server]

QUICK = "&message.timeout.ms=2000&session.timeout.ms=6000&reconnect.backoff.max.ms=500"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (kafka_admin, aside):
        monkeypatch.setattr(module, "TIMEOUT", 2.0)


async def test_a_server_that_is_not_there_is_named_and_open_works_once_it_is(impatient: None) -> None:
    async with Gate(URL) as before:
        before.shut()
        broker = open_broker(before.url.replace("//", "//user:s3cret@") + "?security.protocol=PLAINTEXT", World())
        with pytest.raises(BrokerError, match=rf"no answer from {before.url}: .*Connection refused.*Check host, port") as caught:
            await broker.open()
        assert "s3cret" not in str(caught.value)
        before.open()
        await broker.open()
        assert [result.error for result in await broker.publish(messages(fresh(), 3))] == [None] * 3
        await broker.close()


async def test_what_cannot_be_published_now_may_be_tried_again_and_says_why() -> None:
    topic = fresh()
    async with Gate(URL) as before:
        broker = await opened(QUICK, before.url)
        assert [result.error for result in await broker.publish(messages(topic, 5))] == [None] * 5
        for stop, start, why in ((before.shut, before.open, "Connection refused"), (before.freeze, before.thaw, "")):
            stop()
            results = await broker.publish(messages(topic, 5, mark="lost"))
            assert not any(result.permanent for result in results)
            assert all(result.error and f"{before.url} gave no answer for 2 s" in result.error for result in results)
            assert why in (results[0].error or "")
            start()
            assert [result.error for result in await broker.publish(messages(topic, 5, mark="again"))] == [None] * 5
        await broker.close()


async def test_consumers_and_their_acknowledgements_come_back_by_themselves() -> None:
    topic = fresh()
    of = Subscription(fresh("g"), (topic,))
    async with Gate(URL) as before:
        broker = await opened(QUICK, before.url)
        direct = await opened()
        consumer, listener = await broker.subscribe(of), await broker.subscribe(Subscription(None, (topic,)))
        await direct.publish(messages(topic, 20))
        held = await read(consumer, 20, ack=False)
        before.shut()
        with pytest.raises(BrokerError, match=rf"no answer from {before.url}"):
            while True:
                assert not await consumer.fetch(100, 5.0)
        with pytest.raises(BrokerError, match=before.url):
            await consumer.ack(held)
        before.open()
        await direct.publish(messages(topic, 20, mark="later"))
        found, until = Counter[str](), set(ids(messages(topic, 20, mark="later")))
        while not until <= found.keys():
            with contextlib.suppress(BrokerError):
                batch = await consumer.fetch(100, 1.0)
                found.update(ids(batch))
                await consumer.ack(batch)
        again = set(found) - until
        assert again in (set(), set(ids(held)))  # it was still a member, or had to join again
        if not again:
            await consumer.ack(held)
        assert await broker.lag(of) == 0
        heard: list[str] = []
        while len(heard) < 40:
            with contextlib.suppress(BrokerError):
                heard += ids(await listener.fetch(100, 1.0))
        assert Counter(heard) == Counter(ids([*messages(topic, 20), *messages(topic, 20, mark="later")]))
        await asyncio.gather(broker.close(), direct.close())


async def test_closing_while_the_server_is_away_ends() -> None:
    topic = fresh()
    async with Gate(URL) as before:
        broker = await opened(QUICK, before.url)
        await broker.publish(messages(topic, 5))
        consumer = await broker.subscribe(Subscription(fresh("g"), (topic,)))
        await read(consumer, 5, ack=False)
        before.shut()
        async with asyncio.timeout(30):
            await broker.close()


async def test_closing_ends_also_when_the_server_went_away_during_the_last_commit(impatient: None) -> None:
    """The client would try that commit again for ever."""
    topic = fresh()
    of = Subscription(fresh("g"), (topic,))
    async with Gate(URL) as before:
        broker = await opened(QUICK, before.url)
        await broker.publish(messages(topic, 5))
        consumer = await broker.subscribe(of)
        await read(consumer, 5, ack=False)
        before.freeze()
        closing = asyncio.create_task(broker.close())
        await before.held_commit.wait()
        before.shut()
        async with asyncio.timeout(30):
            await closing
    for thread in threading.enumerate():
        if "kafka-consume" in thread.name:  # a process that ends waits for it
            thread.join(30)
            assert not thread.is_alive()
    direct = await opened()
    assert Counter(ids(await read(await direct.subscribe(of), 5))) == Counter(ids(messages(topic, 5)))
    await direct.close()


async def test_an_acknowledgement_whose_connection_was_cut_is_an_error_and_it_goes_on_when_the_server_is_back(
    impatient: None,
) -> None:
    topic = fresh()
    of = Subscription(fresh("g"), (topic,))
    async with Gate(URL) as before:
        broker = await opened(QUICK, before.url)
        direct = await opened()
        sent = messages(topic, 20)
        await direct.publish(sent)
        consumer = await broker.subscribe(of)
        held = await read(consumer, 10, ack=False)
        before.freeze()
        acknowledging = asyncio.create_task(consumer.ack(held))
        await before.held_commit.wait()
        before.shut()
        before.thaw()
        with pytest.raises(BrokerError, match="an acknowledgement got no answer for 2 s"):
            await acknowledging
        before.open()
        while await direct.lag(of):
            with contextlib.suppress(BrokerError):
                await consumer.ack(await consumer.fetch(100, 1.0))
        await asyncio.gather(broker.close(), direct.close())


async def test_order_per_key_survives_a_server_that_comes_and_goes(record_property: Callable[[str, object], None]) -> None:
    """As a relay does: what failed is published again, and nothing of its key before it."""
    topic, keys = fresh(), 5
    async with Gate(URL) as before:
        broker = await opened("&message.timeout.ms=700&reconnect.backoff.max.ms=100", before.url)
        await broker.publish([Message(topic, "k0", "first", "T", b"")])
        waiting: list[Message] = []
        count = failed_windows = torn_windows = 0

        async def disturb() -> None:
            while True:
                await asyncio.sleep(0.15)
                before.freeze()
                await asyncio.sleep(1.0)
                before.thaw()
                await asyncio.sleep(0.1)
                before.shut()
                await asyncio.sleep(0.5)
                before.open()

        disturbing = asyncio.create_task(disturb())
        while waiting or failed_windows < 8:
            if len(waiting) < 20 and failed_windows < 8:
                waiting += messages(topic, count + 20, keys=keys)[count:]
                count += 20
            window = waiting[:20]
            try:
                results = await broker.publish(window)
            except BrokerError:
                continue
            failed: set[str] = set()
            for message, result in zip(window, results, strict=True):
                assert result.error or message.key not in failed, "published behind one of its key that failed"
                if result.error:
                    failed.add(message.key)
            failed_windows += bool(failed)
            torn_windows += 0 < sum(bool(result.error) for result in results) < len(results)
            kept = [message for message, result in zip(window, results, strict=True) if result.error]
            waiting = [*kept, *waiting[20:]]
        disturbing.cancel()
        await broker.close()
    record_property("windows of 20 that failed, and of these in part", (failed_windows, torn_windows))
    order: dict[str, dict[int, None]] = {}
    direct = await opened()
    total = await direct.lag(Subscription(None, (topic,)))
    await direct.close()
    for record in consume(topic, total):
        headers = dict(record.headers())
        name = headers["farandole-id"].decode()
        if name != "first":
            order.setdefault(record.key().decode(), {}).setdefault(int(name[1:]))  # a repeat stands where it came first
    assert {key: list(seen) for key, seen in order.items()} == {f"k{key}": list(range(key, count, keys)) for key in range(keys)}
