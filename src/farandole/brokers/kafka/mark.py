"""What a group's positions carry beside the offset, and where a partition begins for whoever gets it.

Kafka does not tell which messages a consumer that died may have begun on. So each position is stored with a mark. `open`: its
owner lives, or died; what stands behind the position is suspect. `clean`: it was given up in order; only so many are suspect.
Marks of other tools, such as a position that was reset by hand, count as clean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from farandole.brokers.base import Subscription
from farandole.brokers.kafka.admin import Admin, Key
from farandole.brokers.lane import Lane

__all__ = ["SUSPECTS", "Mark", "begin"]

SUSPECTS = 1000
"""Messages of a partition that a dead member may have fetched; a member that has more in hand writes it down."""


class Mark(NamedTuple):
    """One mark.

    Attributes
    ----------
    state:
        `open` or `clean`.
    suspects, end:
        So many messages are suspect, up to this position.
    born:
        How many partitions the topic had when this partition got its first position.
    """

    state: str
    suspects: int
    end: int
    born: int

    def __str__(self) -> str:
        return f"{self.state} {self.suspects} {self.end} {self.born}"

    @classmethod
    def read(cls, text: str) -> Mark | None:
        """The mark in this text; None where it is none of ours."""
        parts = text.split(" ")
        if len(parts) != 4 or parts[0] not in ("open", "clean"):
            return None
        try:
            return cls(parts[0], *map(int, parts[1:]))
        except ValueError:
            return None


def begin(admin: Admin, subscription: Subscription, keys: Collection[Key]) -> dict[Key, tuple[Lane, int]]:
    """The lanes of partitions that are newly ours, each with its `born`.

    A partition without a position begins where the subscription says; but where it was added to a topic after the group had begun
    on it, at its first message: the group is to get all of it.
    """
    if not keys:
        return {}
    group = subscription.group
    stored = admin.committed(group, keys) if group is not None else {}
    ends = admin.offsets(keys, "end")
    remade = {key for key in keys if key in stored and stored[key][0] > ends[key]}  # the topic was deleted, and made anew
    fresh = [key for key in keys if key not in stored]
    counts = {topic: known.partitions for topic, known in admin.known.items()}
    added = _added(admin, group, fresh, counts) if group is not None and fresh and subscription.start != "beginning" else set()
    added |= remade
    starts = admin.starts([key for key in fresh if key not in added], subscription.start) if fresh else {}
    starts |= admin.offsets(added, "beginning")
    lanes = {}
    for key in keys:
        born = counts.get(key[0], 0)
        if key in starts:
            lanes[key] = Lane(starts[key] - 1), born
            continue
        offset, text = stored[key]
        mark = Mark.read(text)
        if mark is None:
            lanes[key] = Lane(offset - 1), born
        elif mark.state == "open":
            lanes[key] = Lane(offset - 1, max(SUSPECTS, mark.suspects), ends[key] - 1), mark.born
        else:
            lanes[key] = Lane(offset - 1, mark.suspects, mark.end), mark.born
    return lanes


def _added(admin: Admin, group: str, keys: Collection[Key], counts: dict[str, int]) -> set[Key]:
    """Those that their topic did not have when the group began on it."""
    topics = {topic for topic, _ in keys}
    everything = [(topic, number) for topic in topics for number in range(counts.get(topic, 0))]
    first: dict[str, int] = defaultdict(lambda: 1 << 31)
    for (topic, _), (_, text) in admin.committed(group, everything).items():
        mark = Mark.read(text)
        if mark is not None:
            first[topic] = min(first[topic], mark.born)
    return {key for key in keys if key[1] >= first[key[0]]}
