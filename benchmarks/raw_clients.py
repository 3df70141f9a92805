"""Loops over the brokers' client libraries that do by hand what a worker does: fetch, decode, dispatch, and acknowledge, a batch at a time.

Where they publish too: an answer for each event is encoded, all of a batch are published and confirmed, and only then is it acknowledged. They use
what each client's documentation shows, at its best: JetStream's fetch(100), Redis' consumer group and pipelines, Kafka's consume(100) and one commit,
RabbitMQ's one multiple ack; each on one queue or partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from benchmarks.by_hand import Emits, read
from benchmarks.clock import Meter, Pace
from benchmarks.overhead import OrderPlaced, charge

__all__ = ["BATCH", "PATIENCE", "RAW", "WINDOW", "Clients", "answers", "look"]

Clients = dict[str, Callable[..., Awaitable[Pace]]]
"""By broker: what measures it, from its URL, the events' bodies, a name, and whether to publish."""
BATCH, WINDOW = 100, 500
PATIENCE = 30.0
"""Seconds for a confirmation: a busy machine must not end a benchmark."""

_decoders = {"shop.OrderPlaced.v1": msgspec.json.Decoder(OrderPlaced).decode}
_emits = Emits("payments.charge", "/shop/payments", "shop.PaymentCompleted.v1")


async def look(bodies: list[bytes]) -> None:
    """Decode each event and hand it to its handler."""
    for body in bodies:
        envelope = read(body)
        await charge.function(_decoders[envelope.type](envelope.data))


async def answers(bodies: list[bytes]) -> list[bytes]:
    """The same; what the handlers answer, encoded."""
    out, now = [], datetime.now(UTC)
    for body in bodies:
        envelope = read(body)
        event = await charge.function(_decoders[envelope.type](envelope.data))
        out.append(_emits.message(envelope, event.order_id, event, now)[1])
    return out


async def nats(url: str, bodies: list[bytes], topic: str, *, publish: bool) -> Pace:
    import nats as library

    client = await library.connect(url)
    jetstream = client.jetstream(timeout=PATIENCE)
    await jetstream.add_stream(name=topic, subjects=[f"{topic}.*"])

    async def send(name: str, some: list[bytes]) -> None:
        await asyncio.gather(*(jetstream.publish(f"{topic}.{name}", body) for body in some))

    for at in range(0, len(bodies), WINDOW):
        await send("in", bodies[at : at + WINDOW])
    subscription = await jetstream.pull_subscribe(f"{topic}.in", "d")
    meter = Meter(len(bodies))
    while meter.pace is None:
        found = await subscription.fetch(BATCH)
        if publish:
            await send("out", await answers([message.data for message in found]))
        else:
            await look([message.data for message in found])
        for message in found:
            await message.ack()
        meter.add(len(found))
    await jetstream.delete_stream(topic)
    await client.close()
    assert meter.pace is not None
    return meter.pace


async def redis(url: str, bodies: list[bytes], topic: str, *, publish: bool) -> Pace:
    from redis.asyncio import Redis

    client = Redis.from_url(url, protocol=2)
    await client.xgroup_create(topic, "g", "0", mkstream=True)

    async def send(name: str, some: list[bytes], done: list[bytes]) -> None:
        pipeline = client.pipeline(transaction=False)
        for body in some:
            pipeline.xadd(name, {"body": body})
        if done:
            pipeline.xack(topic, "g", *done)
        await pipeline.execute()

    for at in range(0, len(bodies), WINDOW):
        await send(topic, bodies[at : at + WINDOW], [])
    meter = Meter(len(bodies))
    while meter.pace is None:
        ((_, found),) = await client.xreadgroup("g", "c", {topic: ">"}, count=BATCH, block=1000)
        values = [fields[b"body"] for _, fields in found]
        if publish:
            await send(f"{topic}-out", await answers(values), [id for id, _ in found])
        else:
            await look(values)
            await client.xack(topic, "g", *(id for id, _ in found))
        meter.add(len(found))
    await client.delete(topic, f"{topic}-out")
    await client.aclose()
    assert meter.pace is not None
    return meter.pace


async def kafka(url: str, bodies: list[bytes], topic: str, *, publish: bool) -> Pace:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    servers: dict[str, Any] = {"bootstrap.servers": url.removeprefix("kafka://")}
    admin = AdminClient(servers)
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in (topic, f"{topic}-out")]).values():
        future.result(20)
    producer = Producer(servers | {"enable.idempotence": True, "linger.ms": 0})

    def send(name: str, some: list[bytes]) -> None:
        for body in some:
            producer.produce(name, body)
            producer.poll(0)
        producer.flush()

    send(topic, bodies)
    consumer = Consumer(servers | {"group.id": topic, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found = await asyncio.to_thread(consumer.consume, BATCH, 30.0)
    meter = Meter(len(bodies))
    while True:
        values = [message.value() for message in found]
        if publish:
            await asyncio.to_thread(send, f"{topic}-out", await answers(values))
        else:
            await look(values)
        if found:
            await asyncio.to_thread(consumer.commit, asynchronous=False)
        if meter.add(len(found)):
            break
        found = await asyncio.to_thread(consumer.consume, BATCH, 1.0)
    consumer.close()
    for future in admin.delete_topics([topic, f"{topic}-out"]).values():
        future.result(20)
    assert meter.pace is not None
    return meter.pace


async def rabbitmq(url: str, bodies: list[bytes], topic: str, *, publish: bool) -> Pace:
    import aio_pika

    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=2 * BATCH)
    kind = {"x-queue-type": "quorum"}
    queue, other = [await channel.declare_queue(name, durable=True, arguments=kind) for name in (topic, f"{topic}-out")]

    async def send(name: str, some: list[bytes]) -> None:
        await asyncio.gather(
            *(channel.default_exchange.publish(aio_pika.Message(body, delivery_mode=2), routing_key=name) for body in some)
        )

    for at in range(0, len(bodies), WINDOW):
        await send(topic, bodies[at : at + WINDOW])
    meter = Meter(len(bodies))
    waiting = list[aio_pika.abc.AbstractIncomingMessage]()
    async with queue.iterator() as messages:
        async for message in messages:
            waiting.append(message)
            if len(waiting) < BATCH:
                continue
            if publish:
                await send(other.name, await answers([one.body for one in waiting]))
            else:
                await look([one.body for one in waiting])
            await waiting[-1].ack(multiple=True)
            if meter.add(len(waiting)):
                break
            waiting.clear()
    with suppress(aio_pika.exceptions.AMQPError):
        for one in (queue, other):
            await one.delete(if_unused=False, if_empty=False)
    await connection.close()
    assert meter.pace is not None
    return meter.pace


RAW: Clients = {"nats": nats, "redis": redis, "kafka": kafka, "rabbitmq": rabbitmq}
