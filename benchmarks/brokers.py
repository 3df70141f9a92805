"""Consuming, and consuming with publishing, through each broker: the worker beside a raw loop over the client library and beside FastStream.

All decode envelope and data, call the same handler, and acknowledge, in batches of up to 100; where they publish, each handler's answer is encoded,
published and confirmed before its event is acknowledged. The worker runs over a store that forgets, and what it emits goes straight to the broker;
it reads 12 partitions, the raw loop and FastStream one queue each, which is their best case. Needs the FARANDOLE_* URLs.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from typing import Any, Self

from benchmarks.clock import Meter, Pace, compared
from benchmarks.faststream_clients import FASTSTREAM
from benchmarks.overhead import Forgetful, OrderPlaced, PaymentCompleted, charge, make
from benchmarks.raw_clients import RAW, WINDOW, Clients
from benchmarks.report import has_rival, left_out, report

from farandole.brokers import open_broker
from farandole.brokers.base import BeginsGroups, Broker, Delivery, Subscription
from farandole.model.choreography import Choreography
from farandole.model.envelope import Message
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.runtime.lanes import lanes_of
from farandole.runtime.plan import Limits, compile_plan
from farandole.runtime.signals import Counters
from farandole.runtime.worker import Reader, Worker
from farandole.world import World

ROUNDS = 3
COUNTS = {"nats": 20_000, "redis": 20_000, "kafka": 20_000, "rabbitmq": 10_000}
FEWER = 4
"""Where they publish as well."""
TARGETS = {"nats": ">= 0.9", "redis": ">= 0.5", "kafka": ">= 0.5", "rabbitmq": ">= 0.9"}


class Straight(Forgetful):
    """A store that forgets; what is emitted goes to the broker at once, and is confirmed before the batch ends."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker = broker
        self._topic = topic

    def begin(self, *, durable: bool = True) -> Self:
        return self

    async def emit(self, messages: Sequence[Message]) -> None:
        results = await self._broker.publish([Message(self._topic, m.key, m.id, m.type, m.body) for m in messages])
        assert not any(result.error for result in results)


def service(*, publish: bool) -> Service:
    """One reaction, which answers or keeps silent."""
    payments = Service("payments")

    async def silent(order: OrderPlaced) -> None:
        await charge.function(order)

    async def answering(order: OrderPlaced) -> PaymentCompleted:
        answer: PaymentCompleted = await charge.function(order)
        return answer

    handler: Any = answering if publish else silent
    handler.__name__ = "charge"
    payments.on(OrderPlaced)(handler)
    return payments


async def farandole(url: str, deliveries: Sequence[Delivery], topic: str, *, publish: bool) -> Pace:
    """The pace of a worker."""
    broker = open_broker(url, World())
    await broker.open()
    subscription = Subscription(f"g-{topic}", (topic,))
    if isinstance(broker, BeginsGroups):
        await broker.begin(subscription)
    messages = [Message(topic, delivery.key, delivery.id, delivery.type, delivery.body) for delivery in deliveries]
    for at in range(0, len(messages), WINDOW):
        assert not any(result.error for result in await broker.publish(messages[at : at + WINDOW]))
    consumer = await broker.subscribe(subscription)
    payments, signals = service(publish=publish), Counters()
    shop = Choreography("shop", payments)
    wire = Wire(shop)
    reader = Reader(
        "payments", [compile_plan(payments.reactions["charge"], payments, wire, {}, Limits())], wire.types_of_topic, Limits()
    )
    worker = Worker(
        lanes_of(shop, payments, wire)[0], reader, Straight(broker, f"{topic}-out"), consumer, World(), signals,  # type: ignore[arg-type]
        wake_relay=lambda: None, wake_scheduler=lambda: None, concurrency=1, bound=lambda reaction: 1000,
    )  # fmt: skip
    meter, before = Meter(len(messages)), 0
    while meter.pace is None:
        await worker._step()
        meter.add(signals["handled"] - before)
        before = signals["handled"]
    await consumer.close()
    await broker.close()
    return meter.pace


def measure(name: str, url: str, others: Sequence[Clients], *, publish: bool) -> None:
    """Rounds of all in turn."""
    deliveries = make()[: COUNTS[name] // (FEWER if publish else 1)]
    bodies = [delivery.body for delivery in deliveries]
    found = []
    for _ in range(ROUNDS):
        one = asyncio.run(farandole(url, deliveries, f"bench-{secrets.token_hex(4)}", publish=publish))
        rest = [asyncio.run(side[name](url, bodies, f"bench-{secrets.token_hex(4)}", publish=publish)) for side in others]
        found.append((one, *rest))
    report(
        f"{'consume and publish' if publish else 'consume'} through {name}, batches of 100",
        **compared(found, ("farandole", "raw", "faststream")[: 1 + len(others)], of="events"),
        target=None if publish else TARGETS[name],
    )


def main() -> None:
    """Each broker that the environment names."""
    others = (RAW, FASTSTREAM) if has_rival() else (RAW,)
    for name in RAW:
        url = os.environ.get(f"FARANDOLE_{name.upper()}")
        if url is None:
            left_out(f"brokers: {name}", name)
            continue
        for publish in (False, True):
            measure(name, url, others, publish=publish)


if __name__ == "__main__":
    main()
