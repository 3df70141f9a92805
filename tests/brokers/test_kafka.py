"""The broker Kafka, on a real server: what every broker does, and what is Kafka's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from tests.brokers.kafka_server import SERVERS, URL, consume, fresh, make_topic, messages, needs_server, opened, produce, read
from tests.brokers.restarts import RestartSuite

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Subscription
from farandole.brokers.kafka import broker as kafka_broker
from farandole.brokers.kafka.broker import KafkaBroker
from farandole.errors import BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.testing.broker_scene import by_key, ids
from farandole.world import World

pytestmark = [pytest.mark.servers, pytest.mark.real_time, needs_server]


async def vanish(broker: Broker) -> None:
    """Leave the groups without a word of what was in hand."""
    assert isinstance(broker, KafkaBroker)
    for consumer in broker._consumers:
        consumer.closed = True
        consumer._member._drop()
        await asyncio.wrap_future(consumer._thread.submit(consumer._member._client.close))


class TestConformance(RestartSuite):
    server = "kafka"
    url = URL
    lease = 20.0  # when others want to share anew, what is in hand is waited for so long and no longer: HOLD

    async def make(self, world: World) -> Broker:
        return open_broker(f"{self.url}?replication=1", world)

    async def die(self, broker: Broker) -> None:
        await vanish(broker)

    async def refuse_some(self, broker: Broker, messages: Sequence[Message]) -> None:
        """The client takes each of them at the second attempt."""
        assert isinstance(broker, KafkaBroker)
        assert broker._sender is not None
        client, refused = broker._sender._client, {message.id.encode() for message in messages}

        class Full:
            def __getattr__(self, name: str) -> Any:
                return getattr(client, name)

            def produce(self, *what: Any, headers: Mapping[str, bytes]) -> None:
                if headers["farandole-id"] in refused:
                    refused.discard(headers["farandole-id"])
                    raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
                client.produce(*what, headers=headers)

        broker._sender._client = Full()


# publishing


async def test_keys_go_to_the_partitions_that_every_other_program_would_choose_by_the_same_rule() -> None:
    topic = fresh()
    broker = await opened("&partitions=5")
    sent = messages(topic, 100, keys=40)
    await broker.publish(sent)
    for record in consume(topic, 100):
        assert record.partition() == partition_of(record.key().decode(), 5)
    await broker.close()


async def test_nothing_goes_to_a_partition_before_it_took_its_first_message_so_that_no_server_can_skip_it() -> None:
    topic = fresh()
    broker = await opened()
    assert broker._sender is not None
    client, told = broker._sender._client, []

    class Told:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def produce(self, topic: str, value: bytes, key: bytes, number: int, landed: Any, **more: Any) -> None:
            def answered(error: KafkaError | None, message: Any) -> None:
                told.append((number, "answered"))
                landed(error, message)

            told.append((number, "sent"))
            client.produce(topic, value, key, number, answered, **more)

    broker._sender._client = Told()  # type: ignore[assignment]
    batches = [messages(topic, 20, mark=mark) for mark in "abc"]
    answers = await asyncio.gather(*(broker.publish(batch) for batch in batches))
    assert all(result.error is None for results in answers for result in results)
    for number in range(3):
        assert [what for of, what in told if of == number][:2] == ["sent", "answered"]
    assert len(told) == 120
    assert Counter(ids(await read(await broker.subscribe(Subscription(None, (topic,))), 60))) == Counter(
        message.id for batch in batches for message in batch
    )
    await broker.close()


async def test_a_publisher_that_closes_while_others_wait_for_the_first_message_of_a_partition_answers_all() -> None:
    topic = fresh()
    make_topic(topic, 1)
    broker = await opened()
    await broker.lag(Subscription(None, (topic,)))  # it knows the topic
    tasks = [asyncio.create_task(broker.publish(messages(topic, 1, mark=f"{n}-"))) for n in range(20)]
    await asyncio.sleep(0)
    assert broker._sender is not None
    assert broker._sender._flights
    await broker.close()
    assert [result.error for task in tasks for result in await task] == [None] * 20
    assert len({record.value() for record in consume(topic, 20)}) == 20


async def test_a_partition_that_refuses_its_first_message_holds_up_the_others_of_the_batch_and_no_other_partition() -> None:
    topic = fresh()
    broker = await opened()
    sent = messages(topic, 20)
    refused = partition_of(sent[0].key, 3)
    await TestConformance().refuse_some(broker, sent[:1])
    results = await broker.publish(sent)
    for message, result in zip(sent, results, strict=True):
        assert (result.error is not None) == (partition_of(message.key, 3) == refused)
        assert not result.permanent
    again = [message for message, result in zip(sent, results, strict=True) if result.error]
    assert [result.error for result in await broker.publish(again)] == [None] * len(again)
    found = await read(await broker.subscribe(Subscription(None, (topic,))), 20)
    assert by_key(found) == by_key(sent)
    await broker.close()


async def test_a_topic_that_is_missing_is_made_only_where_that_is_allowed() -> None:
    topic = fresh()
    broker = await opened("&create=no")
    (result,) = await broker.publish(messages(topic, 1))
    assert result.error is not None
    assert f"has no topic {topic}: create it, or leave out create=no" in result.error
    assert not result.permanent  # somebody may create it
    with pytest.raises(BrokerError, match=f"has no topic {topic}: create it"):
        await broker.subscribe(Subscription("g", (topic,)))
    assert await broker.lag(Subscription("g", (topic,))) == 0
    make_topic(topic)
    assert [result.error for result in await broker.publish(messages(topic, 3))] == [None] * 3
    await broker.close()


async def test_what_cannot_be_sent_is_refused_for_good_and_alone() -> None:
    topic = fresh()
    broker = await opened()
    results = await broker.publish(
        [
            Message(topic, "k\ud800", "a", "T", b""),
            Message(topic, "k", "b\ud800", "T", b""),
            Message("no topic ☹", "k", "c", "T", b""),
            Message(topic, "k" * 2_000_000, "d", "T", b""),
            Message(topic, "k", "good", "T", b""),
        ]
    )
    assert [(result.error is None, result.permanent) for result in results] == [(False, True)] * 4 + [(True, False)]
    assert len(consume(topic, 1)) == 1
    await broker.close()


async def test_the_largest_message_is_what_its_topic_says() -> None:
    topic, tiny = fresh(), fresh()
    make_topic(topic, max_message_bytes="200000")
    make_topic(tiny, max_message_bytes="10000")
    broker = await opened()
    sent = [Message(topic, "k", f"id{n}", "T", b"x" * size) for n, size in enumerate((150_000, 195_905, 195_904, 150_000))]
    results = await broker.publish(sent)
    assert [(result.error is None, result.permanent) for result in results] == [
        (True, False),
        (False, True),
        (True, False),
        (True, False),
    ]
    assert [len(record.value()) for record in consume(topic, 3)] == [150_000, 195_904, 150_000]
    (result,) = await broker.publish(messages(tiny, 1))
    assert result.error is not None
    assert "add batch.size=9800 to the URL" in result.error
    assert not result.permanent
    await broker.close()
    broker = await opened("&batch.size=9800")
    sent = [Message(tiny, "k", f"id{n}", "T", b"x" * 500) for n in range(100)]
    assert [result.error for result in await broker.publish(sent)] == [None] * 100
    await broker.close()


# groups


async def test_a_process_that_dies_is_noticed_and_what_it_held_is_marked() -> None:
    topic, group = fresh(), fresh("g")
    broker = await opened("&session.timeout.ms=6000")
    await broker.publish(messages(topic, 20))
    code = f"""
