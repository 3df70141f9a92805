"""Consuming through each broker's adapter, beside a raw loop over its client library that does the same work.

Both fetch, decode envelope and data, call a handler that does nothing, and acknowledge, in batches of up to 100. The raw loops use what the
client's documentation shows: JetStream's fetch and ack, Redis' consumer group with one XACK per batch, Kafka's consume with one commit per batch,
RabbitMQ's basic_consume with one multiple ack per batch; each on one queue or partition, which is their best case. Needs the FARANDOLE_* URLs.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from statistics import median

import msgspec
from benchmarks.by_hand import read
from benchmarks.overhead import OrderPlaced, make
from benchmarks.report import report

from farandole.brokers import open_broker
from farandole.brokers.base import Delivery, Subscription
from farandole.model.choreography import Choreography
from farandole.model.envelope import Message
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.runtime.plan import Limits, compile_plan
from farandole.runtime.worker import Reader
from farandole.world import World

COUNT, ROUNDS, BATCH = 20_000, 3, 100

decode = msgspec.json.Decoder(OrderPlaced).decode
payments = Service("payments")


@payments.on(OrderPlaced)
async def handle(order: OrderPlaced) -> None:
    """As little as a handler can do."""


async def work(bodies: list[bytes]) -> None:
    for body in bodies:
        await handle.function(decode(read(body).data))


async def farandole(url: str, deliveries: list[Delivery], topic: str) -> float:
    """Events per second through an adapter and the reader."""
    broker = open_broker(url, World())
    await broker.open()
    subscription = Subscription(f"g-{topic}", (topic,))
    consumer = await broker.subscribe(subscription)
    wire = Wire(Choreography("shop", payments))
    plan = compile_plan(payments.reactions["handle"], payments, wire, {}, Limits())
    reader = Reader("payments", [plan], wire.types_of_topic, Limits())
    messages = [Message(topic, delivery.key, delivery.id, delivery.type, delivery.body) for delivery in deliveries]
    for at in range(0, COUNT, 500):
        results = await broker.publish(messages[at : at + 500])
        assert not any(result.error for result in results)
    begun, count = time.perf_counter(), 0
    while count < COUNT:
        found = await consumer.fetch(BATCH, 1.0)
        works, _ = reader.read(found)
        for one in works:
            await one.plan.call(one.event, None, None, None)
        await consumer.ack(found)
        count += len(found)
    took = time.perf_counter() - begun
    await broker.close()
    return COUNT / took


async def nats(url: str, bodies: list[bytes], topic: str) -> float:
    import nats as library

    client = await library.connect(url)
    jetstream = client.jetstream()
    await jetstream.add_stream(name=topic, subjects=[topic])
    for at in range(0, COUNT, 500):
        await asyncio.gather(*(jetstream.publish(topic, body) for body in bodies[at : at + 500]))
    subscription = await jetstream.pull_subscribe(topic, "d")
    begun, count = time.perf_counter(), 0
    while count < COUNT:
        found = await subscription.fetch(BATCH)
        await work([message.data for message in found])
        for message in found:
            await message.ack()
        count += len(found)
    took = time.perf_counter() - begun
    await jetstream.delete_stream(topic)
    await client.close()
    return COUNT / took


async def redis(url: str, bodies: list[bytes], topic: str) -> float:
    from redis.asyncio import Redis

    client = Redis.from_url(url, protocol=2)
    await client.xgroup_create(topic, "g", "0", mkstream=True)
    for at in range(0, COUNT, 500):
        pipeline = client.pipeline(transaction=False)
        for body in bodies[at : at + 500]:
            pipeline.xadd(topic, {"body": body})
        await pipeline.execute()
    begun, count = time.perf_counter(), 0
    while count < COUNT:
        ((_, found),) = await client.xreadgroup("g", "c", {topic: ">"}, count=BATCH, block=1000)
        await work([fields[b"body"] for _, fields in found])
        await client.xack(topic, "g", *(id for id, _ in found))
        count += len(found)
    took = time.perf_counter() - begun
    await client.delete(topic)
    await client.aclose()
    return COUNT / took


async def kafka(url: str, bodies: list[bytes], topic: str) -> float:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    servers = {"bootstrap.servers": url.removeprefix("kafka://")}
    admin = AdminClient(servers)
    for future in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        future.result(20)
    producer = Producer(servers)
    for body in bodies:
        producer.produce(topic, body)
        producer.poll(0)
    producer.flush()
    consumer = Consumer({**servers, "group.id": topic, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found = await asyncio.to_thread(consumer.consume, BATCH, 30.0)
    begun, count = time.perf_counter(), 0
    while True:
        await work([message.value() for message in found])
        await asyncio.to_thread(consumer.commit, asynchronous=False)
        count += len(found)
        if count >= COUNT:
            break
        found = await asyncio.to_thread(consumer.consume, BATCH, 1.0)
    took = time.perf_counter() - begun
    consumer.close()
    return COUNT / took


async def rabbitmq(url: str, bodies: list[bytes], topic: str) -> float:
    import aio_pika

    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=2 * BATCH)
    queue = await channel.declare_queue(topic, durable=True, arguments={"x-queue-type": "quorum"})
    for at in range(0, COUNT, 500):
        await asyncio.gather(
            *(
                channel.default_exchange.publish(aio_pika.Message(body, delivery_mode=2), routing_key=topic)
                for body in bodies[at : at + 500]
            )
        )
    begun, waiting = time.perf_counter(), list[aio_pika.abc.AbstractIncomingMessage]()
    count = 0
    async with queue.iterator() as messages:
        async for message in messages:
            waiting.append(message)
            if len(waiting) == BATCH:
                await work([one.body for one in waiting])
                await waiting[-1].ack(multiple=True)
                count += len(waiting)
                waiting.clear()
                if count >= COUNT:
                    break
    took = time.perf_counter() - begun
    await queue.delete(if_unused=False, if_empty=False)
    await connection.close()
    return COUNT / took


Raw = Callable[[str, list[bytes], str], Awaitable[float]]
BROKERS: tuple[tuple[str, Raw, str], ...] = (
    ("nats", nats, ">= 1.5"), ("redis", redis, ">= 0.5"), ("kafka", kafka, ">= 0.5"), ("rabbitmq", rabbitmq, ">= 0.9"),
)  # fmt: skip


def main() -> None:
    """Rounds in turn, for each broker that the environment names."""
    deliveries = make()[:COUNT]
    bodies = [delivery.body for delivery in deliveries]
    for name, raw, target in BROKERS:
        url = os.environ.get(f"FARANDOLE_{name.upper()}")
        if url is None:
            print(f"{name}: FARANDOLE_{name.upper()} is not set")
            continue
        found = []
        for _ in range(ROUNDS):
            ours = asyncio.run(farandole(url, deliveries, f"bench-{secrets.token_hex(4)}"))
            found.append((ours, asyncio.run(raw(url, bodies, f"bench-{secrets.token_hex(4)}"))))
        report(
            f"consume through {name}, batches of {BATCH}",
            farandole_per_s=round(median(a for a, _ in found)),
            raw_per_s=round(median(b for _, b in found)),
            ratio=round(median(a / b for a, b in found), 2),
            target=target,
        )


if __name__ == "__main__":
    main()
