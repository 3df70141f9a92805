"""The broker in one SQLite file: an append-only log that processes of one machine share. Inline: no thread, no server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from farandole.bell import Bell
from farandole.brokers import sqlite_group as groups
from farandole.brokers.base import Broker, Capabilities, Consumer, PublishResult, Subscription
from farandole.brokers.checks import check_subscription, parse_url, partition_count, refused, retention_seconds
from farandole.brokers.sqlite_consumer import SqliteConsumer
from farandole.brokers.sqlite_file import BrokerFile
from farandole.brokers.wakeup import Wakeup
from farandole.errors import BrokerClosed, BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.world import World

__all__ = ["SqliteBroker", "connect"]

_PUBLISHED = PublishResult()
SOME = 10_000
"""How many old messages are deleted at a time."""
EVERY = 60.0
"""Seconds between looks for old messages."""

_NEWS, _MOVED = b"news", b"moved"
_numbers = itertools.count()  # brokers of this process
_INSERT = "INSERT INTO broker_log (topic, partition, key, id, type, time, body) VALUES (?, ?, ?, ?, ?, ?, ?)"


def connect(url: str, world: World) -> Broker:
    """`sqlite:///relative/path.db` or `sqlite:////absolute/path.db`.

    Options: `partitions` (12; fixed when the file is made), `synchronous` (`full`: a publish survives a power cut; `normal`:
    it survives the death of the process) and `retention` (7d; `forever`): what every group has settled is deleted after that time.

    Raises
    ------
    ConfigurationError
        The URL names no file, or an option is wrong.
    """
    rest, options = parse_url(url, known=("partitions", "retention", "synchronous"))
    if not rest.startswith("/") or rest in ("/", "/:memory:"):
        raise ConfigurationError(
            f"broker URL {url!r} names no file: sqlite:///relative/path.db or sqlite:////absolute/path.db (or memory://)"
        )
    synchronous = options.get("synchronous", "full")
    if synchronous not in ("full", "normal"):
        raise ConfigurationError(f"broker URL {url!r}: expected synchronous to be full or normal, got: {synchronous!r}")
    retention = retention_seconds(url, options)
    return SqliteBroker(
        Path(unquote(rest[1:])), world, partition_count(url, options), full=synchronous == "full", retention=retention
    )


class SqliteBroker:
    """See `connect`. Several of one file in one process behave as several processes."""

    def __init__(
        self, path: Path, world: World, partitions: int | None = None, *, full: bool = True, retention: float = float("inf")
    ) -> None:
        self.capabilities = Capabilities(
            assigns_partitions=True,
            replay=True,
            fenced_ack=True,
            redelivery_flag=True,
            shared=True,
            max_bytes=64 * 1024 * 1024,
            durability="a power cut" if full else "the death of the process, but the last moments before a power cut may be lost",
        )
        self._file = BrokerFile(path.absolute(), world, full=full)
        self._partitions = partitions
        self._world = world
        self._retention = retention
        self._forget_at = 0.0
        self._consumers: list[SqliteConsumer] = []
        self._alarm = Bell()
        self._beat: asyncio.Task[None] | None = None
        self._wakeup: Wakeup | None = None

    async def open(self) -> None:
        """Open the file, made when missing, with its folder. See `BrokerFile.open` for the errors."""
        if self._wakeup is None:
            await self._file.open(self._partitions)
            self._wakeup = Wakeup(
                self._file.path.resolve(), f"{os.getpid()}-{next(_numbers)}-{self._world.token()[:8]}", self._told
            )
            self._wakeup.open()

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        self._world.point("broker.publish:before")
        now, partitions, largest = self._world.time(), self._file.partitions, self.capabilities.max_bytes
        results, rows = [_PUBLISHED] * len(batch), []
        for index, message in enumerate(batch):
            topic, key, id, type, body = message.topic, message.key, message.id, message.type, message.body
            refusal = refused(message, largest)
            if refusal is None:
                rows.append((topic, partition_of(key, partitions), key, id, type, now, body))
            else:
                results[index] = refusal
        wakeup = self._check()
        if rows:
            await self._file.write(
                "broker.publish", lambda: self._file.execute_many("broker.publish", _INSERT, rows), durable=True
            )
            topics = {row[0] for row in rows}
            for consumer in self._consumers:
                if not topics.isdisjoint(consumer.topics):
                    consumer.bell.ring()
            wakeup.tell(_NEWS)
        self._world.point("broker.publish:after")
        return results

    async def subscribe(self, subscription: Subscription) -> Consumer:
        self._check()
        check_subscription(subscription)
        token, start = "", 0
        if subscription.group is None:
            start = await self._file.read(lambda: groups.start_of(self._file, subscription.start))
        else:
            token = await self._file.write("broker.subscribe", lambda: self._join(subscription), durable=True)
        consumer = SqliteConsumer(self._file, self._world, subscription, token, start, self._others_look)
        await consumer.balance()
        self._consumers = [*(other for other in self._consumers if not other.closed), consumer]
        if subscription.group is not None:
            self._beat = self._beat or asyncio.create_task(self._keep_alive())
            self._others_look()
        return consumer

    async def lag(self, subscription: Subscription) -> int:
        self._check()
        check_subscription(subscription)
        return await self._file.read(lambda: groups.lag(self._file, subscription))

    async def close(self) -> None:
        beat, self._beat = self._beat, None
        try:
            if beat is not None:
                beat.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await beat
            for consumer in self._consumers:
                await consumer.close()
        finally:
            self._consumers = []
            if self._wakeup is not None:
                self._wakeup.close()
                self._wakeup = None
            self._file.close()

    def _join(self, subscription: Subscription) -> str:
        token = self._world.token()
        while not groups.join(self._file, subscription, token):
            token = self._world.token()  # worlds that begin with the same seed draw the same
        return token

    def _check(self) -> Wakeup:
        if self._wakeup is None:
            raise BrokerClosed(f"the broker {self._file.path} is not open: call open() first, and nothing after close()")
        return self._wakeup

    def _told(self, what: set[bytes]) -> None:
        if _MOVED in what:
            self._alarm.ring()
        if _NEWS in what:
            for consumer in self._consumers:
                consumer.bell.ring()

    def _others_look(self) -> None:
        """A member came, went, or gave something up."""
        self._alarm.ring()
        if self._wakeup is not None:
            self._wakeup.tell(_MOVED)

    async def _keep_alive(self) -> None:
        """Show that our members live, however long they handle; share partitions anew when somebody came or went."""
        while True:
            await self._alarm.wait(groups.BEAT)
            self._alarm.still()
            for consumer in tuple(self._consumers):
                with contextlib.suppress(BrokerError):  # when the lease runs out, the consumer's own fetch meets it and raises
                    await consumer.balance()
            with contextlib.suppress(BrokerError):  # it is tried again
                await self._forget()

    async def _forget(self) -> None:
        """Now and then, a little at a time: delete what is older than the retention and settled by every group."""
        now = self._world.monotonic()
        if now >= self._forget_at and self._retention < float("inf"):
            before = self._world.time() - self._retention
            some = await self._file.write("broker.forget", lambda: groups.forget(self._file, before, SOME), durable=False)
            self._forget_at = now + (0.0 if some == SOME else EVERY)