import asyncio
from farandole.brokers.base import Subscription
from tests.brokers.kafka_server import opened, read
async def main():
    consumer = await (await opened("&session.timeout.ms=6000")).subscribe(Subscription({group!r}, ({topic!r},)))
    await consumer.ack((await read(consumer, 20, ack=False))[:0])
    print("holding", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    environment = {"PYTHONPATH": "src:.", "FARANDOLE_KAFKA": URL}
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env=environment
    )
    assert victim.stdout is not None
    assert await victim.stdout.readline() == b"holding\n"
    victim.kill()
    await victim.wait()
    heir = await broker.subscribe(Subscription(group, (topic,)))
    again = await read(heir, 20)
    assert Counter(ids(again)) == Counter(ids(messages(topic, 20)))
    assert all(delivery.redelivered for delivery in again)
    await broker.publish(messages(topic, 20, mark="later"))
    assert not any(delivery.redelivered for delivery in await read(heir, 20))
    await broker.close()


async def test_a_member_that_was_held_up_for_too_long_cannot_settle_what_went_elsewhere() -> None:
    topic, of = fresh(), Subscription(fresh("g"), ())
    of = Subscription(of.group, (topic,))
    stuck, other = await opened("&session.timeout.ms=6000&max.poll.interval.ms=6000"), await opened()
    await other.publish(messages(topic, 20))
    first = await stuck.subscribe(of)
    held = await read(first, 20, ack=False)
    assert stuck._beat is not None
    stuck._beat.cancel()  # as when its event loop hangs
    second = await other.subscribe(of)
    await read(second, 20, ack=False)
    await first.ack(held)
    await first.release(held)
    assert await other.lag(of) == 20
    await second.close()
    await first.ack(held)  # the group has no members now: a server would believe anybody
    assert await other.lag(of) == 20
    third = await other.subscribe(of)
    assert by_key(await read(third, 20)) == by_key(messages(topic, 20))
    assert await other.lag(of) == 0
    await asyncio.gather(stuck.close(), other.close())


