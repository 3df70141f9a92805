"""Groups: beats that are told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from farandole.rehearse.beats import Beat
from farandole.rehearse.story.history import History

__all__ = ["BARRIERS", "Group", "grouped"]

_OUTCOMES = frozenset(("handled", "duplicate", "failed", "parked", "dead", "skipped"))
BARRIERS = frozenset(("crash", "restart", "pause", "clock", "cut", "fault", "database", "heal", "violation"))
"""What is told in its place, with nothing drawn together across it."""

_FARTHEST = 60  # beats that a sentence looks ahead


@dataclass(frozen=True, slots=True)
class Group:
    """Beats of one sentence, by their positions in the history.

    Attributes
    ----------
    first:
        The first of them.
    others:
        The others, in order.
    place:
        The one at whose time and place it is told.
    """

    first: int
    others: tuple[int, ...]
    place: int

    @property
    def all(self) -> tuple[int, ...]:
        return (self.first, *self.others)


def grouped(history: History) -> Iterator[Group]:
    """All beats, each in one group, by the places of the groups."""
    taken: set[int] = set()
    groups: list[Group] = []
    for position, beat in enumerate(history.told):
        if position in taken:
            continue
        others = tuple(_others(history, position, beat, taken)) if isinstance(beat, Beat) else ()
        taken.update(others)
        moved = others and isinstance(beat, Beat) and beat.kind == "delivered"
        groups.append(Group(position, others, others[0] if moved else position))
    yield from sorted(groups, key=lambda group: group.place)


def _others(history: History, position: int, beat: Beat, taken: set[int]) -> Iterator[int]:
    if beat.kind == "crash":
        yield from _next_restart(history, position, beat)
    elif beat.kind == "published":
        yield from _siblings(history, position, beat, taken)
    elif beat.kind == "command":
        yield from _of_command(history, position, beat, taken)
    elif beat.kind == "delivered" and beat.id:
        yield from _of_delivery(history, position, beat, taken)
    elif beat.kind in _OUTCOMES:
        yield from _of_outcome(history, position, beat, taken)


def _ahead(history: History, position: int, taken: set[int]) -> Iterator[tuple[int, Beat]]:
    """What follows before the next barrier."""
    for other in range(position + 1, min(position + _FARTHEST, len(history.told))):
        beat = history.told[other]
        if not isinstance(beat, Beat) or beat.kind in BARRIERS:
            return
        if other not in taken:
            yield other, beat


def _next_restart(history: History, position: int, beat: Beat) -> Iterator[int]:
    following = history.told[position + 1] if position + 1 < len(history.told) else None
    if isinstance(following, Beat) and following.kind == "restart" and following.who == beat.who:
        yield position + 1


def _siblings(history: History, position: int, beat: Beat, taken: set[int]) -> Iterator[int]:
    """What the same service published at once, of the same cause."""
    for other, later in _ahead(history, position, taken):
        if later.kind != "published" or later.who != beat.who or later.cause != beat.cause:
            return
        yield other


def _of_command(history: History, position: int, beat: Beat, taken: set[int]) -> Iterator[int]:
    """What it published, and its answer."""
    for other, later in _ahead(history, position, taken):
        if (beat.id and later.kind == "published" and later.who == beat.to and later.cause == beat.id) or (
            later.kind in ("handled", "refused", "answered") and later.id == beat.id and (beat.id or later.what == beat.what)
        ):
            yield other
        elif later.kind in ("outside", "failed") and later.who == beat.to:
            return


def _of_delivery(history: History, position: int, beat: Beat, taken: set[int]) -> Iterator[int]:
    """What became of it, unless there is more to tell in between."""
    for other, later in _ahead(history, position, taken):
        if later.kind == "delivered" and (later.to, later.id) == (beat.to, beat.id):
            return
        if later.kind == "outside" and later.who == beat.to:
            return
        if later.kind in _OUTCOMES and (later.who, later.id) == (beat.to, beat.id):
            yield other
            yield from _of_outcome(history, other, later, taken)
            return


def _of_outcome(history: History, position: int, beat: Beat, taken: set[int]) -> Iterator[int]:
    """What a handled event made its service publish; what becomes of a failed one."""
    for other, later in _ahead(history, position, taken):
        if later.who != beat.who:
            continue
        if beat.kind == "handled" and beat.id and later.kind == "published" and later.cause == beat.id:
            yield other
        elif beat.kind == "failed" and later.kind in ("parked", "dead") and later.id == beat.id:
            yield other
            return
        elif later.id == beat.id and later.kind in _OUTCOMES:
            return
