"""Reads JetStream subjects by position, ahead of who asks: pull requests are kept open, so that messages are here before they are wanted."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from farandole.bell import Bell
from farandole.brokers.base import Delivery
from farandole.brokers.cloudevents import Headers

if TYPE_CHECKING:
    from farandole.brokers.nats import NatsBroker
    from farandole.brokers.shared import Key

__all__ = ["HEADERS", "Feeds", "escaped"]

HEADERS = Headers("ce-", quoted=True)
AHEAD = 1000
"""Messages that are asked for ahead."""
_BYTES = 64 * 1024 * 1024
_EXPIRES = 30.0
_BEAT = 2.5
"""Seconds between the server's signs of life while a request is open; after a few that do not come, the consumer is gone."""
_INACTIVE = 300.0
"""Seconds without a request after which the server forgets a consumer; it is made anew then."""

_ODD = re.compile(r"[^A-Za-z0-9_-]")


def escaped(name: str) -> str:
    """A name as NATS takes it in streams, subjects and keys: `=` and hexadecimal digits for what it does not."""
    return _ODD.sub(lambda odd: "".join(f"={byte:02X}" for byte in odd[0].encode()), name)


class _Feed:
    """What one subscription reads: all partitions of a topic, or one of them.

    Parameters
    ----------
    broker:
        Whose.
    topic, number:
        What to read; number None: all partitions.
    bell:
        Is rung when something has come.
    """

    def __init__(self, broker: NatsBroker, topic: str, number: int | None, bell: Bell) -> None:
        self.topic = topic
        self.buffer: deque[Delivery] = deque()
        self.lost = False
        self._broker = broker
        self._number = number
        self._bell = bell
        self._asked = 0
        self._heard = broker.world.monotonic()
        self._subscription: Any = None
        self._request = ""

    async def open(self, after: int) -> None:
        """Begin to read behind a position."""
        from nats.js.api import DeliverPolicy

        broker = self._broker
        stream = await broker.stream(self.topic)
        subject = f"{stream}.{'*' if self._number is None else self._number}"
        name = await consumer_of(broker, stream, subject, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
        self._request = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name.name}"
        self._subscription = await broker.ask(
            "subscribe",
            broker.client.subscribe(broker.client.new_inbox(), cb=self._came, pending_msgs_limit=0, pending_bytes_limit=0),
        )
        await self.ask()

    async def ask(self) -> None:
        """Keep a request open for what there is room for."""
        now = self._broker.world.monotonic()
        if self._asked and now - self._heard > 3 * _BEAT:
            self.lost = True
        room = AHEAD - self._asked - len(self.buffer)
        if room < AHEAD // 2:
            return
        if not self._asked:
            self._heard = now
        self._asked += room
        request = {"batch": room, "expires": int(_EXPIRES * 1e9), "max_bytes": _BYTES, "idle_heartbeat": int(_BEAT * 1e9)}
        with contextlib.suppress(Exception):  # it is noticed when nothing comes
            await self._broker.client.publish(self._request, msgspec.json.encode(request), self._subscription.subject)

    async def _came(self, message: Any) -> None:
        headers = message.headers
        self._heard = self._broker.world.monotonic()
        if headers is not None and "Status" in headers:
            if headers["Status"] == "408" or "Exceeds" in headers.get("Description", ""):
                self._asked = max(0, self._asked - int(headers.get("Nats-Pending-Messages", self._asked)))
            elif headers["Status"] != "100":
                self.lost = True
            self._bell.ring()
            return
        self._asked -= 1
        parts = message.reply.split(".")  # $JS.ACK.stream.consumer.delivered.sequence..., or with a domain and an account before
        position = int(parts[5] if len(parts) <= 9 else parts[7])
        body, id, type, key = HEADERS.read(headers or {}, message.data)
        number = int(message.subject.rpartition(".")[2])
        self.buffer.append(Delivery(self.topic, number, position, body, key, id, type))
        if len(self.buffer) == 1:
            self._bell.ring()

    def close(self) -> None:
        """Read no more; the server forgets the consumer by itself."""
        self.lost = True
        subscription, self._subscription = self._subscription, None
        if subscription is not None:

            async def unsubscribe() -> None:
                with contextlib.suppress(Exception):
                    await subscription.unsubscribe()

            task = asyncio.create_task(unsubscribe())
            _closing.add(task)
            task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()


