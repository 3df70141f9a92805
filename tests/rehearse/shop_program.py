"""Runs the shop on the rehearsal loop for some seeds, and prints for each a line that tells the whole run.

python -m tests.rehearse.shop_program FIRST COUNT
"""

from __future__ import annotations

import os
import sys
from hashlib import blake2b

from examples.shop import shop
from examples.shop.databases import Databases
from examples.shop.driver import fill_shelves, submit
from examples.shop.generator import generate
from examples.shop.reader import Invoice
from examples.shop.stock import initial_stock
from farandole import host
from farandole.brokers import open_broker
from farandole.brokers.base import Broker, Subscription
from farandole.model.wire import Wire
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.trace import Trace
from farandole.rehearse.wire import TracedBroker
from farandole.rehearse.world import RehearsalWorld

INVOICES = [Invoice(i.number, i.customer_id, i.country, i.day, i.sequence, i.lines[:3]) for i in generate(6, seed=3)]
STOCK = initial_stock(INVOICES, "scarce", 3)
TOPICS = tuple(sorted(Wire(shop).types_of_topic))
GATEWAY = {"SHOP_LEDGER": ":memory:", "SHOP_DECLINES": "0.2", "SHOP_TIMEOUTS": "0.3", "SHOP_SEED": "1"}


def rehearse(seed: int) -> tuple[Trace, int, str]:
    """One run of the shop: its trace, how many invoices came to an outcome, and a hash of all that was published."""
    loop = RehearsalLoop(seed)
    world = RehearsalWorld(loop, "shop")
    outcomes: list[str] = []

    async def program() -> str:
        broker = TracedBroker(open_broker("memory://", world), world)
        await broker.open()
        async with host.open(shop, broker=broker, database="sqlite://", world=world) as app:
            await fill_shelves(app, STOCK)
            databases = Databases("sqlite://")
            await submit(
                app,
                INVOICES,
                databases=databases,
                world=world,
                customers=3,
                done=lambda invoice: outcomes.append(invoice.number),
            )
            await app.idle()
        return await wire_of(broker)

    async def main() -> str:
        return await world.start(program(), name="program")

    wire = loop.play(main())
    assert loop.unhandled == []
    return loop.trace, len(outcomes), wire


async def wire_of(broker: Broker) -> str:
    """A hash of everything on the broker."""
    listener = await broker.subscribe(Subscription(None, TOPICS, start="beginning"))
    found = blake2b(digest_size=8)
    while batch := await listener.fetch(500, 0.0):
        for delivery in batch:
            found.update(b"%s %d %d %s\n" % (delivery.topic.encode(), delivery.partition, delivery.position, delivery.body))
    await broker.close()
    return found.hexdigest()


def main(first: int, count: int) -> None:
    os.environ.update(GATEWAY)
    for seed in range(first, first + count):
        trace, outcomes, wire = rehearse(seed)
        print(seed, trace.count, trace.digest, outcomes, wire)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
