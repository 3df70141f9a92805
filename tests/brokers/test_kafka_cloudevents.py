"""Events over Kafka and the CloudEvents SDK: each reads what the other writes, in both modes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.bindings.kafka import KafkaMessage
from cloudevents.core.v1.event import CloudEvent
from tests.brokers.kafka_server import consume, fresh, make_topic, needs_server, opened, produce, read

from farandole.brokers.base import Subscription
from farandole.model.envelope import Envelope, Message, decode, encode

pytestmark = [pytest.mark.servers, pytest.mark.real_time, needs_server]

ATTRIBUTES = {
    "id": "018f0000-0000-7000-8000-000000000001", "source": "/shop/orders", "type": "shop.OrderPlaced.v1",
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "datacontenttype": "application/json", "partitionkey": "Grüße 🔑",
    "correlationid": "c-1",
}  # fmt: skip
DATA = {"total": 12, "name": "é"}


@pytest.mark.parametrize("write", [kafka.to_structured_event, kafka.to_binary_event])
async def test_we_read_what_the_sdk_writes(write: Any) -> None:
    topic = fresh()
    make_topic(topic)
    written = write(CloudEvent(dict(ATTRIBUTES), DATA))
    produce(topic, {"value": written.value, "key": written.key, "headers": list(written.headers.items())})
    broker = await opened()
    (delivery,) = await read(await broker.subscribe(Subscription(fresh("g"), (topic,))), 1)
    event = decode(delivery.body)
    assert (event.id, event.source, event.type) == (ATTRIBUTES["id"], ATTRIBUTES["source"], ATTRIBUTES["type"])
    assert (event.time, event.correlationid, event.partitionkey) == (ATTRIBUTES["time"], "c-1", "Grüße 🔑")
    assert delivery.key == "Grüße 🔑"
    assert json.loads(bytes(event.data)) == DATA
    await broker.close()


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_the_sdk_reads_what_we_write(mode: str) -> None:
    topic = fresh()
    event = Envelope(
        specversion="1.0", id=ATTRIBUTES["id"], source="/shop/orders", type="shop.OrderPlaced.v1", time=ATTRIBUTES["time"],
        datacontenttype="application/json", partitionkey="Grüße 🔑", correlationid="c-1", depth=2,
        data=msgspec.Raw(json.dumps(DATA).encode()),
    )  # fmt: skip
    broker = await opened(f"&mode={mode}")
    body = encode(event)
    assert (await broker.publish([Message(topic, "Grüße 🔑", event.id, event.type, body)]))[0].error is None
    (record,) = consume(topic, 1)
    found = kafka.from_kafka_event(KafkaMessage(dict(record.headers()), record.key(), record.value()))
    assert (found.get_id(), found.get_source(), found.get_type()) == (event.id, event.source, event.type)
    assert (found.get_time(), found.get_extension("correlationid")) == (event.time, "c-1")
    assert found.get_extension("partitionkey") == "Grüße 🔑"
    assert str(found.get_extension("depth")) == "2"
    assert found.get_data() == DATA
    (delivery,) = await read(await broker.subscribe(Subscription(fresh("g"), (topic,))), 1)
    assert delivery.body == body
    await broker.close()
