"""PostgreSQL as a broker: a table that is a log. For teams that have a database and want no further server."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from farandole.brokers.base import Broker, Capabilities, Delivery, PublishResult
from farandole.brokers.checks import partition_count, refused, retention_seconds, split_options
from farandole.brokers.members import Group
from farandole.brokers.shared import Key, LogBroker, LogConsumer, Mark, end
from farandole.errors import BrokerError, ConfigurationError, NewerDatabase
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.sockets import watch
from farandole.world import World

__all__ = ["PostgresBroker", "connect"]

_PUBLISHED = PublishResult()
_LARGEST = 64 * 1024 * 1024
_SCHEMA = 1
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")
_ONE_AT_A_TIME = 0x666172616E646F6D
PATIENCE = 15.0
"""Seconds that a statement may take; all of them are short."""
SOME = 1000
"""How many old messages of a partition are deleted at a time."""
EVERY = 60.0
"""Seconds between looks for old messages."""


def connect(url: str, world: World) -> Broker:
    """`postgresql://user:password@host:5432/database`.

    Options of ours: `partitions` (12; fixed by the first who opens), `retention` (7d; `forever`), `schema` (where the tables are) and
    `pool` (the most connections; 4). All others go to asyncpg or the server as they are, such as `sslmode`.

    Raises
    ------
    ConfigurationError
        An option is wrong, or asyncpg is not installed.
    """
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        raise ConfigurationError('PostgreSQL needs asyncpg. Install it: pip install "farandole[postgres]"') from None
    parts = urlsplit(url)
    name = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
    ours, options = split_options(parts.query, ("partitions", "retention", "schema", "pool"))
    schema = ours.get("schema")
    if schema is not None and not _NAME.fullmatch(schema):
        raise ConfigurationError(f"{name}: expected ?schema= to be a name of letters, digits and _, got: {schema!r}")
    pool = ours.get("pool", "4")
    if not (pool.isascii() and pool.isdigit() and int(pool) >= 2):
        raise ConfigurationError(f"{name}: expected ?pool= to be a number from 2 on, got: {pool!r}")
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(options, quote_via=quote), ""))
    return PostgresBroker(
        dsn, name, world, partitions=partition_count(name, ours), retention=retention_seconds(name, ours), schema=schema, pool=int(pool)
    )  # fmt: skip


class PostgresBroker(LogBroker):
    """See `connect`."""

    def __init__(
        self, dsn: str, name: str, world: World, *, partitions: int | None, retention: float, schema: str | None, pool: int
    ) -> None:
        super().__init__(name + (f" (schema {schema})" if schema else ""), world)
        self.capabilities = Capabilities(
            assigns_partitions=True,
            replay=True,
            fenced_ack=True,
            redelivery_flag=True,
            shared=True,
            max_bytes=_LARGEST,
            durability="what synchronous_commit says (on: a power cut; with a synchronous replica: the loss of the machine)",
        )
        self._dsn = dsn
        self._wanted = partitions
        self._retention = retention
        self._schema = schema
        self._size = pool
        self._pool: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._news: set[str] = set()
        self._telling: asyncio.Task[None] | None = None
        self._forget_at = 0.0

    # ---- connecting

    async def connect(self) -> None:
        import asyncpg

        path = {} if self._schema is None else {"search_path": f'"{self._schema}"'}
        settings = {"application_name": "farandole", **path}
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn, min_size=0, max_size=self._size, server_settings=settings, init=watch
            )
            async with self._pool.acquire() as connection, connection.transaction():
                await self._prepare(connection)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise ConfigurationError(f"{self.name} refuses the login: {error}. Correct the broker's URL") from None
        except asyncpg.InsufficientPrivilegeError as error:
            await self.disconnect()
            raise ConfigurationError(
                f"{self.name}: {error}. Grant CREATE on its schema, or let an administrator run `farandole broker setup`"
            ) from None
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self.disconnect()
            raise BrokerError(f"cannot use {self.name}: {error}. Is PostgreSQL running there, and is the URL right?") from error
        except BaseException:
            await self.disconnect()
            raise
        self._listener = asyncio.create_task(self._listen())

    async def _prepare(self, connection: Any) -> None:
        await connection.execute(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
        if self._schema is not None and not await connection.fetch("SELECT 1 FROM pg_namespace WHERE nspname = $1", self._schema):
            await connection.execute(f'CREATE SCHEMA "{self._schema}"')
        if await connection.fetchval("SELECT to_regclass('farandole_log_settings') IS NULL"):
            await connection.execute(_statements()["tables"])
        found = await connection.fetchrow("SELECT schema, partitions FROM farandole_log_settings")
        if found is None:
            found = (_SCHEMA, self._wanted or 12)
            await connection.execute("INSERT INTO farandole_log_settings VALUES ($1, $2)", *found)
        version, self.partitions = found
        if version > _SCHEMA:
            raise NewerDatabase(
                f"{self.name} has schema version {version}, written by a newer Farandole; upgrade this process: "
                f"pip install --upgrade farandole"
            )
        if self._wanted not in (None, self.partitions):
            raise ConfigurationError(
                f"{self.name} has {self.partitions} partitions, the URL says {self._wanted}. A number of partitions is for ever: "
                f"leave the option out, or use another schema"
            )

    async def disconnect(self) -> None:
        listener, telling = self._listener, self._telling
        self._listener = self._telling = None
        await end(listener, telling)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def _listen(self) -> None:
        """Hear what others tell. Who hears nothing finds out by polling."""
        import asyncpg

        me = asyncio.current_task()
        while self._listener is me:
            lost = asyncio.Event()
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                connection = await asyncpg.connect(self._dsn)
                try:
                    await watch(connection)
                    connection.add_termination_listener(lambda _, lost=lost: lost.set())
                    await connection.add_listener(self._channel, lambda *said: self.told(said[3]))
                    await lost.wait()
                finally:
                    connection.terminate()
            await self.world.sleep(1.0)

    @property
    def _channel(self) -> str:
        return f"farandole_log_{self._schema or 'public'}"

    def tell(self, what: str) -> None:
        """One NOTIFY for all that is told meanwhile, in a transaction of its own: inside others it would make their commits wait."""
        self._news.add(what)
        if self._pool is not None and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        while self._news:
            moved = "moved" in self._news
            topics, self._news = self._news - {"moved"}, set()
            said = (["moved"] if moved else []) + ([" ".join(sorted(topics))[:7000]] if topics else [])
            with contextlib.suppress(BrokerError):
                await self._run("SELECT pg_notify($1, said) FROM unnest($2::text[]) AS said", self._channel, said)

    async def _run(self, sql: str, *values: Any) -> Sequence[Any]:
        import asyncpg

        pool = self._pool
        try:
            async with pool.acquire(timeout=PATIENCE) as connection:
                try:
                    rows: Sequence[Any] = await connection.fetch(sql, *values, timeout=PATIENCE)
                except TimeoutError:
                    connection.terminate()  # to cancel the statement in order, it would have to be asked again
                    raise
        except TimeoutError as error:
            raise BrokerError(f"{self.name} gave no answer for {PATIENCE:g} s") from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, AttributeError) as error:
            raise BrokerError(f"{self.name} did not do as asked: {error}") from error
        return rows

    async def _do(self, name: str, *values: Any) -> Sequence[Any]:
        return await self._run(_statements()[name], *values)

    @property
    def _now(self) -> float | None:
        """None lets the server's own clock decide."""
        return self.world.time() if self.world.virtual else None

    # ---- publishing and reading

    async def send(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        results: list[PublishResult] = [_PUBLISHED] * len(batch)
        rows: list[tuple[str, int, str, str, str, bytes]] = []
        for index, message in enumerate(batch):
            topic, key, id, type, body = message.topic, message.key, message.id, message.type, message.body
            refusal = refused(message, _LARGEST)
            if refusal is None and "\0" in topic + key + id + type:
                refusal = PublishResult(
                    f"{id!a}: topic, key, id or type holds U+0000, which PostgreSQL does not take", permanent=True
                )
            if refusal is None:
                rows.append((topic, partition_of(key, self.partitions), key, id, type, body))
            else:
                results[index] = refusal
        if rows:
            await self._do("publish", self._now, *map(list, zip(*rows, strict=True)))
            self.tell(" ".join({row[0] for row in rows}))
        return results

    async def read(self, consumer: LogConsumer, cursors: Mapping[Key, int], limit: int) -> Mapping[Key, Sequence[Delivery]]:
        topics, numbers = [topic for topic, _ in cursors], [number for _, number in cursors]
        found: dict[Key, list[Delivery]] = {}
        for row in await self._do("read", topics, numbers, list(cursors.values()), limit):
            delivery = Delivery(*row)
            found.setdefault((delivery.topic, delivery.partition), []).append(delivery)
        return found

    async def start_of(self, key: Key, start: str | int | datetime) -> int:
        if start == "beginning":
            return 0
        if isinstance(start, int):
            return max(0, start - 1)
        if isinstance(start, datetime) and (first := await self._do("since", *key, start.timestamp())):
            return int(first[0][0]) - 1
        return int((await self._do("last", *key))[0][0])

    async def count_after(self, key: Key, position: int) -> int:
        return max(0, int((await self._do("count", *key, position))[0][0]))

    # ---- groups

    async def join(self, group: str, starts: Mapping[Key, int]) -> None:
        await self._do("join", group, *_columns(starts), list(starts.values()))

    async def marks(self, group: str, keys: Collection[Key]) -> dict[Key, Mark]:
        return {(row[0], row[1]): Mark(*row[2:]) for row in map(tuple, await self._do("marks", group, *_columns(keys)))}

    async def take(self, group: str, token: str, keys: Collection[Key]) -> dict[Key, tuple[Mark, int]]:
        found = map(tuple, await self._do("take", group, token, *_columns(keys)))
        return {(row[0], row[1]): (Mark(*row[2:6]), row[6]) for row in found}

    async def put(self, group: str, token: str, marks: Mapping[Key, Mark]) -> None:
        rows = [(mark.position, mark.suspects, mark.suspects_end, mark.left) for mark in marks.values()]
        await self._do("put", group, token, *_columns(marks), *map(list, zip(*rows, strict=True)))

    async def change(self, group: str, step: Callable[[Group], Group]) -> None:
        while True:
            found = await self._do("group", group)
            version, before = (found[0][0], msgspec.json.decode(found[0][1], type=Group)) if found else (0, Group())
            if await self._do("change", group, version, msgspec.json.encode(step(before))):
                return
            await self.world.sleep(0.01 * self.world.random())

    async def housekeeping(self) -> None:
        """Now and then, a little at a time: delete what is older than the retention and settled by every group."""
        now = self.world.monotonic()
        if now >= self._forget_at and self._retention < float("inf"):
            ((gone,),) = await self._do("forget", self._now, SOME, self._retention)
            self._forget_at = now + (0.0 if gone >= SOME else EVERY)


@cache
def _statements() -> dict[str, str]:
    parts = re.split(r"^-- (\w+): .*$", (Path(__file__).parent / "postgres.sql").read_text(), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _columns(keys: Collection[Key]) -> tuple[list[str], list[int]]:
    return [topic for topic, _ in keys], [number for _, number in keys]
