"""The process is stopped at every await and every statement from fetch to ack and from outbox to broker; nothing breaks.

Enumerated, not sampled: each run dies at the next point. After each death the program starts again on the files that were left.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import host
from farandole.brokers.base import Delivery, Subscription
from farandole.model.choreography import Choreography
from farandole.model.envelope import decode
from farandole.model.event import Command, Event
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.runtime.assembly import Options
from farandole.runtime.context import Context
from farandole.testing import virtual
from farandole.testing.checkers import altered, require
from farandole.testing.crash import CountingWorld, every_death, run_to_death
from farandole.testing.virtual import VirtualWorld

COUNTS = "CREATE TABLE IF NOT EXISTS counts (line TEXT PRIMARY KEY, times INTEGER)"
COUNT = "INSERT INTO counts VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1"


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
    lines: int


class Bank:
    """Outside: what it is told under one key counts once."""

    charged: set[str] = set()


def build() -> Choreography:
    """Lines of an order share a key; one reaction is local and fails once after it wrote, one is outside."""
    orders, payments, shipping = Service("orders"), Service("payments", tables=COUNTS), Service("shipping", tables=COUNTS)
    quick = Policy(retry=Retry(attempts=4, delay=0.05, jitter=0.0))
    payments.provide(Bank, Bank())

    @orders.command
    async def place(command: Place) -> list[Placed]:
        return [Placed(order_id=command.order_id, line=n) for n in range(command.lines)]

    @payments.on(Placed, policy=quick)
    async def charge(order: Placed, bank: Bank, db: AsyncConnection, context: Context) -> Charged:
        bank.charged.add(context.idempotency_key)
        await db.exec_driver_sql(COUNT, (f"{order.order_id}/{order.line}",))
        return Charged(order_id=order.order_id, line=order.line)

    @shipping.on(Charged, policy=quick)
    async def ship(charged: Charged, db: sqlite3.Connection, context: Context) -> Shipped:
        db.execute(COUNT, (f"{charged.order_id}/{charged.line}",))
        if charged.line == 0 and context.attempt == 1:
            raise RuntimeError("once")
        return Shipped(order_id=charged.order_id, line=charged.line)

    return Choreography("shop", orders, payments, shipping)


SHOP = build()
ORDERS = {"o-0": 2, "o-1": 1}
"""Lines by order: two share a key, a third has another."""


def places(folder: Path) -> dict[str, str]:
    """Where the log and the databases are."""
    return {
        "broker": f"sqlite:///{folder}/broker.db?synchronous=normal",
        "database": f"sqlite:///{folder}/{{service}}.db?synchronous=off",
    }


async def opened(world: VirtualWorld, folder: Path) -> None:
    """Files with all tables and nothing in them."""
    async with host.open(SHOP, world=world, options=Options(), **places(folder)):
        pass


async def program(world: VirtualWorld, folder: Path) -> None:
    """Two orders, placed under their keys, as a caller who tries again would."""
    if isinstance(world, CountingWorld):
        world.counting = False  # while it opens its files
    async with host.open(SHOP, world=world, options=Options(), **places(folder)) as app:
        if isinstance(world, CountingWorld):
            world.counting = True
        await asyncio.gather(*(app.send(Place(order_id=id, lines=lines), idempotency_key=id) for id, lines in ORDERS.items()))
        await app.idle()


LINES = {f"{order}/{line}" for order, lines in ORDERS.items() for line in range(lines)}


async def check(world: VirtualWorld, folder: Path) -> None:
    """Start again on what was left, and look."""
    await program(world, folder)
    for service in ("payments", "shipping"):
        with sqlite3.connect(folder / f"{service}.db") as db:
            assert dict(db.execute("SELECT line, times FROM counts")) == dict.fromkeys(LINES, 1), service
            states = Counter(state for (state,) in db.execute("SELECT state FROM farandole_inbox"))
            assert set(states) == {"done"}, states
            assert db.execute("SELECT count(*) FROM farandole_outbox").fetchone() == (0,)
        db.close()
    await check_wire(world, folder)


async def check_wire(world: VirtualWorld, folder: Path) -> None:
    """Each event once, but for repeats with the same id and body; lines of one order in order."""
    from farandole.brokers import open_broker

    broker = open_broker(f"sqlite:///{folder}/broker.db", world)
    await broker.open()
    for topic in ("shop.orders", "shop.payments", "shop.shipping"):
        listener = await broker.subscribe(Subscription(None, (topic,), start="beginning"))
        travelled: list[Delivery] = []
        while batch := await listener.fetch(500, 0.0):
            travelled += batch
        require(altered(travelled))
        lines: dict[str, dict[int, None]] = {}  # each by its first time
        for delivery in travelled:
            data = msgspec.json.decode(decode(delivery.body).data)
            lines.setdefault(data["order_id"], {})[data["line"]] = None
        assert {order: list(those) for order, those in lines.items()} == {
            order: list(range(lines)) for order, lines in ORDERS.items()
        }, topic
        await listener.close()
    await broker.close()


SHARES = 4


@pytest.mark.slow
@pytest.mark.parametrize("share", range(1, SHARES + 1))
def test_a_stop_at_every_await_and_statement_leaves_effects_once(
    share: int, record_property: Callable[[str, object], None]
) -> None:
    names: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as base:
        empty = Path(base) / "empty"
        empty.mkdir()
        virtual.run(opened(VirtualWorld(), empty))  # what happens before does not count, and takes long: once for all

        def fresh() -> Path:
            return Path(shutil.copytree(empty, tempfile.mkdtemp(dir=base), dirs_exist_ok=True))

        for death in every_death(program, fresh, first=share, step=SHARES):
            names[death.name] += 1
            assert run_to_death(check, death.folder, None).died_at is None
    awaits, all_points = names["await"], names.total()
    record_property(f"stops survived, share {share} of {SHARES}", f"{awaits} awaits, {all_points - awaits} statements and steps")
    assert all_points > 100
    assert awaits > 10
