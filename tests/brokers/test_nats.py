"""The NATS broker, on a real server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from tests.brokers.cloudevents_samples import KEY, check_foreign, check_read, foreign, ours
from tests.brokers.conftest import vanish_from_log
from tests.brokers.own_server import serving
from tests.brokers.restarts import RestartSuite
from tests.ports import free_port
from tests.servers import server

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Subscription
from farandole.brokers.nats import NatsBroker
from farandole.errors import BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.world import World

pytestmark = [pytest.mark.servers, pytest.mark.real_time]


@pytest.fixture
def url() -> Iterator[str]:
    """Names of this test alone."""
    prefix = f"test-{secrets.token_hex(6)}"
    place = server("nats")
    yield f"{place}?prefix={prefix}"

    async def forget() -> None:
        client = await nats.connect(place)
        jetstream = client.jetstream()
        for stream in await jetstream.streams_info():
            if prefix in stream.config.name:
                await jetstream.delete_stream(stream.config.name)
        await client.close()

    asyncio.run(forget())


class TestConformance(RestartSuite):
    server = "nats"
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
        """Each goes once to where no stream listens: the server says so."""
        assert isinstance(broker, NatsBroker)
        publish, refused = broker.client.publish, {message.id for message in messages}

        async def astray(subject: str, body: bytes, reply: str = "", headers: Any = None) -> None:
            id = (headers or {}).get("Nats-Msg-Id")
            await publish("nowhere" if id in refused else subject, body, reply, headers)
            refused.discard(id)

        broker.client.publish = astray


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    broker = open_broker(url, World())
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


def some(count: int, mark: str) -> list[Message]:
    return [Message("t", f"k{n}", f"{mark}-{n}", "T", b"x") for n in range(count)]


async def publish(broker: Any, messages: list[Message]) -> None:
    """Until all of it is there: a stream that was deleted is made anew."""
    for _ in range(10):
        results = await broker.publish(messages)
        messages = [message for message, result in zip(messages, results, strict=True) if result.error]
        if not messages:
            return
    raise AssertionError(results)


async def read(consumer: Any, count: int, *, ack: bool = True) -> Any:
    """Exactly so many: their ids, or the deliveries where they are kept in hand."""
    found: list[Any] = []
    for _ in range(30):
        batch = await consumer.fetch(count - len(found), 1.0)
        found += batch
        if ack:
            await consumer.ack(batch)
        if len(found) == count:
            return [delivery.id for delivery in found] if ack else found
    raise AssertionError(f"{len(found)} of {count} came")


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ("partitions=none", "partitions to be a number"),
        ("mode=odd", "structured, binary, got: 'odd'"),
        ("retention=week", "such as 7d"),
        ("replicas=many", "replicas to be a number"),
    ],
)
def test_a_wrong_option_is_named_without_the_password(options: str, saying: str) -> None:
    with pytest.raises(ConfigurationError, match=saying) as wrong:
        open_broker(f"nats://me:secret@localhost?{options}", World())
    assert "secret" not in str(wrong.value)


async def test_an_option_that_the_client_does_not_take_is_named() -> None:
    with pytest.raises(ConfigurationError, match="nats-py does not know an option"):
        async with opened(f"{server('nats')}?nonsense=1"):
            pass


async def test_nobody_at_the_address_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farandole.brokers.nats._PATIENCE", 1.0)
    with pytest.raises(BrokerError, match=r"cannot use nats://127.0.0.1:1.*Is NATS running there") as away:
        async with opened("nats://me:secret@127.0.0.1:1"):
            pass
    assert "secret" not in str(away.value)


async def test_another_number_of_partitions_is_refused(url: str) -> None:
    async with opened(f"{url}&partitions=3"), opened(url) as second:
        assert second.partitions == 3
        with pytest.raises(ConfigurationError, match="has 3 partitions, the URL says 4"):
            async with opened(f"{url}&partitions=4"):
                pass


@contextmanager
def own(folder: Path, settings: str) -> Iterator[int]:
    """A NATS of this test alone."""
    server("nats")
    port = free_port()
    path = folder / "nats.conf"
    path.write_text(f"host: 127.0.0.1\nport: {port}\n{settings}\n")
    with serving(port, "nats-server", "-c", str(path)):
        yield port


async def test_wrong_credentials_are_told_with_the_remedy(tmp_path: Path) -> None:
    settings = f'jetstream {{ store_dir: "{tmp_path}" }}\nauthorization {{ user: me, password: right }}'
    with own(tmp_path, settings) as port:
        for login in ("", "me:wrong@"):
            with pytest.raises(ConfigurationError, match="user:password@") as refused:
                async with opened(f"nats://{login}127.0.0.1:{port}"):
                    pass
            assert "wrong" not in str(refused.value)
        async with opened(f"nats://me:right@127.0.0.1:{port}") as broker:
            assert [result.error for result in await broker.publish([Message("t", "k", "1", "T", b"x")])] == [None]


async def test_a_server_without_jetstream_is_told_how_to_have_it(tmp_path: Path) -> None:
    with own(tmp_path, "") as port, pytest.raises(ConfigurationError, match="Start the server with -js"):
        async with opened(f"nats://127.0.0.1:{port}"):
            pass


async def test_a_reader_that_the_server_forgot_is_made_anew(url: str) -> None:
    async with opened(url) as broker:
        consumer = await broker.subscribe(Subscription("g", ("t",)))
        found: list[str] = []
        for n in range(4):
            await broker.publish([Message("t", f"k{i % 5}", f"{n}-{i}", "T", b"x") for i in range(30)])
            for part in (10, 20):
                begun = len(found)
                while len(found) < begun + part:
                    batch = await consumer.fetch(part, 2.0)
                    found += [delivery.id for delivery in batch]
                    await consumer.ack(batch)
                stream = await broker.stream("t")
                for reader in await broker.jetstream.consumers_info(stream):
                    await broker.jetstream.delete_consumer(stream, reader.name)
        assert sorted(found) == sorted(f"{n}-{i}" for n in range(4) for i in range(30))


@pytest.mark.parametrize("living", [True, False])
async def test_a_stream_that_was_deleted_and_made_anew_is_read_from_its_beginning(
    url: str, caplog: pytest.LogCaptureFixture, *, living: bool
) -> None:
    of = Subscription("g", ("t",))
    async with opened(url) as broker, opened(url) as other:
        consumer = await broker.subscribe(of)
        listener = await broker.subscribe(Subscription(None, ("t",)))
        await publish(broker, some(30, "old"))
        held = await read(consumer, 30, ack=False)
        await read(listener, 30)
        if not living:
            await consumer.ack(held)
            await consumer.close()
        await broker.jetstream.delete_stream(await broker.stream("t"))
        await publish(other, some(40, "new"))
        if living:
            assert await consumer.fetch(100, 1.0) == []  # what is in hand has positions that will come again
            await consumer.ack(held)
        else:
            assert await other.lag(of) == 40
            consumer = await other.subscribe(of)
        for reader in (listener, consumer):
            assert sorted(await read(reader, 40)) == sorted(message.id for message in some(40, "new"))
        assert "was deleted and made anew" in caplog.text
        await publish(other, some(10, "later"))
        await consumer.close()
        heir = await broker.subscribe(of)
        assert sorted(await read(heir, 10)) == sorted(message.id for message in some(10, "later"))
        assert await broker.lag(of) == 0


async def test_a_position_behind_the_end_of_a_stream_is_no_reason_to_miss_what_comes(url: str) -> None:
    async with opened(url) as broker:
        for group in ("g", None):
            consumer = await broker.subscribe(Subscription(group, (f"t{group}",), 1000))
            assert await consumer.fetch(1, 0.0) == []
            await publish(broker, [Message(f"t{group}", f"k{n}", f"{n}", "T", b"") for n in range(20)])
            assert len(await read(consumer, 20)) == 20


async def test_foreign_producers_are_heard_in_both_modes(url: str) -> None:
    async with opened(url) as broker:
        consumer = await broker.subscribe(Subscription("g", ("t",)))
        other = await nats.connect(server("nats"))
        stream = await broker.stream("t")
        for write in (http.to_structured, http.to_binary):
            sent = write(foreign(), JSONFormat())
            await other.jetstream().publish(f"{stream}.0", sent.body, headers=dict(sent.headers))
        await other.jetstream().publish(f"{stream}.0", b"anything")
        found: list[Any] = []
        while len(found) < 3:
            found += await consumer.fetch(10, 5.0)
        for delivery in found[:2]:
            check_read(delivery.body)
        assert (found[1].id, found[1].key, found[1].type) == (ours("t").id, KEY, ours("t").type)
        assert found[2].body == b"anything"
        await other.close()


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_foreign_consumers_read_what_we_publish(url: str, mode: str) -> None:
    async with opened(f"{url}&mode={mode}") as broker:
        await broker.publish([ours("t")])
        other = await nats.connect(server("nats"))
        stream = await broker.stream("t")
        subscription = await other.jetstream().pull_subscribe(f"{stream}.*", durable="foreign", stream=stream)
        (message,) = await subscription.fetch(1)
        event = http.from_http(http.HTTPMessage(headers=dict(message.headers or {}), body=message.data), JSONFormat())
        check_foreign(event)
        await other.close()