class Feeds:
    """All that one consumer reads.

    Parameters
    ----------
    broker:
        Whose.
    bell:
        Is rung when something has come.

    Attributes
    ----------
    shorter:
        Topics that are not read, since their stream ends before what the consumer has of it; each with the position to go on from.
    """

    def __init__(self, broker: NatsBroker, bell: Bell | None = None) -> None:
        self._broker = broker
        self._bell = bell or Bell()
        self.shorter: dict[str, int] = {}
        self._born: dict[str, str] = {}
        self._feeds: dict[str, list[_Feed]] = {}
        self._layout: dict[str, frozenset[int]] = {}

    async def read(self, cursors: Mapping[Key, int], limit: int) -> dict[Key, list[Delivery]]:
        """What has come of these partitions after these positions."""
        await self._follow(cursors)
        found: dict[Key, list[Delivery]] = {}
        count = 0
        for feeds in self._feeds.values():
            for feed in feeds:
                buffer = feed.buffer
                while buffer and count < limit:
                    delivery = buffer.popleft()
                    key = delivery.topic, delivery.partition
                    if delivery.position > cursors[key]:
                        found.setdefault(key, []).append(delivery)
                        count += 1
                await feed.ask()
        return found

    async def _follow(self, cursors: Mapping[Key, int]) -> None:
        wanted: dict[str, dict[int, int]] = {}
        for (topic, number), position in cursors.items():
            wanted.setdefault(topic, {})[number] = position
        for topic in [*self._feeds]:
            if (
                topic not in wanted
                or self._layout[topic] != wanted[topic].keys()
                or any(feed.lost for feed in self._feeds[topic])
            ):
                self._drop(topic)
        for topic, positions in wanted.items():
            if topic not in self._feeds and topic not in self.shorter:
                await self._open(topic, positions)

    async def _open(self, topic: str, positions: Mapping[int, int]) -> None:
        born, last = await self._broker.look(topic)
        anew = self._born.setdefault(topic, born) != born
        if anew or max(positions.values()) > last:
            self.shorter[topic] = 0 if anew else last
            self._born[topic] = born
            self._bell.ring()
            return
        every = len(positions) == self._broker.partitions
        feeds: list[_Feed] = []
        try:
            for number in [None] if every else positions:
                feed = _Feed(self._broker, topic, number, self._bell)
                feeds.append(feed)
                await feed.open(min(positions.values()) if number is None else positions[number])
        except BaseException:
            for feed in feeds:
                feed.close()
            raise
        self._feeds[topic], self._layout[topic] = feeds, frozenset(positions)

    def lose(self, topics: Collection[str] | None = None) -> None:
        """These topics are to be read anew, from where the consumer is."""
        for topic in [*self._feeds] if topics is None else self._feeds.keys() & set(topics):
            for feed in self._feeds[topic]:
                feed.lost = True
        self._bell.ring()

    def close(self) -> None:
        """Read no more."""
        for topic in [*self._feeds]:
            self._drop(topic)

    def _drop(self, topic: str) -> None:
        for feed in self._feeds.pop(topic):
            feed.close()
        del self._layout[topic]

    @asynccontextmanager
    async def peek(self, key: Key, **where: Any) -> AsyncIterator[tuple[int, int]]:
        """How many messages stand from somewhere on, and the position before the first."""
        broker = self._broker
        stream = await broker.stream(key[0])
        consumer = await consumer_of(broker, stream, f"{stream}.{key[1]}", **where)
        try:
            yield int(consumer.num_pending or 0), int(consumer.delivered.stream_seq)
        finally:
            with contextlib.suppress(Exception):
                await broker.jetstream.delete_consumer(stream, consumer.name)


async def consumer_of(broker: NatsBroker, stream: str, subject: str, **where: Any) -> Any:
    """A consumer that keeps no account of what it delivered; nobody but us knows it."""
    from nats.js.api import AckPolicy, ConsumerConfig

    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE, filter_subject=subject, inactive_threshold=_INACTIVE, mem_storage=True, **where
    )
    return await broker.ask("consumer create", broker.jetstream.add_consumer(stream, config))
