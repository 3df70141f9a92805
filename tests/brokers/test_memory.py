"""The broker in memory."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Subscription
from farandole.errors import BrokerClosed, ConfigurationError, UnknownScheme
from farandole.model.envelope import Message
from farandole.testing.conformance_broker import BrokerSuite
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

ALL = Subscription("g", ("t",))
_names = itertools.count()


def messages(mark: str) -> list[Message]:
    return [Message("t", f"k{n}", f"{mark}-{n}", "T", b"") for n in range(60)]


class TestConformance(BrokerSuite):
    connections = 100

    def setup_method(self) -> None:
        self.name = f"conformance-{next(_names)}"

    async def make(self, world: World) -> Broker:
        return open_broker(f"memory://{self.name}", world)


async def test_brokers_without_a_name_share_nothing(world: VirtualWorld) -> None:
    one, two = open_broker("memory://", world), open_broker("memory://", world)
    await one.open()
    await two.open()
    await one.publish([Message("t", "k", "1", "T", b"")])
    assert [await broker.lag(ALL) for broker in (one, two)] == [1, 0]


async def test_a_named_log_has_one_number_of_partitions(world: VirtualWorld) -> None:
    open_broker("memory://fixed?partitions=3", world)
    open_broker("memory://fixed", world)
    with pytest.raises(ConfigurationError, match="has 3 partitions"):
        open_broker("memory://fixed?partitions=4", world)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory:x", "expected memory://"),
        ("memory://?partition=3", "unknown option 'partition'. Known are: partitions"),
        ("memory://?partitions=0", "from 1 to 1024, got: '0'"),
        ("memory://?partitions=many", "got: 'many'"),
    ],
)
def test_a_wrong_url_is_named(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match="memory") as caught:
        open_broker(url, World())
    assert words in str(caught.value)


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(UnknownScheme, match="sqlite:"):
        open_broker("rabbit://", World())


async def test_it_must_be_opened_first(world: VirtualWorld) -> None:
    with pytest.raises(BrokerClosed, match="call open"):
        await open_broker("memory://", world).publish([])


async def test_a_partition_moves_as_soon_as_nothing_of_it_is_in_hand(world: VirtualWorld) -> None:
    broker = open_broker("memory://", world)
    await broker.open()
    first = await broker.subscribe(ALL)
    await broker.publish(messages("early"))
    held = await first.fetch(100, 0)
    second = await broker.subscribe(ALL)
    await broker.publish(messages("later"))
    assert await second.fetch(100, 0) == []
    kept = await first.fetch(100, 0)
    await first.ack(held)
    moved = await second.fetch(100, 0)
    assert Counter(d.id for d in [*kept, *moved]) == Counter(m.id for m in messages("later"))
    assert {d.partition for d in kept} | {d.partition for d in moved} == set(range(12))
    assert len({d.partition for d in kept}) == len({d.partition for d in moved}) == 6


async def test_the_lag_knows_of_acks_behind_a_gap(world: VirtualWorld) -> None:
    broker = open_broker("memory://?partitions=1", world)
    await broker.open()
    consumer = await broker.subscribe(ALL)
    await broker.publish(messages("m"))
    found = await consumer.fetch(100, 0)
    await consumer.ack(found[10:])
    assert await broker.lag(ALL) == 10
