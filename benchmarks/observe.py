"""What it costs when somebody listens: the consume path with each listener, beside the same path without any, in the same run.

In memory, the handler does as little as it can and nothing is written, so that all of the difference is the listener's; what counts is the
processor's time. In SQLite files the handler writes a row: what a service would notice, by the clock on the wall and by the processor's.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.disk import folder_on_disk
from benchmarks.overhead import BATCH, EVENTS, Batches, Forgetful, OrderPlaced, make, payments
from benchmarks.report import report

import farandole
from farandole.brokers.base import Delivery, Message
from farandole.host import Options
from farandole.model.choreography import Choreography
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.observe.listeners import listeners_of
from farandole.observe.observer import Observer
from farandole.runtime import runs
from farandole.runtime.lanes import lanes_of
from farandole.runtime.plan import Limits, compile_plan
from farandole.runtime.signals import Signals
from farandole.runtime.worker import Reader, Worker
from farandole.world import World

ROUNDS, WRITTEN = 5, 5_000
LISTENERS: dict[str, tuple[str, ...]] = {"metrics": ("metrics",)}
"""Who is measured: another listener is one more line here."""

writing = Service("payments", tables="CREATE TABLE IF NOT EXISTS paid (order_id TEXT PRIMARY KEY, cents INTEGER)")
shop = Choreography("shop", writing)


@writing.on(OrderPlaced)
async def charge(order: OrderPlaced, db: sqlite3.Connection) -> None:
    """A row."""
    db.execute("INSERT INTO paid VALUES (?, ?)", (order.order_id, order.total_cents))


class _Stage:
    """What a listener asks of the app it listens to, as far as it is there."""

    def __init__(self) -> None:
        self.choreography = Choreography("shop", payments)
        self.broker: Any = Forgetful()
        self.world = World()
        self.services, self.stores, self.recorder = ("payments",), {}, None

    async def lag(self) -> dict[str, dict[str, int]]:
        return {}


async def in_memory(deliveries: list[Delivery], listeners: Sequence[str], batch: int) -> float:
    """Seconds per event through the worker."""
    stage = _Stage()
    wire, service = Wire(stage.choreography), payments
    signals = Observer(listeners_of(listeners), stage.world) if listeners else Signals()
    plan = compile_plan(service.reactions["charge"], service, wire, {}, Limits())
    if signals.listens:
        runs.watch(plan, signals)
    worker = Worker(
        lanes_of(stage.choreography, service, wire)[0], Reader("payments", [plan], wire.types_of_topic, Limits()), Forgetful(),  # type: ignore[arg-type]
        Batches(deliveries, batch), stage.world, signals,  # type: ignore[arg-type]
        wake_relay=lambda: None, wake_scheduler=lambda: None, concurrency=1, bound=lambda reaction: 1000,
    )  # fmt: skip
    if isinstance(signals, Observer):
        await signals.begin(stage)  # type: ignore[arg-type]
    begun = time.process_time()
    for _ in range(EVENTS // batch):
        await worker._step()
    return (time.process_time() - begun) / EVENTS


async def in_files(deliveries: list[Delivery], listeners: Sequence[str], clock: Callable[[], float]) -> float:
    """Seconds per event through the host, with SQLite on the disk."""
    with folder_on_disk() as folder:
        urls = {"broker": "memory://", "database": f"sqlite:///{folder}/{{service}}.db"}
        async with farandole.open(shop, **urls, record="none", observe=listeners, options=Options()) as app:
            begun = clock()
            await app.broker.publish([Message(one.topic, one.key, one.id, one.type, one.body) for one in deliveries[:WRITTEN]])
            await app.idle()
            return (clock() - begun) / WRITTEN


def main() -> None:
    """Rounds in turn, so that a change of the machine's speed hits all."""
    deliveries = make()
    ways: dict[str, Any] = {
        f"in memory, batch {BATCH}": lambda listeners: in_memory(deliveries, listeners, BATCH),
        "in memory, batch 1": lambda listeners: in_memory(deliveries, listeners, 1),
        "in SQLite files, processor": lambda listeners: in_files(deliveries, listeners, time.process_time),
        "in SQLite files, on the wall": lambda listeners: in_files(deliveries, listeners, time.perf_counter),
    }
    for way, measure in ways.items():
        rounds = [[asyncio.run(measure(listeners)) for listeners in ((), *LISTENERS.values())] for _ in range(ROUNDS)]
        for number, name in enumerate(LISTENERS, 1):
            report(
                f"consume path, {way}: {name}",
                with_us=round(median(one[number] for one in rounds) * 1e6, 2),
                without_us=round(median(one[0] for one in rounds) * 1e6, 2),
                costs_us=round(median(one[number] - one[0] for one in rounds) * 1e6, 2),
                ratio=round(median(one[number] / one[0] for one in rounds), 2),
            )


if __name__ == "__main__":
    main()
