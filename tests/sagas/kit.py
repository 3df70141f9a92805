"""A choreography with joins and deadlines, fed by hand, on each store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.runtime.kit import dead_letters, log_of

from farandole import host
from farandole.brokers.base import Broker
from farandole.brokers.memory import connect
from farandole.model.choreography import Choreography
from farandole.model.envelope import Envelope, Message, encode
from farandole.model.event import Event
from farandole.model.service import Service
from farandole.stores.base import InboxRow
from farandole.testing.virtual import VirtualWorld

__all__ = ["MINUTE", "Base", "Desk", "Paid", "Picked", "Placed", "Refused", "Reserved", "desk"]

MINUTE = timedelta(minutes=1)


class Base(Event, of="shop.front", key="order"):
    order: str


class Placed(Base):
    pass


class Paid(Base):
    cents: int = 0


class Reserved(Base):
    pass


class Refused(Base):
    pass


class Picked(Base):
    lines: int
    number: int


class Desk:
    """A service under test, what is published to it, and what it says."""

    def __init__(self, app: host.App, broker: Broker, world: VirtualWorld, service: str) -> None:
        self.app, self.broker, self.world, self._service = app, broker, world, service
        self._number = 0

    async def say(self, *events: Event, copies: int = 1) -> list[str]:
        """Publish events, in this order; gives their ids."""
        ids = []
        for event in events:
            self._number += 1
            id = f"019a0000-0000-7000-8000-{self._number:012x}"
            ids.append(id)
            key = str(getattr(event, type(event).__farandole__.key or ""))
            envelope = Envelope(
                specversion="1.0", id=id, source="/shop/front", type=f"shop.{type(event).__name__}.v1", time=self.world.now(),
                datacontenttype="application/json", correlationid=f"c-{event.order}", partitionkey=key, depth=self._number % 5,  # type: ignore[attr-defined]
                data=event,
            )  # fmt: skip
            message = Message("shop.front", key, id, envelope.type, encode(envelope))  # type: ignore[attr-defined]
            for _ in range(copies):
                await self.broker.publish([message])
        return ids

    async def heard(self) -> list[Envelope]:
        """All that the service published."""
        return await log_of(self.broker, f"shop.{self._service}")

    async def settle(self) -> None:
        """Until all that was published is read; timers go on."""
        await self.world.sleep(5)

    async def dead(self) -> list[str]:
        """The reasons of its dead letters."""
        return [row.reason or "" for row in await self.letters()]

    async def letters(self) -> list[InboxRow]:
        """Its dead letters."""
        return await dead_letters(self.app, self._service)

    async def fates(self, *ids: str) -> list[tuple[str, str | None]]:
        """What became of events: state and reason."""
        store = self.app.store(self._service)
        return [(row.state, row.reason) for row in await store.fates(ids)]


@asynccontextmanager
async def desk(
    service: Service, world: VirtualWorld, database: str = "sqlite://", broker: Broker | None = None
) -> AsyncIterator[Desk]:
    """The service, running."""
    own = broker or connect("memory://?partitions=4", world)
    if broker is None:
        await own.open()
    async with host.open(Choreography("shop", service), world=world, broker=own, database=database) as app:
        yield Desk(app, own, world, service.name)
    if broker is None:
        await own.close()


def ids_of(envelopes: Sequence[Envelope]) -> list[str]:
    return [envelope.id for envelope in envelopes]
