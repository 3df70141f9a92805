"""The shop in four processes that are killed again and again, each event delivered twice: every invariant holds."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.system.doubling import connect
from tests.system.kit import Supervised, folder, supervised, until_settled

from examples.shop import shop
from examples.shop.chance import pick
from examples.shop.databases import looking
from examples.shop.driver import fill_shelves, submit
from examples.shop.figures import read_figures
from examples.shop.generator import generate
from examples.shop.invariants import check
from examples.shop.reader import Invoice
from examples.shop.stock import initial_stock
from farandole import World, host

SEED = 7
INVOICES = 240
KILLS = 12
SHARES = (
    ("orders", "returns", "loyalty"),
    ("inventory", "payments", "fraud"),
    ("payments", "email", "loyalty"),
    ("orders", "analytics", "warehouse"),
)
"""Which services run in which process: two of them in two at once."""


@pytest.mark.real_time
@pytest.mark.slow
async def test_processes_that_are_killed_at_random_lose_nothing_and_charge_nobody_twice(tmp_path: Path) -> None:
    invoices = generate(INVOICES, SEED)
    stock = initial_stock(invoices, "scarce", SEED)
    ledger = tmp_path / "gateway.db"
    weather = {
        "SHOP_LEDGER": str(ledger),
        "SHOP_DECLINES": "0.05",
        "SHOP_TIMEOUTS": "0.1",
        "SHOP_FRAUDS": "0.1",
        "SHOP_SEED": str(SEED),
    }
    file = f"{tmp_path}/broker.db?synchronous=normal"
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(
            folder(
                tmp_path,
                app="examples.shop:shop",
                module="tests.system.doubling",
                broker=f"doubled:///{file}",
                environment=weather,
            )
        )
        world, broker = World(), connect(here.broker, World())
        await broker.open()
        stack.push_async_callback(broker.close)
        app = await stack.enter_async_context(host.open(shop, services=(), broker=broker, database=here.database))
        databases = stack.enter_context(looking(here.database, ledger))
        await fill_shelves(app, stock)
        keepers = [await stack.enter_async_context(supervised(here, *services)) for services in SHARES]
        reaper = Reaper(keepers)
        await submit(app, invoices, databases=databases, world=world, timeout=120.0, done=reaper.done)
        await until_settled(shop, f"sqlite:///{file}", here.database)

        numbers = [invoice.number for invoice in invoices]
        figures = read_figures(databases, numbers)
        assert not any(check(databases, numbers, stock).values())
        assert figures.open == 0
        assert figures.confirmed > 100
        assert figures.cancelled > 5
        assert figures.returns_accepted + figures.returns_partial > 5
        assert all(not here.rows(name, "SELECT * FROM farandole_inbox WHERE state = 'dead'") for name in shop.services)
        assert sum(keeper.deaths for keeper in keepers) == len(reaper.killed) >= KILLS // 2
        assert all(keeper.deaths for keeper in keepers), "some process was never killed"
        twice = "SELECT count(*) FROM (SELECT 1 FROM broker_log GROUP BY topic, id HAVING count(*) < 2)"
        assert here.rows("broker", twice) == [(0,)]


class Reaper:
    """Kills a process by lot at moments by lot, counted in outcomes."""

    def __init__(self, keepers: Sequence[Supervised]) -> None:
        self._keepers = keepers
        self._outcomes = 0
        self._moments = {pick(1, INVOICES - 20, SEED, "moment", n) for n in range(KILLS)}
        self.killed: set[int] = set()

    def done(self, _: Invoice) -> None:
        self._outcomes += 1
        if self._outcomes in self._moments:
            victim = self._keepers[pick(0, len(self._keepers) - 1, SEED, "victim", self._outcomes)]
            if victim.worker is not None and victim.worker.process.returncode is None:
                victim.worker.send_signal(signal.SIGKILL)
                self.killed.add(victim.worker.pid)
