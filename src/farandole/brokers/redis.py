"""Redis: a stream per topic and partition, and small records for groups, changed by scripts.

Streams are read by position (XREAD), not through Redis' own consumer groups: those know neither partitions nor an order per key.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from farandole.brokers.base import Broker, Capabilities, Delivery, PublishResult
from farandole.brokers.checks import event_mode, partition_count, refused, retention_seconds, split_options
from farandole.brokers.cloudevents import MODES, Headers
from farandole.brokers.members import Group
from farandole.brokers.shared import Key, LogBroker, LogConsumer, Mark, end
from farandole.errors import BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.world import World

__all__ = ["RedisBroker", "connect"]

_HEADERS = Headers("ce_", "ce-")
_PUBLISHED = PublishResult()
_OURS = ("partitions", "retention", "mode", "prefix")
_STEP = 1 << 20
"""A position is the milliseconds of a stream's id times this, plus the number behind its dash."""
_LARGEST = 64 * 1024 * 1024
_SOME = 8 * 1024 * 1024
"""Bytes that one script publishes: Redis does nothing else meanwhile."""
_MOST = 100_000
"""How far lag is counted exactly; beyond, all that is in the stream counts."""
EVERY = 60.0
"""Seconds between looks for old messages."""


def connect(url: str, world: World) -> Broker:
    """`redis://user:password@host:6379/0`, `rediss://` for TLS, or `unix:///path/to/redis.sock`.

    Options of ours: `partitions` (12; fixed by the first who opens), `retention` (7d; `forever`), `mode` (`structured` or `binary`
    CloudEvents) and `prefix` (of all keys; farandole). All others go to redis-py as they are, such as `ssl_ca_certs`.

    Raises
    ------
    ConfigurationError
        An option is wrong, or redis-py is not installed.
    """
    try:
        import redis.asyncio  # noqa: F401
    except ImportError:
        raise ConfigurationError('Redis needs redis-py. Install it: pip install "farandole[redis]"') from None
    parts = urlsplit(url)
    ours, options = split_options(parts.query, _OURS)
    ours["mode"] = event_mode("of Redis", ours, f"one of {', '.join(MODES)}")
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(options), ""))
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return RedisBroker(plain, name, world, partition_count(name, ours), retention_seconds(name, ours), ours)


