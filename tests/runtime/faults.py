"""Real brokers and stores that can be made to fail: all of it, some operations, or single messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from farandole.brokers.base import Broker, Consumer, Delivery, PublishResult, Subscription
from farandole.brokers.memory import connect
from farandole.errors import BrokerError, StoreError
from farandole.model.envelope import Message
from farandole.runtime.signals import Counters
from farandole.stores.base import Store
from farandole.world import World


class FlakyBroker:
    """The broker in memory, behind a line that breaks.

    Attributes
    ----------
    down:
        Everything but `subscribe` and `lag` raises BrokerError.
    refuses:
        Gives the result of a message that is not published, or None. As the contract says, none of its key after one that may be
        tried again is published either.
    tried, times:
        The ids of each batch that was to be published, and when.
    fetched:
        When something was fetched, and how many messages at most.
    acknowledged, released:
        The ids of each batch.
    """

    def __init__(self, world: World) -> None:
        self._inner: Broker = connect("memory://", world)
        self.world = world
        self.capabilities = self._inner.capabilities
        self.down = False
        self.refuses: Callable[[Message], PublishResult | None] = lambda message: None
        self.tried: list[list[str]] = []
        self.times: list[float] = []
        self.fetched: list[tuple[float, int]] = []
        self.acknowledged: list[list[str]] = []
        self.released: list[list[str]] = []
        self.open, self.lag, self.close = self._inner.open, self._inner.lag, self._inner.close

    def check(self) -> None:
        """Raise while it is down."""
        if self.down:
            raise BrokerError("the line is cut")

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        self.tried.append([message.id for message in batch])
        self.times.append(self.world.monotonic())
        self.check()
        results: list[PublishResult] = []
        stuck: dict[str, PublishResult] = {}
        for message in batch:
            result = stuck.get(message.key) or self.refuses(message)
            if result is not None and not result.permanent:
                stuck[message.key] = result
            results.append(result or (await self._inner.publish([message]))[0])
        return results

    async def subscribe(self, subscription: Subscription) -> Consumer:
        return FlakyConsumer(self, await self._inner.subscribe(subscription))


class FlakyConsumer:
    """One of its consumers."""

    def __init__(self, broker: FlakyBroker, inner: Consumer) -> None:
        self._broker = broker
        self._inner = inner
        self.wake, self.close = inner.wake, inner.close

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        self._broker.fetched.append((self._broker.world.monotonic(), limit))
        self._broker.check()
        return await self._inner.fetch(limit, wait)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._broker.check()
        self._broker.acknowledged.append([delivery.id for delivery in deliveries])
        await self._inner.ack(deliveries)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        self._broker.check()
        self._broker.released.append([delivery.id for delivery in deliveries])
        await self._inner.release(deliveries)


@contextmanager
def refusing(store: Store, *operations: str) -> Iterator[list[str]]:
    """These operations of a store raise StoreError; gives the names of those that were tried."""
    tried: list[str] = []

    def refuse(name: str) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            tried.append(name)
            raise StoreError(f"{name}: the database is away")

        return operation

    for name in operations:
        setattr(store, name, refuse(name))
    try:
        yield tried
    finally:
        for name in operations:
            delattr(store, name)


class Heard(Counters):
    """Writes down what it hears, word for word."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[tuple[object, ...]] = []

    def handled(self, lane: str, count: int) -> None:
        super().handled(lane, count)
        self.words.append(("handled", lane, count))

    def duplicates(self, lane: str, count: int) -> None:
        super().duplicates(lane, count)
        self.words.append(("duplicates", lane, count))

    def failed(self, reaction: str, event_id: str, state: str, reason: str) -> None:
        super().failed(reaction, event_id, state, reason)
        self.words.append(("failed", reaction, event_id, state, reason))

    def retried(self, reaction: str, count: int) -> None:
        super().retried(reaction, count)
        self.words.append(("retried", reaction, count))

    def published(self, service: str, count: int) -> None:
        super().published(service, count)
        self.words.append(("published", service, count))

    def trouble(self, who: str, error: BaseException) -> None:
        super().trouble(who, error)
        self.words.append(("trouble", who, str(error)))

    def of(self, kind: str) -> list[tuple[object, ...]]:
        """What was said of one kind."""
        return [word[1:] for word in self.words if word[0] == kind]
