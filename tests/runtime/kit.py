"""A small choreography to run in tests, and ways to look at what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from farandole import host
from farandole.brokers.base import Broker, Subscription
from farandole.brokers.memory import connect
from farandole.model.choreography import Choreography, Workflow
from farandole.model.envelope import Envelope, Message, decode
from farandole.model.event import Command, Event
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.stores.base import DeadFilter, InboxRow
from farandole.world import World

QUICK = Policy(retry=Retry(attempts=3, delay=1.0, factor=2.0, jitter=0.0))


class OrderEvent(Event, topic="orders", key="order_id"):
    order_id: str


class Placed(OrderEvent):
    total: int = 0


class Cancelled(OrderEvent):
    pass


class Paid(Event, key="order_id"):
    order_id: str


class PaymentFailed(Event, key="order_id"):
    order_id: str
    reason: str = ""


class Place(Command, key="order_id"):
    order_id: str
    total: int = 0


def ordering() -> Service:
    """A service whose command emits Placed."""
    orders = Service("orders")

    @orders.command
    async def place(command: Place) -> Placed | Cancelled:
        return Placed(order_id=command.order_id, total=command.total)

    return orders


def shop(*services: Service) -> Choreography:
    """The ordering service and others."""
    return Choreography("shop", ordering(), *services)


@asynccontextmanager
async def opened(choreography: Choreography, world: World, **options: Any) -> AsyncIterator[host.App]:
    """A host in memory."""
    options.setdefault("broker", "memory://")
    options.setdefault("database", "sqlite://")
    async with host.open(choreography, world=world, **options) as app:
        yield app


async def log_of(broker: Broker, *topics: str) -> list[Envelope]:
    """All events that were published, duplicates included."""
    listener = await broker.subscribe(Subscription(None, topics, start="beginning"))
    found: list[Envelope] = []
    while batch := await listener.fetch(500, 0.0):
        found += [decode(delivery.body) for delivery in batch]
    await listener.close()
    return found


async def publish_raw(
    broker: Broker, body: bytes, *, topic: str = "shop.orders", key: str = "k", id: str = "", type: str = ""
) -> None:
    """Put bytes on the wire, as a foreign producer would."""
    [result] = await broker.publish([Message(topic, key, id, type, body)])
    assert result.error is None


async def dead_letters(app: host.App, service: str) -> Sequence[InboxRow]:
    """The dead letters of a service."""
    return await app.store(service).dead(DeadFilter())


__all__ = [
    "QUICK",
    "Cancelled",
    "Choreography",
    "Paid",
    "PaymentFailed",
    "Place",
    "Placed",
    "Workflow",
    "connect",
    "dead_letters",
    "log_of",
    "opened",
    "ordering",
    "publish_raw",
    "shop",
]
