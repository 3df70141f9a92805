"""Names of exchanges and queues in RabbitMQ, and making those that are missing.

- exchange `farandole.<topic>`: direct; the routing key is the partition.
- queue `farandole.<topic>:partitions`: always empty; its `x-max-length` is the number of partitions. RabbitMQ refuses to declare it
  with another, so that all processes agree.
- queue `farandole.<group>:<topic>:<partition>`: what the group has not settled.
- queue `farandole.<group>:<partition>:notes`: what the last owner of a partition says to the next; most of the time there is none.
- exchange `farandole.<group>:members`: fanout; members tell each other that they live.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from farandole.brokers.checks import DEFAULT_PARTITIONS
from farandole.brokers.rabbitmq.link import Link
from farandole.errors import BrokerError, ConfigurationError
from farandole.world import World

__all__ = ["LONGEST", "Setup", "exchange_name", "is_too_long", "members_name", "notes_name", "queue_name"]

LONGEST = 255
"""Bytes of a name in AMQP."""
_WITHOUT_LIMIT = 4
"""The first version of RabbitMQ that throws a message away which came back often, unless it is told not to."""
_SPARE: dict[str, Any] = {"x-queue-type": "quorum", "x-expires": 60_000}
"""A queue that is made after others, so that RabbitMQ writes down that these exist.

