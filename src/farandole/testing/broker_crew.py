"""Members at work, for the cases of `conformance_broker`: each fetches, handles, settles, and goes on until it is told to leave."""

from __future__ import annotations

import asyncio
from typing import Self

from farandole.brokers.base import Broker, Consumer, Delivery, Subscription
from farandole.testing.broker_scene import Scene
from farandole.testing.checkers import Hold

__all__ = ["Crew"]


class Crew:
    """Members of groups, each in a task of its own; they leave when the block ends.

    Parameters
    ----------
    scene:
        Where they work.
    limit, pause:
        How many messages a member takes at a time, and how many seconds it handles them.

    Attributes
    ----------
    seen:
        Every delivery, with the name of the member, as it came.
    holds:
        When messages of a partition came into a member's hands, and when they were settled.
    """

    def __init__(self, scene: Scene, *, limit: int = 20, pause: float = 0.01) -> None:
        self.seen: list[tuple[str, Delivery]] = []
        self.holds: list[Hold] = []
        self._scene = scene
        self._limit, self._pause = limit, pause
        self._members: dict[str, tuple[Consumer, asyncio.Task[None]]] = {}
        self._leaving: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            await self.leave()
        for _, task in self._members.values():
            task.cancel()

    async def join(self, name: str, broker: Broker, subscription: Subscription) -> None:
        """Subscribe, and begin to work."""
        consumer = await broker.subscribe(subscription)
        self._members[name] = consumer, asyncio.create_task(self._work(name, consumer, subscription.group or name))

    async def leave(self, *names: str) -> None:
        """Stop fetching, settle what is in hand, leave the group. By default all."""
        gone = {name: self._members.pop(name) for name in names or tuple(self._members)}
        self._leaving.update(gone)
        for consumer, _ in gone.values():
            consumer.wake()
        async with asyncio.timeout(self._scene.patience):
            await asyncio.gather(*(task for _, task in gone.values()))

    async def until_seen(self, wanted: int) -> None:
        """Wait for so many deliveries, all members together. Something must come at least every `patience` seconds."""
        world, patience = self._scene.world, self._scene.patience
        count, until = -1, 0.0
        while len(self.seen) < wanted:
            for _, task in self._members.values():
                if task.done():
                    await task
            if len(self.seen) != count:
                count, until = len(self.seen), world.monotonic() + patience
            assert world.monotonic() < until, f"after {count} of {wanted} deliveries nothing came for {patience} s"
            await world.sleep(0.05)

    async def rest(self) -> None:
        """Whatever comes now comes too much: wait for it."""
        await self._scene.world.sleep(self._scene.quiet)

    def came(self, *names: str) -> list[Delivery]:
        """What came to these members, or to all."""
        return [delivery for name, delivery in self.seen if not names or name in names]

    async def _work(self, name: str, consumer: Consumer, group: str) -> None:
        while name not in self._leaving:
            batch = await consumer.fetch(self._limit, 0.5)
            self.seen += [(name, delivery) for delivery in batch]
            lanes = dict.fromkeys((f"{group} of {d.topic}", d.partition) for d in batch)
            self.holds += [Hold(lane, partition, name, begins=True) for lane, partition in lanes]
            await self._scene.world.sleep(self._pause)
            self.holds += [Hold(lane, partition, name, begins=False) for lane, partition in lanes]
            await consumer.ack(batch)
        await consumer.close()
