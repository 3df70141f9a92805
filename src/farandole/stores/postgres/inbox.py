"""The inbox in PostgreSQL: as `stores.sqlite.inbox`, where several workers write at once.

Whoever lets an event wait behind another, and whoever settles the one ahead, takes the lock of their queue (an advisory lock for one
reaction and key) first. So the one behind is never forgotten: either it sees that nobody is ahead any more, or it is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from farandole.errors import ClaimLost, StoreError
from farandole.stores.base import Edit, InboxRow, Verdict
from farandole.stores.postgres.database import Database
from farandole.stores.postgres.text import clean, escape, unescape
from farandole.stores.rows import KEPT, SETTLED, edit_row, inbox_row, is_orphaned, named
from farandole.stores.statements import Statements

__all__ = [
    "NOW", "blocked", "claim", "discard", "edit", "edit_of", "extend", "free_orphans", "give_back", "ingest", "park", "retry", "row", "settle", "take",
    "take_next",
]  # fmt: skip

NOW = {":now": "(SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint))"}
"""Milliseconds since 1970 by the server's clock; in tests, by the first parameter. As a query of its own it is asked once, and an
index may be entered at it: the bare function is volatile, so that it would be compared row by row.
"""

SQL = Statements(Path(__file__).with_name("inbox.sql"), NOW)

Queue = tuple[str, str]
"""A reaction and a key."""


def row(values: Sequence[Any]) -> InboxRow:
    """An `InboxRow` of the columns that statements select."""
    found = inbox_row(values)
    found.reaction, found.id, found.key, found.topic = map(unescape, (found.reaction, found.id, found.key, found.topic))
    return found


def edit_of(values: Sequence[Any]) -> Edit:
    """An `Edit` of the columns that statements select."""
    reaction, id, *rest = values
    return edit_row((unescape(reaction), unescape(id), *rest))


async def claim(database: Database, connection: Any, marks: Sequence[tuple[str, str]]) -> Collection[tuple[str, str]]:
    """Insert marks; give those that were new."""
    if not marks:
        return ()
    found = await database.run(
        connection, SQL.claim, database.now, [escape(reaction) for reaction, _ in marks], [escape(id) for _, id in marks]
    )
    return {(unescape(reaction), unescape(id)) for reaction, id in found}


async def blocked(database: Database, connection: Any, reactions: Collection[str]) -> dict[Queue, int]:
    """Keys that wait, with how many rows wait there."""
    found = await database.run(connection, SQL.blocked, [escape(reaction) for reaction in reactions])
    return {(unescape(reaction), unescape(key)): count for reaction, key, count in found}


async def park(database: Database, connection: Any, rows: Sequence[InboxRow]) -> None:
    """Turn marks of this transaction into rows that wait, are dead or are skipped."""
    if not rows:
        return
    behind = {_queue(row) for row in rows if _waits_behind(row)}
    ahead = set(await _count(database, connection, behind)) if behind else set()
    waits: list[int | None] = []
    for row in rows:
        queue = _queue(row)
        wait = database.wait(row.due) if row.state == "parked" else None
        if _waits_behind(row) and queue not in ahead:
            wait = 0  # the one ahead was settled meanwhile
        if _blocks(row.state, row.blocks):
            ahead.add(queue)
        waits.append(wait)
    if len(await _write(database, connection, SQL.park, rows, waits)) != len(rows):
        raise StoreError(f"park: one of {len(rows)} rows was not claimed in this transaction. Claim it first")


async def ingest(database: Database, connection: Any, rows: Sequence[InboxRow], bound: Callable[[str], int]) -> tuple[int, int]:
    """Insert waiting rows until a key is full; give how many of the sequence were taken, and how many of those were new."""
    if not rows:
        return 0, 0
    counts = await _count(database, connection, {_queue(row) for row in rows})
    found = await database.run(connection, SQL.known, [escape(row.reaction) for row in rows], [escape(row.id) for row in rows])
    known = {(unescape(reaction), unescape(id)) for reaction, id in found}
    taken, fresh, waits = len(rows), list[InboxRow](), list[int | None]()
    for place, row in enumerate(rows):
        if (row.reaction, row.id) in known:
            continue
        queue = _queue(row)
        count = counts.get(queue, 0)
        if count >= bound(row.reaction):
            taken = place
            break
        known.add((row.reaction, row.id))
        blocks = _blocks(row.state, row.blocks)
        behind = row.blocks and count > 0
        waits.append(None if behind or row.state != "parked" else database.wait(row.due) or 0)
        counts[queue] = count + bool(blocks)
        fresh.append(row)
    return taken, len(await _write(database, connection, SQL.ingest, fresh, waits)) if fresh else 0


async def _write(
    database: Database, connection: Any, statement: Any, rows: Sequence[InboxRow], waits: Sequence[int | None]
) -> Sequence[Any]:
    kept = [row.state in KEPT for row in rows]
    return await database.run(
        connection,
        statement,
        database.now,
        [escape(row.reaction) for row in rows],
        [escape(row.id) for row in rows],
        [row.state for row in rows],
        [escape(row.key) if keep else None for row, keep in zip(rows, kept)],
        [escape(row.topic) if keep else None for row, keep in zip(rows, kept)],
        [row.body if keep else None for row, keep in zip(rows, kept)],
        [row.attempts for row in rows],
        waits,
        [_blocks(row.state, row.blocks) for row in rows],
        [clean(row.reason) for row in rows],
        [clean(row.place) for row in rows],
        [clean(row.error) for row in rows],
    )


async def settle(database: Database, connection: Any, row: InboxRow, verdict: Verdict) -> None:
    """Settle a row that was taken, where its token still matches."""
    said = (
        database.now, lock_of(_queue(row)), verdict.state, verdict.attempts, clean(verdict.reason), clean(verdict.place),
        clean(verdict.error), escape(row.reaction), escape(row.id), row.token,
    )  # fmt: skip
    blocks = None
    if verdict.state in KEPT:
        blocks = _blocks(verdict.state, verdict.blocks)
        due = database.wait(verdict.due) if verdict.state == "parked" else None
        found = await database.run(connection, SQL.reopen, *said, due, blocks)
    else:
        found = await database.run(connection, SQL.close, *said)
    if not found:
        raise ClaimLost(
            f"{row.reaction} no longer holds event {row.id}: its lease ran out and another worker took it. Nothing is written"
        )
    if blocks is None:
        await _promote(database, connection, row)


async def take(database: Database, connection: Any, reactions: Collection[str], limit: int, lease: float) -> list[InboxRow]:
    """Claim due rows, at most one per key; one that was abandoned comes alone. In the order of their queues' locks, so that two who
    settle what they took do not deadlock.
    """
    due = await database.run(connection, SQL.due, database.now, [escape(reaction) for reaction in reactions], limit)
    crashed = bool(due) and due[0]["state"] == "claimed"
    chosen: dict[Queue, str] = {}
    for _, _, key, state, reaction, id in due[: 1 if crashed else None]:
        if len(chosen) == limit or (state == "claimed") != crashed:
            break  # an abandoned row waits until it is the first, then comes alone
        chosen.setdefault((reaction, key), id)
    if not chosen:
        return []
    token = named(database.world.token())
    found = await database.run(
        connection,
        SQL.take,
        database.now,
        token,
        round(lease * 1000),
        [reaction for reaction, _ in chosen],
        list(chosen.values()),
    )
    rows = list(map(row, found))
    for taken in rows:
        taken.crashed = crashed
    return _in_order(rows)


async def take_next(database: Database, connection: Any, rows: Sequence[InboxRow], lease: float) -> list[InboxRow]:
    """Claim what comes after these rows, if it may run and never did; in the order of the queues' locks."""
    queues = {_queue(row) for row in rows}
    token, reactions, keys = (
        named(database.world.token()),
        [escape(name) for name, _ in queues],
        [escape(key) for _, key in queues],
    )
    found = await database.run(connection, SQL.take_next, database.now, token, round(lease * 1000), reactions, keys)
    return _in_order(map(row, found))


