"""Checkers: was anything lost, made up, done twice, out of order, held by two at once, left lying, or not conserved?

    require(
        lost(sent, received, at="shop.payments"),
        out_of_order(sent, received, at="shop.payments"),
        effects(due, done),
    )

Each is a pure function of what was written down, and gives all its findings, in words and with the ids concerned. `require` raises
them together. What was received is given by ids, so that deliveries and effects are checked by the same functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "Finding",
    "Hold",
    "Quantity",
    "Travelled",
    "Waiting",
    "altered",
    "effects",
    "lost",
    "out_of_order",
    "repeated",
    "require",
    "stuck",
    "two_owners",
    "unbalanced",
    "uncompensated",
    "unexpected",
]

_SHOWN = 5
"""How many ids a sentence shows; the finding has them all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be.

    Attributes
    ----------
    rule:
        The checker that found it.
    words:
        What is wrong, and where.
    ids:
        All events, workflows or names concerned.
    """

    rule: str
    words: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.rule}: {self.words}"


class Travelled(Protocol):
    """A message as it was published or delivered."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Hold:
    """A partition came to an owner (`begins`), or went from it."""

    group: str
    partition: int
    owner: str
    begins: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that a reaction has not finished, as people can see it.

    Attributes
    ----------
    reaction, id, key, state, reason:
        As in the inbox row.
    workflow:
        The workflow instance that it belongs to.
    """

    reaction: str
    id: str
    key: str
    state: str
    workflow: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that may move but not come into being or vanish: its parts together are always its total."""

    name: str
    total: int
    parts: Mapping[str, int]


def require(*findings: Iterable[Finding]) -> None:
    """Raise all findings together.

    Raises
    ------
    AssertionError
        There is at least one.
    """
    if found := [str(finding) for some in findings for finding in some]:
        raise AssertionError("\n".join([f"{len(found)} findings", *found] if len(found) > 1 else found))


# ---- messages ------------------------------------------------------------------------------------------------------------


def lost(published: Iterable[Travelled], received: Iterable[str], *, at: str) -> list[Finding]:
    """What was published and never came."""
    came = set(received)
    missing = _once(message.id for message in published if message.id not in came)
    return [Finding("lost", f"{_list(missing)} never came to {at}", missing)] if missing else []


def unexpected(published: Iterable[Travelled], received: Iterable[str], *, at: str) -> list[Finding]:
    """What came and was never published."""
    known = {message.id for message in published}
    strange = _once(id for id in received if id not in known)
    return [Finding("unexpected", f"{_list(strange)} came to {at}, and nobody published it", strange)] if strange else []


def repeated(received: Iterable[str], *, at: str) -> list[Finding]:
    """What came more than once where nothing gives a reason for it."""
    times = {id: count for id, count in Counter(received).items() if count > 1}
    return [Finding("repeated", f"{id} came {count} times to {at}", (id,)) for id, count in times.items()]


def out_of_order(published: Iterable[Travelled], received: Iterable[str], *, at: str) -> list[Finding]:
    """What came for the first time after something that was published later under the same topic and key.

    Repeats are judged by their first time, on both sides; what was lost or made up is not this checker's business.
    """
    places: dict[str, tuple[tuple[str, str], int]] = {}
    for number, message in enumerate(published):
        places.setdefault(message.id, ((message.topic, message.key), number))
    latest: dict[tuple[str, str], tuple[int, str]] = {}
    found: list[Finding] = []
    for id in _once(received):
        if id not in places:
            continue
        lane, number = places[id]
        furthest, before = latest.get(lane, (-1, ""))
        if number < furthest:
            topic, key = lane
            words = f"key {key!r} of {topic} at {at}: {id} came after {before}, which was published later"
            found.append(Finding("out_of_order", words, (id, before)))
        else:
            latest[lane] = number, id
    return found


def altered(travelled: Iterable[Travelled]) -> list[Finding]:
    """Repeats on the wire that differ: the same id with another topic, key, type or body."""
    first: dict[str, Travelled] = {}
    found: list[Finding] = []
    for message in travelled:
        known = first.setdefault(message.id, message)
        differs = [name for name in ("topic", "key", "type", "body") if getattr(known, name) != getattr(message, name)]
        if differs:
            found.append(Finding("altered", f"{message.id} came again with another {' and '.join(differs)}", (message.id,)))
    return found


# ---- effects -------------------------------------------------------------------------------------------------------------


