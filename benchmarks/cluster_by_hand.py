"""The chain on NATS and PostgreSQL written by hand, as well as it goes: asyncpg and nats-py, batches of 100, inbox and outbox in one statement each.

Same tables and CloudEvents as Farandole's, same order: take what has come (a push consumer: nats-py's fetch lingers for a full batch), one transaction, acknowledge (one acknowledgement for the batch), wake the relay, which
publishes a window at once and deletes it. No partitions, leases, retries, shutdown or second process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
import nats
from benchmarks.by_hand import Emits, read
from benchmarks.clock import Goal
from benchmarks.raw_clients import PATIENCE
from benchmarks.shop import CHAIN, WRITE_POSTGRES, Base, Step
from nats.js.api import AckPolicy, ConsumerConfig

from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.stores import open_store
from farandole.world import World

__all__ = ["Streams", "by_hand", "prepared", "streams"]

BATCH, WINDOW = 100, 500
INBOX = (
    "INSERT INTO farandole_inbox (reaction, id, state, handled_at) SELECT $3, id, 'done', $2 "
    "FROM unnest($1::text[]) AS id ORDER BY id ON CONFLICT DO NOTHING RETURNING id"
)
OUTBOX = (
    "INSERT INTO farandole_outbox (bucket, aggregatetype, aggregateid, id, type, payload, created_at) "
    "SELECT bucket, $6, key, id, $7, body, $5 FROM unnest($1::int[], $2::text[], $3::text[], $4::bytea[]) AS m (bucket, key, id, body)"
)
OLDEST = "SELECT seq, payload FROM farandole_outbox ORDER BY seq LIMIT $1"
PUBLISHED = "DELETE FROM farandole_outbox WHERE seq = ANY($1::bigint[])"
STATE = "INSERT INTO work (order_id, cents) SELECT * FROM unnest($1::text[], $2::int[])"


class Streams:
    """One JetStream stream with a subject per service."""

    def __init__(self, client: Any, name: str) -> None:
        self.jetstream = client.jetstream(timeout=PATIENCE)
        self.name = name

    def subject(self, owner: str) -> str:
        return f"{self.name}.{owner}"

    async def publish(self, owner: str, bodies: Iterable[bytes]) -> None:
        """All at once; returns when all are confirmed."""
        subject = self.subject(owner)
        await asyncio.gather(*(self.jetstream.publish(subject, body) for body in bodies))

    async def start(self, messages: Iterable[Message]) -> None:
        """Publish what begins workflows."""
        bodies = [message.body for message in messages]
        for at in range(0, len(bodies), WINDOW):
            await self.publish("orders", bodies[at : at + WINDOW])


@asynccontextmanager
async def streams(url: str, name: str) -> AsyncIterator[Streams]:
    """A connection, and a stream that is deleted in the end."""
    client = await nats.connect(url)
    found = Streams(client, name)
    await found.jetstream.add_stream(name=name, subjects=[f"{name}.*"])
    try:
        yield found
    finally:
        await found.jetstream.delete_stream(name)
        await client.close()


async def prepared(database: str, schema: str) -> dict[str, Any]:
    """Make a service's tables; how asyncpg connects to them."""
    store = open_store(f"{database}?schema={schema}", World(), tables=Base.metadata)
    await store.open()
    await store.close()
    return {"dsn": database, "server_settings": {"search_path": schema}}


class _Service:
    """One service: a loop that consumes, and one that publishes."""

    def __init__(self, step: Step, streams: Streams, goal: Goal, *, together: bool) -> None:
        name, reaction, self.owner, takes, emits = step
        self.name, self.reaction, self.topic = name, f"{name}.{reaction}", f"bench.{name}"
        self.decode = msgspec.json.Decoder(takes).decode
        self.emits: Any = emits
        self.out = Emits(self.reaction, f"/bench/{name}", f"bench.{emits.__name__}.v1" if emits else "")
        self.streams, self.goal, self.together = streams, goal, together
        self.woken, self.here = asyncio.Event(), asyncio.Event()
        self.waiting = deque[Any]()

    async def open(self, where: dict[str, Any]) -> None:
        self.work, self.relay = await asyncpg.connect(**where), await asyncpg.connect(**where)
        await self.relay.execute("SET synchronous_commit = off")  # what is deleted twice does no harm
        how = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=10 * BATCH)
        await self.streams.jetstream.subscribe(
            self.streams.subject(self.owner), durable=self.name, cb=self.came, manual_ack=True, config=how
        )

    async def came(self, message: Any) -> None:
        self.waiting.append(message)
        self.here.set()

    async def consume(self) -> None:
        waiting = self.waiting
        while True:
            await self.here.wait()
            found = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
            if not waiting:
                self.here.clear()
            count = await self.step([read(message.data) for message in found])
            await found[-1].ack()
            if self.emits is None:
                self.goal.add(count)
            else:
                self.woken.set()

    async def step(self, envelopes: Sequence[Any]) -> int:
        now = datetime.now(UTC)
        stamp = int(now.timestamp() * 1000)
        async with self.work.transaction():
            ids = [envelope.id for envelope in envelopes]
            new = {row[0] for row in await self.work.fetch(INBOX, ids, stamp, self.reaction)}
            out, rows = [], []
            for envelope in envelopes:
                if envelope.id not in new:
                    continue
                event = self.decode(envelope.data)
                key, cents = event.order_id, event.cents
                if self.together:
                    rows.append((key, cents))
                else:
                    await self.work.execute(WRITE_POSTGRES, key, cents)
                if self.emits is not None:
                    id, body = self.out.message(envelope, key, self.emits(order_id=key, cents=cents), now)
                    out.append((partition_of(key, 64), key, id, body))
            if rows:
                await self.work.execute(STATE, *map(list, zip(*rows, strict=True)))
            if out:
                await self.work.execute(OUTBOX, *map(list, zip(*out, strict=True)), stamp, self.topic, self.out.type)
        return len(new)

    async def publish(self) -> None:
        while True:
            await self.woken.wait()
            self.woken.clear()
            while rows := await self.relay.fetch(OLDEST, WINDOW):
                await self.streams.publish(self.name, [body for _, body in rows])
                await self.relay.execute(PUBLISHED, [seq for seq, _ in rows])


class ByHand:
    """The running chain."""

    def __init__(self, streams: Streams) -> None:
        self.goal = Goal()
        self.publish = streams.start
        self.until = self.goal.until


@asynccontextmanager
async def by_hand(broker: str, database: str, name: str, *, together: bool = False) -> AsyncIterator[ByHand]:
    """Run it.

    Parameters
    ----------
    together:
        Whether a batch's rows of state are one statement, too, which handlers of one event each cannot do.
    """
    async with streams(broker, name) as stream, asyncio.TaskGroup() as group:
        chain = ByHand(stream)
        services = [_Service(step, stream, chain.goal, together=together) for step in CHAIN]
        for service in services:
            await service.open(await prepared(database, f"{name}_{service.name}"))
        tasks = [group.create_task(work) for service in services for work in (service.consume(), service.publish())]
        yield chain
        for task in tasks:
            task.cancel()
        for service in services:
            service.work.terminate()
            service.relay.terminate()
