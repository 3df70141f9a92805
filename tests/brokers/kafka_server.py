"""What tests of Kafka share: the server, and plain clients of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from farandole.brokers import open_broker
from farandole.brokers.base import Delivery
from farandole.brokers.kafka.broker import KafkaBroker
from farandole.model.envelope import Message
from farandole.world import World

URL = os.environ.get("FARANDOLE_KAFKA", "")
SERVERS = URL.partition("://")[2].partition("?")[0]
needs_server = pytest.mark.skipif(
    not URL and not os.environ.get("FARANDOLE_REQUIRE_SERVERS"),
    reason="FARANDOLE_KAFKA is not set: start the server with `scripts/servers up kafka`",
)


def fresh(word: str = "t") -> str:
    """A name that nobody has."""
    return f"{word}-{World().token()}"


async def opened(options: str = "", url: str = URL) -> KafkaBroker:
    broker = open_broker(f"{url}?replication=1&partitions=3{options}", World())
    assert isinstance(broker, KafkaBroker)
    await broker.open()
    return broker


def messages(topic: str, count: int, *, mark: str = "m", keys: int = 7) -> list[Message]:
    return [Message(topic, f"k{n % keys}", f"{mark}{n}", "shop.Tested.v1", f"{mark} body {n}".encode()) for n in range(count)]


def make_topic(topic: str, partitions: int = 3, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": SERVERS})
    dotted = {name.replace("_", "."): value for name, value in config.items()}
    admin.create_topics([NewTopic(topic, partitions, 1, config=dotted)])[topic].result()


def produce(topic: str, *records: dict[str, Any]) -> None:
    """As anybody might."""
    producer = Producer({"bootstrap.servers": SERVERS})
    for record in records:
        producer.produce(topic, **record)
    assert producer.flush(30) == 0


def consume(topic: str, count: int) -> list[Any]:
    """As anybody might: so many records, from the beginning."""
    consumer = Consumer({"bootstrap.servers": SERVERS, "group.id": fresh("plain"), "enable.auto.commit": False})
    numbers = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    found: list[Any] = []
    while len(found) < count:
        record = consumer.poll(30)
        assert record is not None, f"{len(found)} of {count} came"
        assert record.error() is None
        found.append(record)
    consumer.close()
    return found


async def read(consumer: Any, count: int, *, ack: bool = True) -> list[Delivery]:
    """Exactly so many deliveries, within a minute."""
    found: list[Delivery] = []
    for _ in range(60):
        batch: Sequence[Delivery] = await consumer.fetch(count - len(found), 1.0)
        found += batch
        if ack and batch:
            await consumer.ack(batch)
        if len(found) == count:
            return found
    raise AssertionError(f"{len(found)} of {count} came")
