"""The same work under FastStream, with the settings that serve it best: batches of 100 where it has them (NATS, Redis, Kafka), no logging, no
injection of types, and a decoder that hands the bytes on, so that our functions decode them, not pydantic.

Answers are published all at once and confirmed before the handler returns; then it acknowledges. RabbitMQ has no batches: up to 200
messages are handled at once. Kafka's commits wait for the server, as those of the raw loop; FastStream's own do not, and promise less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from benchmarks.clock import Meter, Pace
from benchmarks.raw_clients import BATCH, PATIENCE, WINDOW, Clients, answers, look

__all__ = ["FASTSTREAM"]


class Handler:
    """What the subscriber does: the work of the raw loops; it knows when all have come."""

    def __init__(self, count: int, send: Callable[[list[bytes]], Awaitable[Any]] | None) -> None:
        self._meter = Meter(count)
        self._send = send
        self._all = asyncio.Event()

    async def batch(self, bodies: list[bytes]) -> None:
        if self._send is None:
            await look(bodies)
        else:
            await self._send(await answers(bodies))
        if self._meter.add(len(bodies)):
            self._all.set()

    async def one(self, body: bytes) -> None:
        await self.batch([body])

    async def measured(self, broker: Any) -> Pace:
        """Start, wait until all have come, stop."""
        await broker.start()
        try:
            await asyncio.wait_for(self._all.wait(), 300)
        finally:
            await broker.stop()
        assert self._meter.pace is not None
        return self._meter.pace


async def as_is(message: Any) -> Any:
    """The bytes that came."""
    return message.body


async def whole(message: Any) -> Any:
    """The message itself."""
    return message


async def nats(url: str, bodies: list[bytes], topic: str, *, publish: bool) -> Pace:
    from faststream.nats import JStream, NatsBroker, PullSub

    broker = NatsBroker(url, logger=None, apply_types=False)
    stream = JStream(name=topic, subjects=[f"{topic}.*"])

    async def send(name: str, some: list[bytes]) -> None:
        await asyncio.gather(*(broker.publish(body, f"{topic}.{name}", stream=topic, timeout=PATIENCE) for body in some))

    async def answer(some: list[bytes]) -> None:
        await send("out", some)

    handler = Handler(len(bodies), answer if publish else None)
    await broker.connect()
    jetstream = broker.config.connection_state.stream
    await jetstream.add_stream(name=topic, subjects=[f"{topic}.*"])
    for at in range(0, len(bodies), WINDOW):
        await send("in", bodies[at : at + WINDOW])
    subscriber = broker.subscriber(f"{topic}.in", stream=stream, durable="d", pull_sub=PullSub(batch_size=BATCH, batch=True))
    subscriber(handler.batch, decoder=as_is)
    try:
        return await handler.measured(broker)
    finally:
        await forget_stream(url, topic)


async def forget_stream(url: str, topic: str) -> None:
    import nats as library

    client = await library.connect(url)
    await client.jetstream().delete_stream(topic)
    await client.close()


async def redis(url: str, bodies: list[bytes], topic: str, *, publish: bool) -> Pace:
    from faststream.redis import BinaryMessageFormatV1, RedisBroker, StreamSub
    from redis.asyncio import Redis

    broker = RedisBroker(url, logger=None, apply_types=False, message_format=BinaryMessageFormatV1)
    client = Redis.from_url(url, protocol=2)

    async def send(name: str, some: list[bytes]) -> None:
        async with client.pipeline(transaction=False) as pipeline:
            for body in some:
                await broker.publish(body, stream=name, pipeline=pipeline)
            await pipeline.execute()

    async def answer(some: list[bytes]) -> None:
        await send(f"{topic}-out", some)

    async def fields(message: Any) -> list[bytes]:
        return [BinaryMessageFormatV1.parse(one[b"__data__"])[0] for one in message.raw_message["data"]]

    handler = Handler(len(bodies), answer if publish else None)
    await broker.connect()
    for at in range(0, len(bodies), WINDOW):
        await send(topic, bodies[at : at + WINDOW])
    await client.xgroup_create(topic, "g", "0", mkstream=True)
    subscriber = broker.subscriber(stream=StreamSub(topic, group="g", consumer="c", batch=True, max_records=BATCH))
    subscriber(handler.batch, decoder=fields)
    try:
        return await handler.measured(broker)
    finally:
        await client.delete(topic, f"{topic}-out")
        await client.aclose()


async def kafka(url: str, bodies: list[bytes], topic: str, *, publish: bool) -> Pace:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic
    from faststream import AckPolicy
    from faststream.confluent import KafkaBroker

    servers = url.removeprefix("kafka://")
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in (topic, f"{topic}-out")]).values():
        future.result(20)
    producer = Producer({"bootstrap.servers": servers})
    for body in bodies:
        producer.produce(topic, body)
        producer.poll(0)
    producer.flush()
    broker = KafkaBroker(servers, logger=None, apply_types=False, enable_idempotence=True)

    async def answer(some: list[bytes]) -> None:
        await broker.publish_batch(*some, topic=f"{topic}-out")

    handler = Handler(len(bodies), answer if publish else None)

    async def handle(message: Any) -> None:
        await handler.batch(message.body)
        await message.consumer.commit(asynchronous=False)

    subscriber = broker.subscriber(
        topic, group_id=topic, auto_offset_reset="earliest", batch=True, max_records=BATCH, ack_policy=AckPolicy.MANUAL
    )
    subscriber(handle, decoder=whole)
    try:
        return await handler.measured(broker)
    finally:
        for future in admin.delete_topics([topic, f"{topic}-out"]).values():
            with suppress(Exception):
                future.result(20)


async def rabbitmq(url: str, bodies: list[bytes], topic: str, *, publish: bool) -> Pace:
    from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

    broker = RabbitBroker(url, logger=None, apply_types=False, default_channel=Channel(prefetch_count=2 * BATCH))
    into, out = (RabbitQueue(name, durable=True, queue_type=QueueType.QUORUM) for name in (topic, f"{topic}-out"))
    await broker.connect()
    for queue in (into, out):
        await broker.declare_queue(queue)

    async def send(name: str, some: list[bytes]) -> None:
        await asyncio.gather(*(broker.publish(body, name, persist=True) for body in some))

    async def answer(some: list[bytes]) -> None:
        await send(out.name, some)

    for at in range(0, len(bodies), WINDOW):
        await send(into.name, bodies[at : at + WINDOW])
    handler = Handler(len(bodies), answer if publish else None)
    broker.subscriber(into)(handler.one, decoder=as_is)
    try:
        return await handler.measured(broker)
    finally:
        await forget_queues(url, into.name, out.name)


async def forget_queues(url: str, *names: str) -> None:
    import aio_pika

    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    for name in names:
        await channel.queue_delete(name)
    await connection.close()


FASTSTREAM: Clients = {"nats": nats, "redis": redis, "kafka": kafka, "rabbitmq": rabbitmq}
