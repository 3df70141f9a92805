"""The real runtime on the simulated broker: a small choreography through a hundred bad days, healed, and looked at."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import host
from farandole.brokers.base import Delivery, PublishResult, Subscription
from farandole.model.choreography import Choreography
from farandole.model.envelope import Message, decode
from farandole.model.event import Command, Event
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.rehearse.cluster import Cluster
from farandole.rehearse.faults import GROUPS, ROUGH
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.trace import Trace, difference
from farandole.rehearse.world import RehearsalWorld
from farandole.runtime.context import Context
from farandole.runtime.relay import Relay
from farandole.stores.base import DeadFilter
from farandole.stores.sqlite.transaction import SqliteTransaction
from farandole.testing.checkers import Finding, Quantity, altered, effects, lost, out_of_order, stuck, two_owners, unbalanced

SERVICES = ("orders", "payments", "shipping")
TOPICS = tuple(f"shop.{service}" for service in SERVICES)
APART = [[service] for service in reversed(SERVICES)]
QUICK = Policy(retry=Retry(attempts=5, delay=0.05, jitter=0.0))
DONE = "CREATE TABLE IF NOT EXISTS done (seq INTEGER PRIMARY KEY, line TEXT)"


class Placed(Event, key="order_id", topic="orders"):
    order_id: str
    line: int


class Charged(Event, key="order_id"):
    order_id: str
    line: int


class Shipped(Event, key="order_id"):
    order_id: str
    line: int


class Place(Command):
    order_id: str
    line: int


@dataclass
class Bank:
    """Outside: what it is told under one key counts once, and its answer takes its time."""

    charged: dict[str, str] = field(default_factory=dict)


def build(bank: Bank) -> Choreography:
    """Several lines per order share a key; a local reaction fails once after it wrote and emitted, an outside one after it charged."""
    orders = Service("orders")
    payments, shipping = Service("payments", tables=DONE), Service("shipping", tables=DONE)
    payments.provide(Bank, bank)

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id, line=command.line)

    @payments.on(Placed, policy=QUICK)
    async def charge(order: Placed, bank: Bank, db: AsyncConnection, context: Context) -> Charged:
        line = f"{order.order_id}/{order.line}"
        await asyncio.sleep(0.01)
        assert bank.charged.setdefault(context.idempotency_key, line) == line
        await db.exec_driver_sql("INSERT INTO done (line) VALUES (?)", (line,))
        if order.line == 1 and context.attempt == 1:
            raise ConnectionError("the bank hung up")
        return Charged(order_id=order.order_id, line=order.line)

    @shipping.on(Charged, policy=QUICK)
    async def ship(charged: Charged, db: sqlite3.Connection, context: Context) -> Shipped:
        db.execute("INSERT INTO done (line) VALUES (?)", (f"{charged.order_id}/{charged.line}",))
        if charged.line == 2 and context.attempt == 1:
            raise RuntimeError("once")
        return Shipped(order_id=charged.order_id, line=charged.line)

    return Choreography("shop", orders, payments, shipping)


PLACED = [Placed(order_id=f"o-{order}", line=line) for line in range(4) for order in range(3)]
LINES = [Message("shop.orders", placed.order_id, f"{placed.order_id}/{placed.line}", "Placed", b"") for placed in PLACED]
"""What happens at each service, in the order of the commands; named by order and line."""


async def wire(cluster: Cluster) -> list[Delivery]:
    """All that was ever published, repeats included."""
    broker = cluster.connect()
    await broker.open()
    listener = await broker.subscribe(Subscription(None, TOPICS))
    found: list[Delivery] = []
    while batch := await listener.fetch(500, 0.0):
        found += batch
    await broker.close()
    return found


async def look(cluster: Cluster, apps: dict[str, host.App], bank: Bank) -> list[Finding]:
    """What must not be, after all has come to rest."""
    wanted = [(service, line.id) for service in ("payments", "shipping") for line in LINES]
    did: dict[str, list[str]] = {}
    left: dict[str, list[str]] = {}
    for service, app in apps.items():
        store = app.store(service)
        left[service] = [f"{count} messages" for count in [(await store.status()).outbox] if count]
        assert [row.reason for row in await store.dead(DeadFilter())] == []
        if service != "orders":
            async with store.begin() as transaction:
                rows = transaction.resource("driver").execute("SELECT line FROM done ORDER BY seq").fetchall()
            did[service] = [line for (line,) in rows]
    travelled = await wire(cluster)
    findings = effects(wanted, [(service, line) for service, lines in did.items() for line in lines])
    for service, lines in did.items():
        findings += out_of_order(LINES, lines, at=service)
    outcomes: dict[str, str | None] = dict.fromkeys([line.id for line in LINES])
    for topic in TOPICS:
        lines = [line_of(delivery) for delivery in travelled if delivery.topic == topic]
        findings += [*lost(LINES, lines, at=topic), *out_of_order(LINES, lines, at=topic)]
        outcomes.update(dict.fromkeys(lines, topic) if topic == "shop.shipping" else {})
    findings += altered(travelled)
    findings += two_owners(cluster.holds)
    findings += stuck(outboxes=left, workflows=outcomes)
    findings += unbalanced([Quantity("charges", len(LINES), {"at the bank": len(bank.charged)})])
    return findings


def line_of(delivery: Delivery) -> str:
    """Which line an event on the wire is about."""
    data = msgspec.json.decode(decode(delivery.body).data)
    return f"{data['order_id']}/{data['line']}"


@dataclass
class Day:
    """What became of one bad day."""

    cluster: Cluster
    findings: list[Finding]
    trace: Trace


async def live(loop: RehearsalLoop, cluster: Cluster, processes: Sequence[Sequence[str]], database: str) -> list[Finding]:
    """Each process runs some services over its own connection, by its own clock; commands come all the time."""
    bank, driver = Bank(), RehearsalWorld(loop, "driver")
    async with AsyncExitStack() as stack:
        apps: dict[str, host.App] = {}
        for number, services in enumerate(processes):
            world = RehearsalWorld(loop, f"process {number}", skew=number * 0.7)
            broker = cluster.connect(world)
            await broker.open()
            where = {"broker": broker, "database": database, "world": world, "options": host.Options()}
            app = await stack.enter_async_context(host.open(build(bank), services=services, **where))
            apps.update(dict.fromkeys(services, app))
        for placed in PLACED:
            await apps["orders"].send(Place(order_id=placed.order_id, line=placed.line))
            await driver.sleep(driver.random() * 3)
        cluster.heal()
        async with asyncio.timeout(600):
            for service in SERVICES:
                await apps[service].idle()
        return await look(cluster, apps, bank)


def bad_day(seed: int, processes: Sequence[Sequence[str]] = APART, database: str = "sqlite://") -> Day:
    """One seed: an interleaving, and what goes wrong."""
    loop = RehearsalLoop(seed)
    cluster = Cluster(RehearsalWorld(loop, "broker"), ROUGH)
    findings = loop.play(live(loop, cluster, processes, database))
    assert loop.unhandled == []
    return Day(cluster, findings, loop.trace)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_after_a_bad_day_all_is_done_once_in_order_and_nothing_is_left(share: int) -> None:
    happened = Counter[str]()
    evicted = 0
    for seed in range(share, 100, 4):
        day = bad_day(seed)
        assert [str(finding) for finding in day.findings] == [], f"seed {seed}"
        happened.update(day.cluster.dice.happened)
        evicted += sum(not hold.begins for hold in day.cluster.holds)
    assert evicted > 0, "nobody ever counted as dead"
    assert set(happened) == {*GROUPS["broker"]} - {"forgets"}, "a fault never struck"


def test_two_processes_of_each_service_stand_a_bad_day_together(tmp_path: Path) -> None:
    for seed in range(8):
        day = bad_day(seed, [SERVICES, SERVICES], f"sqlite:///{tmp_path}/{seed}-{{service}}.db?synchronous=off")
        assert [str(finding) for finding in day.findings] == [], f"seed {seed}"
        assert len({hold.owner for hold in day.cluster.holds}) == 4, "two members in each of the two groups"


def test_the_same_seed_is_the_same_bad_day() -> None:
    one, two, other = bad_day(5), bad_day(5), bad_day(6)
    assert difference(one.trace.entries, two.trace.entries) is None
    assert one.trace.digest == two.trace.digest != other.trace.digest
    assert one.cluster.delivered == two.cluster.delivered


@pytest.mark.real_time
def test_the_same_seed_is_the_same_bad_day_in_every_process() -> None:
    code = "from tests.rehearse.test_bad_days import bad_day; print([bad_day(seed).trace.digest for seed in range(3)])"
    root = Path(__file__).parents[2]
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "PYTHONHASHSEED": hashing},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashing in ("1", "2")
    }
    assert told == {f"{[bad_day(seed).trace.digest for seed in range(3)]}\n"}


def trusting_relay() -> tuple[type, str, Any]:
    """It deletes what it published, whatever the broker says."""
    right = Relay._settle
    return Relay, "_settle", lambda self, rows, results: right(self, rows, [PublishResult()] * len(rows))


def forgetful_inbox() -> tuple[type, str, Any]:
    """It takes every event for a new one."""
    right = SqliteTransaction.claim

    async def claim(self: Any, marks: Any) -> Any:
        await right(self, marks)
        return marks

    return SqliteTransaction, "claim", claim


def open_gate() -> tuple[type, str, Any]:
    """Nobody waits behind a parked event of the same key."""

    async def blocked(self: Any, reactions: Any) -> Any:
        return {}

    return SqliteTransaction, "blocked", blocked


@pytest.mark.parametrize(
    ("mistake", "rule"), [(trusting_relay, "lost"), (forgetful_inbox, "effects"), (open_gate, "out_of_order")]
)
def test_a_mistake_in_the_runtime_is_found_within_ten_days(
    mistake: Callable[[], tuple[type, str, Any]], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*mistake())
    rules = set[str]()
    for seed in range(10):
        rules |= {finding.rule for finding in bad_day(seed).findings}
        if rule in rules:
            return
    raise AssertionError(f"ten bad days found only {rules}")
