"""The outbox: messages that are committed and wait for a relay, and which relay may publish which bucket."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from farandole.errors import EnvelopeError
from farandole.model.envelope import Message, decode
from farandole.model.wire import partition_of
from farandole.stores.base import InboxRow, OutboxRow
from farandole.stores.rows import BUCKETS, is_orphaned, named, share_of
from farandole.stores.sqlite import inbox
from farandole.stores.sqlite.database import Access
from farandole.stores.sqlite.inbox import array, millis
from farandole.stores.statements import Statements

__all__ = ["bury", "emit", "lease", "oldest", "release", "unbury"]

SQL = Statements(Path(__file__).with_name("outbox.sql"))


def emit(access: Access, messages: Sequence[Message]) -> None:
    """Put messages into the outbox."""
    now = millis(access.world.time())
    access.run_many(SQL.emit, [(partition_of(m.key, BUCKETS), m.topic, m.key, m.id, m.type, m.body, now) for m in messages])


async def oldest(access: Access, buckets: Collection[int], limit: int) -> list[OutboxRow]:
    """The oldest messages of these buckets, in order."""
    if len(set(buckets)) == BUCKETS:
        found = await access.read(SQL.oldest, (limit,))
    else:  # bucket by bucket: a long queue in one that cannot be published is not read over and over
        if (await access.read(SQL.first))[0][0] is None:
            return []  # what an idle relay finds
        seqs: list[int] = []
        for bucket in set(buckets):
            seqs += [seq for (seq,) in await access.read(SQL.oldest_of, (bucket, limit))]
        if not seqs:
            return []
        seqs.sort()
        found = await access.read(SQL.rows, (array(seqs[:limit]),))
    return [OutboxRow(seq, bucket, Message(*message)) for seq, bucket, *message in found]


def lease(access: Access, token: str, seconds: float) -> list[int]:
    """The buckets of this relay: its own, and free ones up to a fair share; beyond the share it lets go."""
    now, token = access.world.time(), named(token)
    access.run(SQL.expire, (millis(now),))
    held: dict[str, list[int]] = {relay: msgspec.json.decode(buckets) for relay, buckets in access.run(SQL.relays).fetchall()}
    for relay in filter(is_orphaned, list(held)):
        release(access, relay)
        del held[relay]
    mine = held.pop(token, [])
    mine = share_of(mine, list(held.values()))
    access.run(SQL.lease, (token, array(mine), millis(now + seconds)))
    return mine


def release(access: Access, token: str) -> None:
    """The relay of this named token publishes no more."""
    access.run(SQL.release, (token,))


def bury(access: Access, row: OutboxRow, reason: str) -> None:
    """A message that no broker takes becomes a dead letter of the relay."""
    if access.run(SQL.published, (array([row.seq]),)).rowcount:
        m = row.message
        access.run(inbox.SQL.bury, (m.id, millis(access.world.time()), m.key, m.topic, m.body, reason))


def unbury(access: Access, row: InboxRow) -> int:
    """A dead letter of the relay returns to the outbox."""
    found: list[Any] = access.run(inbox.SQL.unbury, (row.id,)).fetchall()
    emit(access, [Message(topic, key, id_, _type_of(body), body) for topic, key, id_, body in found])
    return len(found)


def _type_of(body: bytes) -> str:
    try:
        return decode(body).type
    except EnvelopeError:  # it was emitted as it is, so it returns as it is
        return ""
