"""The relay: what is committed gets published in order, once if nothing fails and again if something does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import pytest
from tests.runtime.faults import FlakyBroker, Heard, refusing
from tests.runtime.kit import Place, dead_letters, log_of, opened, ordering

from farandole.brokers.base import PublishResult
from farandole.model.choreography import Choreography
from farandole.model.envelope import Message
from farandole.runtime.relay import Relay
from farandole.stores import open_store
from farandole.stores.base import Store
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

TOPIC = "shop.orders"
LATER = PublishResult("queue full")
NEVER = PublishResult("unauthorised", permanent=True)


@dataclass
class Scene:
    """A relay between a real store and a broker whose line may break."""

    world: World
    store: Store
    broker: FlakyBroker
    heard: Heard
    relay: Relay

    async def commit(self, *names: str) -> None:
        """Put messages into the outbox, named `key-number`."""
        async with self.store.begin() as transaction:
            await transaction.emit([self.message(name) for name in names])

    @staticmethod
    def message(name: str) -> Message:
        body = f'{{"specversion":"1.0","id":"{name}","source":"/shop/orders","type":"t","data":{{}}}}'
        return Message(TOPIC, name.partition("-")[0], name, "t", body.encode())

    async def wire(self) -> list[str]:
        """What the broker has, in the order of its partitions."""
        return [envelope.id for envelope in await log_of(self.broker, TOPIC)]

    async def left(self) -> int:
        return (await self.store.status()).outbox


@asynccontextmanager
async def scene(world: World, *, run: bool = True) -> AsyncIterator[Scene]:
    store, broker, heard = open_store("sqlite://", world), FlakyBroker(world), Heard()
    await broker.open()
    await store.open()
    made = Scene(world, store, broker, heard, Relay("orders", store, broker, world, heard))
    task = asyncio.create_task(made.relay.run()) if run else None
    if task:
        await world.sleep(0.001)
    yield made
    made.relay.stop()
    if task:
        async with asyncio.timeout(30):
            await task
    await store.close()


async def test_what_is_committed_is_published_at_once_when_woken_and_leaves_the_outbox(world: VirtualWorld) -> None:
    async with scene(world) as here:
        begun = world.monotonic()
        await here.commit("a-1", "a-2")
        here.relay.wake()
        await world.sleep(0.001)
        assert (await here.wire(), await here.left()) == (["a-1", "a-2"], 0)
        assert here.broker.times[0] == begun
        assert here.heard.of("published") == [("orders", 2)]
        assert here.heard.of("trouble") == []


async def test_without_a_call_it_looks_once_a_second(world: VirtualWorld) -> None:
    async with scene(world) as here:
        begun = world.monotonic()
        await here.commit("a-1")  # by another process, say
        await world.sleep(3.0)
        assert here.broker.times == [pytest.approx(begun + 1.0, abs=0.01)]


async def test_many_messages_go_in_windows_without_a_pause(world: VirtualWorld) -> None:
    async with scene(world) as here:
        begun = world.monotonic()
        await here.commit(*(f"k{n}-{n}" for n in range(1201)))
        here.relay.wake()
        await world.sleep(0.001)
        assert [len(window) for window in here.broker.tried] == [500, 500, 201]
        assert set(here.broker.times) == {begun}


async def test_an_inline_broker_leaves_the_others_their_turn_between_windows(world: VirtualWorld) -> None:
    turns: list[int] = []
    async with scene(world) as here:
        await here.commit(*(f"k{n}-{n}" for n in range(1500)))
        here.relay.wake()

        async def other() -> None:
            while len(turns) < 20:
                turns.append(len(here.broker.tried))
                await world.sleep(0)

        await asyncio.gather(other())
    assert {0, 1, 2, 3} >= set(turns) > {3}


async def test_a_broker_that_is_away_for_a_minute_is_asked_more_and_more_seldom_and_nothing_is_lost(world: VirtualWorld) -> None:
    async with scene(world) as here:
        here.broker.down = True
        await here.commit("a-1", "b-1")
        here.relay.wake()
        await world.sleep(60)
        pauses = [later - sooner for sooner, later in pairwise(here.broker.times)]
        for number, pause in enumerate(pauses, 1):
            longest = 0.05 * 2 ** min(number, 8)
            assert longest / 2 <= pause <= longest + 0.001
        assert len(set(pauses)) == len(pauses)  # chance has its share
        assert set(here.heard.of("trouble")) == {("orders relay", "the line is cut")}
        here.broker.down = False
        await world.sleep(13)
        assert (sorted(await here.wire()), await here.left()) == (["a-1", "b-1"], 0)


async def test_after_a_success_the_patience_begins_anew(world: VirtualWorld) -> None:
    async with scene(world) as here:
        for name in ("a-1", "a-2"):
            here.broker.down = True
            here.broker.times.clear()
            await here.commit(name)
            here.relay.wake()
            await world.sleep(2)
            assert here.broker.times[1] - here.broker.times[0] <= 0.101
            here.broker.down = False
            await world.sleep(13)
        assert await here.wire() == ["a-1", "a-2"]


async def test_a_database_that_is_away_is_asked_again_and_nothing_is_published_twice_but_what_could_not_be_deleted(
    world: VirtualWorld,
) -> None:
    async with scene(world) as here:
        await here.commit("a-1")
        with refusing(here.store, "outbox", "lease_buckets"):
            await world.sleep(30)
            assert await here.wire() == []
        await world.sleep(13)
        with refusing(here.store, "published") as tried:
            await here.commit("a-2")
            await world.sleep(5)
            assert len(tried) > 1
        await world.sleep(13)
        wire = await here.wire()
        assert wire[0] == "a-1" and set(wire[1:]) == {"a-2"} and len(wire) == 2 + len(tried)
        assert await here.left() == 0


async def test_a_key_stops_at_its_failure_and_others_go_on(world: VirtualWorld) -> None:
    async with scene(world) as here:
        away = {"a-2"}
        here.broker.refuses = lambda message: LATER if message.id in away else None
        await here.commit("a-1", "b-1", "a-2", "b-2", "a-3", "b-3")
        here.relay.wake()
        await world.sleep(0.01)
        assert sorted(await here.wire()) == ["a-1", "b-1", "b-2", "b-3"]
        assert await here.left() == 2
        assert here.heard.of("trouble") == [("orders relay", "queue full")] * 2
        away.clear()
        await world.sleep(0.1)
        assert [id for id in await here.wire() if id[0] == "a"] == ["a-1", "a-2", "a-3"]
        assert (await here.left(), here.heard.of("published")) == (0, [("orders", 4), ("orders", 2)])


async def test_what_follows_a_failure_stays_in_the_outbox_even_where_the_broker_took_it(world: VirtualWorld) -> None:
    async with scene(world) as here:
        failing = True

        async def careless(batch: Sequence[Message]) -> Sequence[PublishResult]:
            nonlocal failing
            results = [LATER if failing and message.id == "a-1" else PublishResult() for message in batch]
            await type(here.broker).publish(here.broker, [m for m, r in zip(batch, results, strict=True) if r.error is None])
            failing = False
            return results

        here.broker.publish = careless  # type: ignore[method-assign]
        await here.commit("a-1", "a-2")
        here.relay.wake()
        await world.sleep(0.01)
        assert await here.left() == 2
        await world.sleep(0.2)
        assert await here.wire() == ["a-2", "a-1", "a-2"]


async def test_a_bucket_whose_messages_keep_failing_rests_longer_each_time_while_others_are_published(
    world: VirtualWorld,
) -> None:
    async with scene(world) as here:
        here.broker.refuses = lambda message: LATER if message.key == "a" else None
        await here.commit("a-1")
        here.relay.wake()
        for number in range(300):
            await here.commit(f"b-{number}")
            here.relay.wake()
            await world.sleep(0.1)
        times = [at for at, batch in zip(here.broker.times, here.broker.tried, strict=True) if "a-1" in batch]
        pauses = [later - sooner for sooner, later in pairwise(times)]
        for number, pause in enumerate(pauses, 1):
            longest = 0.05 * 2 ** min(number, 8)
            assert longest / 2 - 0.001 <= pause <= longest + 0.1  # it is tried again when the rest is over
        assert len(pauses) >= 7
        assert len([id for id in await here.wire() if id[0] == "b"]) == 300
        here.broker.refuses = lambda message: None
        await world.sleep(13)
        here.broker.refuses = lambda message: LATER if message.key == "a" else None
        here.broker.times.clear()
        await here.commit("a-2")
        here.relay.wake()
        await world.sleep(1)
        assert here.broker.times[1] - here.broker.times[0] <= 0.1  # it went well in between


async def test_a_resting_bucket_is_tried_again_when_its_rest_is_over_though_nobody_calls(world: VirtualWorld) -> None:
    async with scene(world) as here:
        here.broker.refuses = lambda message: LATER if len(here.broker.tried) == 1 else None
        await here.commit("a-1")
        here.relay.wake()
        await world.sleep(0.11)
        assert 0.05 <= here.broker.times[1] - here.broker.times[0] <= 0.1


async def test_what_no_broker_takes_becomes_a_dead_letter_and_the_rest_of_its_key_goes_on(world: VirtualWorld) -> None:
    async with scene(world) as here:
        here.broker.refuses = lambda message: NEVER if message.id == "a-1" else None
        await here.commit("a-1", "a-2")
        here.relay.wake()
        await world.sleep(0.01)
        assert (await here.wire(), await here.left()) == (["a-2"], 0)
        assert here.heard.of("failed") == [("(relay)", "a-1", "dead", "unauthorised")]
        assert here.heard.of("published") == [("orders", 1)]


async def test_dead_letters_of_the_relay_return_to_the_outbox_by_hand(world: VirtualWorld) -> None:
    broker = FlakyBroker(world)
    await broker.open()
    broker.refuses = lambda message: NEVER
    async with opened(Choreography("shop", ordering()), world, broker=broker) as app:
        receipt = await app.send(Place(order_id="o-1"))
        await app.idle()
        [letter] = await dead_letters(app, "orders")
        assert (letter.reaction, letter.id, letter.reason) == ("(relay)", receipt.event_ids[0], "unauthorised")
        broker.refuses = lambda message: None
        assert await app.store("orders").retry_dead([letter]) == 1
        await app.idle()
        assert [event.id for event in await log_of(broker, TOPIC)] == list(receipt.event_ids)
        assert await dead_letters(app, "orders") == []


async def test_stopping_publishes_what_is_there_first(world: VirtualWorld) -> None:
    async with scene(world) as here:
        await here.commit(*(f"k{n}-{n}" for n in range(600)))
        here.relay.stop()
        await world.sleep(0.001)
        assert await here.left() == 0


async def test_stopping_does_not_wait_for_a_broker_that_is_away(world: VirtualWorld) -> None:
    async with scene(world) as here:
        here.broker.down = True
        await here.commit("a-1")
        begun = world.monotonic()
        here.relay.stop()
        await world.sleep(0.001)
        assert len(here.broker.tried) == 1
    assert world.monotonic() - begun < 0.01


@pytest.fixture
def both(world: VirtualWorld, tmp_path: object) -> list[Store]:
    return [open_store(f"sqlite:///{tmp_path}/orders.db", world) for _ in range(2)]


async def test_two_relays_share_the_buckets_and_one_that_goes_leaves_them_at_once(world: VirtualWorld, both: list[Store]) -> None:
    broker, heard = FlakyBroker(world), Heard()
    await broker.open()
    for store in both:
        await store.open()
    relays = [Relay(name, store, broker, world, heard) for name, store in zip("xy", both, strict=True)]
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    await world.sleep(12)  # the first renews its lease, and lets half of it go; the second takes that
    async with both[0].begin() as transaction:
        await transaction.emit([Scene.message(f"k{n}-1") for n in range(200)])
    await world.sleep(2)
    shares = {str(who): count for who, count in heard.of("published")}
    assert sum(shares.values()) == 200 and min(shares["x"], shares["y"]) > 50
    relays[0].stop()
    await tasks[0]
    await world.sleep(6)  # the other renews, and takes what was left
    async with both[1].begin() as transaction:
        await transaction.emit([Scene.message(f"k{n}-2") for n in range(200)])
    begun = world.monotonic()
    await world.sleep(2)
    assert heard.of("published")[-1] == ("y", 200)
    assert broker.times[-1] - begun <= 1.01
    relays[1].stop()
    await tasks[1]
    for store in both:
        await store.close()


async def test_the_lease_is_renewed_at_half_time_and_not_before(world: VirtualWorld) -> None:
    async with scene(world, run=False) as here:
        asked: list[tuple[float, float]] = []
        lease = here.store.lease_buckets

        async def watched(token: str, seconds: float) -> list[int]:
            asked.append((world.monotonic(), seconds))
            return await lease(token, seconds)

        here.store.lease_buckets = watched  # type: ignore[method-assign]
        task = asyncio.create_task(here.relay.run())
        await world.sleep(16)
        assert asked == [(pytest.approx(5.0 * n, abs=0.01), 10.0) for n in range(4)]
        here.relay.stop()
        await task


async def test_a_lease_that_cannot_be_given_up_is_said_and_runs_out_by_itself(world: VirtualWorld) -> None:
    async with scene(world) as here:
        with refusing(here.store, "release_buckets"):
            here.relay.stop()
            await world.sleep(0.001)
        assert here.heard.of("trouble") == [("orders relay", "release_buckets: the database is away")]


async def test_a_relay_may_die_before_and_after_it_publishes(world: VirtualWorld) -> None:
    points: list[str] = []

    class Watched(VirtualWorld):
        def point(self, name: str) -> None:
            points.append(name)

    async with scene(Watched()) as here:
        await here.commit("a-1")
        here.relay.wake()
        await world.sleep(0.001)
    assert [name for name in points if name.startswith(("relay", "broker.publish"))] == [
        "relay.publish:before",
        "broker.publish:before",
        "broker.publish:after",
        "relay.publish:after",
    ]
