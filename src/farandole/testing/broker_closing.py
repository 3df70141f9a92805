"""The cases of waiting, waking and closing; part of `conformance_broker.BrokerSuite`."""

from __future__ import annotations

import asyncio
from collections import Counter

from farandole.brokers.base import Delivery
from farandole.errors import BrokerClosed
from farandole.model.envelope import Message
from farandole.testing.broker_scene import BrokerCases, by_key, exactly, ids

__all__ = ["ClosingCases"]


class ClosingCases(BrokerCases):
    """Fetches that wait, and ends of all kinds."""

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
                lambda: consumer.fetch(1, 0.0),
                lambda: with_consumer.fetch(1, 0.0),
                lambda: broker.publish(scene.messages(1)),
                lambda: broker.subscribe(scene.of()),
                lambda: broker.lag(scene.of()),
            ):
                used = use()
                try:
                    await used
                except BrokerClosed as error:
                    assert str(error), "say what to do"
                else:
                    raise AssertionError(f"{used} works after close()")

    async def test_what_a_closing_publisher_reported_is_there(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
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
            until = scene.world.monotonic() + self.patience
            while len(reported) < 100:
                assert scene.world.monotonic() < until
                await scene.world.sleep(0.005)
            await publisher.close()
            await asyncio.gather(*tasks)
            consumer = await broker.subscribe(scene.of())
            found = ids(await scene.read(consumer, len(reported)))
            while more := await consumer.fetch(100, self.quiet):  # published, and not reported any more
                found += ids(more)
            assert set(reported) <= set(found)
            assert max(Counter(found).values()) == 1

    async def test_a_consumer_that_is_closed_while_it_waits_stops_waiting(self) -> None:
        async with self.scene() as (scene, broker):
            consumer = await broker.subscribe(scene.of())
            waiting = asyncio.create_task(consumer.fetch(10, self.patience))
            await scene.world.sleep(0.1)
            began = scene.world.monotonic()
            await consumer.close()
            await asyncio.wait([waiting])
            assert scene.world.monotonic() - began < self.patience / 2
            assert isinstance(waiting.exception(), BrokerClosed | None)
            sent = scene.messages(10)
            await scene.publish(broker, sent)
            exactly(sent, await scene.read(await broker.subscribe(scene.of()), 10), at="the next one")

    async def test_ten_open_and_close_at_once(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(10)

            async def visit(message: Message) -> None:
                visitor = await scene.broker()
                await scene.publish(visitor, [message])
                await (await visitor.subscribe(scene.of())).close()
                await visitor.close()

            await asyncio.gather(*(visit(message) for message in sent))
            consumer = await broker.subscribe(scene.of())
            assert Counter(ids(await scene.read(consumer, 10))) == Counter(ids(sent))
            await scene.nothing(consumer)

    async def test_ten_consumers_of_one_group_open_and_close_at_once(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(200, keys=50)
            await scene.publish(broker, sent)
            settled: list[Delivery] = []

            async def visit() -> None:
                consumer = await broker.subscribe(scene.of())
                found = await consumer.fetch(10, 0.5)
                settled.extend(found)
                await consumer.ack(found)
                await consumer.close()

            await asyncio.gather(*(visit() for _ in range(10)))
            consumer = await broker.subscribe(scene.of())
            rest = await scene.read(consumer, 200 - len(settled))
            await scene.nothing(consumer)
            exactly(sent, [*settled, *rest], at="ten, and one more", ordered=broker.capabilities.assigns_partitions)