class RedisBroker(LogBroker):
    """See `connect`."""

    def __init__(
        self, url: str, name: str, world: World, partitions: int | None, retention: float, options: Mapping[str, str]
    ) -> None:
        super().__init__(name, world)
        self.capabilities = Capabilities(
            assigns_partitions=True,
            replay=True,
            fenced_ack=True,
            redelivery_flag=True,
            shared=True,
            max_bytes=_LARGEST,
            durability="what appendfsync says (everysec: all but the last second before a power cut); the last moments may be lost "
            "when a replica takes over",
        )
        self._url = url
        self._wanted = partitions
        self._retention = retention
        self._mode = options["mode"]
        self._prefix = f"{{{options.get('prefix', 'farandole')}}}"
        self._client: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._scripts: dict[str, Any] = {}
        self._forget_at = 0.0

    # ---- connecting

    async def connect(self) -> None:
        from redis import exceptions
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        try:
            self._client = Redis.from_url(self._url, protocol=2, retry=Retry(NoBackoff(), 0))
        except ValueError as error:
            raise ConfigurationError(f"broker URL {self.name}: {error}") from None
        self._client.response_callbacks["XREAD"] = lambda found, **_: found  # as it comes: no dictionaries
        self._scripts = {name: self._client.register_script(text) for name, text in _scripts().items()}
        try:
            version = (await self._client.info("server"))["redis_version"]
            if int(version.split(".")[0]) < 5:
                raise ConfigurationError(f"{self.name} is Redis {version}; 5 or newer is needed, for streams")
            await self._client.set(f"{self._prefix}:partitions", self._wanted or 12, nx=True)
            self.partitions = int(await self._client.get(f"{self._prefix}:partitions"))
        except exceptions.AuthenticationError as error:
            await self.disconnect()
            raise ConfigurationError(f"{self.name} refuses the login: {error}. Put user:password@ into the broker URL") from None
        except (exceptions.RedisError, OSError) as error:
            await self.disconnect()
            raise BrokerError(f"cannot use {self.name}: {error}. Is Redis running there, and is the URL right?") from error
        except BaseException:
            await self.disconnect()
            raise
        if self._wanted not in (None, self.partitions):
            await self.disconnect()
            raise ConfigurationError(
                f"{self.name} has {self.partitions} partitions, the URL says {self._wanted}. A number of partitions is for ever: "
                f"leave the option out, or use another prefix"
            )
        self._listener = asyncio.create_task(self._listen())

    async def disconnect(self) -> None:
        listener, self._listener = self._listener, None
        await end(listener)
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await client.aclose()

    async def _listen(self) -> None:
        """Hear what others tell. Who hears nothing finds out by polling."""
        me = asyncio.current_task()
        while self._listener is me:
            with contextlib.suppress(Exception):
                async with self._client.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(f"{self._prefix}:news")
                    async for message in channel.listen():
                        self.told(message["data"].decode())
            await self.world.sleep(1.0)

    def tell(self, what: str) -> None:
        async def publish() -> None:
            with contextlib.suppress(Exception):
                await self._client.publish(f"{self._prefix}:news", what)

        if self._client is not None and self.is_open:
            self._telling = asyncio.create_task(publish())

    async def _do(self, name: str, keys: Sequence[str], *values: Any) -> Any:
        """Run a script."""
        try:
            return await self._scripts[name](keys=keys, args=values)
        except Exception as error:
            raise self._failed(name, error) from error

    async def _ask(self, *command: Any) -> Any:
        try:
            return await self._client.execute_command(*command)
        except Exception as error:
            raise self._failed(str(command[0]), error) from error

    def _failed(self, name: str, error: Exception) -> BrokerError:
        remedy = ""
        if "READONLY" in str(error):
            remedy = ". It is a replica: connect to the primary"
        elif "OOM" in str(error):
            remedy = ". Its memory is full: raise maxmemory, or let less be kept with ?retention="
        return BrokerError(f"{self.name} refused {name!r}: {error}{remedy}")

    # ---- publishing

    async def send(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        results: list[PublishResult] = [_PUBLISHED] * len(batch)
        part: list[int] = []
        size, failed = 0, set[tuple[str, str]]()
        for index, message in enumerate(batch):
            refusal = refused(message, _LARGEST)
            if refusal is not None:
                results[index] = refusal
                continue
            part.append(index)
            size += len(message.body)
            if size >= _SOME:
                await self._send_part(batch, part, results, failed)
                part, size = [], 0
        if part:
            await self._send_part(batch, part, results, failed)
        return results

    async def _send_part(
        self, batch: Sequence[Message], part: Sequence[int], results: list[PublishResult], failed: set[tuple[str, str]]
    ) -> None:
        streams: dict[str, int] = {}
        values: list[Any] = []
        sent: list[int] = []
        for index in part:
            message = batch[index]
            if (message.topic, message.key) in failed:
                results[index] = PublishResult("an earlier message of its key failed")
                continue
            stream = self._stream((message.topic, partition_of(message.key, self.partitions)))
            fields = self._fields(message)
            values += (streams.setdefault(stream, len(streams) + 1), message.key, len(fields), *fields)
            sent.append(index)
        if not sent:
            return
        topics = " ".join({batch[index].topic for index in sent})
        try:
            told = await self._do("publish", list(streams), f"{self._prefix}:news", topics, *values)
        except BrokerError as error:  # whether it was done is unknown: it is published again, under the same ids
            told = [str(error).encode()] * len(sent)
        for index, why in zip(sent, told, strict=True):
            if why:
                results[index] = PublishResult(str(self._failed("publish", Exception(why.decode()))))
                failed.add((batch[index].topic, batch[index].key))

    def _fields(self, message: Message) -> tuple[Any, ...]:
        if self._mode == MODES[0]:
            return ("id", message.id, "type", message.type, "key", message.key, "body", message.body)
        headers, body = _HEADERS.write(message, self._mode)
        return (*(part for pair in headers.items() for part in pair), "body", body)

    # ---- reading

    async def read(self, consumer: LogConsumer, cursors: Mapping[Key, int], limit: int) -> Mapping[Key, Sequence[Delivery]]:
        by_stream = {self._stream(key): key for key in cursors}
        after = [_id(position) for position in cursors.values()]
        found = await self._ask("XREAD", "COUNT", limit, "STREAMS", *by_stream, *after)
        read: dict[Key, list[Delivery]] = {}
        for stream, entries in found or ():
            topic, number = key = by_stream[stream.decode()]
            read[key] = [_delivery(topic, number, id, fields) for id, fields in entries if fields is not None]
        return read

    async def start_of(self, key: Key, start: str | int | datetime) -> int:
        if start == "beginning":
            return 0
        if isinstance(start, int):
            return max(0, start - 1)
        if isinstance(start, datetime):
            return max(0, int(start.timestamp() * 1000) * _STEP - 1)
        last = await self._ask("XREVRANGE", self._stream(key), "+", "-", "COUNT", 1)
        return _position(last[0][0]) if last else 0

    async def count_after(self, key: Key, position: int) -> int:
        stream = self._stream(key)
        if position == 0:
            return int(await self._ask("XLEN", stream))
        count = int(await self._do("count", [stream], _id(position), _MOST))
        return count if count < _MOST else int(await self._ask("XLEN", stream))

    # ---- groups

    async def join(self, group: str, starts: Mapping[Key, int]) -> None:
        marks = [part for key, start in starts.items() for part in (_field(key), _mark_text("", Mark(start)))]
        await self._do("join", [self._marks(group), f"{self._prefix}:groups"], group, *marks)

    async def marks(self, group: str, keys: Collection[Key]) -> dict[Key, Mark]:
        found = await self._ask("HMGET", self._marks(group), *map(_field, keys))
        return {key: _mark(text) for key, text in zip(keys, found, strict=True) if text is not None}

    async def take(self, group: str, token: str, keys: Collection[Key]) -> dict[Key, tuple[Mark, int]]:
        found = await self._do("take", [self._marks(group), *map(self._stream, keys)], token, *map(_field, keys))
        return {key: (_mark(mark), _position(end)) for key, mark, end in zip(keys, found[::2], found[1::2], strict=True)}

    async def put(self, group: str, token: str, marks: Mapping[Key, Mark]) -> None:
        texts = [part for key, mark in marks.items() for part in (_field(key), _mark_text("" if mark.left else token, mark))]
        await self._do("put", [self._marks(group)], token, *texts)

    async def change(self, group: str, step: Callable[[Group], Group]) -> None:
        key = f"{self._prefix}:group:{group}"
        while True:
            version, text = await self._ask("HMGET", key, "version", "document")
            before = msgspec.json.decode(text, type=Group) if text else Group()
            if await self._do("change", [key], version or b"0", msgspec.json.encode(step(before))):
                return
            await self.world.sleep(0.01 * self.world.random())

    async def housekeeping(self) -> None:
        """Now and then: delete what is older than the retention and settled by every group."""
        now = self.world.monotonic()
        if now < self._forget_at or self._retention == float("inf"):
            return
        self._forget_at = now + EVERY
        before = int((self.world.time() - self._retention) * 1000) * _STEP
        settled: dict[Key, int] = {}
        for group in await self._ask("SMEMBERS", f"{self._prefix}:groups"):
            for field, text in (await self._ask("HGETALL", self._marks(group.decode()))).items():
                topic, _, number = field.decode().rpartition(":")
                key = topic, int(number)
                settled[key] = min(settled.get(key, before), _mark(text).position)
        for key, position in settled.items():
            await self._ask("XTRIM", self._stream(key), "MINID", "~", _id(min(position, before)))

    def _stream(self, key: Key) -> str:
        return f"{self._prefix}:log:{key[0]}:{key[1]}"

    def _marks(self, group: str) -> str:
        return f"{self._prefix}:marks:{group}"


@cache
def _scripts() -> dict[str, str]:
    parts = re.split(r"^-- (\w+): ", (Path(__file__).parent / "redis.lua").read_text(), flags=re.MULTILINE)
    return {name: f"-- {text}" for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _delivery(topic: str, number: int, id: bytes, fields: Sequence[bytes]) -> Delivery:
    position = _position(id)
    if len(fields) == 8 and fields[6] == b"body" and fields[0] == b"id":  # as we write it
        return Delivery(topic, number, position, fields[7], fields[5].decode(), fields[1].decode(), fields[3].decode())
    headers = {name.decode("utf-8", "replace"): value for name, value in zip(fields[::2], fields[1::2])}
    body = headers.pop("body", b"")
    arrived = _HEADERS.read({name: value.decode("utf-8", "replace") for name, value in headers.items()}, body)
    return Delivery(topic, number, position, arrived.body, arrived.key, arrived.id, arrived.type)


def _position(id: bytes | str) -> int:
    milliseconds, _, number = (id if isinstance(id, str) else id.decode()).partition("-")
    return int(milliseconds) * _STEP + int(number)


def _id(position: int) -> str:
    return f"{position // _STEP}-{position % _STEP}"


def _field(key: Key) -> str:
    return f"{key[0]}:{key[1]}"


def _mark_text(token: str, mark: Mark) -> str:
    return f"{token} {mark.position} {mark.suspects} {mark.suspects_end} {int(mark.left)}"


def _mark(text: bytes) -> Mark:
    position, suspects, end, left = text.decode().split(" ")[1:]
    return Mark(int(position), int(suspects), int(end), left == "1")
