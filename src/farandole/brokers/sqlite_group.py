"""The SQL of a group in the SQLite broker: members, leases on partitions, positions. Plain functions, run inside a transaction.

A member says until when it lives; what a member that died owned is marked as suspect and free. A lease is on a partition
number over all topics of the group, so that equal keys of several topics reach the same member. The member's token fences:
positions change only where the lease still carries it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from farandole.brokers.base import Subscription
from farandole.brokers.lane import Lane, shares
from farandole.brokers.sqlite_file import BrokerFile
from farandole.process import is_dead, process_name

__all__ = ["BEAT", "LEASE", "Holding", "balance", "end_of", "forget", "join", "lag", "leave", "load", "start_of", "store"]

LEASE = 10.0  # seconds that a member lives without a sign
BEAT = 2.5  # seconds between signs
SUSPECTS = 1000  # messages per topic and partition that a dead member may have fetched; a member that has more writes it down

_STORE = """
    UPDATE broker_positions SET position = ?, suspects = ?, suspects_end = ?
    WHERE grp = ? AND topic = ? AND partition = ?
      AND EXISTS (SELECT 1 FROM broker_leases l WHERE l.grp = ? AND l.partition = ? AND l.token = ?)"""
_SUSPECT = """
    UPDATE broker_positions SET suspects = max(suspects, ?), suspects_end = ?
    WHERE grp = ? AND partition IN (SELECT partition FROM broker_leases WHERE grp = ? AND token = ?)"""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a member has after balancing.

    `taken` is newly owned; `leaving` it must give up once nothing of it is in hand; `moved`: others should look.
    """

    owned: frozenset[int]
    taken: frozenset[int]
    leaving: frozenset[int]
    moved: bool


def end_of(file: BrokerFile, name: str) -> int:
    """The last position of the log."""
    return int(file.execute(name, "SELECT coalesce(max(position), 0) FROM broker_log").fetchone()[0])


def start_of(file: BrokerFile, start: str | int | datetime) -> int:
    """The position after which a subscription begins that says `start`."""
    if start == "beginning":
        return 0
    if isinstance(start, int):
        return max(0, start - 1)
    if isinstance(start, datetime):
        sql = "SELECT position FROM broker_log WHERE time >= ? ORDER BY position LIMIT 1"
        first = file.execute("broker.subscribe", sql, (start.timestamp(),)).fetchone()
        if first is not None:
            return int(first[0]) - 1
    return end_of(file, "broker.subscribe")


def join(file: BrokerFile, subscription: Subscription, token: str) -> bool:
    """Make the rows of a group that are missing. Gives False where another member has this token."""
    group = subscription.group
    if file.execute("broker.subscribe", "SELECT 1 FROM broker_members WHERE grp = ? AND token = ?", (group, token)).fetchone():
        return False
    numbers = range(file.partitions)
    file.execute_many(
        "broker.subscribe",
        "INSERT OR IGNORE INTO broker_leases (grp, partition) VALUES (?, ?)",
        [(group, number) for number in numbers],
    )
    start = start_of(file, subscription.start)
    sql = "INSERT OR IGNORE INTO broker_positions (grp, topic, partition, position) VALUES (?, ?, ?, ?)"
    file.execute_many(
        "broker.subscribe", sql, [(group, topic, number, start) for topic in subscription.topics for number in numbers]
    )
    return True


def balance(
    file: BrokerFile, group: str, token: str, now: float, busy: Collection[int], give: Callable[[Collection[int]], None]
) -> Holding:
    """Say that we live, bury the dead, and take or give up partitions so that each member has its share.

    `busy` partitions are not given up now; `give` is called with those that are, while they are still ours.
    """
    file.execute(
        "broker.balance",
        "INSERT INTO broker_members VALUES (?, ?, ?, ?) ON CONFLICT (grp, token) DO UPDATE SET until = excluded.until",
        (group, token, process_name(), now + LEASE),
    )
    members = file.execute(
        "broker.balance", "SELECT token, process, until FROM broker_members WHERE grp = ?", (group,)
    ).fetchall()
    held: dict[str, set[int]] = {token: set()}
    moved = False
    for member, process, until in members:
        if member != token and (until <= now or is_dead(process)):
            _bury(file, group, member)
            moved = True
        else:
            held[member] = set()
    free = []
    leases = "SELECT partition, token FROM broker_leases WHERE grp = ? ORDER BY partition"
    for partition, owner in file.execute("broker.balance", leases, (group,)).fetchall():
        if owner in held:
            held[owner].add(partition)
        else:
            free.append(partition)
    quota = shares(file.partitions, {member: len(held[member]) for member in sorted(held)})[token]
    mine = held[token]
    surplus = sorted(mine, key=lambda number: (number in busy, -number))[: max(0, len(mine) - quota)]
    given = {number for number in surplus if number not in busy}
    taken = set(free[: max(0, quota - len(mine))])
    give(given)
    _lease(file, group, None, given)
    _lease(file, group, token, taken)
    return Holding(frozenset(mine - given | taken), frozenset(taken), frozenset(surplus) - given, moved or bool(given))


