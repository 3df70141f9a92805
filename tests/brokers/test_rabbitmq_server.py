"""RabbitMQ servers that die, run out of memory, or are set up in another way than usual: each test module has its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiormq
import pytest
from tests.brokers.rabbitmq_server import PROGRAMS, OwnServer
from tests.servers import asked_for

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Consumer, Subscription
from farandole.brokers.rabbitmq import link as rabbitmq_link
from farandole.brokers.rabbitmq import member as rabbitmq_member
from farandole.brokers.rabbitmq import publisher as rabbitmq_publisher
from farandole.brokers.rabbitmq.broker import RabbitBroker
from farandole.brokers.rabbitmq.member import Member
from farandole.brokers.rabbitmq.setup import exchange_name, queue_name
from farandole.errors import BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.testing.broker_scene import Scene, by_key, ids
from farandole.world import World

pytestmark = [
    pytest.mark.servers,
    pytest.mark.real_time,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAMS is None, reason="RabbitMQ's programs are not installed on this machine"),
    pytest.mark.skipif(not asked_for("rabbitmq"), reason="half a minute, with the other tests of RabbitMQ: make test-servers"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    own = OwnServer(tmp_path_factory.mktemp("rabbitmq"), "max_message_size = 1000000")
    try:
        own.start()
        yield own
    finally:
        own.stop()


@asynccontextmanager
async def place(server: OwnServer, options: str = "?partitions=3") -> AsyncIterator[tuple[Scene, Broker]]:
    async def make(world: World) -> Broker:
        return open_broker(server.url + options, world)

    scene = Scene(make, 60.0, 1.0)
    try:
        yield scene, await scene.broker()
    finally:
        for broker in scene.opened:
            await broker.close()


async def test_a_server_without_memory_is_told_and_loses_nothing(server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rabbitmq_link, rabbitmq_publisher):
        monkeypatch.setattr(module, "PATIENCE", 2.0)
    async with place(server) as (scene, broker):
        consumer = await broker.subscribe(scene.of())
        before = scene.messages(20)
        await scene.publish(broker, before)
        server.ctl("set_vm_memory_high_watermark", "absolute", "1000")
        try:
            blocked = scene.messages(20)
            results = await broker.publish(blocked)
            assert all("did not confirm within 2 s" in (result.error or "") and not result.permanent for result in results)
            with pytest.raises(BrokerError, match="takes no messages now: it has too little memory or disk space"):
                await broker.publish(scene.messages(1))
            assert ids(await scene.read(consumer, 20))  # acknowledging goes on
            assert await broker.lag(scene.of()) == 0
        finally:
            server.ctl("set_vm_memory_high_watermark", "0.4")
        await scene.publish(broker, blocked)
        found = []
        while batch := await consumer.fetch(100, 1.0):
            found += batch
            await consumer.ack(batch)
        assert {key: list(dict.fromkeys(came)) for key, came in by_key(found).items()} == by_key(blocked)


async def test_what_is_larger_than_the_server_takes_is_refused_for_good_and_the_rest_goes_on(server: OwnServer) -> None:
    async with place(server) as (scene, broker):
        consumer = await broker.subscribe(scene.of())
        small = scene.messages(10)
        batch = [*small[:5], Message(scene.topic, "k", "large", "shop.Tested.v1", b"x" * 1_000_001), *small[5:]]
        results = await broker.publish(batch)
        refused = results[5]
        assert refused.permanent
        assert refused.error == "1000001 bytes; this RabbitMQ takes 1000000 (max_message_size)"
        assert not any(result.permanent for result in results if result is not refused)
        assert all(result.error for result in results[6:])
        again = [message for message, result in zip(batch, results, strict=True) if result.error and not result.permanent]
        await scene.publish(broker, again)
        found = await consumer.fetch(100, 1.0)
        while more := await consumer.fetch(100, 1.0):
            found = [*found, *more]
        assert {key: list(dict.fromkeys(came)) for key, came in by_key(found).items()} == by_key(small)


async def test_a_queue_that_refuses_is_told_per_message(server: OwnServer) -> None:
    async with place(server) as (scene, broker):
        name = queue_name(scene.group, scene.topic, 0)
        consumer = await broker.subscribe(scene.of())
        await consumer.close()
        pattern = f"^{name}$".replace(".", "\\.")
        server.ctl("set_policy", "full", pattern, '{"max-length": 1, "overflow": "reject-publish"}', "--apply-to", "queues")
        try:
            results = []
            for message in scene.messages(200, keys=60):
                results += await broker.publish([message])
            errors = {result.error for result in results if result.error}
            assert errors == {"RabbitMQ refused the message: a queue is full, or has no leader now"}
            assert not any(result.permanent for result in results)
        finally:
            server.ctl("clear_policy", "full")


async def test_a_user_without_rights_is_told_what_is_refused(server: OwnServer) -> None:
    server.ctl("add_user", "reader", "s3cret")
    server.ctl("set_permissions", "reader", "nothing", "nothing", "nothing")
    url = server.url.replace("guest:guest", "reader:s3cret")
    broker = open_broker(url, World())
    await broker.open()
    try:
        for use in (
            lambda: broker.publish([Message("t", "k", "i", "T", b"{}")]),
            lambda: broker.subscribe(Subscription("g", ("t",))),
        ):
            with pytest.raises(BrokerError, match=r"ACCESS_REFUSED.*user 'reader'") as caught:
                await use()
            assert "s3cret" not in str(caught.value)
    finally:
        await broker.close()


async def test_a_virtual_host_that_is_missing_or_forbidden_is_named_with_the_remedy(server: OwnServer) -> None:
    server.ctl("add_user", "stranger", "s3cret")
    for url in (f"{server.url}nowhere", server.url.replace("guest:guest", "stranger:s3cret")):
        broker = open_broker(url, World())
        with pytest.raises(
            ConfigurationError, match=r"no such virtual host, or this user may not use it.*rabbitmqctl add_vhost"
        ) as caught:
            await broker.open()
        assert "s3cret" not in f"{caught.value} {broker!r}"


async def test_queues_that_somebody_deleted_are_made_again(server: OwnServer) -> None:
    async with place(server) as (scene, broker):
        consumer = await broker.subscribe(scene.of())
        await scene.publish(broker, scene.messages(3))
        await scene.read(consumer, 3)
        async with aiormq.connect(server.url) as connection:
            channel = await connection.channel()
            await channel.exchange_delete(exchange_name(scene.topic))
            lost = await broker.publish(scene.messages(1))
            assert "NOT_FOUND" in str(lost[0].error)
            for number in range(3):
                await channel.queue_delete(queue_name(scene.group, scene.topic, number))
        sent = scene.messages(30)
        await until_published(scene, broker, consumer, sent)


async def until_published(scene: Scene, broker: Broker, consumer: Consumer, sent: list[Message]) -> None:
    await consumer.fetch(1, 3.0)
    await scene.publish(broker, sent)
    assert Counter(ids(await scene.read(consumer, len(sent)))) == Counter(ids(sent))


async def test_a_server_that_is_killed_and_started_again_has_what_it_confirmed(server: OwnServer) -> None:
    async with place(server) as (scene, broker):
        consumer = await broker.subscribe(scene.of())
        sent = scene.messages(300)
        await scene.publish(broker, sent)
        settled = await scene.read(consumer, 100)
        held = await scene.read(consumer, 50, ack=False)
        await broker.lag(scene.of())  # the server has seen the acknowledgements
        assert isinstance(broker, RabbitBroker)
        lost = (await broker._outward.connection()).closing
        server.kill()
        await asyncio.wait([lost])
        with pytest.raises(BrokerError, match=r"cannot be reached|lost|closed"):
            while True:
                await consumer.fetch(100, 1.0)
        with pytest.raises(BrokerError, match="cannot be reached"):
            await broker.publish(scene.messages(1))
        await asyncio.to_thread(server.start)
        more = scene.messages(50)
        await scene.publish(broker, more)
        found = []
        while batch := await consumer.fetch(100, 3.0):
            found += batch
            await consumer.ack(batch)
        assert set(ids(found)) >= (set(ids(sent)) - set(ids(settled))) | set(ids(more))
        assert max(Counter(ids(found)).values()) == 1
        again = {d.id for d in found if d.redelivered}
        assert again >= set(ids(held)) & set(ids(found))
        assert by_key([d for d in found if d.id in set(ids(more))]) == by_key(more)


async def test_a_group_can_get_nothing_before_the_server_has_written_down_its_queues(server: OwnServer) -> None:
    """In this file RabbitMQ finds its quorum queues again. See `_SPARE` in setup.py."""
    (names,) = server.folder.glob("mnesia/*/quorum/*/names.dets")
    async with place(server) as (scene, broker):
        assert isinstance(broker, RabbitBroker)
        await broker.begin(scene.of())
        written = names.read_bytes()
        assert all(queue_name(scene.group, scene.topic, number).encode() in written for number in range(3))
    assert "farandole.spare" not in server.ctl("list_queues", "name")


class Last(World):
    """Its tokens come after all others in order."""

    def token(self) -> str:
        return f"z{super().token()}"


async def test_a_queue_that_does_not_answer_holds_up_no_other_and_goes_on_when_it_does(
    server: OwnServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, seconds in {"PATIENCE": 1.0, "_SWIFT": 0.3, "BEAT": 0.5}.items():
        monkeypatch.setattr(rabbitmq_member, name, seconds)
    async with place(server) as (scene, broker):
        assert isinstance(broker, RabbitBroker)
        await broker.begin(scene.of())
        silent = queue_name(scene.group, scene.topic, 1)
        server.ctl("eval", f"sys:suspend('%2F_{silent}').")
        try:
            first = await broker.subscribe(scene.of())
            assert isinstance(first, Member)
            used = await broker._inward.connection()
            sent = scene.messages(60, keys=60)
            others = [message for message in sent if partition_of(message.key, 3) != 1]
            await scene.publish(broker, others)
            assert by_key(await scene.read(first, len(others))) == by_key(others)
            while not any(share.own for share in first._all()):
                assert await first.fetch(1, 0.1) == []
            assert f"partition 1 of group {scene.group!r} is silent: the queue {silent} did not answer" in caplog.text
            assert await broker.lag(scene.of()) == 0
            late = open_broker(f"{server.url}?partitions=3", Last())  # partition 1 is its
            await late.open()
            scene.opened.append(late)
            heir = await late.subscribe(scene.of())
            while 1 in first._taking:
                assert await first.fetch(1, 0.1) == []
        finally:
            server.ctl("eval", f"sys:resume('%2F_{silent}').")
        await scene.publish(broker, [message for message in sent if message not in others])
        found = await scene.read(heir, len(sent) - len(others))
        assert {delivery.partition for delivery in found} == {1}
        assert await broker._inward.connection() is used
        await first.close()
        await scene.nothing(heir)
