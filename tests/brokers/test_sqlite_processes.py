"""The SQLite broker between real processes that are really killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from farandole.brokers import open_broker, sqlite_consumer
from farandole.brokers.base import Delivery, Subscription
from farandole.model.envelope import Message
from farandole.world import World

ALL = Subscription("g", ("t",))
SOURCE = Path(__file__).parents[2] / "src"
PREAMBLE = """
import asyncio, sys
from farandole.brokers import open_broker, sqlite_consumer, sqlite_group
from farandole.brokers.base import Subscription
from farandole.model.envelope import Message
from farandole.world import World
ALL = Subscription("g", ("t",))
async def main(broker):
    await broker.open()
"""
PUBLISH = """
    n = 0
    while True:
        batch = [Message("t", f"k{i % 7}", f"{n}-{i}", "T", b"x" * 200) for i in range(20)]
        await broker.publish(batch)
        for message in batch:
            print(message.id, flush=True)
        n += 1
"""
HOLD = """
    sqlite_group.LEASE = 3600.0
    consumer = await broker.subscribe(ALL)
    held = []
    while len(held) < 20:
        held += await consumer.fetch(20 - len(held), 1.0)
    for d in held:
        print(d.id, flush=True)
    await asyncio.Event().wait()
"""
ANSWER = """
    sqlite_consumer._POLL = 3600.0
    consumer = await broker.subscribe(Subscription("answers", ("ask",)))
    while True:
        found = await consumer.fetch(10, 60)
        await broker.publish([Message("t", d.key, d.id, "T", b"") for d in found])
        await consumer.ack(found)
"""
VISIT = """
    await broker.publish([Message("t", "k", sys.argv[2], "T", b"")])
    await broker.close()
"""


def start(body: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    script = f"{PREAMBLE}{body}\nasyncio.run(main(open_broker(f'sqlite:///{{sys.argv[1]}}', World())))"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path), *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


@contextmanager
def running(body: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed with -9 at the latest when the block ends."""
    process = start(body, path)
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


@pytest.mark.real_time
async def test_what_a_killed_publisher_reported_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    with running(PUBLISH, path) as publisher:
        reported = lines(publisher, 100)
        publisher.send_signal(signal.SIGKILL)
        assert publisher.stdout is not None
        whole, _, _ = publisher.stdout.read().rpartition("\n")
        reported += whole.split()
    broker = open_broker(f"sqlite:///{path}", World())
    await broker.open()
    lag = await broker.lag(ALL)
    found = await (await broker.subscribe(ALL)).fetch(1_000_000, 0)
    assert len(found) == lag
    assert max(Counter(d.id for d in found).values()) == 1
    assert set(reported) <= {d.id for d in found}
    assert len(found) % 20 == 0, "a batch is published whole or not at all"
    await broker.close()


@pytest.mark.real_time
async def test_what_a_killed_consumer_held_comes_before_its_lease_ends_and_flagged(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    broker = open_broker(f"sqlite:///{path}", World())
    await broker.open()
    await broker.publish([Message("t", f"k{n % 7}", str(n), "T", b"") for n in range(20)])
    with running(HOLD, path) as victim:
        held = lines(victim, 20)
        consumer = await broker.subscribe(ALL)
        assert await consumer.fetch(20, 0.2) == []
        kill(victim)
        again: list[Delivery] = []
        async with asyncio.timeout(60):  # its lease lasts an hour
            while len(again) < 20:
                again += await consumer.fetch(20, 1.0)
    assert Counter(d.id for d in again) == Counter(held)
    assert all(d.redelivered for d in again)
    await broker.close()


@pytest.mark.real_time
async def test_a_publish_elsewhere_wakes_who_would_not_poll_for_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_consumer, "_POLL", 3600.0)
    path = tmp_path / "broker.db"
    broker = open_broker(f"sqlite:///{path}", World())
    await broker.open()
    consumer = await broker.subscribe(ALL)
    with running(ANSWER, path):
        for n in range(11):
            await broker.publish([Message("ask", "k", str(n), "T", b"")])
            found = await consumer.fetch(10, 60)
            await consumer.ack(found)
            assert [d.id for d in found] == [str(n)]
    await broker.close()


@pytest.mark.real_time
async def test_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "broker.db"
    visitors = [start(VISIT, path, f"visitor-{n}") for n in range(4)]
    for visitor in visitors:
        visitor.communicate()
    assert [visitor.returncode for visitor in visitors] == [0] * 4
    broker = open_broker(f"sqlite:///{path}", World())
    await broker.open()
    found = await (await broker.subscribe(ALL)).fetch(100, 0)
    assert Counter(d.id for d in found) == Counter(f"visitor-{n}" for n in range(4))
    await broker.close()
