"""The worker: from fetch to ack, whatever fails in between; broker and database go away and come back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from tests.runtime.faults import FlakyBroker, Heard, refusing
from tests.runtime.kit import Paid, Placed, dead_letters, log_of, opened
from tests.runtime.scene import GROUP, STUBBORN, TOPIC, Counting, placed, scene

from farandole.brokers.base import Consumer, Delivery, Subscription
from farandole.errors import BrokerClosed, StoreError
from farandole.model.choreography import Choreography
from farandole.model.envelope import Message
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.testing.virtual import VirtualWorld


async def test_a_batch_is_handled_acknowledged_and_told_at_once(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        begun = world.monotonic()
        await here.publish("a-1", "a-2", "a-3")
        await here.app.idle()
        assert world.monotonic() - begun < 0.1
        assert counting.seen == ["a-1", "a-2", "a-3"]
        assert here.broker.acknowledged == [["a-1", "a-2", "a-3"]]
        assert here.heard.of("handled") == [(GROUP, 3)]
        assert here.heard.of("duplicates") == here.heard.of("trouble") == here.heard.of("failed") == []


async def test_at_most_a_hundred_are_fetched_at_a_time_with_a_second_to_wait_for_the_first(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        await world.sleep(3.5)
        waits = [later - sooner for (sooner, _), (later, _) in pairwise(here.broker.fetched)]
        assert waits and all(wait == pytest.approx(1.0, abs=0.01) for wait in waits)
        here.broker.fetched.clear()
        begun = world.monotonic()
        await here.publish(*(f"k{n}-{n}" for n in range(250)))
        await here.app.idle()
        assert world.monotonic() - begun < 0.5  # no pause between batches
        assert {limit for _, limit in here.broker.fetched} == {100}
        assert [len(ids) for ids in here.broker.acknowledged] == [100, 100, 50]
        assert len(counting.seen) == 250


@pytest.mark.parametrize("outside", [False, True])
async def test_a_duplicate_is_dropped_and_told(world: VirtualWorld, outside: bool) -> None:
    counting = Counting(outside=outside)
    async with scene(world, counting) as here:
        await here.publish("a-1", "a-1", "b-1")
        await here.app.idle()
        await here.publish("a-1")
        await here.app.idle()
        assert sorted(counting.seen) == ["a-1", "b-1"]
        group = f"{GROUP}.charge" if outside else GROUP
        assert here.heard.of("duplicates") == [(group, 1), (group, 1)]
        assert await here.lag(group) == 0


@pytest.mark.parametrize("outside", [False, True])
async def test_a_broker_that_is_away_for_a_minute_is_asked_more_and_more_seldom(world: VirtualWorld, outside: bool) -> None:
    counting = Counting(outside=outside)
    async with scene(world, counting) as here:
        await here.publish("a-1")
        await here.app.idle()
        here.broker.down = True
        await world.sleep(2)
        here.broker.fetched.clear()
        await world.sleep(100)
        waits = [later - sooner for (sooner, _), (later, _) in pairwise(here.broker.fetched)]
        assert 6.0 <= max(waits) <= 12.8 and len(set(waits)) == len(waits)
        assert sum(wait >= 6.4 for wait in waits) >= len(waits) - 6
        assert set(here.heard.of("trouble")) == {(f"{GROUP}.charge" if outside else GROUP, "the line is cut")}
        await here.publish("a-2")
        here.broker.down = False
        await here.app.idle()
        assert counting.seen == ["a-1", "a-2"]


async def test_the_pauses_double_from_a_tenth_of_a_second_and_begin_anew_after_a_success(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        for number in (1, 2):
            with refusing(here.store, "begin", "ingest"):
                await world.sleep(0.5)
                here.broker.fetched.clear()
                times = [world.monotonic()]
                await here.publish(f"a-{number}")
                await world.sleep(40)
                times += [at for at, _ in here.broker.fetched]
                for tried, (sooner, later) in enumerate(pairwise(times), 1):
                    longest = 0.05 * 2 ** min(tried, 8)
                    assert longest / 2 <= later - sooner <= longest
            await here.app.idle()
        assert counting.seen == ["a-1", "a-2"]


async def test_a_database_that_is_away_for_a_minute_loses_nothing_and_order_is_kept(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        with refusing(here.store, "begin", "ingest", "take", "next_due", "waiting"):
            await here.publish("a-1", "b-1", "a-2")
            await world.sleep(0.001)
            assert [sorted(ids) for ids in here.broker.released] == [["a-1", "a-2", "b-1"]]  # at once, and once
            await world.sleep(30)
            await here.publish("a-3", "b-2")
            await world.sleep(30)
            assert counting.seen == [] and here.broker.acknowledged == []
            assert len(here.broker.released) == len([1 for who, _ in here.heard.of("trouble") if who == GROUP])
            assert await here.lag() == 5
        await here.app.idle()
        assert (counting.of("a"), counting.of("b")) == (["a-1", "a-2", "a-3"], ["b-1", "b-2"])
        assert await here.lag() == 0


async def test_an_outside_lane_survives_a_database_that_is_away(world: VirtualWorld) -> None:
    counting = Counting(outside=True)
    async with scene(world, counting) as here:
        for operation in ("waiting", "ingest", "take", "next_due"):
            with refusing(here.store, operation) as tried:
                await here.publish(f"a-{len(counting.seen)}", f"b-{len(counting.seen)}")
                await world.sleep(20)
            assert tried
            await here.app.idle()
        assert counting.of("a") == [f"a-{n}" for n in (0, 2, 4, 6)]
        assert await here.lag(f"{GROUP}.charge") == 0


async def test_what_was_committed_but_not_acknowledged_has_no_second_effect(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:

        async def cut(deliveries: Sequence[Delivery]) -> None:
            here.broker.down = True
            here.broker.check()

        consumer = here.worker._consumer
        ack, consumer.ack = consumer.ack, cut  # type: ignore[method-assign]
        await here.publish("a-1", "a-2")
        await world.sleep(30)
        consumer.ack = ack  # type: ignore[method-assign]
        here.broker.down = False
        await here.publish("a-3")
        await world.sleep(13)
        await here.app.idle()
        assert counting.seen == ["a-1", "a-2", "a-3"]


async def test_what_could_neither_be_written_nor_given_back_is_not_overtaken(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        begin = here.store.begin

        def both_away(*arguments: Any, **options: Any) -> Any:
            here.broker.down = True
            del here.store.begin
            raise StoreError("the database is away")

        here.store.begin = both_away  # type: ignore[method-assign]
        await here.publish("a-1")
        await world.sleep(10)
        assert here.store.begin == begin
        await here.publish("a-2")
        here.broker.down = False
        await world.sleep(13)
        await here.app.idle()
        assert counting.seen == ["a-1", "a-2"]
        assert await here.lag() == 0


async def abandoned(broker: FlakyBroker, *names: str) -> None:
    """A member of the group fetched these, and vanished."""
    member = await broker.subscribe(Subscription(GROUP, (TOPIC,)))
    await broker.publish([placed(name) for name in names])
    assert len(await member.fetch(100, 0.0)) == len(names)
    await member.close()


async def test_the_scheduler_hears_of_what_failed_and_runs_it_when_it_is_due(world: VirtualWorld) -> None:
    counting = Counting(policy=Policy(retry=Retry(attempts=2, delay=0.3, jitter=0.0)))
    counting.fails = {"a-1"}
    async with scene(world, counting) as here:
        await world.sleep(1.05)  # it looks by itself once a second only
        await here.publish("a-1")
        await world.sleep(0.2)
        assert counting.runs == ["a-1"]
        await world.sleep(0.15)
        assert counting.runs == ["a-1", "a-1"]


async def test_what_a_vanished_consumer_may_have_begun_goes_through_the_table(world: VirtualWorld) -> None:
    counting, broker = Counting(), FlakyBroker(world)
    await broker.open()
    await abandoned(broker, "a-1", "a-2", "b-1")
    async with scene(world, counting, broker) as here:
        await here.app.idle()
        assert (counting.of("a"), counting.of("b")) == (["a-1", "a-2"], ["b-1"])
        assert {lane for lane, _ in here.heard.of("handled")} == {
            "local"
        }  # the scheduler's word: runs are counted before they begin
        assert sum(count for _, count in here.heard.of("handled")) == 3  # type: ignore[misc]
        assert here.heard.of("duplicates") == []
        await here.publish("a-3")
        await here.app.idle()
        assert counting.of("a") == ["a-1", "a-2", "a-3"]
        assert here.heard.of("handled")[-1] == (GROUP, 1)


async def test_what_comes_after_suspects_waits_in_the_broker_until_the_table_is_empty_and_is_handled_in_batches(
    world: VirtualWorld,
) -> None:
    counting, broker = Counting(), FlakyBroker(world)
    await broker.open()
    await abandoned(broker, "a-0", "a-1")
    await broker.publish([placed(f"a-{n}") for n in range(2, 203)])
    async with scene(world, counting, broker) as here:
        await here.app.idle()
        assert counting.of("a") == [f"a-{n}" for n in range(203)]
        together = [count for lane, count in here.heard.of("handled") if lane == GROUP]
        assert together == [100, 3]  # all but the batch with the suspects


async def test_a_suspect_that_is_to_run_again_much_later_holds_up_no_other_key(world: VirtualWorld) -> None:
    counting, broker = Counting(policy=STUBBORN), FlakyBroker(world)
    counting.fails = {"a-0"}
    await broker.open()
    await abandoned(broker, "a-0", "b-0")
    async with scene(world, counting, broker) as here:
        await here.publish("b-1", "a-1")
        await world.sleep(0.5)
        assert counting.of("b") == ["b-0", "b-1"]
        assert counting.of("a") == []
        counting.fails = set()
        await here.app.idle()
        assert counting.of("a") == ["a-0", "a-1"]


async def test_what_cannot_be_read_among_suspects_is_a_dead_letter_all_the_same(world: VirtualWorld) -> None:
    counting, broker = Counting(), FlakyBroker(world)
    await broker.open()
    member = await broker.subscribe(Subscription(GROUP, (TOPIC,)))
    await broker.publish([Message(TOPIC, "a", "bad", "", b"nonsense"), placed("a-1")])
    assert len(await member.fetch(100, 0.0)) == 2
    await member.close()
    async with scene(world, counting, broker) as here:
        await here.app.idle()
        [letter] = await dead_letters(here.app, "payments")
        assert (letter.id, letter.body, letter.reaction) == ("bad", b"nonsense", "payments.(envelope)")
        assert counting.seen == ["a-1"]


@pytest.mark.parametrize("outside", [False, True])
async def test_a_key_with_too_many_waiting_pauses_its_lane_and_all_come_in_order_later(
    world: VirtualWorld, outside: bool
) -> None:
    counting = Counting(outside=outside, policy=Policy(parked_per_key=3, retry=STUBBORN.retry))
    counting.fails = {"a-0"}
    async with scene(world, counting) as here:
        await here.publish("a-0")
        await world.sleep(0.5)
        await here.publish("b-0", *(f"a-{n}" for n in range(1, 9)), "b-1")
        for _ in range(8):
            await world.sleep(0.5)
            assert (await here.store.status()).parked <= 3
        acknowledged = {id for ids in here.broker.acknowledged for id in ids}
        assert {"a-0", "a-1", "a-2"} <= acknowledged and not {"a-3", "a-8"} & acknowledged
        counting.fails = set()
        await here.app.idle()
        assert counting.of("a") == [f"a-{n}" for n in range(9)]
        assert counting.of("b") == ["b-0", "b-1"]


async def test_while_a_lane_pauses_it_looks_again_four_times_a_second(world: VirtualWorld) -> None:
    counting = Counting(policy=Policy(parked_per_key=1, retry=STUBBORN.retry))
    counting.fails = {"a-0"}
    async with scene(world, counting) as here:
        await here.publish("a-0")
        await world.sleep(0.5)
        await here.publish("a-1")
        here.broker.fetched.clear()
        await world.sleep(2)
        assert len(here.broker.fetched) in (7, 8, 9)
        assert here.broker.acknowledged == [["a-0"]]


async def test_an_outside_lane_fetches_no_more_than_the_table_should_take(world: VirtualWorld) -> None:
    counting = Counting(outside=True, policy=Policy(concurrency=2, retry=STUBBORN.retry))
    async with scene(world, counting) as here:
        scheduler = here.app._assembly.hosted["payments"].scheduler
        assert scheduler is not None
        with refusing(here.store, "take"):
            await here.publish(*(f"k{n}-{n}" for n in range(300)))
            await world.sleep(5)
            assert await here.store.waiting(["payments.charge"], 1000) == 108  # four for each that runs, and a batch
            assert {limit for _, limit in here.broker.fetched} == {100, 8}
            asked = len(here.broker.fetched)
            await world.sleep(5)
            assert len(here.broker.fetched) == asked
        await here.app.idle()
        assert len(counting.seen) == 300


async def test_a_full_table_is_looked_at_twenty_times_a_second(world: VirtualWorld) -> None:
    counting = Counting(outside=True, policy=Policy(concurrency=1, retry=STUBBORN.retry))
    async with scene(world, counting) as here:
        looked: list[float] = []
        waiting = here.store.waiting

        async def watched(reactions: Any, most: int) -> int:
            looked.append(world.monotonic())
            return await waiting(reactions, most)

        with refusing(here.store, "take"):
            await here.publish(*(f"k{n}-{n}" for n in range(300)))
            await world.sleep(2)
            here.store.waiting = watched  # type: ignore[method-assign]
            await world.sleep(1)
        assert len(looked) in (19, 20, 21)


async def test_a_stop_ends_a_waiting_fetch_at_once(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting):
        await world.sleep(0.3)
        begun = world.monotonic()
    assert world.monotonic() - begun < 0.01


async def test_what_is_fetched_after_the_stop_is_given_back_unhandled(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        consumer = here.worker._consumer
        fetch = consumer.fetch

        async def stopped_meanwhile(limit: int, wait: float) -> Sequence[Delivery]:
            deliveries = await fetch(limit, wait)
            if deliveries:
                here.worker.stop()
            return deliveries

        consumer.fetch = stopped_meanwhile  # type: ignore[method-assign]
        await world.sleep(1.1)
        await here.publish("a-1")
        await world.sleep(0.5)
        assert (counting.seen, here.broker.released, here.broker.acknowledged) == ([], [["a-1"]], [])
        assert await here.lag() == 1


async def test_a_broker_that_closes_during_the_shutdown_is_no_trouble(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        consumer = here.worker._consumer

        async def closed(limit: int, wait: float) -> Sequence[Delivery]:
            here.worker.stop()
            raise BrokerClosed("closed")

        consumer.fetch = closed  # type: ignore[method-assign]
        await world.sleep(2)
        assert here.heard.of("trouble") == []


async def test_a_broker_that_closes_by_itself_is_trouble(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        consumer = here.worker._consumer

        async def closed(limit: int, wait: float) -> Sequence[Delivery]:
            raise BrokerClosed("closed")

        fetch, consumer.fetch = consumer.fetch, closed  # type: ignore[method-assign]
        await world.sleep(2)
        assert set(here.heard.of("trouble")) == {(GROUP, "closed")}
        consumer.fetch = fetch  # type: ignore[method-assign]
        await here.publish("a-1")
        await here.app.idle()
        assert counting.seen == ["a-1"]


async def test_trouble_during_the_shutdown_does_not_hold_it_up(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        consumer = here.worker._consumer
        fetch = consumer.fetch

        async def stopped_meanwhile(limit: int, wait: float) -> Sequence[Delivery]:
            deliveries = await fetch(limit, wait)
            here.worker._stopping = bool(deliveries)
            return deliveries

        async def cut(deliveries: Sequence[Delivery]) -> None:
            here.broker.down = True
            here.broker.check()

        consumer.fetch, consumer.release = stopped_meanwhile, cut  # type: ignore[method-assign]
        await world.sleep(1.1)
        await here.publish("a-1")
        begun = world.monotonic()
        await world.sleep(0.01)
        assert here.heard.of("trouble") == [(GROUP, "the line is cut")]
    assert world.monotonic() - begun < 0.1


async def test_a_handler_that_breaks_its_transaction_again_and_again_ends_as_a_dead_letter_and_the_rest_goes_on(
    world: VirtualWorld,
) -> None:
    tables = "CREATE TABLE charged (order_id TEXT PRIMARY KEY); INSERT INTO charged VALUES ('bad')"
    payments = Service("payments", tables=tables, policy=Policy(retry=Retry(attempts=3, delay=1.0)))

    @payments.on(Placed)
    async def charge(order: Placed, db: sqlite3.Connection) -> Paid:
        db.execute("INSERT OR ROLLBACK INTO charged VALUES (?)", (order.order_id,))
        return Paid(order_id=order.order_id)

    broker, heard = FlakyBroker(world), Heard()
    await broker.open()
    async with asyncio.timeout(3600), opened(Choreography("shop", payments), world, broker=broker, signals=heard) as app:
        for name in ("a", "b", "c"):
            await broker.publish([placed(f"{name}-1"), placed("bad-1"), placed(f"{name}{name}-1")])
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert (letter.key, letter.attempts) == ("bad", 3)
        async with app.store("payments").begin() as transaction:
            rows = transaction.resource("driver").execute("SELECT order_id FROM charged ORDER BY 1").fetchall()
        assert [name for (name,) in rows] == ["a", "aa", "b", "bad", "bb", "c", "cc"]
        paid = await log_of(broker, "shop.payments")
        assert sorted(event.partitionkey or "" for event in paid) == ["a", "aa", "b", "bb", "c", "cc"]


async def test_a_worker_that_ends_leaves_its_group(world: VirtualWorld) -> None:
    counting, broker = Counting(), FlakyBroker(world)
    await broker.open()
    async with scene(world, counting, broker) as here:
        assert here.app.services
    other: Consumer = await broker.subscribe(Subscription(GROUP, (TOPIC,)))
    await broker.publish([placed(f"k{n}-{n}") for n in range(30)])
    assert len(await other.fetch(100, 0.0)) == 30  # all partitions are its own


async def test_busy_means_that_something_fetched_is_not_settled(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        during: list[bool] = []
        handle = here.worker._handle

        async def watched(deliveries: Sequence[Delivery]) -> None:
            during.append(here.worker.busy)
            await handle(deliveries)

        here.worker._handle = watched  # type: ignore[method-assign]
        assert not here.worker.busy
        await here.publish("a-1")
        await world.sleep(0.1)
        assert (during, here.worker.busy) == ([True], False)


async def test_an_inline_worker_leaves_the_others_their_turn(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting) as here:
        await here.publish(*(f"k{n}-{n}" for n in range(1000)))
        turns: list[int] = []
        while len(counting.seen) < 1000:
            turns.append(len(counting.seen))
            await world.sleep(0)
        assert len(set(turns)) >= 5


async def test_two_lanes_get_each_event_and_one_that_waits_does_not_hold_up_the_other(world: VirtualWorld) -> None:
    seen: list[str] = []
    payments = Service("payments")

    @payments.on(Placed)
    async def quick(order: Placed) -> None:
        seen.append(f"quick {order.order_id}")

    @payments.on(Placed, policy=Policy(outside=True))
    async def slow(order: Placed) -> None:
        await world.sleep(10)
        seen.append(f"slow {order.order_id}")

    @payments.on(Placed, policy=Policy(lane="apart"))
    async def apart(order: Placed) -> None:
        seen.append(f"apart {order.order_id}")

    heard, broker = Heard(), FlakyBroker(world)
    await broker.open()
    async with opened(Choreography("shop", payments), world, broker=broker, signals=heard) as app:
        await broker.publish([placed("a-1")])
        await world.sleep(0.1)
        assert sorted(seen) == ["apart a", "quick a"]
        assert sorted(heard.of("handled")) == [(GROUP, 1), (f"{GROUP}.apart", 1)]
        await app.idle()
        assert seen[-1] == "slow a"
        assert heard.of("handled")[-1] == ("payments.slow", 1)
