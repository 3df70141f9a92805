"""The shop on real servers, in processes of its own: a worker, the broker and the database are killed meanwhile. Every invariant holds."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.cluster.servers_of_our_own import Servers
from tests.counts import often
from tests.servers import server
from tests.system.kit import Folder, Supervised, supervised, until_settled

from examples.shop import shop
from examples.shop.databases import Databases, looking
from examples.shop.driver import fill_shelves, submit
from examples.shop.figures import read_figures
from examples.shop.invariants import check
from examples.shop.reader import Invoice, read_invoices
from examples.shop.stock import initial_stock
from farandole import World, host
from farandole.errors import FarandoleError

SEED = 4711
INVOICES = often(160, 1892)
SHARES = (
    ("orders", "returns", "inventory", "loyalty"),
    ("payments", "email", "inventory", "orders", "fraud"),
    ("payments", "analytics", "warehouse", "loyalty"),
)
"""Which services run in which process: some of them in two at once."""
OPTIONS = {
    "kafka": "?session.timeout.ms=6000", "nats": "?prefix={run}", "redis": "?prefix={run}", "rabbitmq": "", "postgres": "?schema=broker_{run}",
}  # fmt: skip


@dataclass
class Cluster(Folder):
    """A folder whose services run on servers."""

    databases: str = ""

    @property
    def database(self) -> str:
        return self.databases


class Patient:
    """Sends commands until they are answered, whatever is down just now; the idempotency key makes one of them."""

    def __init__(self, app: host.App) -> None:
        self._app = app

    async def send(self, command: Any, *, idempotency_key: str) -> Any:
        while True:
            try:
                receipt = await self._app.send(command, idempotency_key=idempotency_key)
            except FarandoleError as error:
                if type(error).__name__ == "CommandRefused":
                    raise
                await asyncio.sleep(0.2)
            else:
                return (
                    msgspec.structs.replace(receipt, repeated=True) if isinstance(receipt, msgspec.Struct) else _repeated(receipt)
                )


def _repeated(receipt: Any) -> Any:
    from dataclasses import replace

    return replace(receipt, repeated=True)  # so that the outcome is looked for in the databases: no listener survives everything


class Sight:
    """What can be seen now: nothing, while the database is away."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._databases.rows(service, sql, **values)
        except Exception:
            return []

    def one(self, service: str, sql: str, **values: Any) -> Any:
        return self._databases.one(service, sql, **values)


class Reaper:
    """Kills a worker, the broker and the database, one after the other, as outcomes come in."""

    def __init__(self, servers: Servers, keepers: list[Supervised], *names: str) -> None:
        self._outcomes = 0
        self._tasks: list[asyncio.Task[None]] = []
        worker: list[Callable[[], Any]] = [lambda keeper=keeper: _kill(keeper) for keeper in keepers[:2]]
        deaths = [worker[0], *(lambda name=name: servers.die_and_return(name) for name in dict.fromkeys(names)), worker[1]]
        self._due = {INVOICES * (place + 1) // (len(deaths) + 1): death for place, death in enumerate(deaths)}

    def done(self, _: Invoice) -> None:
        self._outcomes += 1
        death = self._due.pop(self._outcomes, None)
        if death is not None:
            self._tasks.append(asyncio.create_task(death()))

    async def finish(self) -> None:
        assert not self._due, "somebody was never killed"
        await asyncio.gather(*self._tasks)


async def _kill(keeper: Supervised) -> None:
    assert keeper.worker is not None
    keeper.worker.send_signal(signal.SIGKILL)


@pytest.mark.servers
@pytest.mark.real_time
@pytest.mark.slow
@pytest.mark.parametrize(
    ("broker", "database"),
    [
        ("kafka", "postgres"),
        ("nats", "postgres"),
        ("rabbitmq", "postgres"),
        ("redis", "postgres"),
        ("postgres", "postgres"),
        ("kafka", "sqlite"),
    ],
)
async def test_whoever_dies_nothing_is_lost_and_nobody_is_charged_twice(
    broker: str, database: str, tmp_path: Path, shared: Path
) -> None:
    server(broker)
    invoices = read_invoices(shared / "data" / "online_retail_2010_12.csv.gz")[:INVOICES]
    stock = initial_stock(invoices, "scarce", SEED)
    ledger, run = tmp_path / "gateway.db", f"t{secrets.token_hex(4)}"
    weather = {
        "SHOP_LEDGER": str(ledger),
        "SHOP_DECLINES": "0.05",
        "SHOP_TIMEOUTS": "0.05",
        "SHOP_FRAUDS": "0.05",
        "SHOP_SEED": str(SEED),
    }
    on_server = database == "postgres"
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(Servers(broker, *(["postgres"] if on_server else [])))
        where = f"{servers.url(broker)}{OPTIONS[broker].replace('{run}', run)}"
        databases = f"{servers.url('postgres')}?schema={run}_{{service}}" if on_server else f"sqlite:///{tmp_path}/{{service}}.db"
        here = Cluster(tmp_path, app="examples.shop:shop", broker=where, environment=weather, databases=databases)
        stack.push_async_callback(_end, here)
        app = await stack.enter_async_context(host.open(shop, services=(), broker=where, database=databases))
        seen = stack.enter_context(looking(databases, ledger))
        await fill_shelves(app, stock)
        keepers = [await stack.enter_async_context(supervised(here, *services, may_fail=True)) for services in SHARES]
        reaper = Reaper(servers, keepers, broker, *(["postgres"] if on_server else []))
        await submit(Patient(app), invoices, databases=Sight(seen), world=World(), timeout=240.0, done=reaper.done)  # type: ignore[arg-type]
        await reaper.finish()
        await until_settled(shop, where, databases)

        numbers = [invoice.number for invoice in invoices]
        figures = read_figures(seen, numbers)
        assert not any(check(seen, numbers, stock).values())
        assert figures.open == 0
        assert figures.confirmed > INVOICES // 3
        assert sum(keeper.deaths for keeper in keepers) == 2
        for name in shop.services:
            assert seen.rows(name, "SELECT reaction, id, reason FROM farandole_inbox WHERE state = 'dead'") == []


async def _end(here: Folder) -> None:
    for worker in here.workers:
        await worker.kill()
