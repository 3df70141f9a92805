"""Each fault of the simulated broker alone: what it does, and what it leaves in place."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from farandole.brokers.base import Subscription
from farandole.errors import BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.rehearse.broker import SimulatedBroker
from farandole.rehearse.cluster import USUAL, Cluster
from farandole.rehearse.dice import Strike
from farandole.rehearse.faults import Fault, Faults
from farandole.testing.checkers import altered, out_of_order, two_owners
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

ALL = Subscription("g", ("t",))


async def connected(world: World, faults: Faults, **what: Any) -> tuple[Cluster, SimulatedBroker]:
    cluster = Cluster(world, faults, **what)
    broker = cluster.connect()
    await broker.open()
    return cluster, broker


def message(n: int, key: str = "k") -> Message:
    return Message("t", key, f"m{n}", "T", b"")


async def test_a_refused_publish_stores_nothing(world: VirtualWorld) -> None:
    cluster, broker = await connected(world, Faults(refused=Fault(1)))
    with pytest.raises(BrokerError, match="refused"):
        await broker.publish([message(1)])
    cluster.heal()
    assert await broker.lag(ALL) == 0


async def test_an_unanswered_publish_stores_all_and_admits_to_nothing(world: VirtualWorld) -> None:
    _, broker = await connected(world, Faults(unanswered=Fault(1)))
    results = await broker.publish([message(1), message(2)])
    assert all(result.error and not result.permanent for result in results)
    assert await broker.lag(ALL) == 2


async def test_a_message_that_failed_alone_holds_back_its_key_and_no_other() -> None:
    outcomes = set[tuple[int, bool]]()
    for seed in range(40):
        world = VirtualWorld(seed)
        _, broker = await connected(world, Faults(partial=Fault(0.3)))
        results = await broker.publish([message(n, key=f"k{n % 2}") for n in range(8)])
        consumer = await broker.subscribe(ALL)
        stored = {delivery.id for delivery in await consumer.fetch(100, 0)}
        for key in range(2):
            fine = [results[n].error is None for n in range(key, 8, 2)]
            good = fine.index(False) if False in fine else 4
            assert not any(fine[good:])
            extra = [f"m{n}" in stored for n in range(key, 8, 2)][good:]
            assert not any(extra[1:]), "what stands behind a failure is not stored"
            outcomes.add((good, any(extra)))
    assert {(0, True), (0, False), (4, False)} <= outcomes


async def test_a_delay_lets_others_overtake_and_never_those_of_the_key(world: VirtualWorld) -> None:
    cluster, broker = await connected(world, Faults(delay=Fault(0.5, 1.0, 5.0)), partitions=1)
    consumer = await broker.subscribe(ALL)
    sent = [message(n, key=f"k{n % 3}") for n in range(30)]
    await broker.publish(sent)
    assert await broker.lag(ALL) == 30
    found = list(await consumer.fetch(100, 0))
    assert 0 < len(found) < 30
    await world.sleep(6)
    found += await consumer.fetch(100, 0)
    ids = [delivery.id for delivery in found]
    assert sorted(ids) == sorted(m.id for m in sent)
    assert ids != [m.id for m in sent]
    assert out_of_order(sent, ids, at="g") == []
    assert [delivery.position for delivery in found] == list(range(1, 31))
    assert cluster.under_way(["t"]) == 0


async def test_a_duplicate_comes_later_with_the_same_body(world: VirtualWorld) -> None:
    _, broker = await connected(world, Faults(duplicate=Fault(1, 30, 60)))
    consumer = await broker.subscribe(ALL)
    await broker.publish([message(1)])
    [first] = await consumer.fetch(10, 0)
    assert list(await consumer.fetch(10, 29)) == []
    [again] = await consumer.fetch(10, 32)
    assert altered([first, again]) == []


async def test_healing_calls_duplicates_off_and_lets_all_arrive(world: VirtualWorld) -> None:
    cluster, broker = await connected(world, Faults(duplicate=Fault(1, 30, 60), delay=Fault(1, 30, 60)))
    consumer = await broker.subscribe(ALL)
    await broker.publish([message(1), message(2)])
    assert list(await consumer.fetch(10, 0)) == []
    cluster.heal()
    assert [delivery.id for delivery in await consumer.fetch(10, 0)] == ["m1", "m2"]
    assert list(await consumer.fetch(10, 200)) == []


async def test_who_is_cut_off_for_long_loses_its_partitions_and_gets_some_back(world: VirtualWorld) -> None:
    cluster, broker = await connected(world, Faults(session=10.0), partitions=2)
    other = cluster.connect()
    await other.open()
    far, near = await broker.subscribe(ALL), await other.subscribe(ALL)
    keys = ["a", "b", "c", "d"]
    await broker.publish([message(n, key) for n, key in enumerate(keys)])
    held = await far.fetch(10, 0)
    assert 0 < len(held) < 4
    broker.cut_off(20)
    for use in (far.fetch(10, 0), far.ack(held), far.release(held), broker.publish([message(9)])):
        with pytest.raises(BrokerError, match="no connection"):
            await use
    await near.ack(await near.fetch(10, 0))
    assert list(await near.fetch(10, 5)) == []
    moved = await near.fetch(10, 6)
    assert [delivery.id for delivery in moved] == [delivery.id for delivery in held]
    assert all(delivery.redelivered for delivery in moved)
    await world.sleep(10)
    await far.ack(held)
    assert await broker.lag(ALL) == len(held), "a late acknowledgement changes nothing"
    await near.ack(moved)
    await far.fetch(1, 0)
    assert {hold.owner for hold in cluster.holds if hold.begins} == {"g/1", "g/2"}
    assert cluster.holds[-1].owner == "g/1"
    assert cluster.holds[-1].begins
    assert two_owners(cluster.holds) == []
    assert {(name, delivery.id) for name, delivery in cluster.delivered} >= {("g/1", held[0].id), ("g/2", held[0].id)}


async def test_one_way_an_acknowledgement_arrives_and_nobody_hears_of_it(world: VirtualWorld) -> None:
    cluster, broker = await connected(world, Faults(one_way=Fault(1, 5, 5)))
    consumer = await broker.subscribe(ALL)
    [result] = await broker.publish([message(1)])
    assert result.error
    assert await broker.lag(ALL) == 1
    with pytest.raises(BrokerError, match="no answer"):
        await consumer.fetch(10, 0)
    cluster.heal()
    [again] = await consumer.fetch(10, 0)
    assert not again.redelivered, "it never was in the consumer's hands"


async def test_who_stands_still_for_long_acknowledges_too_late(world: VirtualWorld) -> None:
    cluster, broker = await connected(world, Faults(pause=Fault(1, 15, 15), session=10.0))
    slow = await broker.subscribe(ALL)
    await broker.publish([message(1)])
    held = await slow.fetch(10, 0)
    assert world.monotonic() == 15
    await slow.ack(held)
    assert await broker.lag(ALL) == 1
    cluster.heal()
    [again] = await slow.fetch(10, 0)
    assert again.redelivered
    await slow.ack([again])
    assert await broker.lag(ALL) == 0


async def test_a_failover_forgets_acknowledgements_but_not_where_the_group_began(world: VirtualWorld) -> None:
    cluster, broker = await connected(world, Faults(), partitions=1)
    await broker.publish([message(n) for n in range(5)])
    whole, late = await broker.subscribe(ALL), await broker.subscribe(Subscription("late", ("t",), start="end"))
    await whole.ack(await whole.fetch(10, 0))
    cluster.fail_over(Strike("failover", "broker", 1, 3))
    again = await whole.fetch(10, 0)
    assert [delivery.id for delivery in again] == ["m2", "m3", "m4"]
    assert all(delivery.redelivered for delivery in again)
    assert list(await late.fetch(10, 0)) == []
    await broker.publish([message(5)])
    fresh = await whole.fetch(10, 0)
    assert [(delivery.id, delivery.redelivered) for delivery in fresh] == [("m5", False)]


async def test_a_failover_may_lose_what_was_not_acknowledged_and_tells_the_publisher() -> None:
    kept = Counter[int]()
    for seed in range(20):
        world = VirtualWorld(seed)
        cluster, broker = await connected(world, Faults(slow=Fault(1, 1, 1)))
        publishing = asyncio.create_task(broker.publish([message(1), message(2)]))
        await world.sleep(1.5)  # stored, and the answer is on its way
        assert await broker.lag(ALL) == 2
        cluster.fail_over(Strike("failover", "broker", seed))
        assert all(result.error for result in await publishing)
        kept[await broker.lag(ALL)] += 1
        consumer = await broker.subscribe(ALL)
        assert len(await consumer.fetch(10, 0)) == await broker.lag(ALL), "what is lost is neither counted nor delivered"
    assert set(kept) == {0, 2}, "all of a publish is lost, or nothing"


async def test_an_unfenced_acknowledgement_settles_whatever_it_names(world: VirtualWorld) -> None:
    for fenced, left in ((True, 1), (False, 0)):
        _, broker = await connected(world, Faults(), capabilities=replace(USUAL, fenced_ack=fenced))
        first = await broker.subscribe(ALL)
        await broker.publish([message(1)])
        held = await first.fetch(10, 0)
        await first.close()
        second = await broker.subscribe(ALL)
        await second.fetch(10, 0)
        await first.ack(held)
        assert await broker.lag(ALL) == left


async def test_what_one_of_a_crowd_had_in_hand_goes_to_the_others(world: VirtualWorld) -> None:
    _, broker = await connected(world, Faults(), capabilities=replace(USUAL, assigns_partitions=False))
    first, second = await broker.subscribe(ALL), await broker.subscribe(ALL)
    await broker.publish([message(n) for n in range(4)])
    held = await first.fetch(2, 0)
    rest = await second.fetch(10, 0)
    assert [delivery.id for delivery in [*held, *rest]] == ["m0", "m1", "m2", "m3"]
    await first.release(held[:1])
    assert [(d.id, d.redelivered) for d in await second.fetch(10, 0)] == [("m0", False)]
    await first.close()
    assert [(d.id, d.redelivered) for d in await second.fetch(10, 0)] == [("m1", True)]


async def test_without_replay_only_both_ends_are_places_to_begin(world: VirtualWorld) -> None:
    _, broker = await connected(world, Faults(), capabilities=replace(USUAL, replay=False))
    with pytest.raises(ConfigurationError, match="no replay"):
        await broker.subscribe(Subscription("g", ("t",), start=3))
    await broker.subscribe(Subscription("g", ("t",), start="end"))


def test_a_broker_that_keeps_what_it_acknowledged_cannot_forget_it() -> None:
    with pytest.raises(ConfigurationError, match="keeps_acknowledged=False"):
        Cluster(VirtualWorld(), Faults(forgets=Fault(0.1, 1, 1)))


@pytest.mark.parametrize("what", [{"rate": 1.1}, {"rate": -0.1}, {"least": -1.0}, {"least": 2.0, "most": 1.0}])
def test_a_fault_with_an_impossible_range_is_refused(what: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        Fault(**what)
