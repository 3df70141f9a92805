"""A service that counts, on a broker whose line may break: what the tests of worker, batch and scheduler look at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.runtime.faults import FlakyBroker, Heard
from tests.runtime.kit import Paid, Placed, opened, shop

from farandole import host
from farandole.brokers.base import Subscription
from farandole.model.choreography import Choreography
from farandole.model.envelope import Message
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.runtime.worker import Worker
from farandole.testing.virtual import VirtualWorld

TOPIC, GROUP = "shop.orders", "shop.payments"
SOON = Policy(retry=Retry(attempts=3, delay=1.0, factor=2.0, jitter=0.0))
STUBBORN = Policy(retry=Retry(attempts=9, delay=5.0, factor=1.0, jitter=0.0))


def placed(name: str) -> Message:
    """An event Placed on the wire, named `key-number`; the number is its total."""
    key, _, number = name.partition("-")
    body = (
        f'{{"specversion":"1.0","id":"{name}","source":"/elsewhere","type":"shop.Placed.v1","partitionkey":"{key}",'
        f'"data":{{"order_id":"{key}","total":{number}}}}}'
    )
    return Message(TOPIC, key, name, "shop.Placed.v1", body.encode())


class Counting:
    """A service that writes down what it handles, unless it is told to fail."""

    def __init__(self, *, outside: bool = False, policy: Policy = STUBBORN, name: str = "payments") -> None:
        self.seen: list[str] = []
        self.runs: list[str] = []
        self.fails: set[str] = set()
        self.service = Service(name, policy=policy)

        @self.service.on(Placed, policy=Policy(outside=outside))
        async def charge(order: Placed) -> Paid:
            event = f"{order.order_id}-{order.total}"
            self.runs.append(event)
            if event in self.fails:
                raise ConnectionError(event)
            self.seen.append(event)
            return Paid(order_id=order.order_id)

    def of(self, key: str) -> list[str]:
        return [event for event in self.seen if event.startswith(f"{key}-")]


class Scene:
    """A host on a broker whose line may break."""

    def __init__(self, app: host.App, broker: FlakyBroker, heard: Heard, world: VirtualWorld) -> None:
        self.app, self.broker, self.heard, self.world = app, broker, heard, world
        self.store = app.store("payments")

    @property
    def worker(self) -> Worker:
        return self.app._assembly.hosted["payments"].workers[0]

    async def publish(self, *names: str) -> None:
        down, self.broker.down = self.broker.down, False
        await self.broker.publish([placed(name) for name in names])
        self.broker.down = down

    async def lag(self, group: str = GROUP) -> int:
        return await self.broker.lag(Subscription(group, (TOPIC,)))


@asynccontextmanager
async def scene(
    world: VirtualWorld, counting: Counting, broker: FlakyBroker | None = None, **options: Any
) -> AsyncIterator[Scene]:
    heard = Heard()
    if broker is None:
        broker = FlakyBroker(world)
        await broker.open()
    async with asyncio.timeout(3600), opened(shop(counting.service), world, broker=broker, signals=heard, **options) as app:
        yield Scene(app, broker, heard, world)


@asynccontextmanager
async def running(world: VirtualWorld, service: Service, **options: Any) -> AsyncIterator[tuple[host.App, FlakyBroker, Heard]]:
    broker, heard = FlakyBroker(world), Heard()
    await broker.open()
    async with (
        asyncio.timeout(36_000),
        opened(Choreography("shop", service), world, broker=broker, signals=heard, **options) as app,
    ):
        yield app, broker, heard


async def publish(broker: FlakyBroker, *names: str) -> None:
    await broker.publish([placed(name) for name in names])
