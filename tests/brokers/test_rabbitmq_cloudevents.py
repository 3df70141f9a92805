"""Events over RabbitMQ and the CloudEvents SDK: each reads what the other writes, in both modes."""

from __future__ import annotations

import aio_pika
import pytest
from cloudevents.core.bindings import amqp, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from tests.brokers.cloudevents_samples import KEY, check_foreign, check_read, foreign, ours
from tests.brokers.rabbitmq_place import URL, place, pytestmark  # noqa: F401

from farandole.brokers import open_broker
from farandole.brokers.rabbitmq.setup import exchange_name
from farandole.model.wire import partition_of


def sdk_message(binding: str, mode: str) -> aio_pika.Message:
    """An event as the CloudEvents SDK writes it: by its binding for RabbitMQ, or for AMQP with either of its prefixes."""
    if binding == "ce-":
        plain = (rabbitmq.to_binary if mode == "binary" else rabbitmq.to_structured)(foreign(), JSONFormat())
        return aio_pika.Message(plain.body, headers=dict(plain.headers), content_type=plain.content_type)
    told = (amqp.to_binary if mode == "binary" else amqp.to_structured)(foreign(), JSONFormat())
    headers = {name.replace("cloudEvents_", binding): value for name, value in told.application_properties.items()}
    return aio_pika.Message(told.application_data, headers=headers, content_type=told.properties["content-type"])


@pytest.mark.parametrize("binding", ["cloudEvents_", "cloudEvents:", "ce-"])
@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_events_of_the_cloudevents_sdk_are_read(mode: str, binding: str) -> None:
    async with place() as (scene, broker), await aio_pika.connect(URL) as connection:
        consumer = await broker.subscribe(scene.of())
        exchange = await (await connection.channel()).get_exchange(exchange_name(scene.topic))
        await exchange.publish(sdk_message(binding, mode), routing_key=str(partition_of(KEY, 12)))
        (found,) = await scene.read(consumer, 1)
        check_read(found.body)
        if mode == "binary":
            sample = ours(scene.topic)
            assert (found.id, found.key, found.type) == (sample.id, KEY, sample.type)


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_a_plain_client_with_the_cloudevents_sdk_reads_our_events(mode: str) -> None:
    async with place() as (scene, _), await aio_pika.connect(URL) as connection:
        broker = open_broker(f"{URL}?mode={mode}", scene.world)
        await broker.open()
        scene.opened.append(broker)
        consumer = await broker.subscribe(scene.of())
        queue = await (await connection.channel()).declare_queue(exclusive=True)
        await queue.bind(exchange_name(scene.topic), str(partition_of(KEY, 12)))
        sent = ours(scene.topic)
        await scene.publish(broker, [sent])
        came = await queue.get(timeout=60)
        assert came is not None
        assert (came.message_id, came.type, came.delivery_mode) == (sent.id, sent.type, 2)
        assert came.timestamp is not None
        event = amqp.from_amqp(amqp.AMQPMessage({"content-type": came.content_type}, dict(came.headers), came.body), JSONFormat())
        check_foreign(event)
        (found,) = await scene.read(consumer, 1)
        assert (found.id, found.key, found.body) == (sent.id, KEY, sent.body)
        await came.ack()


async def test_what_is_no_event_at_all_is_handed_out_as_it_is() -> None:
    async with place() as (scene, broker), await aio_pika.connect(URL) as connection:
        consumer = await broker.subscribe(scene.of())
        exchange = await (await connection.channel()).get_exchange(exchange_name(scene.topic))
        odd = {"n": 1, "b": bytearray(b"\xff"), "t": True, "l": [1, {"x": None}], "d": scene.world.now(), "farandole-id": 7}
        await exchange.publish(aio_pika.Message(b"\x00nonsense", headers=odd), routing_key="3")
        (found,) = await scene.read(consumer, 1)
        assert (found.body, found.partition, found.id) == (b"\x00nonsense", 3, "7")
