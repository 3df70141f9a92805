"""The broker in one SQLite file: what every broker does, and what can be wrong with a file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Delivery, Subscription
from farandole.brokers.sqlite import SqliteBroker
from farandole.brokers.sqlite_consumer import select_sql
from farandole.brokers.sqlite_group import _STORE, _SUSPECT
from farandole.errors import BrokerError, ConfigurationError, NewerDatabase
from farandole.model.envelope import Message
from farandole.testing.conformance_broker import BrokerSuite
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

ALL = Subscription("g", ("t",))


class TestConformance(BrokerSuite):
    connections = 100
    shaken = (0.0, 0.0)

    @pytest.fixture(autouse=True)
    def _settings(self, tmp_path: Path, vanish: Callable[[Broker], None]) -> None:
        self.path, self.vanish = tmp_path / "broker.db", vanish
        self.made: list[SqliteBroker] = []

    async def make(self, world: World) -> Broker:
        broker = open_broker(f"sqlite:///{self.path}?synchronous=normal", world)
        assert isinstance(broker, SqliteBroker)
        self.made.append(broker)
        return broker

    async def die(self, broker: Broker) -> None:
        self.vanish(broker)

    async def restart(self) -> None:
        """There is no server: everybody who has the file open vanishes."""
        for broker in self.made:
            self.vanish(broker)
            broker._file.close()


def messages(count: int, *, mark: str = "m") -> list[Message]:
    return [Message("t", f"k{n % 50}", f"{mark}{n}", "T", b"x" * 100) for n in range(count)]


async def opened(path: Path, world: World, options: str = "") -> SqliteBroker:
    broker = open_broker(f"sqlite:///{path}{options}", world)
    assert isinstance(broker, SqliteBroker)
    await broker.open()
    return broker


async def test_a_newer_file_is_refused_with_the_remedy(tmp_path: Path, world: VirtualWorld) -> None:
    path = tmp_path / "broker.db"
    await (await opened(path, world)).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE broker_schema SET version = 99")
    db.close()
    with pytest.raises(NewerDatabase, match=r"broker\.db has schema version 99.*upgrade this process"):
        await opened(path, world)


async def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, world: VirtualWorld) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 100)
    with pytest.raises(ConfigurationError, match=r"notes\.txt cannot be used: file is not a database"):
        await opened(path, world)
    assert path.read_text() == "dear diary, " * 100


async def test_a_place_that_holds_no_file_is_named(tmp_path: Path, world: VirtualWorld) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "broker.db"):
        with pytest.raises(ConfigurationError, match=f"{path} cannot be used"):
            await opened(path, world)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_file_that_may_not_be_written_is_named(tmp_path: Path, world: VirtualWorld) -> None:
    path = tmp_path / "broker.db"
    await (await opened(path, world)).close()
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match=r"broker\.db cannot be used"):
        await opened(path, world)


async def test_the_number_of_partitions_is_fixed_with_the_file(tmp_path: Path, world: VirtualWorld) -> None:
    path = tmp_path / "broker.db"
    first = await opened(path, world, "?partitions=3")
    second = await opened(path, world)
    await first.publish(messages(50))
    found = await (await second.subscribe(ALL)).fetch(100, 0)
    assert {d.partition for d in found} == {0, 1, 2}
    with pytest.raises(ConfigurationError, match="has 3 partitions, the URL says 4"):
        await opened(path, world, "?partitions=4")
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "names no file"),
        ("sqlite://broker.db", "names no file"),
        ("sqlite:///:memory:", "or memory://"),
        ("sqlite:///b.db?synchronous=off", "full or normal, got: 'off'"),
        ("sqlite:///b.db?sync=full", "unknown option 'sync'. Known are: partitions, retention, synchronous"),
        ("sqlite:///b.db?retention=week", "such as 7d, 12h, 30m or forever, got: 'week'"),
    ],
)
def test_a_wrong_url_is_named(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_broker(url, World())
    assert words in str(caught.value)


async def test_text_that_is_no_unicode_is_refused_for_good_and_alone(tmp_path: Path, world: VirtualWorld) -> None:
    broker = await opened(tmp_path / "broker.db", world)
    results = await broker.publish([Message("t", "k\ud800", "bad", "T", b""), Message("t", "ä", "good", "T", b"")])
    assert [(result.error is None, result.permanent) for result in results] == [(False, True), (True, False)]
    assert await broker.lag(ALL) == 1
    await broker.close()


async def test_a_full_disk_loses_nothing(tmp_path: Path, world: VirtualWorld) -> None:
    broker = await opened(tmp_path / "broker.db", world)
    assert broker._file._db is not None
    await broker.publish(messages(10))
    broker._file._db.execute("PRAGMA max_page_count = 12")  # the disk is full
    with pytest.raises(BrokerError, match=r"broker\.db: database or disk is full. Nothing was written"):
        await broker.publish(messages(1000, mark="lost"))
    assert await broker.lag(ALL) == 10
    broker._file._db.execute("PRAGMA max_page_count = 100000")
    await broker.publish(messages(5, mark="later"))
    found = await (await broker.subscribe(ALL)).fetch(100, 0)
    assert Counter(d.id for d in found) == Counter(m.id for m in [*messages(10), *messages(5, mark="later")])
    await broker.close()


async def test_a_lock_that_another_process_holds_is_waited_for_without_freezing(tmp_path: Path, world: VirtualWorld) -> None:
    broker = await opened(tmp_path / "broker.db", world)
    other = sqlite3.connect(tmp_path / "broker.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    publishing = [asyncio.create_task(broker.publish(messages(1, mark=f"m{n}-"))) for n in range(5)]
    await world.sleep(3)
    assert not any(task.done() for task in publishing)
    other.execute("COMMIT")
    await asyncio.gather(*publishing)
    assert [d.id for d in await (await broker.subscribe(ALL)).fetch(100, 0)] == [f"m{n}-0" for n in range(5)]
    other.close()
    await broker.close()


async def test_a_lock_held_for_ever_is_an_error_and_an_ack_is_made_up_for(tmp_path: Path, world: VirtualWorld) -> None:
    broker = await opened(tmp_path / "broker.db", world)
    await broker.publish(messages(10))
    consumer = await broker.subscribe(ALL)
    found = await consumer.fetch(100, 0)
    other = sqlite3.connect(tmp_path / "broker.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BrokerError, match=r"another process has held the lock of .*broker\.db for 15 s; nothing was written"):
        await broker.publish(messages(10))
    with pytest.raises(BrokerError, match="another process"):
        await consumer.ack(found)
    assert await broker.lag(ALL) == 10
    other.execute("ROLLBACK")
    other.close()
    await consumer.ack(found)
    assert await broker.lag(ALL) == 0
    await broker.close()


async def test_a_publish_waits_for_the_disk_and_an_ack_does_not(tmp_path: Path, world: VirtualWorld) -> None:
    for options, level in (("", 2), ("?synchronous=normal", 1)):
        broker = await opened(tmp_path / f"{level}.db", world, options)
        consumer = await broker.subscribe(ALL)
        for _ in range(2):
            await broker.publish(messages(5))
            assert broker._file.execute("test", "PRAGMA synchronous").fetchone() == (level,)
            await consumer.ack(await consumer.fetch(5, 0))
            assert broker._file.execute("test", "PRAGMA synchronous").fetchone() == (1,)
        await broker.close()


class Counting(VirtualWorld):
    """Counts statements by where they belong."""

    def __init__(self) -> None:
        super().__init__()
        self.statements: Counter[str] = Counter()

    def point(self, name: str) -> None:
        if name.endswith(".sql:before"):
            self.statements[name.removesuffix(".sql:before")] += 1


async def test_a_steady_fetch_and_ack_take_few_statements(tmp_path: Path) -> None:
    world = Counting()
    broker = await opened(tmp_path / "broker.db", world)
    consumer = await broker.subscribe(ALL)
    await broker.publish(messages(300))
    world.statements.clear()
    await consumer.ack(await consumer.fetch(100, 0))
    assert world.statements == {"broker.fetch": 2, "broker.ack": 3}  # the end and the rows; BEGIN, UPDATE, COMMIT
    await consumer.fetch(200, 0)
    world.statements.clear()
    assert await consumer.fetch(100, 0) == []
    assert world.statements == {"broker.fetch": 1}  # only whether the end moved
    await broker.close()


async def test_the_hot_statements_use_an_index(tmp_path: Path, world: VirtualWorld) -> None:
    broker = await opened(tmp_path / "broker.db", world)
    for sql, parameters in (
        (select_sql(1, None), 3),
        (select_sql(3, 5), 10),
        ("SELECT max(position) FROM broker_log", 0),
        (_STORE, 9),
        (_SUSPECT, 5),
    ):
        plan = [row[3] for row in broker._file.execute("test", f"EXPLAIN QUERY PLAN {sql}", [1] * parameters)]
        assert plan
        assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step], plan
    await broker.close()


async def test_a_process_that_dies_while_publishing_leaves_all_or_nothing(tmp_path: Path) -> None:
    class Dies(VirtualWorld):
        stop_at = 0
        seen = 0

        def point(self, name: str) -> None:
            if self.stop_at and name.startswith("broker.publish"):
                self.seen += 1
                if self.seen == self.stop_at:
                    raise KeyboardInterrupt(name)

    left = []
    for stop_at in range(1, 9):
        world = Dies()
        broker = await opened(tmp_path / f"{stop_at}.db", world)
        world.stop_at = stop_at
        with pytest.raises(KeyboardInterrupt):
            await broker.publish(messages(10))
        world.stop_at = 0
        left.append(await broker.lag(ALL))
        await broker.close()
    assert left == [0, 0, 0, 0, 0, 0, 10, 10]  # before; 3 statements, each before and after; after


async def test_a_percent_sign_in_the_url_stands_for_the_character_it_encodes(tmp_path: Path, world: VirtualWorld) -> None:
    await (await opened(tmp_path / "a%20folder" / "100%25.db", world)).close()
    assert (tmp_path / "a folder" / "100%.db").exists()


async def test_what_every_group_has_settled_is_deleted_after_its_retention_and_nothing_else(
    tmp_path: Path, world: VirtualWorld
) -> None:
    broker = await opened(tmp_path / "broker.db", world, "?synchronous=normal&retention=5m")
    quick, slow = await broker.subscribe(ALL), await broker.subscribe(Subscription("slow", ("t",)))
    await broker.publish(messages(10, mark="old"))
    await quick.ack(await quick.fetch(100, 1.0))
    in_hand = await slow.fetch(100, 1.0)
    await world.sleep(600)
    await broker.publish(messages(5, mark="new"))
    await world.sleep(120)
    assert len(await history(broker)) == 15  # the slow group has not settled them
    await slow.ack(in_hand)
    await world.sleep(120)
    assert [delivery.id for delivery in await history(broker)] == [f"new{n}" for n in range(5)]
    assert sorted(delivery.id for delivery in await slow.fetch(100, 1.0)) == [f"new{n}" for n in range(5)]
    await broker.close()


@pytest.mark.parametrize("options", ["&retention=forever", ""])
async def test_without_a_limit_or_before_the_week_is_over_nothing_is_deleted(
    tmp_path: Path, world: VirtualWorld, options: str
) -> None:
    broker = await opened(tmp_path / "broker.db", world, f"?synchronous=normal{options}")
    member = await broker.subscribe(ALL)
    await broker.publish(messages(10))
    await member.ack(await member.fetch(100, 1.0))
    await world.sleep(600)
    assert len(await history(broker)) == 10
    await broker.close()


async def history(broker: Broker) -> Sequence[Delivery]:
    listener = await broker.subscribe(Subscription(None, ("t",)))
    found = await listener.fetch(1000, 0.0)
    await listener.close()
    return found
