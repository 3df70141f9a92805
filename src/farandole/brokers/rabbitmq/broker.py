"""The broker on RabbitMQ: see `rabbitmq.py` for what goes where."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp import commands as spec
from pamqp.common import FieldValue
from pamqp.header import ContentHeader

from farandole.bell import Bell
from farandole.brokers.base import Capabilities, Consumer, PublishResult, Subscription
from farandole.brokers.checks import check_subscription, refused
from farandole.brokers.rabbitmq.consumer import HEADERS, Listener, RabbitConsumer
from farandole.brokers.rabbitmq.group import Word, hear, say
from farandole.brokers.rabbitmq.link import Link
from farandole.brokers.rabbitmq.member import Member
from farandole.brokers.rabbitmq.publisher import Parcel, Publisher
from farandole.brokers.rabbitmq.setup import LONGEST, Setup, exchange_name, is_too_long, members_name, queue_name
from farandole.errors import BrokerClosed, BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.world import World

__all__ = ["RabbitBroker"]

_PUBLISHED = PublishResult()
_ASKED = 1.0  # seconds in which members say what they have in hand


class RabbitBroker:
    """See `connect` in `rabbitmq.py`.

    It publishes on one connection and consumes on another: a server that runs out of memory or disk reads nothing more from a
    connection that publishes, not even acknowledgements.
    """

    def __init__(self, url: str, place: str, world: World, partitions: int | None, mode: str) -> None:
        self.capabilities = Capabilities(
            assigns_partitions=True,
            replay=False,
            fenced_ack=True,
            redelivery_flag=True,
            shared=True,
            max_bytes=16 * 1024 * 1024,
            durability="written to disk by most nodes that have each group's queue; what no group exists for is kept nowhere",
        )
        self._place = place
        self._world = world
        self._mode = mode
        self._outward, self._inward = Link(url, place), Link(url, place)
        self._open = False
        self._setup = Setup(self._inward, world, partitions)
        self._publisher = Publisher(self._outward)
        self._consumers: list[RabbitConsumer] = []

    def __repr__(self) -> str:
        return f"RabbitBroker({self._place})"

    async def open(self) -> None:
        """Connect. See `Link.connection` for the errors."""
        self._open = True
        try:
            await self._outward.connection()
            await self._inward.connection()
        except BaseException:
            await self.close()
            raise

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        self._world.point("broker.publish:before")
        self._check()
        results, parcels = [_PUBLISHED] * len(batch), {}
        for index, message in enumerate(batch):
            refusal = refused(message, self.capabilities.max_bytes) or _refusal(message)
            if refusal is None:
                parcels[index] = self._parcel(message, await self._setup.topic(message.topic))
            else:
                results[index] = refusal
        if parcels:
            trouble = await self._publisher.send(tuple(parcels.values()))
            if trouble is not None and "NOT_FOUND" in trouble:
                self._setup.forget(tuple({message.topic for message in batch}))
        for index, parcel in parcels.items():
            results[index] = parcel.result or _PUBLISHED
        self._world.point("broker.publish:after")
        return results

    async def subscribe(self, subscription: Subscription) -> Consumer:
        self._check()
        check_subscription(subscription)
        if isinstance(subscription.start, int | datetime):
            raise ConfigurationError(
                f"{subscription}: RabbitMQ keeps no history: a group begins when it first subscribes. "
                f'Leave start= out, or say "beginning" or "end", which is the same here'
            )
        consumer: Listener | Member
        if subscription.group is None:
            consumer = Listener(
                self._inward, self._world, {topic: await self._setup.topic(topic) for topic in subscription.topics}
            )
        else:
            consumer = Member(self._inward, self._world, subscription.group, subscription.topics, self._setup, self._publisher)
        try:
            await consumer.open()
        except BaseException:
            await consumer.close()
            raise
        self._consumers = [*(other for other in self._consumers if not other.closed), consumer]
        return consumer

    async def begin(self, subscription: Subscription) -> None:
        """See `BeginsGroups`."""
        self._check()
        check_subscription(subscription)
        if subscription.group is not None:
            await self._setup.group(subscription.group, subscription.topics)

    async def lag(self, subscription: Subscription) -> int:
        """See `Broker.lag`. What members of other processes have in hand is counted as far as they answer within a second."""
        self._check()
        check_subscription(subscription)
        group = subscription.group
        if group is None:
            return 0
        ready, queues = 0, Counter[str]()
        for topic in dict.fromkeys(subscription.topics):
            waiting, queues[topic] = await self._look(group, topic)
            ready += waiting
        ours = [consumer for consumer in self._consumers if isinstance(consumer, Member) and consumer.group == group]
        words = [await member.word() for member in ours if not member.closed]
        if _unheard(queues, words):
            words += await self._ask(group, queues, words)
        return ready + sum(word.held.get(topic, 0) for word in words for topic in queues)

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False  # no publish begins from here on
        try:
            await self._publisher.close()
            await asyncio.gather(*(consumer.close() for consumer in self._consumers))
        finally:
            self._consumers = []
            await asyncio.gather(self._outward.close(), self._inward.close())

    def _check(self) -> None:
        if not self._open:
            raise BrokerClosed(f"the broker {self._place} is not open: call open() first, and nothing after close()")

    def _parcel(self, message: Message, partitions: int) -> Parcel:
        table, body = HEADERS.write(message, self._mode)
        headers: dict[str, FieldValue] = {name: value for name, value in table.items() if name != "content-type"}
        properties = spec.Basic.Properties(
            content_type=table.get("content-type"),
            delivery_mode=2,
            headers=headers,
            message_id=_short(message.id),
            message_type=_short(message.type),
            timestamp=self._world.now(),
        )
        head = ContentHeader(body_size=len(body), properties=properties).marshal()
        return Parcel(exchange_name(message.topic), str(partition_of(message.key, partitions)), head, body)

    async def _look(self, group: str, topic: str) -> tuple[int, int]:
        """How many messages wait in the queues of a group for a topic, and how many consumers they have."""
        waiting = consumers = 0
        if await self._setup.has(topic):
            try:
                async with self._inward.visit(f"the queues of group {group!r} could not be looked at") as channel:
                    for number in range(await self._setup.topic(topic)):
                        queue = await channel.queue_declare(queue_name(group, topic, number), passive=True)
                        waiting += queue.message_count or 0
                        consumers += queue.consumer_count or 0
            except BrokerError as error:
                if not isinstance(error.__cause__, ChannelNotFoundEntity):  # the group did not begin
                    raise
        return waiting, consumers

    async def _ask(self, group: str, queues: Counter[str], words: list[Word]) -> list[Word]:
        """What members of other processes have in hand; those that do not answer in time are not counted."""
        told, bell, own = list(words), Bell(), {word.name for word in words}

        async def answer(message: DeliveredMessage) -> None:
            word = hear(message.body)
            if word is not None and word.kind == "count" and word.name not in own:
                told.append(word)
                bell.ring()

        async with self._inward.visit(f"group {group!r} could not be asked") as channel:
            queue = (await channel.queue_declare(exclusive=True, auto_delete=True)).queue or ""
            await channel.basic_consume(queue, answer, no_ack=True)
            await self._publisher.tell(members_name(group), "", say(Word("ask", "")), reply_to=queue)
            until = self._world.monotonic() + _ASKED
            while _unheard(queues, told) and (left := until - self._world.monotonic()) > 0:
                bell.still()
                await bell.wait(left)
        return told[len(words) :]


def _unheard(queues: Counter[str], words: Sequence[Word]) -> bool:
    """Whether queues have more consumers than those who said what they have."""
    return any(count > sum(word.queues.get(topic, 0) for word in words) for topic, count in queues.items())


def _refusal(message: Message) -> PublishResult | None:
    """Why AMQP cannot hold a message; None where it can."""
    if is_too_long(exchange_name(message.topic)):
        return PublishResult(f"{message.id}: its topic is too long; AMQP takes {LONGEST} bytes", permanent=True)
    return None


def _short(text: str) -> str | None:
    """A property of AMQP, where it fits; our headers have it in any case."""
    return text if text and len(text.encode()) <= LONGEST else None