async def free_orphans(database: Database, connection: Any) -> None:
    """What processes of this machine had claimed when they died may be taken at once."""
    for (token,) in await database.run(connection, SQL.claimers):
        if is_orphaned(token):
            await database.run(connection, SQL.abandon, database.now, token)


async def extend(database: Database, connection: Any, rows: Sequence[InboxRow], lease: float) -> None:
    """The leases of these rows begin anew."""
    await database.run(connection, SQL.extend, database.now, round(lease * 1000), *_claims(rows))


async def give_back(database: Database, connection: Any, rows: Sequence[InboxRow]) -> None:
    """These rows were claimed but not run."""
    await database.run(connection, SQL.give_back, database.now, *_claims(rows))


async def retry(database: Database, connection: Any, row: InboxRow, *, force: bool) -> int:
    """A dead row is due again."""
    return len(await database.run(connection, SQL.retry, database.now, escape(row.reaction), escape(row.id), force))


async def edit(database: Database, row: InboxRow, body: bytes, who: str, why: str) -> bool:
    """A dead row gets another body; what it had is kept."""
    said = (database.now, body, escape(row.reaction), escape(row.id), row.body, clean(who), clean(why))
    return bool(await database.read(SQL.edit, *said))


async def discard(database: Database, connection: Any, row: InboxRow, reason: str) -> int:
    """A dead row becomes a mark; what it held goes on."""
    found = await database.run(
        connection, SQL.discard, database.now, lock_of(_queue(row)), clean(reason), escape(row.reaction), escape(row.id)
    )
    if found:
        await _promote(database, connection, row)
    return len(found)


async def _promote(database: Database, connection: Any, row: InboxRow) -> None:
    await database.run(connection, SQL.promote, database.now, escape(row.reaction), escape(row.key))


async def _count(database: Database, connection: Any, queues: Collection[Queue]) -> dict[Queue, int]:
    """Lock these queues, then see how many rows wait in each."""
    await database.run(connection, SQL.lock, sorted(map(lock_of, queues)))
    found = await database.run(
        connection, SQL.queues, [escape(reaction) for reaction, _ in queues], [escape(key) for _, key in queues]
    )
    return {(unescape(reaction), unescape(key)): count for reaction, key, count in found}


def lock_of(queue: Queue) -> int:
    """The number of a queue's advisory lock. Two queues that share one wait for each other sometimes, nothing worse."""
    return int.from_bytes(blake2b("\0".join(queue).encode(), digest_size=8).digest(), "big", signed=True)


def _in_order(rows: Iterable[InboxRow]) -> list[InboxRow]:
    return sorted(rows, key=lambda row: lock_of(_queue(row)))


def _claims(rows: Iterable[InboxRow]) -> tuple[list[str], list[str], list[str | None]]:
    rows = sorted(rows, key=lambda row: (row.reaction, row.id))
    return [escape(row.reaction) for row in rows], [escape(row.id) for row in rows], [row.token for row in rows]


def _queue(row: InboxRow) -> Queue:
    return row.reaction, row.key


def _waits_behind(row: InboxRow) -> bool:
    return row.state == "parked" and row.blocks and row.due is None


def _blocks(state: str, blocks: bool) -> bool | None:
    return True if blocks and state not in SETTLED else None
