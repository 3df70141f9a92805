"""NATS JetStream: a stream per topic, a subject per partition, and small records for groups in a key-value bucket.

Subjects are read by position, ahead of who asks (see `nats_feed`); `nats_records` knows the groups.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from farandole.brokers.base import Broker, Capabilities, Delivery, PublishResult
from farandole.brokers.checks import event_mode, partition_count, refused, retention_seconds, split_options
from farandole.brokers.cloudevents import MODES
from farandole.brokers.nats_feed import HEADERS, Feeds, escaped
from farandole.brokers.nats_records import GroupRecords
from farandole.brokers.shared import Key, LogConsumer
from farandole.errors import BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.world import World

__all__ = ["NatsBroker", "connect"]

_PUBLISHED = PublishResult()
_OURS = ("partitions", "retention", "mode", "prefix", "replicas")
_PATIENCE = 5.0
"""Seconds that the server has for an answer."""
_HEAD = 8192
"""Bytes of a message that are left for its headers."""


def connect(url: str, world: World) -> Broker:
    """`nats://user:password@host:4222`, `tls://` for TLS; several hosts with commas between.

    Options of ours: `partitions` (12; fixed by the first who opens), `retention` (7d; `forever`), `replicas` (1), `mode` (`structured` or
    `binary` CloudEvents) and `prefix` (of all names; farandole). All others go to nats-py as they are, such as `user_credentials`.

    Raises
    ------
    ConfigurationError
        An option is wrong, or nats-py is not installed.
    """
    try:
        import nats  # noqa: F401
    except ImportError:
        raise ConfigurationError('NATS needs nats-py. Install it: pip install "farandole[nats]"') from None
    parts = urlsplit(url)
    ours, options = split_options(parts.query, _OURS)
    ours["mode"] = event_mode("of NATS", ours, f"one of {', '.join(MODES)}")
    if not ours.get("replicas", "1").isdigit():
        raise ConfigurationError(f"broker URL of NATS: expected replicas to be a number, got: {ours['replicas']!r}")
    servers = [urlunsplit((parts.scheme, host, "", "", "")) for host in _hosts(parts.netloc)]
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return NatsBroker(
        servers, name, world, wanted=partition_count(name, ours), retention=retention_seconds(name, ours), ours=ours, options=options
    )  # fmt: skip


def _hosts(netloc: str) -> list[str]:
    login, at, hosts = netloc.rpartition("@")
    return [f"{login}{at}{host}" for host in hosts.split(",")]


class NatsBroker(GroupRecords):
    """See `connect`."""

    def __init__(
        self, servers: Sequence[str], name: str, world: World, *, wanted: int | None, retention: float, ours: Mapping[str, str],
        options: Mapping[str, str],
    ) -> None:  # fmt: skip
        super().__init__(name, world)
        self.prefix = ours.get("prefix", "farandole")
        self.client: Any = None
        self.jetstream: Any = None
        self._servers = list(servers)
        self._wanted = wanted
        self._retention = retention
        self._replicas = int(ours.get("replicas", "1"))
        self._mode = ours["mode"]
        self._options = options
        self._streams: set[str] = set()
        self._feeds: dict[LogConsumer, Feeds] = {}
        self._acks: dict[str, asyncio.Future[Any]] = {}
        self._inbox = ""
        self._number = 0
        self._telling: set[asyncio.Task[None]] = set()
        self.capabilities = self._claims(1_000_000)

    def _claims(self, largest: int) -> Capabilities:
        return Capabilities(
            assigns_partitions=True,
            replay=True,
            fenced_ack=True,
            redelivery_flag=True,
            shared=True,
            max_bytes=largest,
            durability="the death of the server process; JetStream acknowledges before it syncs to disk (sync_interval, two minutes "
            "by default), so a power cut may lose what is not on another replica",
        )

    # ---- connecting

    async def connect(self) -> None:
        import nats
        from nats.errors import AuthorizationError, Error
        from nats.js.errors import APIError, ServiceUnavailableError

        heard: dict[str, None] = {}

        async def quiet(error: Exception) -> None:
            """What goes wrong is met by whoever asks next; nats-py itself tries again and again."""
            heard[str(error)] = None

        async def again() -> None:
            for feeds in self._feeds.values():
                feeds.lose()

        try:
            async with asyncio.timeout(_PATIENCE):
                self.client = await nats.connect(
                    self._servers, error_cb=quiet, reconnected_cb=again, max_reconnect_attempts=-1, reconnect_time_wait=0.2,
                    **{"name": "farandole", **self._options},
                )  # fmt: skip
                self.jetstream = self.client.jetstream(timeout=_PATIENCE)
                await self._prepare()
        except TypeError as error:
            raise ConfigurationError(f"broker URL {self.name}: nats-py does not know an option: {error}") from None
        except ServiceUnavailableError as error:
            await self.disconnect()
            raise ConfigurationError(f"{self.name} has JetStream switched off. Start the server with -js") from error
        except (AuthorizationError, Error, APIError, OSError, TimeoutError) as error:
            await self.disconnect()
            why = "; ".join(filter(None, (str(error), *heard))) or "no answer"
            if "uthorization" in why:
                raise ConfigurationError(
                    f"{self.name} refuses the login: {why}. Put user:password@ into the broker URL"
                ) from None
            raise BrokerError(f"cannot use {self.name}: {why}. Is NATS running there, and is the URL right?") from error
        except BaseException:
            await self.disconnect()
            raise

    async def _prepare(self) -> None:
        from nats.js.errors import BucketNotFoundError

        bucket = escaped(self.prefix)
        try:
            self._records = await self.jetstream.key_value(bucket)
        except BucketNotFoundError:
            self._records = await self.jetstream.create_key_value(bucket=bucket, history=1, replicas=self._replicas)
        await self.create("partitions", str(self._wanted or 12).encode())
        self.partitions = int((await self._records.get("partitions")).value)
        if self._wanted not in (None, self.partitions):
            raise ConfigurationError(
                f"{self.name} has {self.partitions} partitions, the URL says {self._wanted}. A number of partitions is for ever: "
                f"leave the option out, or use another prefix"
            )
        self.capabilities = self._claims(self.client.max_payload - _HEAD)
        self._inbox = self.client.new_inbox()
        await self.client.subscribe(f"{self._inbox}.*", cb=self._acknowledged, pending_msgs_limit=0, pending_bytes_limit=0)
        await self.client.subscribe(f"{escaped(self.prefix)}-news", cb=self._heard)

    async def disconnect(self) -> None:
        for task in self._telling:
            task.cancel()
        client, self.client = self.client, None
        self._feeds.clear()
        if client is not None:
            with contextlib.suppress(Exception):
                await client.close()

    async def _heard(self, message: Any) -> None:
        self.told(message.data.decode())

    def tell(self, what: str) -> None:
        async def publish() -> None:
            with contextlib.suppress(Exception):
                await self.client.publish(f"{escaped(self.prefix)}-news", what.encode())

        if self.client is not None:
            task = asyncio.create_task(publish())
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def ask(self, name: str, call: Any) -> Any:
        """Await an answer of the server.

        Raises
        ------
        BrokerError
            It refused, or did not answer.
        """
        from nats.errors import Error
        from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError

        try:
            return await call
        except (KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError):
            raise
        except (Error, OSError, TimeoutError) as error:
            raise BrokerError(f"{self.name} refused {name!r}: {str(error) or 'no answer'}") from error

    async def stream(self, topic: str) -> str:
        """The stream of a topic, made when missing."""
        from nats.js.api import StreamConfig
        from nats.js.errors import BadRequestError, NotFoundError

        name = f"{escaped(self.prefix)}-{escaped(topic)}"
        if name not in self._streams:
            age = self._retention if self._retention < float("inf") else 0
            config = StreamConfig(
                name, subjects=[f"{name}.*"], num_replicas=self._replicas, max_age=age, duplicate_window=min(120.0, age or 120.0)
            )
            try:
                await self.ask("stream info", self.jetstream.stream_info(name))
            except NotFoundError:
                with contextlib.suppress(BadRequestError):  # another made it at the same time
                    await self.ask("stream create", self.jetstream.add_stream(config))
            self._streams.add(name)
        return name

    async def look(self, topic: str) -> tuple[str, int]:
        """When the stream of a topic was made, and its last position; made anew where somebody deleted it."""
        from nats.js.errors import NotFoundError

        name = await self.stream(topic)
        try:
            info = await self.ask("stream info", self.jetstream.stream_info(name))
        except NotFoundError:
            self._streams.discard(name)
            name = await self.stream(topic)
            info = await self.ask("stream info", self.jetstream.stream_info(name))
        return str(info.created), int(info.state.last_seq)

    # ---- publishing

    async def send(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        """In waves with at most one message of each key, so that none follows one which the server did not take: a stream that is full, or
        changes its leader, refuses one and takes the next.
        """
        results: list[PublishResult] = [_PUBLISHED] * len(batch)
        lines: dict[tuple[str, str], list[int]] = {}
        for index, message in enumerate(batch):
            refusal = refused(message, self.capabilities.max_bytes)
            if refusal is None:
                lines.setdefault((message.topic, message.key), []).append(index)
            else:
                results[index] = refusal
        names = {topic: await self.stream(topic) for topic in {topic for topic, _ in lines}}
        if not self.client.is_connected:
            raise BrokerError(f"{self.name} is away; nothing was published")
        turn = 0
        while lines:
            await self._send_wave(batch, [line[turn] for line in lines.values()], names, results)
            for line in lines.values():
                if results[line[turn]].error and not results[line[turn]].permanent:
                    for behind in line[turn + 1 :]:
                        results[behind] = PublishResult(f"{self.name}: an earlier message of its key failed")
                    del line[turn + 1 :]
            turn += 1
            lines = {key: line for key, line in lines.items() if len(line) > turn}
        return results

    async def _send_wave(
        self, batch: Sequence[Message], wave: Sequence[int], names: Mapping[str, str], results: list[PublishResult]
    ) -> None:
        """Publish these at once, and wait until the server confirmed or refused each."""
        loop, publish = asyncio.get_running_loop(), self.client.publish
        waiting: dict[str, asyncio.Future[Any]] = {}
        for index in wave:
            message = batch[index]
            headers, body = HEADERS.write(message, self._mode)
            headers["Nats-Msg-Id"] = headers.get("farandole-id") or headers["ce-id"]
            self._number += 1
            reply = f"{self._inbox}.{self._number}"
            self._acks[reply] = waiting[reply] = answer = loop.create_future()
            try:
                await publish(f"{names[message.topic]}.{partition_of(message.key, self.partitions)}", body, reply, headers)
            except Exception as error:
                answer.set_result(str(error) or type(error).__name__)
        await asyncio.wait(waiting.values(), timeout=_PATIENCE)
        for index, (reply, answer) in zip(wave, waiting.items(), strict=True):
            self._acks.pop(reply, None)
            if not answer.done():
                answer.cancel()
                results[index] = PublishResult(f"{self.name} did not confirm {batch[index].id} in {_PATIENCE:g} s")
            elif (why := answer.result()) is not None:
                results[index] = PublishResult(f"{self.name} refused {batch[index].id}: {why}", permanent="exceeds" in why)

    async def _acknowledged(self, message: Any) -> None:
        answer = self._acks.pop(message.subject, None)
        if answer is None or answer.done():
            return
        data = message.data
        if data.startswith(b'{"stream"'):
            answer.set_result(None)
        elif message.headers and message.headers.get("Status") == "503":
            self._streams.clear()  # the stream is gone: it is made anew
            answer.set_result("no stream listens")
        else:
            answer.set_result(data.decode("utf-8", "replace"))

    # ---- reading

    async def read(self, consumer: LogConsumer, cursors: Mapping[Key, int], limit: int) -> Mapping[Key, Sequence[Delivery]]:
        feeds = self._feeds.get(consumer)
        if feeds is None:
            feeds = self._feeds[consumer] = Feeds(self, consumer.bell)
        found = await feeds.read(cursors, limit)
        for topic, position in [*feeds.shorter.items()]:
            keys = consumer.start_over(topic, position)
            if keys is not None:
                self.warn(topic)
                await self.adopt(consumer, keys, position)
                del feeds.shorter[topic]
        return found

    def forget(self, consumer: LogConsumer, keys: Collection[Key]) -> None:
        feeds = self._feeds.get(consumer)
        if feeds is not None:
            feeds.lose({topic for topic, _ in keys})
            if consumer.closed:
                del self._feeds[consumer]
                feeds.close()

    async def start_of(self, key: Key, start: str | int | datetime) -> int:
        if start == "beginning":
            return 0
        if isinstance(start, int):
            return max(0, start - 1)
        stream = await self.stream(key[0])
        if isinstance(start, datetime):
            from nats.js.api import DeliverPolicy

            async with Feeds(self).peek(key, deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=start) as (_, before):
                return before
        info = await self.ask("stream info", self.jetstream.stream_info(stream))
        return int(info.state.last_seq)

    async def count_after(self, key: Key, position: int) -> int:
        from nats.js.api import DeliverPolicy

        async with Feeds(self).peek(key, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=position + 1) as (
            pending,
            _,
        ):
            return pending

    async def end_of(self, key: Key) -> int:
        from nats.js.errors import NotFoundError

        stream = await self.stream(key[0])
        try:
            last = await self.ask("last message", self.jetstream.get_last_msg(stream, f"{stream}.{key[1]}"))
        except NotFoundError:
            return 0
        return int(last.seq)
