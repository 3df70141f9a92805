"""The broker Kafka: see `kafka.connect` for its URL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from farandole.bell import Bell
from farandole.brokers.base import Capabilities, Consumer, PublishResult, Subscription
from farandole.brokers.checks import check_subscription
from farandole.brokers.kafka import Settings
from farandole.brokers.kafka.admin import USUAL_LIMIT, Admin, Topic
from farandole.brokers.kafka.consumer import KafkaConsumer
from farandole.brokers.kafka.message import RESERVE, pack
from farandole.brokers.kafka.sender import Sender
from farandole.errors import BrokerClosed, BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.world import World

__all__ = ["KafkaBroker"]

T = TypeVar("T")
TICK = 0.5
"""Seconds between two polls of a member that does not fetch."""
LOOK = 20.0
"""Seconds between looks whether topics have got more partitions."""

_DURABILITY = (
    "the loss of a server: every replica that is in sync has it, at least the topic's min.insync.replicas; servers write to disk "
    "later, so a power cut of all replicas at once may take the last moments"
)


class KafkaBroker:
    """See `kafka.connect`."""

    def __init__(self, settings: Settings, world: World) -> None:
        self.capabilities = self._capable(USUAL_LIMIT)
        self._settings = settings
        self._world = world
        self._admin: Admin | None = None
        self._sender: Sender | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._consumers: list[KafkaConsumer] = []
        self._beat: asyncio.Task[None] | None = None
        self._alarm = Bell()

    async def open(self) -> None:
        """Connect.

        Raises
        ------
        BrokerError
            Nobody answers. It may be called again.
        ConfigurationError
            The client does not take an option.
        """
        if self._sender is None:
            thread = ThreadPoolExecutor(1, "farandole-kafka-admin")
            try:
                admin = Admin(self._settings)
                await asyncio.get_running_loop().run_in_executor(thread, admin.open)
                self._sender = Sender(self._settings, self._world)
            except BaseException:
                thread.shutdown(wait=False)
                raise
            self._admin, self._thread = admin, thread
            self.capabilities = self._capable(admin.limit)
            self._beat = asyncio.create_task(self._keep_alive())

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        self._world.point("broker.publish:before")
        sender, admin = self._check()
        topics: dict[str, Topic | PublishResult] = dict(admin.known)
        if unknown := {message.topic for message in batch} - topics.keys():
            topics |= await self._ask(lambda: admin.find(unknown, create=self._settings.create))
            sender, admin = self._check()
        results: list[PublishResult | None] = [None] * len(batch)
        parcels = []
        for index, message in enumerate(batch):
            parcel = pack(index, message, topics[message.topic], self._settings)
            if isinstance(parcel, PublishResult):
                results[index] = parcel
            else:
                parcels.append(parcel)
        if parcels:
            await sender.send(parcels, results)
            if any(result is not None and result.error and not result.permanent for result in results):
                for topic in {parcel.topic for parcel in parcels}:
                    admin.forget(topic)  # perhaps it is gone, or made anew
        self._world.point("broker.publish:after")
        return [result or PublishResult("no answer") for result in results]

    async def subscribe(self, subscription: Subscription) -> Consumer:
        _, admin = self._check()
        check_subscription(subscription)
        found = await self._ask(lambda: admin.find(subscription.topics, create=self._settings.create))
        counts = {}
        for name, topic in found.items():
            if isinstance(topic, PublishResult):
                raise BrokerError(topic.error)
            counts[name] = topic.partitions
        if subscription.group is not None and len(set(counts.values())) > 1:
            counted = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise ConfigurationError(
                f"{self._settings.place}, group {subscription.group}: its topics have unequal numbers of partitions ({counted}), so "
                f"equal keys would reach different members. Give them equal numbers: kafka-topics.sh --alter --topic … --partitions "
                f"{max(counts.values())}"
            )
        self._check()
        consumer = KafkaConsumer(self._settings, admin, self._world, subscription)
        self._consumers = [*(other for other in self._consumers if not other.closed), consumer]
        try:
            await consumer.join()
        except BaseException:
            await consumer.close()
            raise
        return consumer

    async def lag(self, subscription: Subscription) -> int:
        _, admin = self._check()
        check_subscription(subscription)

        def count() -> int:
            found = admin.find(subscription.topics, create=False)
            keys = [(name, n) for name, topic in found.items() if isinstance(topic, Topic) for n in range(topic.partitions)]
            stored = admin.committed(subscription.group, keys) if subscription.group is not None else {}
            low, high = admin.offsets(keys, "beginning"), admin.offsets(keys, "end")
            starts = admin.starts([key for key in keys if key not in stored], subscription.start)
            starts |= {key: offset if offset <= high[key] else low[key] for key, (offset, _) in stored.items()}
            return sum(max(0, high[key] - max(starts[key], low[key])) for key in keys)

        return await self._ask(count)

    async def close(self) -> None:
        beat, self._beat = self._beat, None
        sender, self._sender = self._sender, None
        if beat is not None:
            beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beat
        await asyncio.gather(*(consumer.close() for consumer in self._consumers))
        self._consumers = []
        if sender is not None:
            await sender.close()
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    def _capable(self, limit: int) -> Capabilities:
        return Capabilities(
            assigns_partitions=True,
            replay=True,
            fenced_ack=True,
            redelivery_flag=True,
            shared=True,
            max_bytes=max(0, limit - RESERVE),
            durability=_DURABILITY,
        )

    def _check(self) -> tuple[Sender, Admin]:
        if self._sender is None or self._admin is None:
            raise BrokerClosed(f"{self._settings.place} is not open: call open() first, and nothing after close()")
        return self._sender, self._admin

    async def _ask(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _keep_alive(self) -> None:
        """Our members stay in their groups; new partitions are found. What goes wrong, the consumer's own fetch meets and raises."""
        looked = self._world.monotonic()
        while True:
            await self._world.sleep(TICK)
            await asyncio.gather(*(consumer.tick() for consumer in self._consumers), return_exceptions=True)
            if self._world.monotonic() - looked >= LOOK:
                looked = self._world.monotonic()
                with contextlib.suppress(BrokerError):  # it is tried again
                    assert self._admin is not None
                    await self._ask(self._admin.refresh)
                await asyncio.gather(*(consumer.look() for consumer in self._consumers), return_exceptions=True)
