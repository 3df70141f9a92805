"""The Redis broker, on a real server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from tests.brokers.cloudevents_samples import KEY, check_foreign, check_read, foreign, ours
from tests.brokers.conftest import vanish_from_log
from tests.brokers.own_server import serving
from tests.brokers.restarts import RestartSuite
from tests.ports import free_port
from tests.servers import server

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Subscription
from farandole.brokers.redis import RedisBroker
from farandole.errors import BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.world import World

pytestmark = [pytest.mark.servers, pytest.mark.real_time]


@pytest.fixture
def url() -> Iterator[str]:
    """Keys of this test alone."""
    prefix = f"test-{secrets.token_hex(6)}"
    place = server("redis")
    yield f"{place}?prefix={prefix}"
    client = redis.Redis.from_url(place)
    for key in client.scan_iter(f"{{{prefix}}}*"):
        client.delete(key)
    client.close()


class TestConformance(RestartSuite):
    server = "redis"
    quiet = 0.7
    lease = 12.0

    @pytest.fixture(autouse=True)
    def _place(self, url: str) -> None:
        self.url = url

    async def make(self, world: World) -> Broker:
        return open_broker(self.url, world)

    async def die(self, broker: Broker) -> None:
        vanish_from_log(broker)

    async def refuse_some(self, broker: Broker, messages: Sequence[Message]) -> None:
        """Each is given to the server without its fields, once: it refuses that one."""
        assert isinstance(broker, RedisBroker)
        publish, refused = broker._scripts["publish"], {message.id for message in messages}

        async def maimed(keys: Sequence[str], args: Sequence[Any]) -> Any:
            said, at = list(args[:2]), 2
            while at < len(args):
                end = at + 3 + args[at + 2]
                known = args[at + 4] in refused
                refused.discard(args[at + 4])
                said += [*args[at : at + 2], 0] if known else args[at:end]
                at = end
            return await publish(keys=keys, args=said)

        broker._scripts["publish"] = maimed


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    broker = open_broker(url, World())
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


def some(count: int) -> list[Message]:
    return [Message("t", f"k{n}", f"{n}", "T", b"x" * 10) for n in range(count)]


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ("partitions=none", "partitions to be a number"),
        ("mode=odd", "structured, binary, got: 'odd'"),
        ("retention=week", "such as 7d"),
    ],
)
def test_a_wrong_option_is_named_without_the_password(options: str, saying: str) -> None:
    with pytest.raises(ConfigurationError, match=saying) as wrong:
        open_broker(f"redis://me:secret@localhost/0?{options}", World())
    assert "secret" not in str(wrong.value)


async def test_nobody_at_the_address_is_one_clear_error() -> None:
    with pytest.raises(BrokerError, match=r"cannot use redis://127.0.0.1:1.*Is Redis running there") as away:
        async with opened("redis://me:secret@127.0.0.1:1"):
            pass
    assert "secret" not in str(away.value)


async def test_another_number_of_partitions_is_refused(url: str) -> None:
    async with opened(f"{url}&partitions=3"), opened(url) as second:
        assert second.partitions == 3
        with pytest.raises(ConfigurationError, match="has 3 partitions, the URL says 4"):
            async with opened(f"{url}&partitions=4"):
                pass


@pytest.fixture
def own(tmp_path: Path) -> Iterator[int]:
    """A Redis of this test alone, with a password."""
    server("redis")
    port = free_port()
    with serving(
        port, "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--requirepass", "right"
    ):
        yield port


async def test_a_wrong_password_is_told_with_the_remedy(own: int) -> None:
    for login in ("", ":wrong@"):
        with pytest.raises((ConfigurationError, BrokerError), match=r"user:password@|uthentication") as refused:
            async with opened(f"redis://{login}127.0.0.1:{own}"):
                pass
        assert "wrong" not in str(refused.value).replace("WRONGPASS", "")
    async with opened(f"redis://:right@127.0.0.1:{own}") as broker:
        assert [result.error for result in await broker.publish(some(1))] == [None]


async def test_a_replica_or_a_full_server_publishes_nothing_and_goes_on_when_it_can(own: int) -> None:
    client = redis.asyncio.Redis.from_url(f"redis://:right@127.0.0.1:{own}")
    async with opened(f"redis://:right@127.0.0.1:{own}") as broker:
        subscription = Subscription("g", ("t",))
        await broker.subscribe(subscription)
        await client.replicaof("127.0.0.1", "1")
        results = await broker.publish(some(3))
        assert all("connect to the primary" in str(result.error) and not result.permanent for result in results)
        await client.replicaof("NO", "ONE")
        await client.config_set("maxmemory", "1mb")
        results = await broker.publish(some(3))
        assert all("Its memory is full" in str(result.error) and not result.permanent for result in results)
        await client.config_set("maxmemory", "0")
        assert await broker.lag(subscription) == 0
        assert [result.error for result in await broker.publish(some(3))] == [None] * 3
    await client.aclose()


async def test_foreign_producers_are_heard_in_both_modes(url: str) -> None:
    async with opened(url) as broker:
        client = redis.asyncio.Redis.from_url(url.partition("?")[0])
        for write in (kafka.to_structured, kafka.to_binary):
            sent = write(foreign(), JSONFormat())
            await client.xadd(broker._stream(("t", 0)), {**sent.headers, "body": sent.value})
        await client.xadd(broker._stream(("t", 0)), {"anything": "else"})
        consumer = await broker.subscribe(Subscription("g", ("t",)))
        found = await consumer.fetch(10, 5.0)
        for delivery in found[:2]:
            check_read(delivery.body)
        assert (found[1].id, found[1].key, found[1].type) == (ours("t").id, KEY, ours("t").type)
        assert found[2].body == b""
        await client.aclose()


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_foreign_consumers_read_what_we_publish(url: str, mode: str) -> None:
    async with opened(f"{url}&mode={mode}") as broker:
        await broker.publish([ours("t")])
        client = redis.asyncio.Redis.from_url(url.partition("?")[0])
        streams = [broker._stream(("t", number)) for number in range(12)]
        (fields,) = [dict(entry[1]) for stream in streams for entry in await client.xrange(stream)]
        named = {name.decode(): value for name, value in fields.items()}
        body = named.pop("body")
        if mode == "structured":
            named = {"content-type": b"application/cloudevents+json"}  # Redis has no binding: the body is the event
        event = kafka.from_kafka(kafka.KafkaMessage(headers=named, key=None, value=body), JSONFormat())
        check_foreign(event)
        await client.aclose()
