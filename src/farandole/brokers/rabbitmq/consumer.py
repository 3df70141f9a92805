"""What every consumer of RabbitMQ does: the server pushes, `fetch` takes from what has arrived. And the listener without a group."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
from aiormq.abc import AbstractChannel, ConsumerCallback, DeliveredMessage

from farandole.bell import Bell
from farandole.brokers.base import Delivery
from farandole.brokers.cloudevents import Headers
from farandole.brokers.rabbitmq.link import PATIENCE, Link, hang_up, in_our_words, quietly, to_its_end
from farandole.brokers.rabbitmq.setup import exchange_name
from farandole.errors import BrokerClosed
from farandole.world import World

__all__ = ["HEADERS", "PREFETCH", "Listener", "RabbitConsumer", "Share"]

PREFETCH = 200
"""Messages of one queue that a consumer has at most. All members of all versions must have the same: see `member.py`."""
HEADERS = Headers("cloudEvents_", "cloudEvents:", "ce-")
"""As the binding for AMQP says; what Knative's binding for RabbitMQ writes is read as well."""


_TIMES = ("cloudEvents_time", "cloudEvents:time")


class Share:
    """What one channel brings: a partition number of all topics of a group, or all that a listener hears.

    `own` is the connection that has this channel alone; None: it is one of many on the broker's.
    """

    __slots__ = ("answers", "channel", "innocent", "known", "leaving", "number", "out", "own")

    def __init__(self, number: int, channel: AbstractChannel, own: Link | None = None) -> None:
        self.number = number
        self.channel = channel
        self.own = own
        self.answers = False  # all its queues are consumed
        self.leaving = False  # another should have it, once nothing of it is in hand
        self.known: dict[int, tuple[int, str]] = {}  # position -> tag and topic of all that is unacknowledged, in order
        self.out: set[int] = set()  # of these: in the consumer's hands
        self.innocent: set[tuple[str, str]] | None = None  # topics and ids that the last owner never handed out; None: not read

    async def end(self) -> None:
        """Close the channel: the server puts back what of it is unacknowledged."""
        await hang_up(self.channel)
        if self.own is not None:
            await self.own.close()

    def settle(self, positions: Iterable[int]) -> list[tuple[int, bool]]:
        """These are done with; gives the tags to acknowledge, each with whether it stands for all before it."""
        done = self.out.intersection(positions)
        self.out -= done
        tags = sorted(self.known.pop(position)[0] for position in done)
        first = next(iter(self.known.values()))[0] if self.known else None
        alone = [tag for tag in tags if first is not None and tag > first]
        together = tags[: len(tags) - len(alone)]
        return [(tag, True) for tag in together[-1:]] + [(tag, False) for tag in alone]


class RabbitConsumer:
    """The part that members of groups and listeners share: what arrived, and what is in the consumer's hands.

    Parameters
    ----------
    link:
        The connection to consume on.
    world:
        The broker's.
    topics:
        What is consumed.
    """

    def __init__(self, link: Link, world: World, topics: Sequence[str]) -> None:
        self.bell = Bell()
        self.closed = False
        self.topics = tuple(dict.fromkeys(topics))
        self._link = link
        self._world = world
        self._shares: dict[int, Share] = {}
        self._ready: deque[Delivery] = deque()  # arrived and not handed out, by position
        self._last = 0  # position
        self._broken = False  # something of ours was lost and must be made anew
        self._woken = False

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        """See `Consumer.fetch`."""
        self._world.point("broker.fetch:before")
        until = self._world.monotonic() + wait
        while True:
            if self.closed:
                raise BrokerClosed("this consumer is closed: subscribe again")
            self.bell.still()
            if self._broken and not self._ready:
                await to_its_end(self._mend())
            await self._look_closely(limit)
            found = self._take(limit)
            left = until - self._world.monotonic()
            if found or self._woken or left <= 0:
                break
            await self.bell.wait(left)
        self._woken = False
        self._world.point("broker.fetch:after")
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.ack`. On a channel that is gone it changes nothing: what it brought comes again."""
        self._world.point("broker.ack:before")
        by_number: dict[int, list[int]] = {}
        for delivery in deliveries:
            by_number.setdefault(delivery.partition, []).append(delivery.position)
        settled = [(self._shares[number], positions) for number, positions in by_number.items() if number in self._shares]
        for share, positions in settled:
            with quietly():
                async with asyncio.timeout(PATIENCE):  # a connection that is stuck takes nothing
                    for tag, multiple in share.settle(positions):
                        await share.channel.basic_ack(tag, multiple=multiple, wait=False)
        self._freed(share for share, _ in settled)
        self._world.point("broker.ack:after")

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.release`."""
        self._world.point("broker.release:before")
        touched: set[Share] = set()
        back = []
        for delivery in deliveries:
            share = self._shares.get(delivery.partition)
            if share is not None and delivery.position in share.out:
                share.out.discard(delivery.position)
                touched.add(share)
                back.append(delivery)
        if back:
            self._ready = deque(sorted((*back, *self._ready), key=_position))
            self.bell.ring()
        self._freed(touched)
        self._world.point("broker.release:after")

    def wake(self) -> None:
        """See `Consumer.wake`."""
        self._woken = True
        self.bell.ring()

    async def close(self) -> None:
        """See `Consumer.close`."""
        raise NotImplementedError

    async def held(self) -> Counter[str]:
        """How many messages of each topic were delivered to us and are not acknowledged, for certain."""
        shares = self._all()
        for share in (share for share in shares if share.answers):
            with quietly():  # what the server sent before it answers has arrived by then
                async with asyncio.timeout(PATIENCE):
                    await share.channel.basic_qos(prefetch_count=PREFETCH)
        return Counter(topic for share in shares for _, topic in share.known.values())

    # what subclasses do in their own way

    async def _mend(self) -> None:
        """Make anew what was lost."""
        raise NotImplementedError

    async def _look_closely(self, limit: int) -> None:
        """Before up to `limit` messages are handed out: learn what there is to know of them."""

    def _freed(self, shares: Iterable[Share]) -> None:
        """Of these, something is no longer in the consumer's hands."""

    # the rest

    def _all(self) -> list[Share]:
        return list(dict.fromkeys(self._shares.values()))

    def _arrival(self, share: Share, place: Callable[[DeliveredMessage], tuple[str, int]]) -> ConsumerCallback:
        """What is called with each message of a queue."""

        async def arrived(message: DeliveredMessage) -> None:
            topic, number = place(message)
            if self._shares.get(number) is not share or message.delivery_tag is None:
                return
            self._last = position = max(self._last + 1, int(self._world.time() * 1e6))
            share.known[position] = (message.delivery_tag, topic)
            self._ready.append(_delivery(message, topic, number, position))
            self.bell.ring()

        return arrived

    def _take(self, limit: int) -> list[Delivery]:
        """Hand out up to so many, in order; what is leaving stays."""
        ready, found, shares = self._ready, list[Delivery](), self._shares
        leaving = {share.number for share in shares.values() if share.leaving}
        stays = []
        while ready and len(found) < limit:
            delivery = ready.popleft()
            if delivery.partition in leaving:
                stays.append(delivery)
                continue
            share = shares[delivery.partition]
            share.out.add(delivery.position)
            if delivery.redelivered and share.innocent and (delivery.topic, delivery.id) in share.innocent:
                share.innocent.discard((delivery.topic, delivery.id))
                delivery = msgspec.structs.replace(delivery, redelivered=False)
            found.append(delivery)
        ready.extendleft(reversed(stays))
        return found

    def _drop(self, share: Share) -> list[Delivery]:
        """Forget what a channel brought; gives what of it was never handed out."""
        self._shares = {number: other for number, other in self._shares.items() if other is not share}
        gone = [delivery for delivery in self._ready if delivery.position in share.known]
        if gone:
            self._ready = deque(delivery for delivery in self._ready if delivery.position not in share.known)
        return gone

    def _watch(self, share: Share) -> None:
        """Notice when the channel is lost, or the server ends what we consume."""

        def lost(*_: object) -> None:
            if any(other is share for other in self._shares.values()):
                self._drop(share)
                self._lost()

        channel: Any = share.channel
        channel.closing.add_done_callback(lost)
        channel.on_consumer_cancel_callbacks.add(lost)

    def _lost(self) -> None:
        self._broken = True
        self.bell.ring()


