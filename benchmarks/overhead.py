"""Total per event in memory: fetch, decode, dispatch, handler, encode, beside a lean loop that does the same work by hand.

Both read the same CloudEvents from a list in batches, decode envelope and data, call an async handler that returns one event, and encode that
event and its envelope with a deterministic id. Neither writes anything: the store is one that forgets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Self

import msgspec
from benchmarks.by_hand import Emits, Wired, encode, read
from benchmarks.report import report

from farandole.brokers.base import Delivery
from farandole.model.choreography import Choreography
from farandole.model.envelope import Message
from farandole.model.event import Event
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.runtime.lanes import lanes_of
from farandole.runtime.plan import Limits, compile_plan
from farandole.runtime.signals import Signals
from farandole.runtime.worker import Reader, Worker
from farandole.world import World

EVENTS, BATCH, ROUNDS = 20_000, 100, 7


class OrderPlaced(Event, key="order_id", topic="orders"):
    order_id: str
    customer_id: str
    total_cents: int


class PaymentCompleted(Event, key="order_id"):
    order_id: str
    payment_id: str


payments = Service("payments")


@payments.on(OrderPlaced)
async def charge(order: OrderPlaced) -> PaymentCompleted:
    """As little as a handler can do."""
    return PaymentCompleted(order_id=order.order_id, payment_id="p")


class Forgetful:
    """A store and transaction in one: everything is new, nothing is kept."""

    inline = True

    def begin(self, *, durable: bool = True) -> Forgetful:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def blocked(self, reactions: Collection[str]) -> dict[tuple[str, str], int]:
        return {}

    async def claim(self, marks: Sequence[tuple[str, str]]) -> Collection[tuple[str, str]]:
        return marks

    async def emit(self, messages: Sequence[Message]) -> None:
        pass

    async def flush(self) -> None:
        pass


class Batches:
    """A consumer over a list."""

    def __init__(self, deliveries: list[Delivery], batch: int) -> None:
        self.deliveries, self.batch, self.at = deliveries, batch, 0

    async def fetch(self, limit: int, wait: float) -> list[Delivery]:
        found = self.deliveries[self.at : self.at + self.batch]
        self.at += self.batch
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        pass


def make() -> list[Delivery]:
    """The input: as a broker would hand it out."""
    now = datetime.now(UTC)
    found = []
    for number in range(EVENTS):
        id = f"0198c0de-1234-7000-8000-{number:012x}"
        order = f"o-{number}"
        event = OrderPlaced(order_id=order, customer_id=f"c-{number % 997}", total_cents=number)
        body = encode(
            Wired("1.0", id, "/shop/orders", "shop.OrderPlaced.v1", now, "application/json", id, id, order, 1, event),
        )
        found.append(Delivery("shop.orders", 0, number, body, order, id, "shop.OrderPlaced.v1"))
    return found


async def framework(deliveries: list[Delivery], batch: int) -> float:
    """Seconds per event through the worker."""
    shop = Choreography("shop", payments)
    wire, service = Wire(shop), shop.services["payments"]
    plan = compile_plan(service.reactions["charge"], service, wire, {}, Limits())
    reader = Reader("payments", [plan], wire.types_of_topic, Limits())
    consumer = Batches(deliveries, batch)
    worker = Worker(
        lanes_of(shop, service, wire)[0], reader, Forgetful(), consumer, World(), Signals(),  # type: ignore[arg-type]
        wake_relay=lambda: None, wake_scheduler=lambda: None, concurrency=1, bound=lambda reaction: 1000,
    )  # fmt: skip
    begun = time.perf_counter()
    for _ in range(EVENTS // batch):
        await worker._step()
    return (time.perf_counter() - begun) / EVENTS


async def lean(deliveries: list[Delivery], batch: int) -> float:
    """Seconds per event by hand."""
    decode_data = msgspec.json.Decoder(OrderPlaced).decode
    routes = {"shop.OrderPlaced.v1": (decode_data, charge.function)}
    emits = Emits("payments.charge", "/shop/payments", "shop.PaymentCompleted.v1")
    at = 0
    begun = time.perf_counter()
    while at < EVENTS:
        out = []
        now = datetime.now(UTC)
        for delivery in deliveries[at : at + batch]:
            envelope = read(delivery.body)
            decode, handler = routes[envelope.type]
            event = await handler(decode(envelope.data))
            id, body = emits.message(envelope, event.order_id, event, now)
            out.append(Message("shop.payments", event.order_id, id, "shop.PaymentCompleted.v1", body))
        at += batch
    return (time.perf_counter() - begun) / EVENTS


def main() -> None:
    """Rounds in turn, so that a change of the machine's speed hits both."""
    deliveries = make()
    for batch in (100, 1):
        pairs = [(asyncio.run(framework(deliveries, batch)), asyncio.run(lean(deliveries, batch))) for _ in range(ROUNDS)]
        report(
            f"total per event, in memory, batch {batch}",
            farandole_us=round(median(a for a, _ in pairs) * 1e6, 2),
            lean_us=round(median(b for _, b in pairs) * 1e6, 2),
            ratio=round(median(a / b for a, b in pairs), 2),
            target="<= 1.5" if batch == 100 else None,
        )


if __name__ == "__main__":
    main()