def store(file: BrokerFile, name: str, group: str, token: str, lanes: Iterable[tuple[tuple[str, int], Lane]]) -> None:
    """Write how far lanes are, where the lease is still ours."""
    rows = []
    for (topic, number), lane in lanes:
        suspects, end = lane.suspects, lane.suspects_end
        if len(lane.order) > SUSPECTS:
            suspects, end = max(suspects, len(lane.order)), max(end, lane.order[-1])
        rows.append((lane.position, suspects, end, group, topic, number, group, number, token))
    if rows:
        file.execute_many(name, _STORE, rows)


def load(file: BrokerFile, group: str, topics: Collection[str], partitions: Collection[int]) -> dict[tuple[str, int], Lane]:
    """The lanes of these partitions, as stored."""
    sql = "SELECT topic, partition, position, suspects, suspects_end FROM broker_positions WHERE grp = ?"
    return {
        (topic, number): Lane(position, suspects, suspects_end)
        for topic, number, position, suspects, suspects_end in file.execute("broker.balance", sql, (group,))
        if number in partitions and topic in topics
    }


def leave(file: BrokerFile, group: str, token: str) -> None:
    """Free what a member owned, and forget it."""
    file.execute("broker.leave", "UPDATE broker_leases SET token = NULL WHERE grp = ? AND token = ?", (group, token))
    file.execute("broker.leave", "DELETE FROM broker_members WHERE grp = ? AND token = ?", (group, token))


def lag(file: BrokerFile, subscription: Subscription) -> int:
    """How many messages of its topics the group has not settled."""
    waiting = 0
    for topic in subscription.topics:
        stored = "SELECT min(position) FROM broker_positions WHERE grp = ? AND topic = ?"
        least = file.execute("broker.lag", stored, (subscription.group, topic)).fetchone()[0]
        if least is None:
            sql = "SELECT count(*) FROM broker_log WHERE position > ? AND topic = ?"
            found = file.execute("broker.lag", sql, (start_of(file, subscription.start), topic))
        else:
            sql = """SELECT count(*) FROM broker_log m CROSS JOIN broker_positions p
                     WHERE m.position > ? AND m.topic = ?
                       AND p.grp = ? AND p.topic = m.topic AND p.partition = m.partition AND m.position > p.position"""
            found = file.execute("broker.lag", sql, (least, topic, subscription.group))
        waiting += found.fetchone()[0]
    return waiting


def forget(file: BrokerFile, before: float, limit: int) -> int:
    """Delete up to `limit` of the oldest messages, published before then, that every group has settled; give how many."""
    (settled,) = file.execute("broker.forget", "SELECT min(position) FROM broker_positions").fetchone()
    (first,) = file.execute("broker.forget", "SELECT min(position) FROM broker_log").fetchone()
    if settled is None or first is None:
        return 0
    sql = "DELETE FROM broker_log WHERE position BETWEEN ? AND ? AND time < ?"
    return file.execute("broker.forget", sql, (first, min(settled, first + limit - 1), before)).rowcount


def _lease(file: BrokerFile, group: str, token: str | None, partitions: Collection[int]) -> None:
    if partitions:
        sql = "UPDATE broker_leases SET token = ? WHERE grp = ? AND partition = ?"
        file.execute_many("broker.balance", sql, [(token, group, number) for number in sorted(partitions)])


def _bury(file: BrokerFile, group: str, member: str) -> None:
    """What a dead member may have had in hand stands behind the stored positions, and not behind what was published by now."""
    file.execute("broker.balance", _SUSPECT, (SUSPECTS, end_of(file, "broker.balance"), group, group, member))
    leave(file, group, member)
