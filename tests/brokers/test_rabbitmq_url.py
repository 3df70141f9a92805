"""What can be wrong with a RabbitMQ URL, and with what it names. Needs no server."""

from __future__ import annotations

import asyncio
import sys

import pytest
from tests.ports import free_port

from farandole.brokers import open_broker
from farandole.brokers.base import Subscription
from farandole.brokers.rabbitmq.setup import exchange_name, queue_name
from farandole.errors import BrokerClosed, BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.world import World

pytest.importorskip("aiormq")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqp://", "names no host: amqp://user:password@host:5672/vhost"),
        ("amqp:host", "names no host"),
        ("amqp:///vhost", "names no host"),
        ("amqp://me:s3cret@host:99999/", "Port out of range"),
        ("amqp://me:s3cret@host/?partitions=0", "a number from 1 to 1024, got: '0'"),
        ("amqp://me:s3cret@host/?partitions=many", "a number from 1 to 1024, got: 'many'"),
        ("rabbitmq://me:s3cret@host/?mode=fast", "structured or binary, got: 'fast'"),
    ],
)
def test_a_wrong_url_is_named_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_broker(url, World())
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place", "passed"),
    [
        ("amqp://me:s3cret@host", "amqp://host:5672 (vhost '/')", "amqp://me:s3cret@host?heartbeat=10"),
        ("rabbitmq://host/a%2Fb?mode=binary", "rabbitmq://host:5672 (vhost 'a/b')", "amqp://host/a%2Fb?heartbeat=10"),
        (
            "amqps://host:1/?cafile=/a%20b.pem&partitions=3&heartbeat=60&name=x",
            "amqps://host:1 (vhost '/')",
            "amqps://host:1/?cafile=/a%20b.pem&heartbeat=60&name=x",
        ),
    ],
)
async def test_what_is_not_ours_goes_to_the_library_as_it_is(url: str, place: str, passed: str) -> None:
    broker = open_broker(url, World())
    assert repr(broker) == f"RabbitBroker({place})"
    assert broker._outward._url == passed  # type: ignore[attr-defined]


def test_without_the_library_the_line_to_type_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("farandole.brokers.rabbitmq.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiormq", None)
    with pytest.raises(ConfigurationError, match=r'RabbitMQ needs aiormq. Type: pip install "farandole\[rabbitmq\]"'):
        open_broker("amqp://localhost/", World())


@pytest.mark.real_time
async def test_a_server_that_is_not_there_is_named() -> None:
    port = free_port()
    broker = open_broker(f"amqp://me:s3cret@127.0.0.1:{port}/", World())
    with pytest.raises(BrokerError, match=rf"127\.0\.0\.1:{port} .*cannot be reached: .*Is RabbitMQ running there") as caught:
        await broker.open()
    assert "s3cret" not in str(caught.value)
    for use in (broker.publish([Message("t", "k", "i", "T", b"")]), broker.subscribe(Subscription("g", ("t",)))):
        with pytest.raises(BrokerClosed, match="call open"):
            await use
    await broker.close()


@pytest.mark.real_time
@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x01\x00\x00", b""])
async def test_a_server_that_is_no_rabbitmq_is_named(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    broker = open_broker(f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}/", World())
    with pytest.raises(BrokerError, match="cannot be reached|does not answer as RabbitMQ"):  # noqa: RUF043
        await broker.open()
    server.close()


def test_names_of_groups_topics_and_partitions_cannot_be_confused() -> None:
    names = [
        queue_name(group, topic, 1) for group, topic in [("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"), ("a", "b%3Ac"), ("a.b", "c")]
    ]
    assert len({*names, queue_name("a", "b.c", 1)}) == 6
    assert exchange_name("shop.orders") == "farandole.shop.orders"
    assert queue_name("shop.payments", "shop.orders", 3) == "farandole.shop.payments:shop.orders:3"
