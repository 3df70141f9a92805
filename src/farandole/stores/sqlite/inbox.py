"""The inbox: which events a service has seen, which wait for another run, which are dead.

A row's states are those of `runtime/inbox.py`. Rows of one (reaction, key) that block form a queue in the order of `seq`: only its head
has a `due` time, and whoever settles the head promotes the next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from farandole.errors import ClaimLost, StoreError
from farandole.stores.base import InboxRow, Verdict
from farandole.stores.rows import KEPT, SETTLED, inbox_row, is_orphaned, named
from farandole.stores.sqlite.database import Access
from farandole.stores.statements import Statements

__all__ = [
    "Passed",
    "array",
    "blocked",
    "claim",
    "discard",
    "edit",
    "extend",
    "free_orphans",
    "give_back",
    "ingest",
    "millis",
    "park",
    "purgeable",
    "retry",
    "settle",
    "take",
    "take_next",
]

SQL = Statements(Path(__file__).with_name("inbox.sql"))

_json = msgspec.json.Encoder().encode


def array(values: Any) -> str:
    """A JSON array, for `json_each`."""
    return _json(values).decode()


def millis(seconds: float | None) -> int | None:
    """A time as it is stored."""
    return None if seconds is None else round(seconds * 1000)


def claim(access: Access, marks: Sequence[tuple[str, str]]) -> Collection[tuple[str, str]]:
    """Insert marks; give those that were new."""
    if not marks:
        return ()
    now = millis(access.world.time())
    text = array(marks)
    (last,) = access.run(SQL.last).fetchone()
    if "\\u0000" in text:
        count = access.run_many(SQL.claim_one, [(*mark, now) for mark in marks])
    else:
        count = access.run(SQL.claim, (text, now)).rowcount
    if count == len(marks):
        return set(marks)
    return set(access.run(SQL.claimed, (last,)).fetchall())


def blocked(access: Access, reactions: Collection[str]) -> dict[tuple[str, str], int]:
    """Keys that wait, with how many rows wait there."""
    if not access.run(SQL.any_blocked).fetchone()[0]:
        return {}
    return {(reaction, key): count for reaction, key, count in access.run(SQL.blocked, (array(list(reactions)),)).fetchall()}


def park(access: Access, rows: Sequence[InboxRow]) -> None:
    """Turn marks of this transaction into rows that wait, are dead or are skipped."""
    now = millis(access.world.time())
    values = []
    for row in rows:
        kept = row.state in KEPT
        values.append((
            row.state, now, *((row.key, row.topic, row.body) if kept else (None, None, None)), row.attempts,
            millis(row.due) if row.state == "parked" else None, _blocks(row.state, row.blocks),
            row.reason, row.place, row.error, row.reaction, row.id,
        ))  # fmt: skip
    if rows and access.run_many(SQL.park, values) != len(rows):
        raise StoreError(f"park: one of {len(rows)} rows was not claimed in this transaction. Claim it first")
    # One that is to wait behind others of its key, where there are none, may run.
    for queue in dict.fromkeys(
        (row.reaction, row.key) for row in rows if row.state == "parked" and row.blocks and row.due is None
    ):
        access.run(SQL.promote, (now, *queue))


def _blocks(state: str, blocks: bool) -> int | None:
    return 1 if blocks and state not in SETTLED else None


def settle(access: Access, row: InboxRow, verdict: Verdict) -> None:
    """Settle a row that was taken, where its token still matches."""
    now = millis(access.world.time())
    said = (verdict.reason, verdict.place, verdict.error, row.seq, row.token)
    if verdict.state in KEPT:
        due = millis(verdict.due) if verdict.state == "parked" else None
        blocks = _blocks(verdict.state, verdict.blocks)
        cursor = access.run(SQL.reopen, (verdict.state, now, verdict.attempts, due, blocks, *said))
    else:
        blocks = None
        cursor = access.run(SQL.close, (verdict.state, now, verdict.attempts, *said))
    if not cursor.rowcount:
        raise ClaimLost(
            f"{row.reaction} no longer holds event {row.id}: its lease ran out and another worker took it. Nothing is written"
        )
    if blocks is None:
        access.run(SQL.promote, (now, row.reaction, row.key))


def ingest(access: Access, rows: Sequence[InboxRow], bound: Callable[[str], int]) -> tuple[int, int]:
    """Insert waiting rows until a key is full; give how many of the sequence were taken, and how many of those were new."""
    now, new = millis(access.world.time()), 0
    counts: dict[tuple[str, str], int] = {}
    for taken, row in enumerate(rows):
        lane = (row.reaction, row.key)
        if lane not in counts:
            counts[lane] = access.run(SQL.blocked_key, lane).fetchone()[0]
        if counts[lane] >= bound(row.reaction):
            if access.run(SQL.known, (row.reaction, row.id)).fetchone()[0]:
                continue
            return taken, new
        behind = row.blocks and counts[lane] > 0
        due = None if behind or row.state != "parked" else millis(row.due) or now
        blocks = _blocks(row.state, row.blocks)
        inserted = access.run(SQL.ingest, (
            row.reaction, row.id, row.state, now, row.key, row.topic, row.body, row.attempts, due, blocks,
            row.reason, row.place, row.error,
        )).rowcount  # fmt: skip
        new += inserted
        counts[lane] += (blocks or 0) * inserted
    return len(rows), new


def take(access: Access, reactions: Collection[str], limit: int, lease: float) -> list[InboxRow]:
    """Claim due rows, at most one per key; one that was abandoned comes alone."""
    now = access.world.time()
    due: list[tuple[int, int, str, str, str]] = []
    for reaction in reactions:
        due += [(*found, reaction) for found in access.run(SQL.due, (reaction, millis(now), limit)).fetchall()]
    due.sort()
    crashed = bool(due) and due[0][3] == "claimed"
    chosen: dict[tuple[str, str], int] = {}
    for _, seq, key, state, reaction in due[: 1 if crashed else None]:
        if len(chosen) == limit or (state == "claimed") != crashed:
            break  # an abandoned row waits until it is the first, then comes alone
        chosen.setdefault((reaction, key), seq)
    if not chosen:
        return []
    token = named(access.world.token())
    seqs = list(chosen.values())
    found = access.run(SQL.take, (token, millis(now + lease), millis(now), array(seqs))).fetchall()
    rows = {taken.seq: taken for taken in map(inbox_row, found)}
    for taken in rows.values():
        taken.crashed = crashed
    return [rows[seq] for seq in seqs]


def take_next(access: Access, rows: Sequence[InboxRow], lease: float) -> list[InboxRow]:
    """Claim what comes after these rows, if it may run and never did."""
    token, now = named(access.world.token()), access.world.time()
    found: list[InboxRow] = []
    for reaction, key in dict.fromkeys((row.reaction, row.key) for row in rows):
        taken = access.run(SQL.take_next, (token, millis(now + lease), millis(now), reaction, key)).fetchall()
        found += map(inbox_row, taken)
    return found


def free_orphans(access: Access) -> None:
    """What processes of this machine had claimed when they died may be taken at once."""
    for (token,) in access.run(SQL.claimers).fetchall():
        if is_orphaned(token):
            access.run(SQL.abandon, (millis(access.world.time()), token))


def extend(access: Access, rows: Sequence[InboxRow], lease: float) -> None:
    """The leases of these rows begin anew."""
    until = millis(access.world.time() + lease)
    access.run_many(SQL.extend, [(until, row.seq, row.token) for row in rows])


def give_back(access: Access, rows: Sequence[InboxRow]) -> None:
    """These rows were claimed but not run."""
    now = millis(access.world.time())
    access.run_many(SQL.give_back, [(now, row.seq, row.token) for row in rows])


class Passed(NamedTuple):
    """Where the purge stands: it has passed all rows up to `seq`, and none of them can be old before times from `young` on are (ms)."""

    seq: int
    young: int


def purgeable(page: Sequence[tuple[int, str, int]], passed: Passed, before: int, limit: int) -> tuple[list[int], Passed | None]:
    """Which rows of the next page (seq, state, handled_at) to delete, and where the purge stands then; None: it goes no further.

    The purge walks in the order of arrival and stops where a page has settled rows but none old enough: time and order run nearly
    together, so that the table is never looked at as a whole. What waits, such as a million timers, is passed once: what of it is settled
    later is not old before a window has gone by, and then the walk begins anew.
    """
    settled = [(seq, handled_at) for seq, state, handled_at in page if state in SETTLED]
    old = [seq for seq, handled_at in settled if handled_at < before][:limit]
    if not page or (settled and not old):
        return [], None
    last = old[-1] if old else page[-1][0]
    return old, Passed(
        last, min([handled_at for seq, handled_at in settled if before <= handled_at and seq < last] + [passed.young])
    )


def retry(access: Access, row: InboxRow, *, force: bool) -> int:
    """A dead row is due again."""
    return access.run(SQL.retry, (millis(access.world.time()), row.reaction, row.id, force)).rowcount


def edit(access: Access, row: InboxRow, body: bytes, who: str, why: str) -> bool:
    """A dead row gets another body; what it had is kept."""
    if not access.run(SQL.edit, (body, row.reaction, row.id, row.body)).rowcount:
        return False
    access.run(SQL.keep_edit, (row.reaction, row.id, millis(access.world.time()), who, why, row.body))
    return True


def discard(access: Access, row: InboxRow, reason: str) -> int:
    """A dead row becomes a mark; what it held goes on."""
    now = millis(access.world.time())
    count = access.run(SQL.discard, (now, reason, row.reaction, row.id)).rowcount
    if count:
        access.run(SQL.promote, (now, row.reaction, row.key))
    return count
