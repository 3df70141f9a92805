"""A service beside 100,000 open joins, and beside a million pending timers: its pace as a share of that on empty tables.

Three databases are open at once, and each kind of work goes through them in turn, so that a change of the machine's speed hits all. Keys are in
no order, as most are. The rows of what waits are made here; first some that the code wrote are compared with them. Without FARANDOLE_POSTGRES
SQLite alone is measured; `JOINS=10000 TIMERS=100000` takes less time.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
from benchmarks.clock import Goal, Pace, Stopwatch
from benchmarks.disk import folder_on_disk
from benchmarks.report import left_out, report
from benchmarks.waiting_rows import Noted, Paid, Placed, Reserved, Shipped, fill, forget, joins, message, shop, timers, written

import farandole
from farandole import Event
from farandole.runtime.signals import Counters
from farandole.world import World

JOINS = int(os.environ.get("JOINS", "100000"))
TIMERS = int(os.environ.get("TIMERS", "1000000"))
COUNT, PLAIN, ROUNDS = 2_000, 20_000, 5
LOADS = {"empty": 0, "joins": JOINS, "timers": TIMERS}


class Running(Counters):
    """The service under the host, and what was measured of it."""

    app: farandole.App

    def __init__(self) -> None:
        super().__init__()
        self._goal = Goal()
        self._next = 10_000_000  # beyond what waits

    def handled(self, lane: str, count: int) -> None:
        super().handled(lane, count)
        self._goal.add(count)

    @property
    def store(self) -> Any:
        return self.app.stores["orders"]

    def numbers(self, count: int) -> range:
        """Orders that were not used before."""
        self._next += count
        return range(self._next - count, self._next)

    async def say(self, numbers: range, *kinds: type[Event]) -> Pace:
        """Events of these orders, one kind after the other, until all are handled."""
        messages = [message(kind, number) for kind in kinds for number in numbers]
        watch = Stopwatch()
        await self.app.broker.publish(messages)
        await self._goal.until(len(messages))
        return watch.pace(len(messages))

    async def plain(self, count: int = PLAIN) -> Pace:
        """Events that have nothing to do with what waits."""
        return await self.say(self.numbers(count), Noted)

    async def joined(self, count: int = COUNT) -> Pace:
        """Events that open joins, and events that complete them."""
        return await self.say(self.numbers(count), Paid, Reserved)

    async def in_time(self, count: int = COUNT) -> Pace:
        """Deadlines that are started, and ended in time."""
        return await self.say(self.numbers(count), Placed, Shipped)

    async def fired(self, count: int = COUNT) -> Pace:
        """Deadlines whose time is over: that was brought forward, and the clock goes on when all are due."""
        numbers = self.numbers(count)
        await self.say(numbers, Placed)
        now, ids = round(self.app.world.time() * 1000), [message(Placed, number).id for number in numbers]
        if self.store.inline:
            async with self.store.begin() as transaction:
                transaction.resource("driver").executemany(
                    "UPDATE farandole_inbox SET due = ? WHERE reaction = 'orders.give_up' AND id = ?", [(now, id) for id in ids]
                )
        else:
            async with self.store.database.connection() as connection:
                await connection.execute(
                    "UPDATE farandole_inbox SET due = $1 WHERE reaction = 'orders.give_up' AND id = ANY($2)", now, ids
                )
        watch = Stopwatch()
        self.app._assembly.hosted["orders"].scheduler.wake()  # type: ignore[union-attr]
        await self._goal.until(count)
        return watch.pace(count)


WORK: dict[str, Callable[[Running], Awaitable[Pace]]] = {
    "unrelated events": Running.plain,
    "joins opened and completed": Running.joined,
    "deadlines started and ended": Running.in_time,
    "timers that fire": Running.fired,
}


@asynccontextmanager
async def running(database: str, *, world: World | None = None) -> AsyncIterator[Running]:
    """The service, with nothing that waits yet."""
    it = Running()
    async with farandole.open(shop(), broker="memory://", database=database, signals=it, world=world) as it.app:
        yield it


async def let_wait(it: Running, load: str, count: int) -> None:
    """Put so much there that waits."""
    if load != "empty":
        now = round(it.app.world.time() * 1000)
        await fill(it.store, joins(count, now) if load == "joins" else timers(count, now))
    if not it.store.inline:  # as its own housekeeping does sooner or later
        async with it.store.database.connection() as connection:
            await connection.execute("VACUUM ANALYZE farandole_inbox, farandole_instances, farandole_parts")


async def as_the_code_writes(it: Running) -> None:
    """The rows that are made here are those that the code writes."""
    await it.say(range(3), Placed, Paid)
    by_code = await written(it.store)
    await forget(it.store)
    now = round(it.app.world.time() * 1000)
    await fill(it.store, timers(3, now, over=0))
    await fill(it.store, joins(3, now, over=0))
    assert await written(it.store) == by_code, "the code writes other rows now: see benchmarks/waiting_rows.py"
    await forget(it.store)


async def measure(name: str, place: Callable[[str], str]) -> None:
    """All kinds of work, beside all that may wait."""
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(running(place(load))) for load in LOADS]
        await as_the_code_writes(services[0])
        for (load, count), it in zip(LOADS.items(), services, strict=True):
            await let_wait(it, load, count)
        for work, measured in WORK.items():
            rounds = [await once(services, measured, number) for number in range(ROUNDS + 1)][1:]  # the first warms the caches
            figures: dict[str, Any] = {"empty_per_s": round(median(paces[0].per_s for paces in rounds))}
            for at, load in enumerate(list(LOADS)[1:], 1):
                figures[f"times_as_long_beside_{load}"] = round(median(paces[0].per_s / paces[at].per_s for paces in rounds), 2)
                figures[f"cpu_as_much_beside_{load}"] = round(median(paces[at].cpu_us / paces[0].cpu_us for paces in rounds), 2)
            report(f"{name}, {work}", **figures, joins=JOINS, timers=TIMERS, target="<= 1.5")
        for question, ask in QUESTIONS.items():
            report(f"{name}, {question}", **{f"{load}_ms": await ask(it.store) for load, it in zip(LOADS, services, strict=True)})


async def once(services: Sequence[Running], work: Callable[[Running], Awaitable[Pace]], first: int) -> list[Pace]:
    """The work on each, another one first each time."""
    paces = {at % len(services): await work(services[at % len(services)]) for at in range(first, first + len(services))}
    return [paces[at] for at in range(len(services))]


def asked(question: Callable[[Any], Awaitable[object]]) -> Callable[[Any], Awaitable[float]]:
    """The milliseconds of a question, the median of nine."""

    async def ask(store: Any) -> float:
        times = []
        for _ in range(9):
            begun = time.perf_counter()
            await question(store)
            times.append(time.perf_counter() - begun)
        return round(median(times) * 1e3, 2)

    return ask


NAMES = ("orders.note", "orders.ship", "orders.give_up")
QUESTIONS = {
    "next_due": asked(lambda store: store.next_due(NAMES)),
    "waiting": asked(lambda store: store.waiting(NAMES, 100)),
    "take": asked(lambda store: store.take(NAMES, 100, 10.0)),
    "purge": asked(lambda store: store.purge(7 * 86_400.0, 200)),
    "status": asked(lambda store: store.status()),
}


async def run() -> None:
    with folder_on_disk() as folder:
        await measure("SQLite", lambda name: f"sqlite:///{Path(folder)}/{name}.db")
    url, mark = os.environ.get("FARANDOLE_POSTGRES"), f"bench_{secrets.token_hex(4)}"
    if url is None:
        left_out("what waits, on PostgreSQL", "postgres")
        return
    try:
        await measure("PostgreSQL", lambda name: f"{url}?schema={mark}_{name}")
    finally:
        connection = await asyncpg.connect(url)
        for (name,) in await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE $1 || '%'", mark):
            await connection.execute(f'DROP SCHEMA "{name}" CASCADE')
        await connection.close()


def main() -> None:
    """On both stores."""
    asyncio.run(run())


if __name__ == "__main__":
    main()
