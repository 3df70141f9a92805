"""Events over Kafka and the CloudEvents SDK: each reads what the other writes, in both modes."""

from __future__ import annotations

from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.bindings.kafka import KafkaMessage
from tests.brokers.cloudevents_samples import BODY, KEY, check_foreign, check_read, foreign, ours
from tests.brokers.kafka_server import consume, fresh, make_topic, needs_server, opened, produce, read

from farandole.brokers.base import Subscription

pytestmark = [pytest.mark.servers, pytest.mark.real_time, needs_server]


@pytest.mark.parametrize("write", [kafka.to_structured_event, kafka.to_binary_event])
async def test_we_read_what_the_sdk_writes(write: Any) -> None:
    topic = fresh()
    make_topic(topic)
    written = write(foreign())
    produce(topic, {"value": written.value, "key": written.key, "headers": list(written.headers.items())})
    broker = await opened()
    (delivery,) = await read(await broker.subscribe(Subscription(fresh("g"), (topic,))), 1)
    check_read(delivery.body)
    assert delivery.key == KEY
    await broker.close()


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_the_sdk_reads_what_we_write(mode: str) -> None:
    topic = fresh()
    broker = await opened(f"&mode={mode}")
    assert (await broker.publish([ours(topic)]))[0].error is None
    (record,) = consume(topic, 1)
    found = kafka.from_kafka_event(KafkaMessage(dict(record.headers()), record.key(), record.value()))
    check_foreign(found)
    (delivery,) = await read(await broker.subscribe(Subscription(fresh("g"), (topic,))), 1)
    assert delivery.body == BODY
    await broker.close()