@pytest.mark.parametrize("holding", [False, True])
async def test_a_member_whose_handler_takes_long_stays(*, holding: bool) -> None:
    topic = fresh()
    of = Subscription(fresh("g"), (topic,))
    broker = await opened("&session.timeout.ms=6000&max.poll.interval.ms=6000")
    await broker.publish(messages(topic, 20))
    consumer = await broker.subscribe(of)
    held = await read(consumer, 10, ack=not holding)
    epoch = consumer._member._epoch
    await asyncio.sleep(9)
    assert consumer._member._epoch == epoch
    await consumer.ack(held)
    assert await broker.lag(of) == 10
    rest = await read(consumer, 10)
    assert Counter(ids([*held, *rest])) == Counter(ids(messages(topic, 20)))
    assert not any(delivery.redelivered for delivery in rest)
    await broker.close()


async def test_topics_with_unequal_numbers_of_partitions_are_refused_in_one_group() -> None:
    one, two = fresh("one"), fresh("two")
    make_topic(one, 2)
    make_topic(two, 4)
    broker = await opened()
    with pytest.raises(ConfigurationError, match=rf"{one} 2, {two} 4.*kafka-topics\.sh --alter --topic … --partitions 4"):
        await broker.subscribe(Subscription("g", (one, two)))
    await (await broker.subscribe(Subscription(None, (one, two)))).close()
    await broker.close()


async def test_new_partitions_are_found_and_read_from_their_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_broker, "LOOK", 1.0)
    topic = fresh()
    make_topic(topic, 2)
    broker = await opened("&topic.metadata.refresh.interval.ms=1000")
    await broker.publish(messages(topic, 50, mark="old", keys=50))
    member = await broker.subscribe(Subscription(fresh("g"), (topic,), "end"))
    listener = await broker.subscribe(Subscription(None, (topic,), "end"))
    admin = AdminClient({"bootstrap.servers": SERVERS})
    admin.create_partitions([NewPartitions(topic, 5)])[topic].result()
    await broker.publish(messages(topic, 50, mark="during", keys=50))  # whichever number it knows
    await (late := await opened()).publish(messages(topic, 50, mark="after", keys=50))
    expected = Counter(f"{mark}{n}" for mark in ("during", "after") for n in range(50))
    found = await read(member, 100)
    assert Counter(ids(found)) == expected
    assert {delivery.partition for delivery in found} == set(range(5))
    assert Counter(ids(await read(listener, 100))) == expected
    await asyncio.gather(broker.close(), late.close())


async def test_a_position_that_was_set_by_another_tool_is_taken_as_it_is() -> None:
    topic, group = fresh(), fresh("g")
    make_topic(topic, 1)
    broker = await opened()
    await broker.publish(messages(topic, 20))
    plain = Consumer({"bootstrap.servers": SERVERS, "group.id": group})
    plain.commit(offsets=[TopicPartition(topic, 0, 15)], asynchronous=False)
    plain.close()
    assert await broker.lag(Subscription(group, (topic,))) == 5
    found = await read(await broker.subscribe(Subscription(group, (topic,))), 5)
    assert ids(found) == ids(messages(topic, 20)[15:])
    assert not any(delivery.redelivered for delivery in found)
    await broker.close()


async def test_a_topic_that_was_deleted_and_made_anew_is_read_from_its_beginning() -> None:
    topic = fresh()
    of = Subscription(fresh("g"), (topic,))
    broker = await opened("&message.timeout.ms=2000")
    consumer = await broker.subscribe(of)
    await broker.publish(messages(topic, 30))
    await read(consumer, 30)
    await consumer.close()
    admin = AdminClient({"bootstrap.servers": SERVERS})
    admin.delete_topics([topic])[topic].result()
    waiting = messages(topic, 5, mark="new")
    for _ in range(30):
        results = await broker.publish(waiting)
        waiting = [message for message, result in zip(waiting, results, strict=True) if result.error]
        if not waiting:
            break
    assert set(ids(await read(await broker.subscribe(of), 5))) == set(ids(messages(topic, 5, mark="new")))
    await broker.close()


async def test_whatever_foreigners_write_is_delivered() -> None:
    topic = fresh()
    make_topic(topic, 1)
    produce(
        topic,
        {"value": None},
        {"value": b"\xff", "key": b"\xff\xfe", "headers": [("content-type", None), ("x", b"\xff"), ("x", b"")]},
        {"value": b"{}", "key": b"k", "headers": [("ce_specversion", b"1.0"), ("content-type", b"\xff")]},
        {"value": b"", "headers": [("content-type", b"application/cloudevents+json"), ("farandole-id", None)]},
    )
    broker = await opened()
    found = await read(await broker.subscribe(Subscription(fresh("g"), (topic,))), 4)
    assert [delivery.position for delivery in found] == [0, 1, 2, 3]
    assert [delivery.body for delivery in found[:2]] == [b"", b"\xff"]
    await broker.close()


async def test_a_wrong_setting_of_the_client_is_named_without_the_password() -> None:
    broker = open_broker(f"kafka://user:s3cret@{SERVERS}?sasl.password=s3cret&no.such.setting=1", World())
    with pytest.raises(ConfigurationError, match=r"no\.such\.setting") as caught:
        await broker.open()
    assert "s3cret" not in f"{caught.value}{broker!r}{broker._settings!r}"