def effects(due: Iterable[tuple[str, str]], done: Iterable[tuple[str, str]]) -> list[Finding]:
    """Each (reaction, event id) that is due must be done exactly once, and no other."""
    wanted, times = dict.fromkeys(due), Counter(done)
    found = [Finding("effects", f"{reaction} never did {id}", (id,)) for reaction, id in wanted if not times[reaction, id]]
    for (reaction, id), count in times.items():
        if (reaction, id) not in wanted:
            found.append(Finding("effects", f"{reaction} did {id}, which was not for it", (id,)))
        if count > 1:
            found.append(Finding("effects", f"{reaction} did {id} {count} times", (id,)))
    return found


def two_owners(changes: Iterable[Hold]) -> list[Finding]:
    """Partitions that came to an owner before they had gone from the last one, in the order of the changes."""
    owners: dict[tuple[str, int], str] = {}
    found: list[Finding] = []
    for change in changes:
        lane = change.group, change.partition
        where = f"partition {change.partition} of {change.group}"
        holder = owners.get(lane)
        if change.begins:
            if holder is not None:
                words = f"{where} came to {change.owner} while {holder} had it"
                found.append(Finding("two_owners", words, (holder, change.owner)))
            owners[lane] = change.owner
        elif holder == change.owner:
            del owners[lane]
        else:
            words = f"{where} went from {change.owner}, and {holder or 'nobody'} had it"
            found.append(Finding("two_owners", words, (change.owner,)))
    return found


# ---- the end -------------------------------------------------------------------------------------------------------------


def stuck(
    *,
    outboxes: Mapping[str, Sequence[str]],
    workflows: Mapping[str, str | None],
    waiting: Iterable[Waiting] = (),
) -> list[Finding]:
    """What did not come to an end, and does not visibly wait.

    Parameters
    ----------
    outboxes:
        The ids left in each service's outbox.
    workflows:
        The outcome of each workflow instance, or None.
    waiting:
        Parked and dead events. One counts as visible if it has a reason, or one of the same reaction and key has.
    """
    rows = list(waiting)
    explained = {(row.reaction, row.key) for row in rows if row.reason}
    found = [
        Finding("stuck", f"the outbox of {service} still holds {_list(ids)}", tuple(ids))
        for service, ids in outboxes.items()
        if ids
    ]
    for row in rows:
        if (row.reaction, row.key) not in explained:
            words = f"{row.id} is {row.state} at {row.reaction}, and nothing of key {row.key!r} says why"
            found.append(Finding("stuck", words, (row.id,)))
    visible = {row.workflow for row in rows if (row.reaction, row.key) in explained}
    for workflow, outcome in workflows.items():
        if outcome is None and workflow not in visible:
            words = f"the workflow {workflow} has no outcome, and nothing of it is parked or dead"
            found.append(Finding("stuck", words, (workflow,)))
    return found


def uncompensated(
    failed: Iterable[str],
    acted: Iterable[tuple[str, str]],
    undone: Iterable[tuple[str, str]],
    compensations: Mapping[str, str],
) -> list[Finding]:
    """Actions of failed workflow instances that nothing compensated.

    Parameters
    ----------
    failed:
        The ids of the instances that failed.
    acted, undone:
        (reaction, instance) of the actions that took effect, and of the compensations that ran.
    compensations:
        By action, the reaction that compensates it.
    """
    lost, ran = set(failed), set(undone)
    return [
        Finding("uncompensated", f"{action} took effect in {instance}, which failed, and {undo} never ran for it", (instance,))
        for action, instance in dict.fromkeys(acted)
        if instance in lost and (undo := compensations.get(action)) is not None and (undo, instance) not in ran
    ]


def unbalanced(quantities: Iterable[Quantity]) -> list[Finding]:
    """Quantities whose parts are together not their total, or of which a part is below nothing."""
    found: list[Finding] = []
    for quantity in quantities:
        total = sum(quantity.parts.values())
        if total != quantity.total:
            parts = " + ".join(f"{name} {amount}" for name, amount in quantity.parts.items())
            words = f"{quantity.name}: {parts} = {total}, expected {quantity.total}"
            found.append(Finding("unbalanced", words, (quantity.name,)))
        for name, amount in quantity.parts.items():
            if amount < 0:
                found.append(Finding("unbalanced", f"{quantity.name}: {name} is {amount}", (quantity.name,)))
    return found


def _once(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))


def _list(ids: Sequence[str]) -> str:
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
