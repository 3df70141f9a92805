"""Groups of the SQLite broker: leases, the dead, late comers, what is flagged."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Consumer, Delivery, Subscription
from farandole.brokers.sqlite import SqliteBroker
from farandole.errors import BrokerError
from farandole.model.envelope import Message
from farandole.process import process_name
from farandole.testing.virtual import VirtualWorld

ALL = Subscription("g", ("t",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


async def opened(path: Path, world: VirtualWorld) -> SqliteBroker:
    broker = open_broker(f"sqlite:///{path}?synchronous=normal", world)
    assert isinstance(broker, SqliteBroker)
    await broker.open()
    return broker


def messages(count: int, *, mark: str = "m", keys: int = 60) -> list[Message]:
    return [Message("t", f"k{n % keys}", f"{mark}{n}", "T", b"") for n in range(count)]


async def read(consumer: Consumer, count: int, *, ack: bool = True) -> list[Delivery]:
    found: list[Delivery] = []
    for _ in range(200):
        batch = await consumer.fetch(count - len(found), 0.5)
        found += batch
        if ack:
            await consumer.ack(batch)
        if len(found) == count:
            return found
    raise AssertionError(f"{len(found)} of {count} came")


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    rows = db.execute(sql).fetchall()
    db.close()
    return rows


async def test_what_a_silent_member_held_comes_when_its_lease_runs_out(
    path: Path, world: VirtualWorld, vanish: Callable[[Broker], None]
) -> None:
    silent, heir = await opened(path, world), await opened(path, world)
    await silent.publish(messages(30))
    held = await read(await silent.subscribe(ALL), 30, ack=False)
    vanish(silent)
    consumer = await heir.subscribe(ALL)
    began = world.monotonic()
    assert await consumer.fetch(100, 5) == []
    again = await read(consumer, 30)
    assert 7 < world.monotonic() - began < 14
    assert Counter(d.id for d in again) == Counter(d.id for d in held)
    assert all(d.redelivered for d in again)
    await silent.close()
    await heir.close()


async def test_a_member_that_handles_for_long_keeps_what_it_has(path: Path, world: VirtualWorld) -> None:
    busy, other = await opened(path, world), await opened(path, world)
    await busy.publish(messages(60))
    consumer = await busy.subscribe(ALL)
    held = await read(consumer, 60, ack=False)
    second = await other.subscribe(ALL)
    assert await second.fetch(100, 60) == []
    await consumer.ack(held)
    assert await busy.lag(ALL) == 0
    await busy.publish(messages(60, mark="later"))
    shares = [len(await member.fetch(100, 1)) for member in (consumer, second)]
    assert sum(shares) == 60
    assert min(shares) > 10
    await busy.close()
    await other.close()


async def test_a_partition_moves_as_soon_as_nothing_of_it_is_in_hand(path: Path, world: VirtualWorld) -> None:
    one, two = await opened(path, world), await opened(path, world)
    first = await one.subscribe(ALL)
    await one.publish(messages(60))
    held = await read(first, 60, ack=False)
    second = await two.subscribe(ALL)
    waiting = asyncio.create_task(second.fetch(100, 30))
    await world.sleep(1)
    await one.publish(messages(60, mark="later"))
    assert {d.id for d in await first.fetch(100, 1)} < {m.id for m in messages(60, mark="later")}, (
        "the other half is being given up"
    )
    began = world.monotonic()
    await first.ack(held)
    found = await waiting
    assert 10 < len(found) < 50
    assert world.monotonic() - began < 0.1
    await one.close()
    await two.close()


@pytest.fixture
def dead_pid() -> int:
    """The number of a process that has ended."""
    return int(subprocess.check_output([sys.executable, "-c", "import os; print(os.getpid())"]))


async def test_a_dead_process_of_this_machine_is_followed_at_once(
    path: Path, world: VirtualWorld, vanish: Callable[[Broker], None], dead_pid: int
) -> None:
    victim, heir = await opened(path, world), await opened(path, world)
    await victim.publish(messages(10))
    await read(await victim.subscribe(ALL), 10, ack=False)
    vanish(victim)
    place = process_name().split(" ")[0]
    assert place, "this system does not tell one start of the machine from another"
    with sqlite3.connect(path) as db:
        db.execute("UPDATE broker_members SET process = ?", (f"{place} {dead_pid} 12345",))
    db.close()
    began = world.monotonic()
    again = await read(await heir.subscribe(ALL), 10)
    assert world.monotonic() == began
    assert all(d.redelivered for d in again)
    await victim.close()
    await heir.close()


async def test_of_a_long_backlog_only_what_may_have_been_in_hand_is_flagged(
    path: Path, world: VirtualWorld, vanish: Callable[[Broker], None]
) -> None:
    victim, heir = await opened(path, world), await opened(path, world)
    await heir.publish(messages(1500, keys=1))
    await read(await victim.subscribe(ALL), 10, ack=False)
    vanish(victim)
    found = await read(await heir.subscribe(ALL), 1500)
    assert [d.redelivered for d in found] == [True] * 1000 + [False] * 500
    await victim.close()
    await heir.close()


async def test_what_comes_after_a_death_is_not_flagged(path: Path, world: VirtualWorld, vanish: Callable[[Broker], None]) -> None:
    victim, heir = await opened(path, world), await opened(path, world)
    await read_nothing(await victim.subscribe(ALL))
    vanish(victim)
    consumer = await heir.subscribe(ALL)
    await consumer.fetch(1, 15)
    await heir.publish(messages(20))
    assert not any(d.redelivered for d in await read(consumer, 20))
    await victim.close()
    await heir.close()


async def read_nothing(consumer: Consumer) -> None:
    assert await consumer.fetch(10, 0) == []


async def test_all_of_very_much_in_hand_is_flagged(path: Path, world: VirtualWorld, vanish: Callable[[Broker], None]) -> None:
    victim, heir = await opened(path, world), await opened(path, world)
    await heir.publish(messages(2000, keys=1))
    consumer = await victim.subscribe(ALL)
    held = await read(consumer, 1700, ack=False)
    await consumer.ack(held[:100])
    vanish(victim)
    found = await read(await heir.subscribe(ALL), 1900)
    assert [d.id for d in found] == [f"m{n}" for n in range(100, 2000)]
    assert [d.redelivered for d in found] == [True] * 1600 + [False] * 300
    await victim.close()
    await heir.close()


async def test_what_cannot_be_written_down_is_not_handed_out_and_comes_again(path: Path, world: VirtualWorld) -> None:
    broker = await opened(path, world)
    await broker.publish(messages(1500, keys=1))
    consumer = await broker.subscribe(ALL)
    held = await read(consumer, 900, ack=False)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BrokerError, match="held the lock"):
        await consumer.fetch(300, 0)
    other.execute("ROLLBACK")
    other.close()
    rest = await read(consumer, 600, ack=False)
    assert [d.id for d in held + rest] == [f"m{n}" for n in range(1500)]
    await broker.close()


async def test_a_clean_close_with_messages_in_hand_flags_just_those(path: Path, world: VirtualWorld) -> None:
    broker = await opened(path, world)
    await broker.publish(messages(30, keys=1))
    first = await broker.subscribe(ALL)
    held = await read(first, 20, ack=False)
    await first.ack(held[:5])
    await first.release(held[15:])
    await first.close()
    found = await read(await broker.subscribe(ALL), 25)
    assert [d.redelivered for d in found] == [True] * 10 + [False] * 15
    await broker.close()


async def test_what_was_settled_behind_a_gap_is_flagged_to_the_member_that_takes_over(path: Path, world: VirtualWorld) -> None:
    one, two = await opened(path, world), await opened(path, world)
    first = await one.subscribe(ALL)
    await one.publish(messages(240))
    held = await read(first, 240, ack=False)
    await first.ack([d for d in held if int(d.id[1:]) >= 180])
    second = await two.subscribe(ALL)
    await first.release(held)
    moved = await second.fetch(500, 5)
    assert moved
    assert all(d.redelivered for d in moved)
    await one.close()
    await two.close()


async def test_suspicion_outlives_an_heir_that_gives_everything_back(
    path: Path, world: VirtualWorld, vanish: Callable[[Broker], None]
) -> None:
    victim, heir = await opened(path, world), await opened(path, world)
    await heir.publish(messages(20, keys=1))
    await read(await victim.subscribe(ALL), 10, ack=False)
    vanish(victim)
    first = await heir.subscribe(ALL)
    found = await read(first, 20, ack=False)
    await first.ack(found[:5])
    await first.release(found[5:])
    await first.close()
    assert [d.redelivered for d in await read(await heir.subscribe(ALL), 15)] == [True] * 15
    await victim.close()
    await heir.close()


async def test_a_member_that_slept_through_its_lease_begins_anew(path: Path, world: VirtualWorld) -> None:
    sleeper, other = await opened(path, world), await opened(path, world)
    await other.publish(messages(40, keys=1))
    consumer = await sleeper.subscribe(ALL)
    held = await read(consumer, 10, ack=False)
    assert sleeper._beat is not None
    sleeper._beat.cancel()  # the process was stopped
    second = await other.subscribe(ALL)
    taken = await read(second, 30)
    assert [d.id for d in taken] == [f"m{n}" for n in range(30)]
    await second.close()
    await consumer.ack(held)  # late: it must not pull the position back
    assert await other.lag(ALL) == 10
    assert [d.id for d in await read(consumer, 10)] == [f"m{n}" for n in range(30, 40)]
    assert await other.lag(ALL) == 0
    sleeper._beat = None
    await sleeper.close()
    await other.close()


async def test_worlds_with_one_seed_are_still_two_members(path: Path) -> None:
    brokers = [await opened(path, VirtualWorld(seed=7)) for _ in range(2)]
    members = [await broker.subscribe(ALL) for broker in brokers]
    await VirtualWorld().sleep(1)
    await brokers[0].publish(messages(60))
    shares = [len(await member.fetch(100, 1)) for member in members]
    assert sum(shares) == 60
    assert min(shares) > 10
    for broker in brokers:
        await broker.close()


async def test_partitions_without_messages_follow_the_end(path: Path, world: VirtualWorld) -> None:
    broker = await opened(path, world)
    consumer = await broker.subscribe(ALL)
    await broker.publish([*messages(99, keys=1), Message("elsewhere", "k", "id", "T", b"")])
    await read(consumer, 99)
    await read_nothing(consumer)
    await world.sleep(5)
    assert set(query(path, "SELECT position FROM broker_positions")) == {(100,)}, "a restart would read the whole log again"
    await broker.close()


async def test_a_member_that_leaves_is_forgotten(path: Path, world: VirtualWorld) -> None:
    broker = await opened(path, world)
    for _ in range(3):
        await (await broker.subscribe(ALL)).close()
    await broker.close()
    assert query(path, "SELECT * FROM broker_members") == []
    assert query(path, "SELECT count(*), count(token) FROM broker_leases") == [(12, 0)]


async def test_asking_for_the_lag_joins_nothing(path: Path, world: VirtualWorld) -> None:
    broker = await opened(path, world)
    await broker.lag(ALL)
    for table in ("members", "leases", "positions"):
        assert query(path, f"SELECT * FROM broker_{table}") == []
    await broker.close()
