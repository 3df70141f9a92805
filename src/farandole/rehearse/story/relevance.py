"""Relevance: what concerns a violation. The rest is folded: `… 14 more events of other orders`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from farandole.rehearse.beats import Beat
from farandole.rehearse.story.names import EVENTFUL, Names, named_in

__all__ = ["Fold", "relevant"]

_QUIET = EVENTFUL | {"outside"}
"""Kinds that may be left out; faults never are."""

_TROUBLED = frozenset(("failed", "parked", "dead", "skipped", "duplicate", "refused"))
_SHORT = 40  # beats that are read without being asked what matters
_STRETCH = 6  # events that are worth a line to say that they are left out


@dataclass(frozen=True, slots=True)
class Fold:
    """A quiet stretch that is left out.

    Attributes
    ----------
    time:
        When it begins, in virtual seconds since the run began.
    events:
        How many events and commands appear in it for the first time.
    noun:
        What they are about, where that is known: "order".
    """

    time: float
    events: int
    noun: str = ""

    def __str__(self) -> str:
        if self.events == 1:
            return f"… 1 more event of another {self.noun or 'key'}"
        return f"… {self.events} more events of other {self.noun or 'key'}s"


def relevant(beats: Sequence[Beat | Fold]) -> list[Beat | Fold]:
    """What a person needs in order to understand the violations.

    It keeps all faults, and everything about the keys and ids that the violations name, with what caused it and what came of it. A
    violation that names none is about whatever met trouble: what failed, was repeated or went unanswered. Without any violation, or in
    a short run where nothing points to what matters, everything is kept.
    """
    known = [beat for beat in beats if isinstance(beat, Beat)]
    kept = _kept_ids(known)
    if kept is None:
        return list(beats)
    return list(_folded(beats, kept, Names(known)))


def _kept_ids(beats: Sequence[Beat]) -> set[str] | None:
    """Keys and ids that matter; None: all do."""
    violations = [beat for beat in beats if beat.kind == "violation"]
    if not violations:
        return None
    every = {word for beat in beats if beat.kind in _QUIET for word in (beat.id, beat.key)}
    text = " ".join(f"{beat.what} {beat.note}" for beat in violations)
    wanted = ({word for beat in violations for word in (beat.id, beat.key)} & every) | named_in(text, every)
    wanted.discard("")
    if not wanted:
        if len(beats) <= _SHORT:
            return None
        wanted = set(_troubled(beats))
    return _with_chains(beats, wanted) if wanted else None


def _troubled(beats: Sequence[Beat]) -> Iterator[str]:
    """Keys, or else ids, of what did not go well."""
    seen = Counter((beat.id, beat.to) for beat in beats if beat.kind == "delivered" and beat.id)
    for beat in beats:
        again = beat.kind == "delivered" and seen[beat.id, beat.to] > 1
        if beat.kind in _TROUBLED or again or (beat.kind == "outside" and beat.note.startswith("timed out")):
            yield beat.key or beat.id


def _with_chains(beats: Sequence[Beat], wanted: set[str]) -> set[str]:
    """With the ids of these keys, all that caused them, and all that they caused."""
    ids = {beat.id for beat in beats if beat.id and beat.kind in _QUIET and (beat.id in wanted or beat.key in wanted)}
    causes = {beat.id: beat.cause for beat in beats if beat.kind == "published" and beat.cause}
    effects: dict[str, list[str]] = defaultdict(list)
    for effect, cause in causes.items():
        effects[cause].append(effect)
    above = {causes[id] for id in ids if id in causes}
    for id in (todo := list(above)):  # it grows
        cause = causes.get(id, "")
        if cause and cause not in above:
            above.add(cause)
            todo.append(cause)
    for id in (todo := list(ids)):
        new = [effect for effect in effects[id] if effect not in ids]
        ids.update(new)
        todo += new
    return wanted | ids | above


def _folded(beats: Sequence[Beat | Fold], kept: set[str], names: Names) -> Iterator[Beat | Fold]:
    left: list[Beat] = []
    counted: set[str] = set()
    time = float("-inf")
    busy: dict[str, bool] = {}  # by service: whether what it works on is told
    for beat in beats:
        if isinstance(beat, Fold):
            yield beat
            continue
        matters = _matters(beat, kept, busy)
        if beat.kind in ("delivered", "command"):
            busy[beat.to] = matters
        if not matters:
            if beat.kind in EVENTFUL and beat.id not in counted:
                left.append(beat)
                counted |= {beat.id} - {""}
            continue
        if len(left) >= _STRETCH:
            yield Fold(max(time, left[0].time), len(left), names.noun(left))
            left = []
        yield beat
        time = beat.time
    if left:
        yield Fold(max(time, left[0].time), len(left), names.noun(left))


def _matters(beat: Beat, kept: set[str], busy: dict[str, bool]) -> bool:
    if beat.kind not in _QUIET or beat.id in kept or beat.key in kept:
        return True
    return beat.kind == "outside" and not beat.id and not beat.key and busy.get(beat.who, True)
