"""The outbox in PostgreSQL: messages that are committed and wait for a relay, and which relay may publish which bucket."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from farandole.errors import EnvelopeError
from farandole.model.envelope import Message, decode
from farandole.model.wire import partition_of
from farandole.stores.base import InboxRow, OutboxRow
from farandole.stores.postgres import inbox
from farandole.stores.postgres.database import Database
from farandole.stores.postgres.text import clean, escape, unescape
from farandole.stores.rows import BUCKETS, is_orphaned, named, share_of
from farandole.stores.statements import Statements

__all__ = ["bury", "emit", "lease", "oldest", "unbury"]

SQL = Statements(Path(__file__).with_name("outbox.sql"), inbox.NOW)


async def emit(database: Database, connection: Any, messages: Sequence[Message]) -> None:
    """Put messages into the outbox."""
    await database.run(
        connection,
        SQL.emit,
        database.now,
        [partition_of(message.key, BUCKETS) for message in messages],
        [escape(message.topic) for message in messages],
        [escape(message.key) for message in messages],
        [escape(message.id) for message in messages],
        [escape(message.type) for message in messages],
        [message.body for message in messages],
    )


async def oldest(database: Database, buckets: Collection[int], limit: int) -> list[OutboxRow]:
    """The oldest messages of these buckets, in order."""
    wanted = set(buckets)
    if len(wanted) == BUCKETS:
        found = await database.read(SQL.oldest, limit)
    else:
        found = await database.read(SQL.oldest_of, limit, list(wanted))
    return [
        OutboxRow(seq, bucket, Message(unescape(topic), unescape(key), unescape(id), unescape(type), body))
        for seq, bucket, topic, key, id, type, body in found
    ]


async def lease(database: Database, connection: Any, token: str, seconds: float) -> list[int]:
    """The buckets of this relay: its own, and free ones up to a fair share; beyond the share it lets go."""
    token = named(token)
    await database.run(connection, SQL.only_me)
    await database.run(connection, SQL.expire, database.now)
    held = {relay: list(buckets) for relay, buckets in await database.run(connection, SQL.relays)}
    for relay in filter(is_orphaned, list(held)):
        await database.run(connection, SQL.release, relay)
        del held[relay]
    mine = share_of(held.pop(token, []), list(held.values()))
    await database.run(connection, SQL.lease, database.now, token, mine, round(seconds * 1000))
    return mine


async def bury(database: Database, connection: Any, row: OutboxRow, reason: str) -> None:
    """A message that no broker takes becomes a dead letter of the relay."""
    if await database.run(connection, SQL.withdraw, row.seq):
        m = row.message
        await database.run(
            connection, inbox.SQL.bury, database.now, escape(m.id), escape(m.key), escape(m.topic), m.body, clean(reason)
        )


async def unbury(database: Database, connection: Any, row: InboxRow) -> int:
    """A dead letter of the relay returns to the outbox."""
    found = await database.run(connection, inbox.SQL.unbury, escape(row.id))
    messages = [Message(unescape(topic), unescape(key), unescape(id), _type_of(body), body) for topic, key, id, body in found]
    if messages:
        await emit(database, connection, messages)
    return len(messages)


def _type_of(body: bytes) -> str:
    try:
        return decode(body).type
    except EnvelopeError:  # it was emitted as it is, so it returns as it is
        return ""
