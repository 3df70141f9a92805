"""What all stores know of inbox rows: which states keep the event, which are settled, and who claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from farandole.process import is_dead, process_name
from farandole.stores.base import DeadFilter, Edit, InboxRow

__all__ = [
    "BUCKETS",
    "HAS_PARTS",
    "KEPT",
    "RELAY",
    "SETTLED",
    "conditions",
    "edit_row",
    "inbox_row",
    "is_orphaned",
    "named",
    "share_of",
]

BUCKETS = 64
"""Messages of one key share a bucket; a bucket has one relay at a time, so that they stay in order."""

RELAY = "(relay)"

KEPT = frozenset({"parked", "claimed", "dead", "exhausted"})
"""States in which a row keeps its event; the others are marks."""

SETTLED = frozenset({"done", "skipped", "exhausted"})
"""States in which nothing more happens: such rows are purged in time."""


HAS_PARTS = frozenset({"open", "full", "expired"})
"""States in which an instance of a join keeps its parts; in the others it is a tombstone."""


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