The server keeps the name of the quorum queue that was made last in memory for about a second. If it is killed by then, it starts again
with an empty queue of that name, which never gets a leader: what it had confirmed is gone, and whoever consumes it waits for ever. To make
one more writes down the names of all before it. `python -m scripts.rabbitmq_forgets` shows it.
"""


def _name(*parts: str | int) -> str:
    return "farandole." + ":".join(str(part).replace("%", "%25").replace(":", "%3A") for part in parts)


def exchange_name(topic: str) -> str:
    """The exchange of a topic."""
    return _name(topic)


def queue_name(group: str, topic: str, number: int) -> str:
    """The queue of a group, topic and partition."""
    return _name(group, topic, number)


def members_name(group: str) -> str:
    """The exchange by which members talk."""
    return _name(group, "members")


def notes_name(group: str, number: int) -> str:
    """The queue of what one owner of a partition says to the next."""
    return _name(group, number, "notes")


def is_too_long(*names: str) -> bool:
    """Whether AMQP cannot hold one of these."""
    return any(len(name.encode()) > LONGEST for name in names)


class Setup:
    """What was made, or found, by this broker; nothing is asked twice.

    Parameters
    ----------
    link, world:
        The connection to ask on; the broker's world.
    wanted:
        The number of partitions that the URL says.
    """

    def __init__(self, link: Link, world: World, wanted: int | None) -> None:
        self._link = link
        self._world = world
        self._wanted = wanted
        self._lock = asyncio.Lock()
        self._topics: dict[str, int] = {}
        self._groups: set[tuple[str, str]] = set()

    async def topic(self, topic: str) -> int:
        """Make a topic, if it is missing; gives its number of partitions.

        Raises
        ------
        ConfigurationError
            It has another number of partitions than the URL says, or its exchange is not ours.
        """
        if topic not in self._topics:
            async with self._lock:
                if topic not in self._topics:
                    self._topics[topic] = await self._make_topic(topic)
        return self._topics[topic]

    async def has(self, topic: str) -> bool:
        """Whether a topic was made by anybody; makes nothing."""
        if topic in self._topics:
            return True
        try:
            async with self._link.visit(f"topic {topic!r} could not be looked at") as channel:
                await channel.queue_declare(_name(topic, "partitions"), passive=True)
        except BrokerError as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                return False
            raise
        return True

    async def group(self, group: str, topics: Sequence[str]) -> int:
        """Make the topics, and the queues of a group for them; gives the largest number of partitions."""
        counts = {topic: await self.topic(topic) for topic in topics}
        missing = [topic for topic in counts if (group, topic) not in self._groups]
        if missing:
            async with self._lock:
                await self._make_group(group, {topic: counts[topic] for topic in missing})
                self._groups.update((group, topic) for topic in missing)
        return max(counts.values())

    def forget(self, topics: Sequence[str]) -> None:
        """Somebody deleted what belonged to these: look again."""
        for topic in topics:
            self._topics.pop(topic, None)
        self._groups = {(group, topic) for group, topic in self._groups if topic not in topics}

    async def _make_topic(self, topic: str) -> int:
        link, count, name = self._link, self._wanted or DEFAULT_PARTITIONS, exchange_name(topic)
        if is_too_long(_name(topic, "partitions")):
            raise ConfigurationError(f"{link.place}: the topic {topic!r} is too long: AMQP takes names of {LONGEST} bytes")
        arguments: dict[str, Any] = {"x-queue-type": "classic", "x-max-length": count}
        try:
            async with link.visit(f"topic {topic!r} could not be made") as channel:
                await channel.queue_declare(_name(topic, "partitions"), durable=True, arguments=arguments)
        except BrokerError as error:
            if not isinstance(error.__cause__, ChannelPreconditionFailed):
                raise
            count = self._fixed(topic, str(error))
        try:
            async with link.visit(f"topic {topic!r} could not be made") as channel:
                await channel.exchange_declare(name, exchange_type="direct", durable=True)
        except BrokerError as error:
            if not isinstance(error.__cause__, ChannelPreconditionFailed):
                raise
            raise ConfigurationError(
                f"{error}. The exchange {name} is not as Farandole makes it: delete it, or rename the topic"
            ) from None
        return count

    def _fixed(self, topic: str, answer: str) -> int:
        """The number of partitions with which a topic was made, from the server's refusal to make it with another."""
        found = re.search(r"current is (?:the value )?'?(\d+)", answer)
        if self._wanted is None and found:
            return int(found[1])
        has = f"{found[1]} partitions" if found else "another number of partitions"
        raise ConfigurationError(
            f"{self._link.place}: topic {topic!r} has {has}, the URL says {self._wanted or 'nothing'}. "
            f"The number is fixed when a topic is first used: leave ?partitions= out"
            + (f", or say {found[1]}" if found else " where it is wrong, say it where it is missing")
        )

    async def _make_group(self, group: str, topics: dict[str, int]) -> None:
        link = self._link
        if is_too_long(*(queue_name(group, topic, 1024) for topic in topics)):
            raise ConfigurationError(
                f"{link.place}: group {group!r} and topic {max(topics, key=len)!r} are too long: AMQP takes names of {LONGEST} bytes"
            )
        async with link.visit(f"the queues of group {group!r} could not be made") as channel:
            arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-single-active-consumer": True}
            if _version(channel.connection.server_properties) >= _WITHOUT_LIMIT:
                arguments["x-delivery-limit"] = -1
            await channel.exchange_declare(members_name(group), exchange_type="fanout", durable=True, nowait=True)
            places = [(topic, number) for topic, count in topics.items() for number in range(count)]
            for topic, number in places:  # without waiting for each; an error closes the channel, and the last call tells it
                await channel.queue_declare(queue_name(group, topic, number), durable=True, arguments=arguments, nowait=True)
            spare = _name("spare", self._world.token())
            await channel.queue_declare(spare, durable=True, arguments=_SPARE)
            for topic, number in places:  # only now: nothing may come to a queue that the server could forget
                await channel.queue_bind(queue_name(group, topic, number), exchange_name(topic), str(number), nowait=True)
            await channel.queue_delete(spare)


def _version(properties: Any) -> int:
    """The server's major version; 0 where it does not say."""
    version = properties.get("version", "") if properties else ""
    text = version.decode() if isinstance(version, bytes) else str(version)
    found = re.match(r"\d+", text)
    return int(found[0]) if found else 0
