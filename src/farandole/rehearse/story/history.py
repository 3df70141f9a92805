"""History: what a beat means in the light of those around it: a repeat, an overtaking, whose event it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from farandole.rehearse.beats import Beat
from farandole.rehearse.story.names import Names
from farandole.rehearse.story.relevance import Fold

__all__ = ["History"]


class History:
    """Looks around in what is told.

    Parameters
    ----------
    told:
        Beats in the order of their times, with folds between them.

    Attributes
    ----------
    told:
        The same.
    names:
        What to call the events in it.
    published:
        By an event's id, the beat that published it first.
    """

    def __init__(self, told: Sequence[Beat | Fold]) -> None:
        self.told = tuple(told)
        beats = [beat for beat in told if isinstance(beat, Beat)]
        self.names = Names(beats)
        self.published: dict[str, Beat] = {}
        for beat in beats:
            if beat.kind == "published" and beat.id:
                self.published.setdefault(beat.id, beat)
        self._repeats = set(_repeats(told))
        self._arrivals = _arrivals(told)
        self._overtakes = dict(self._find_overtakings())
        self._late = {(older.id, self._receiver(position)) for position, older in self._overtakes.items()}

    def again(self, position: int) -> bool:
        """Whether the same thing happened before: the same event sent, delivered or handled there, the same call made."""
        return position in self._repeats

    def overtaken(self, position: int) -> Beat | None:
        """Where a delivery is ahead of an older event of its cause or its publisher: that one, as it was published."""
        return self._overtakes.get(position)

    def _receiver(self, position: int) -> str:
        beat = self.told[position]
        return beat.to if isinstance(beat, Beat) else ""

    def late(self, position: int) -> bool:
        """Whether what is delivered here was overtaken on its way."""
        beat = self.told[position]
        return isinstance(beat, Beat) and (beat.id, beat.to) in self._late

    def is_overtaken(self, id: str) -> bool:
        """Whether an event comes anywhere after one that it should have come before."""
        return any(late == id for late, _ in self._late)

    def first_arrival(self, id: str) -> int | None:
        """The position of an event's first delivery to anyone."""
        return min(self._arrivals.get(id, {}).values(), default=None)

    def came_by_broker(self, id: str) -> bool:
        """Whether an event of this id was delivered to anyone."""
        return id in self._arrivals

    def _find_overtakings(self) -> Iterator[tuple[int, Beat]]:
        lines: dict[tuple[str, str, str], tuple[int, Beat]] = {}  # by publisher, key and receiver: whoever arrives last, so far
        for id, beat in self.published.items():
            for to, position in self._arrivals.get(id, {}).items():
                line = (beat.who, beat.key, to)
                last = lines.get(line) if beat.key else None
                if last is not None and last[0] > position:
                    yield position, last[1]
                elif (cause := self._late_cause(beat, to, position)) is not None:
                    yield position, cause
                if last is None or position > last[0]:
                    lines[line] = (position, beat)

    def _late_cause(self, beat: Beat, to: str, position: int) -> Beat | None:
        """An event that caused this one, and comes to the same service later."""
        seen: set[str] = {beat.id}
        while beat.cause and beat.cause not in seen and beat.cause in self.published:
            seen.add(beat.cause)
            beat = self.published[beat.cause]
            if self._arrivals.get(beat.id, {}).get(to, -1) > position:
                return beat
        return None


def _arrivals(told: Sequence[Beat | Fold]) -> dict[str, dict[str, int]]:
    """By event and receiver, the position of the first delivery."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for position, beat in enumerate(told):
        if isinstance(beat, Beat) and beat.kind == "delivered" and beat.id:
            found[beat.id].setdefault(beat.to, position)
    return found


def _repeats(told: Sequence[Beat | Fold]) -> Iterator[int]:
    seen: set[tuple[str, ...]] = set()
    busy: dict[str, str] = {}  # by service: the event that came to it last
    for position, beat in enumerate(told):
        if not isinstance(beat, Beat):
            continue
        if beat.kind in ("delivered", "command"):
            busy[beat.to] = beat.id
        if (mark := _mark(beat, busy.get(beat.who, ""))) is not None:
            if mark in seen:
                yield position
            seen.add(mark)


def _mark(beat: Beat, busy: str) -> tuple[str, ...] | None:
    """What makes two beats the same; None: nothing does."""
    if beat.kind == "outside":
        about = beat.id or beat.key or busy
        return ("outside", beat.who, beat.what, about) if about else None
    if not beat.id:
        return None
    if beat.kind == "command":
        return (beat.kind, beat.id, beat.to)
    if beat.kind == "delivered":  # each lane of a service gets its own
        return (beat.kind, beat.id, beat.to, beat.note)
    if beat.kind == "published":
        return (beat.kind, beat.id, beat.who)
    return (beat.kind, beat.id, beat.who, beat.what) if beat.kind == "handled" else None
