"""Reading a log that grows while it is read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from farandole.brokers.base import Broker, Consumer, Delivery, Subscription
from farandole.brokers.memory import connect
from farandole.cli.reading import read_flows
from farandole.model.envelope import Envelope, Message, encode
from farandole.testing.virtual import VirtualWorld


class Busy:
    """A log to which an event is added whenever it is read."""

    def __init__(self, log: Broker, world: VirtualWorld) -> None:
        self.log = log
        self.world = world
        self.reads = 0

    async def add(self, id: str, seconds: float = 0) -> None:
        moment = self.world.now() + timedelta(seconds=seconds)
        event = Envelope(specversion="1.0", id=id, source="/x", type="t", time=moment, correlationid="flow")
        await self.log.publish([Message("town.x", "k", id, "t", encode(event))])

    async def subscribe(self, subscription: Subscription) -> Consumer:
        self.consumer = await self.log.subscribe(subscription)
        return self  # type: ignore[return-value]

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        self.reads += 1
        assert self.reads < 100, "it would read for ever"
        await self.add(f"new{self.reads}", seconds=1)
        return await self.consumer.fetch(limit, wait)

    async def close(self) -> None:
        await self.consumer.close()


async def test_a_log_that_never_ends_is_read_to_where_it_was_when_we_began(world: VirtualWorld) -> None:
    log = connect("memory://", world)
    await log.open()
    busy = Busy(log, world)
    for number in range(10):
        await busy.add(str(number))
    found = await read_flows(busy, ("town.x",), "flow", world)  # type: ignore[arg-type]
    assert {str(number) for number in range(10)} <= {envelope.id for envelope in found}
    await log.close()


async def test_a_producer_whose_clock_is_ahead_hides_nothing(world: VirtualWorld) -> None:
    log = connect("memory://", world)
    await log.open()
    ahead = datetime(2100, 1, 1, tzinfo=UTC)
    await log.publish(
        [
            Message(
                "town.x",
                "k",
                str(n),
                "t",
                msgspec.json.encode(
                    {"specversion": "1.0", "id": str(n), "source": "/", "type": "t", "time": ahead, "correlationid": "c"}
                ),
            )
            for n in range(2500)
        ]
    )
    assert len(await read_flows(log, ("town.x",), "c", world)) == 2500
    await log.close()
