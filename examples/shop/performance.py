"""One performance of the shop from curtain to curtain: open it, send everything, wait until nothing is under way, and look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farandole import App, Choreography, World
from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.cli.reading import entries_of, read_flows
from farandole.host import open as open_host
from farandole.model.wire import Wire
from farandole.observe.chain import Chain, chains_of
from farandole.observe.record import Reading

from . import shop
from .databases import Databases, looking
from .driver import fill_shelves, submit
from .duplicates import Duplicating
from .figures import Figures, read_figures
from .invariants import check
from .reader import Invoice

__all__ = ["Plan", "Result", "perform", "unless_it_stops"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, where.

    Attributes
    ----------
    invoices, stock:
        What to submit, and the pieces by stock code that are there for it.
    broker, database:
        URLs; the database's has `{service}` in it.
    ledger:
        The gateway's file.
    duplicates:
        The share of events that are delivered again, 0 to 1.
    seed:
        Which.
    """

    invoices: Sequence[Invoice]
    stock: dict[str, int]
    broker: str
    database: str
    ledger: Path
    duplicates: float
    seed: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it.

    Attributes
    ----------
    figures, violations:
        Read from the databases.
    dead_letters:
        In all services.
    retries, duplicates:
        What this process tried again and suppressed.
    seconds:
        From the first invoice to the last outcome.
    failure:
        The events of one order that was cancelled, if there is one.
    """

    figures: Figures
    violations: dict[str, list[str]]
    dead_letters: int
    retries: int
    duplicates: int
    seconds: float
    failure: Chain | None

    @property
    def fine(self) -> bool:
        """Whether every invariant holds and nothing is left open."""
        return not any(self.violations.values()) and not self.figures.open

    @property
    def workflows_per_second(self) -> float:
        """Orders placed and returns taken back, per second."""
        figures = self.figures
        workflows = figures.placed + figures.returns_accepted + figures.returns_partial
        return round(workflows / self.seconds, 1) if self.seconds else 0.0


async def perform(plan: Plan, step: Callable[[Invoice], None], world: World) -> Result:
    """Run a plan; `step` is called after each invoice's outcome."""
    broker = open_broker(plan.broker, world)
    await broker.open()
    numbers = [invoice.number for invoice in plan.invoices]
    try:
        with looking(plan.database, plan.ledger) as databases:
            repeating = Duplicating(broker, plan.duplicates, plan.seed)
            async with open_host(shop, broker=repeating, database=plan.database, world=world) as app:
                await fill_shelves(app, plan.stock)
                began = world.monotonic()
                await unless_it_stops(app, submit(app, plan.invoices, databases=databases, world=world, done=step))
                seconds = world.monotonic() - began
                await unless_it_stops(app, app.idle())
                dead = [(await app.store(name).status()).dead for name in app.services]
            return Result(
                figures=read_figures(databases, numbers),
                violations=check(databases, numbers, plan.stock),
                dead_letters=sum(dead),
                retries=app.counters["retries"],
                duplicates=app.counters["duplicates"],
                seconds=seconds,
                failure=await _one_failure(shop, broker, databases, world),
            )
    finally:
        await broker.close()


async def unless_it_stops(app: App, work: Coroutine[Any, Any, None]) -> None:
    """Do some work, but not for ever: an app that stopped, because a part of it died, ends nothing any more."""
    tasks = {asyncio.create_task(work), asyncio.create_task(app.wait_stopped())}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _one_failure(choreography: Choreography, broker: Broker, databases: Databases, world: World) -> Chain | None:
    """The events of a cancelled order; rather one that had to be compensated, and a small one."""
    cancelled = "SELECT order_id FROM orders WHERE state = 'cancelled' ORDER BY reason = 'out of stock', total_pence LIMIT 1"
    for (order_id,) in databases.rows("orders", cancelled):
        reading = Reading(Wire(choreography))
        found = await read_flows(broker, reading.topics, f"order_id={order_id}", world)
        chains = chains_of(choreography).of(entries_of(found, reading), now=world.time())
        return chains[0] if chains else None
    return None
