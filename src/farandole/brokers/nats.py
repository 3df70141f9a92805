"""NATS JetStream: a stream per topic, a subject per partition, and small records for groups in a key-value bucket.

Subjects are read by position, ahead of who asks (see `nats_feed`). A member writes how far it is into one record of its own, one
write per batch. Who takes a partition over reads the record of the one who had it: so what a late member still writes is read by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec

from farandole.brokers.base import Broker, Capabilities, Delivery, PublishResult
from farandole.brokers.checks import partition_count, refused, retention_seconds
from farandole.brokers.cloudevents import MODES
from farandole.brokers.members import Group
from farandole.brokers.nats_feed import HEADERS, Feeds, escaped
from farandole.brokers.shared import Key, LogBroker, LogConsumer, Mark
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


class _Hand(msgspec.Struct, frozen=True):
    """Who has a partition (nobody: empty), and where it was when it came into his hands, or left them."""

    token: str
    mark: Mark


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
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    ours: dict[str, str] = {name: options.pop(name) for name in _OURS if name in options}
    if ours.get("mode", MODES[0]) not in MODES:
        raise ConfigurationError(f"broker URL of NATS: expected mode to be one of {', '.join(MODES)}, got: {ours['mode']!r}")
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


class NatsBroker(LogBroker):
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
        self._mode = ours.get("mode", MODES[0])
        self._options = options
        self._records: Any = None
        self._streams: set[str] = set()
        self._feeds: dict[LogConsumer, Feeds] = {}
        self._own: dict[tuple[str, str], dict[Key, Mark]] = {}
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
        await self._create("partitions", str(self._wanted or 12).encode())
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
        return await feeds.read(cursors, limit)

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

    # ---- groups

    async def _get(self, key: str, kind: Any) -> tuple[Any, int]:
        from nats.js.errors import KeyNotFoundError

        try:
            entry = await self.ask("get", self._records.get(key))
        except KeyNotFoundError:
            return None, 0
        return msgspec.json.decode(entry.value, type=kind), entry.revision

    async def _create(self, key: str, value: bytes) -> None:
        from nats.js.errors import KeyWrongLastSequenceError

        with contextlib.suppress(KeyWrongLastSequenceError):
            await self.ask("create", self._records.create(key, value))

    async def join(self, group: str, starts: Mapping[Key, int]) -> None:
        await asyncio.gather(
            *(self._create(_hand(group, key), msgspec.json.encode(_Hand("", Mark(start)))) for key, start in starts.items())
        )

    async def _hands(self, group: str, keys: Collection[Key]) -> dict[Key, tuple[_Hand, int]]:
        """Who has what, with the newest marks and the revisions of the records."""
        found = dict(zip(keys, await asyncio.gather(*(self._get(_hand(group, key), _Hand) for key in keys)), strict=True))
        tokens = {hand.token for hand, _ in found.values() if hand is not None and hand.token}
        own = dict(
            zip(tokens, await asyncio.gather(*(self._get(_own(group, token), dict[str, Mark]) for token in tokens)), strict=True)
        )
        hands = {}
        for key, (hand, revision) in found.items():
            if hand is None:
                continue
            newer = (own[hand.token][0] or {}).get(_name(key)) if hand.token else None
            hands[key] = (_Hand(hand.token, newer or hand.mark), revision)
        return hands

    async def marks(self, group: str, keys: Collection[Key]) -> dict[Key, Mark]:
        return {key: hand.mark for key, (hand, _) in (await self._hands(group, keys)).items()}

    async def take(self, group: str, token: str, keys: Collection[Key]) -> dict[Key, tuple[Mark, int]]:
        hands = await self._hands(group, keys)
        found: dict[Key, tuple[Mark, int]] = {}

        async def take(key: Key) -> None:
            hand, revision = hands[key]
            mark = msgspec.structs.replace(hand.mark, left=not hand.token)
            await self._update(_hand(group, key), _Hand(token, msgspec.structs.replace(mark, left=False)), revision)
            found[key] = (mark, await self._end_of(key))

        await asyncio.gather(*(take(key) for key in hands))
        self._own.setdefault((group, token), {}).update({key: mark for key, (mark, _) in found.items()})
        return found

    async def _update(self, name: str, hand: _Hand, revision: int) -> None:
        from nats.js.errors import KeyWrongLastSequenceError

        try:
            await self.ask("update", self._records.update(name, msgspec.json.encode(hand), revision))
        except KeyWrongLastSequenceError as error:
            raise BrokerError(f"{self.name}: another member took {name!r} at the same time; it is looked at again") from error

    async def _end_of(self, key: Key) -> int:
        from nats.js.errors import NotFoundError

        stream = await self.stream(key[0])
        try:
            last = await self.ask("last message", self.jetstream.get_last_msg(stream, f"{stream}.{key[1]}"))
        except NotFoundError:
            return 0
        return int(last.seq)

    async def put(self, group: str, token: str, marks: Mapping[Key, Mark]) -> None:
        own = self._own.setdefault((group, token), {})
        left = {key: mark for key, mark in marks.items() if mark.left}
        if left:
            hands = await self._hands(group, left)
            await asyncio.gather(
                *(
                    self._update(_hand(group, key), _Hand("", left[key]), revision)
                    for key, (hand, revision) in hands.items()
                    if hand.token == token
                )
            )
            for key in left:
                own.pop(key, None)
        if len(left) < len(marks):
            own.update({key: mark for key, mark in marks.items() if not mark.left})
            body = msgspec.json.encode({_name(key): mark for key, mark in own.items()})
            await self.ask("put", self._records.put(_own(group, token), body))

    async def change(self, group: str, step: Callable[[Group], Group]) -> None:
        from nats.js.errors import KeyWrongLastSequenceError

        key = f"group.{escaped(group)}"
        while True:
            before, revision = await self._get(key, Group)
            after = msgspec.json.encode(step(before or Group()))
            try:
                if revision:
                    await self.ask("update", self._records.update(key, after, revision))
                else:
                    await self.ask("create", self._records.create(key, after))
            except KeyWrongLastSequenceError:
                await self.world.sleep(0.01 * self.world.random())
            else:
                return


def _hand(group: str, key: Key) -> str:
    return f"hand.{escaped(group)}.{escaped(key[0])}.{key[1]}"


def _own(group: str, token: str) -> str:
    return f"own.{escaped(group)}.{token}"


def _name(key: Key) -> str:
    return f"{key[0]}:{key[1]}"
