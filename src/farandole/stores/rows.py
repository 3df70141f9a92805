"""What all stores know of inbox rows: which states keep the event, which are settled, and who claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from farandole.errors import EnvelopeError
from farandole.model.envelope import decode
from farandole.process import is_dead, process_name
from farandole.stores.base import DeadFilter, Edit, InboxRow, Task

__all__ = [
    "BUCKETS",
    "BY_RETRY",
    "HAS_PARTS",
    "KEPT",
    "RELAY",
    "RETRIED",
    "SETTLED",
    "asked",
    "conditions",
    "edit_row",
    "inbox_row",
    "is_answered",
    "is_asked",
    "is_orphaned",
    "named",
    "share_of",
    "task_row",
]

BUCKETS = 64
"""Messages of one key share a bucket; a bucket has one relay at a time, so that they stay in order."""

RELAY = "(relay)"

KEPT = frozenset({"parked", "claimed", "dead", "exhausted"})
"""States in which a row keeps its event; the others are marks."""

SETTLED = frozenset({"done", "skipped", "exhausted"})
"""States in which nothing more happens: such rows are purged in time."""


HAS_PARTS = frozenset({"open", "full", "expired", "running", "undoing"})
"""States in which an instance of a join or process keeps its parts; in the others it is a tombstone."""


RETRIED, BY_RETRY = "(retry)", "done by retry"
"""By whom and why a task is done whose event ran well, or was skipped, after all."""


def named(token: str) -> str:
    """A token that says which process holds it, so that others can tell when that one died."""
    return f"{token} {process_name()}"


def is_orphaned(token: str) -> bool:
    """Whether the process that held this token certainly died."""
    return is_dead(token.partition(" ")[2])


def inbox_row(values: Sequence[Any]) -> InboxRow:
    """An `InboxRow` of the columns that statements select."""
    reaction, id_, key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at = values
    return InboxRow(
        reaction=reaction, id=id_, key=key or "", topic=topic or "", body=body or b"", state=state, attempts=attempts or 0,
        due=None if due is None else due / 1000, blocks=bool(blocks), reason=reason, place=place, error=error, token=token,
        seq=seq, handled_at=handled_at / 1000,
    )  # fmt: skip


def edit_row(values: Sequence[Any]) -> Edit:
    """An `Edit` of the columns that statements select."""
    reaction, id_, at, who, why, body = values
    return Edit(reaction=reaction, id=id_, at=at / 1000, who=who, why=why, body=body)


def is_asked(row: InboxRow, state: str) -> bool:
    """Whether a row that comes into this state is a task for a person."""
    return row.task is not None and state in ("dead", "exhausted")


def is_answered(row: InboxRow, state: str) -> bool:
    """Whether a row that comes into this state needs nobody any more, if it ever did."""
    return row.task is not None and state in ("done", "skipped")


def asked(row: InboxRow, kind: str, reason: str | None) -> tuple[str, str, str, str, str, str, str]:
    """What is kept of a task: reaction, event, key, correlation id, kind, what is to be done, why."""
    try:
        envelope = decode(row.body)
        correlation = envelope.correlationid or envelope.id
    except EnvelopeError:
        correlation = ""
    return row.reaction, row.id, row.key, correlation, kind, row.task or "", reason or row.reason or ""


def task_row(values: Sequence[Any]) -> Task:
    """A `Task` of the columns that statements select."""
    id_, opened_at, reaction, event, key, correlation, kind, text, reason, done_at, who, why = values
    return Task(
        id=id_, opened_at=opened_at / 1000, reaction=reaction, event=event, key=key, correlation=correlation, kind=kind, text=text,
        reason=reason, done_at=None if done_at is None else done_at / 1000, who=who, why=why,
    )  # fmt: skip


def conditions(which: DeadFilter) -> tuple[Any, ...]:
    """The parameters of the statement `dead`, but for its limit."""
    since, until = (None if moment is None else round(moment * 1000) for moment in (which.since, which.until))
    return which.reaction, which.id, which.key, which.error, which.place, which.text, since, until, which.exhausted


def share_of(mine: Sequence[int], others: Sequence[Sequence[int]]) -> list[int]:
    """The buckets of a relay: its own, and free ones up to a fair share; beyond the share it lets go."""
    taken = {bucket for held in others for bucket in held}
    share = -(-BUCKETS // (len(others) + 1))
    free = [bucket for bucket in range(BUCKETS) if bucket not in taken and bucket not in mine]
    return sorted([*mine, *free][:share])
