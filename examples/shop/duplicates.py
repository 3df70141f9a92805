"""A broker that delivers again: what any broker may do after a crash, here on purpose and often."""

from __future__ import annotations

from collections.abc import Sequence

from farandole.brokers.base import Broker, Consumer, PublishResult, Subscription
from farandole.model.envelope import Message

from .chance import chance

__all__ = ["Duplicating"]


class Duplicating:
    """Wraps a broker; each message is published a second time, under the same id, with some probability.

    Parameters
    ----------
    broker:
        The real one.
    share:
        0 to 1.
    seed:
        The same seed repeats the same messages.
    """

    def __init__(self, broker: Broker, share: float, seed: int) -> None:
        self._broker = broker
        self._share = share
        self._seed = seed
        self.capabilities = broker.capabilities

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        """Publish the batch and then some of it again."""
        results = await self._broker.publish(batch)
        again = [
            message
            for message, result in zip(batch, results, strict=True)
            if result.error is None and chance(self._seed, "again", message.id) < self._share
        ]
        if again:
            await self._broker.publish(again)
        return results

    async def open(self) -> None:
        await self._broker.open()

    async def subscribe(self, subscription: Subscription) -> Consumer:
        return await self._broker.subscribe(subscription)

    async def lag(self, subscription: Subscription) -> int:
        return await self._broker.lag(subscription)

    async def close(self) -> None:
        await self._broker.close()
