"""The simulated broker: on good days the contract to the letter, on bad ones what of it must still hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from farandole.brokers.base import Broker, Delivery, Subscription
from farandole.brokers.lane import Lane
from farandole.brokers.log import Group
from farandole.errors import BrokerError
from farandole.model.envelope import Message
from farandole.rehearse.broker import SimulatedBroker, SimulatedConsumer
from farandole.rehearse.cluster import USUAL, Cluster
from farandole.rehearse.faults import GROUPS, ROUGH, Fault, Faults
from farandole.testing import virtual
from farandole.testing.checkers import Finding, altered, lost, out_of_order, two_owners, unexpected
from farandole.testing.conformance_broker import BrokerSuite
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

ALL = Subscription("g", ("t",))


class TestConformance(BrokerSuite):
    capabilities = USUAL

    def setup_method(self) -> None:
        self.cluster: Cluster | None = None

    async def make(self, world: World) -> Broker:
        self.cluster = self.cluster or Cluster(world, capabilities=self.capabilities)
        return self.cluster.connect(world)


class TestConformanceOfABrokerThatClaimsNothing(TestConformance):
    capabilities = replace(
        USUAL, assigns_partitions=False, replay=False, fenced_ack=False, redelivery_flag=False, shared=False, max_bytes=1000
    )


# bad days


async def publish_all(broker: Broker, world: World, messages: list[Message]) -> None:
    """As the relay does: in order, again and again, a key never beyond its first failure."""
    left = list(messages)
    while left:
        window = left[:5]
        try:
            results = await broker.publish(window)
        except BrokerError:
            results = ()
        failed = {message.key for message, result in zip(window, results) if result.error is not None}
        done = {message.id for message, _ in zip(window, results) if message.key not in failed}
        left = [message for message in left if message.id not in done]
        await world.sleep(2.0)


async def consume(broker: Broker, world: World, seen: list[str], released: list[Delivery]) -> None:
    """Handles what it fetches, acknowledges, and gives back what it could not acknowledge."""
    consumer = await broker.subscribe(ALL)
    hand: Sequence[Delivery] = ()
    while True:
        try:
            if hand:
                released += hand
                await consumer.release(hand)
            hand = await consumer.fetch(10, 1.0)
            seen += [delivery.id for delivery in hand]
            await world.sleep(0.05)
            await consumer.ack(hand)
            hand = ()
        except BrokerError:
            await world.sleep(0.3)


def unflagged(cluster: Cluster, released: list[Delivery]) -> list[Finding]:
    """What came again, was not given back, and does not say that it may have been handled."""
    given = {(delivery.topic, delivery.partition, delivery.position) for delivery in released}
    known = set[tuple[str, int, int]]()
    found: list[Finding] = []
    for name, delivery in cluster.delivered:
        place = delivery.topic, delivery.partition, delivery.position
        if place in known and place not in given and not delivery.redelivered:
            found.append(Finding("unflagged", f"{delivery.id} came again to {name}", (delivery.id,)))
        known.add(place)
    return found


async def bad_day(cluster: Cluster, world: World, *, consumers: int = 3) -> tuple[list[Message], list[str], list[Delivery]]:
    """A publisher and a group of consumers, each on its own connection; healed after a minute, and read to the end."""
    sent = [Message("t", f"k{n % 8}", f"m{n}", "T", f"body {n}".encode()) for n in range(100)]
    seen: list[str] = []
    released: list[Delivery] = []

    async def connected() -> SimulatedBroker:
        broker = cluster.connect()
        await broker.open()
        return broker

    watching = await connected()
    publishing = asyncio.create_task(publish_all(await connected(), world, sent))
    consuming = [asyncio.create_task(consume(await connected(), world, seen, released)) for _ in range(consumers)]
    await world.sleep(60)
    cluster.heal()
    async with asyncio.timeout(120):
        await publishing
        while await watching.lag(ALL):
            await world.sleep(0.5)
    for task in consuming:
        task.cancel()
    await asyncio.wait(consuming)
    return sent, seen, released


def findings_of(cluster: Cluster, sent: list[Message], seen: list[str], released: list[Delivery]) -> list[Finding]:
    """All that a bad day must not bring about."""
    return [
        *lost(sent, seen, at="g"),
        *unexpected(sent, seen, at="g"),
        *out_of_order(sent, seen, at="g"),
        *altered([*sent, *(delivery for _, delivery in cluster.delivered)]),
        *two_owners(cluster.holds),
        *unflagged(cluster, released),
    ]


def rehearsed(seed: int, faults: Faults = ROUGH, **what: Any) -> tuple[Cluster, list[Finding]]:
    """One bad day."""
    world = VirtualWorld(seed)

    async def day() -> tuple[Cluster, list[Finding]]:
        cluster = Cluster(world, faults, **what)
        return cluster, findings_of(cluster, *await bad_day(cluster, world))

    return virtual.run(day())


@pytest.mark.parametrize("share", range(4))
def test_a_bad_day_loses_nothing_and_keeps_the_order_of_keys(share: int) -> None:
    happened = Counter[str]()
    for seed in range(share, 100, 4):
        cluster, findings = rehearsed(seed)
        assert findings == [], f"seed {seed}"
        happened.update(cluster.dice.happened)
    assert set(happened) == {*GROUPS["broker"]} - {"forgets"}, "a fault never struck"


def test_competing_members_lose_nothing_either() -> None:
    crowd = replace(USUAL, assigns_partitions=False)
    rules = Counter(finding.rule for seed in range(25) for finding in rehearsed(seed, capabilities=crowd)[1])
    assert set(rules) == {"out_of_order"}, "they may overtake each other, and do; nothing else may happen"


def test_a_broker_that_may_forget_loses_what_it_says_and_no_more() -> None:
    forgetful = replace(ROUGH, failover=Fault(0.05, 0, 20), forgets=Fault(0.2, 1, 3))
    missed = set[str]()
    for seed in range(25):
        cluster, findings = rehearsed(seed, forgetful, keeps_acknowledged=False)
        for finding in findings:  # a forgotten one may still come by its duplicate, then after those behind it
            late = finding.ids if finding.rule == "lost" else finding.ids[:1]
            assert set(late) <= set(cluster.forgotten), f"seed {seed}: {finding}"
            missed.add(finding.rule)
    assert missed == {"lost", "out_of_order"}


def test_the_same_seed_has_the_same_day() -> None:
    one, two, other = (rehearsed(seed)[0] for seed in (7, 7, 8))
    assert (one.delivered, one.holds, one.dice.happened) == (two.delivered, two.holds, two.dice.happened)
    assert one.delivered != other.delivered


def shared_by_all(group: Group) -> None:
    for member in group.members:
        member.owned = set(group.partitions)
        member.refresh()


@pytest.mark.parametrize(
    ("where", "name", "mistake", "rule"),
    [
        (Lane, "left", lambda lane: Lane(lane.position), "unflagged"),
        (Lane, "left", lambda lane: Lane(lane.read), "lost"),
        (Group, "balance", shared_by_all, "two_owners"),
        (Cluster, "answered", lambda cluster, publish: None, "lost"),
        (SimulatedConsumer, "_settle", lambda consumer, deliveries: consumer._inner.give_back(deliveries), "out_of_time"),
    ],
    ids=["no flag", "no second delivery", "no owner", "no memory of answers", "no settling"],
)
def test_a_mistake_in_a_broker_is_found_within_ten_days(
    where: type, name: str, mistake: Callable[..., Any], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, mistake)
    rules = set[str]()
    for seed in range(10):
        try:
            rules |= {finding.rule for finding in rehearsed(seed)[1]}
        except TimeoutError:
            rules.add("out_of_time")
        if rule in rules:
            break
    assert rule in rules
