"""A broker whose publishing stands in the trace, byte for byte: an id or a time from outside shows as soon as it is on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from farandole.brokers.base import Broker, Consumer, PublishResult, Subscription
from farandole.model.envelope import Message
from farandole.rehearse.world import RehearsalWorld

__all__ = ["TracedBroker"]


class TracedBroker:
    """Any broker, with each publish in the trace of a node.

    Parameters
    ----------
    inner:
        The broker itself.
    world:
        The node that publishes.
    """

    def __init__(self, inner: Broker, world: RehearsalWorld) -> None:
        self.capabilities = inner.capabilities
        self._inner = inner
        self._world = world

    async def open(self) -> None:
        await self._inner.open()

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        for message in batch:
            digest = blake2b(message.body, digest_size=6).hexdigest()
            self._world.note(f"publish {message.type} {message.id} on {message.topic}, key {message.key}, bytes {digest}")
        results = await self._inner.publish(batch)
        for message, result in zip(batch, results, strict=True):
            if result.error is not None:
                self._world.note(f"refused {message.id}: {result.error}")
        return results

    async def subscribe(self, subscription: Subscription) -> Consumer:
        return await self._inner.subscribe(subscription)

    async def lag(self, subscription: Subscription) -> int:
        return await self._inner.lag(subscription)

    async def close(self) -> None:
        await self._inner.close()