class Listener(RabbitConsumer):
    """Hears what is published from now on; acknowledges what it hands out, and keeps no position.

    Parameters
    ----------
    partitions:
        How many each topic has.
    """

    def __init__(self, link: Link, world: World, partitions: Mapping[str, int]) -> None:
        super().__init__(link, world, tuple(partitions))
        self._partitions = partitions
        self._names = {exchange_name(topic): topic for topic in partitions}
        self._mending = asyncio.Lock()

    async def open(self) -> None:
        """Begin to listen."""
        channel = await self._link.channel()
        share = Share(-1, channel)
        with in_our_words(self._link.place, "a listener could not begin"):
            async with asyncio.timeout(PATIENCE):
                await channel.basic_qos(prefetch_count=PREFETCH)
                queue = (await channel.queue_declare(exclusive=True, auto_delete=True)).queue or ""
                for topic, count in self._partitions.items():
                    for number in range(count):
                        await channel.queue_bind(queue, exchange_name(topic), str(number), nowait=True)
                self._shares = dict.fromkeys(range(max(self._partitions.values())), share)
                self._watch(share)
                await channel.basic_consume(queue, self._arrival(share, self._place))
        share.answers = True
        self._broken = False

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        found = await super().fetch(limit, wait)
        for share in self._all():
            tags = [share.known.pop(delivery.position)[0] for delivery in found if delivery.position in share.known]
            if tags:
                with quietly():
                    async with asyncio.timeout(PATIENCE):
                        await share.channel.basic_ack(max(tags), multiple=True, wait=False)
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        for share in self._all():
            share.out.difference_update(delivery.position for delivery in deliveries)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.wake()
            for share in self._all():
                self._drop(share)
                await share.end()

    async def _mend(self) -> None:
        async with self._mending:
            if self._broken and not self.closed:
                await self.open()

    def _place(self, message: DeliveredMessage) -> tuple[str, int]:
        route = message.routing_key or ""
        return self._names.get(message.exchange or "", ""), int(route) if route.isdecimal() else 0


_position = attrgetter("position")


def _delivery(message: DeliveredMessage, topic: str, number: int, position: int) -> Delivery:
    properties = message.header.properties
    headers = {str(name): _text(name, value) for name, value in (properties.headers or {}).items()}
    if properties.content_type:
        headers["content-type"] = properties.content_type
    came = HEADERS.read(headers, message.body)
    id, type = came.id or properties.message_id or "", came.type or properties.message_type or ""
    return Delivery(topic, number, position, came.body, came.key, id, type, bool(message.redelivered))


def _text(name: str, value: object) -> str:
    """A header's value, whatever a foreign producer made it. AMQP writes times as milliseconds."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and name.endswith(_TIMES):
        with contextlib.suppress(ValueError, OverflowError):
            value = datetime.fromtimestamp(value / 1000, UTC)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
