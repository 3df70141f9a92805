"""The scene: lifelines and rows of a sequence diagram, before anyone draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from farandole.drawing.letters import plain
from farandole.rehearse.beats import Beat
from farandole.rehearse.story.groups import BARRIERS
from farandole.rehearse.story.history import History
from farandole.rehearse.story.relevance import Fold, relevant
from farandole.rehearse.story.troubles import ACTED, ANSWERED, LOST, happening, place

__all__ = ["Look", "Row", "Scene", "Span", "scene"]

Look = Literal[
    "arrow", "again", "answer", "lost", "says", "note", "failed", "fault", "crash", "restart", "fold", "heal", "violation"
]
"""How a row is drawn: arrows that arrive, once or again; answers; arrows that get lost; marks at a lifeline; lines across all."""

CLIENT, BROKER = "client", "broker"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a diagram.

    Attributes
    ----------
    time:
        Virtual seconds since the run began.
    look:
        How it is drawn.
    label:
        What stands at it.
    at, to:
        The lifelines from which and to which an arrow goes; the same twice for a mark. Both empty for a line across all.
    """

    time: float
    look: Look
    label: str
    at: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a lifeline on which a service is down, or hindered.

    Attributes
    ----------
    at:
        The lifeline.
    first, last:
        The rows, by number, behind the first and before the last of which it lies.
    down:
        Whether there is no process at all.
    """

    at: str
    first: int
    last: int
    down: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is drawn.

    Attributes
    ----------
    lifelines:
        From left to right: the client, services as they appear, the broker where it plays a part, and the outside.
    rows:
        From top to bottom.
    spans:
        Parts of lifelines that look different.
    """

    lifelines: tuple[str, ...]
    rows: tuple[Row, ...]
    spans: tuple[Span, ...]

    def state(self, at: str, row: int) -> Literal["up", "hindered", "down"]:
        """How a service does at a row."""
        states = {span.down for span in self.spans if span.at == at and span.first < row < span.last}
        return "down" if True in states else "hindered" if states else "up"


def scene(beats: Sequence[Beat | Fold]) -> Scene:
    """What to draw of these beats: what matters of them."""
    history = History(relevant(beats))
    stage = _Stage(history)
    rows = [(position, row) for position in range(len(history.told)) for row in stage.rows(position)]
    return Scene(_lifelines(history, [row for _, row in rows]), tuple(row for _, row in rows), tuple(_spans(history, rows)))


class _Stage:
    """Makes rows of beats."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._arrived: dict[str, str] = {}  # by service, the event that came last
        self._reasons: dict[tuple[str, str], str] = {}  # by service and event, why it failed last
        self._by_kind: dict[str, Callable[[Beat, int], Iterator[Row]]] = {
            "command": self._command,
            "refused": self._answer,
            "answered": self._answer,
            "published": self._published,
            "delivered": self._delivered,
            "handled": self._handled,
            "outside": self._outside,
            "violation": self._across,
            "heal": self._across,
        }

    def rows(self, position: int) -> Iterator[Row]:
        """The rows of the beat there: one, two, or none."""
        beat = self._history.told[position]
        if isinstance(beat, Fold):
            yield Row(beat.time, "fold", str(beat))
        elif beat.kind in self._by_kind:
            yield from self._by_kind[beat.kind](beat, position)
        elif beat.kind in ("duplicate", "failed", "parked", "dead", "skipped"):
            yield from self._outcome(beat)
        else:
            who = _line(beat.who)
            look: Look = "crash" if beat.kind == "crash" else "restart" if beat.kind == "restart" else "fault"
            yield Row(beat.time, look, happening(self._history, position).note(place(beat.who)), who, who)

    def _name(self, beat: Beat) -> str:
        return self._history.names.brief(beat)

    def _again(self, position: int) -> str:
        return " again" if self._history.again(position) else ""

    def _command(self, beat: Beat, position: int) -> Iterator[Row]:
        self._arrived[beat.to] = beat.id
        look: Look = "again" if self._history.again(position) else "arrow"
        yield Row(beat.time, look, self._name(beat) + self._again(position), _line(beat.who or CLIENT), _line(beat.to))

    def _answer(self, beat: Beat, position: int) -> Iterator[Row]:
        """The way back to the client."""
        note = self._history.names.words(beat.note)
        words = "refused" if beat.kind == "refused" else "done"
        who, to = (beat.to or beat.who, CLIENT) if beat.who == CLIENT else (beat.who, beat.to or CLIENT)
        yield Row(beat.time, "answer", f"{words}: {note}" if note else words, _line(who), _line(to))

    def _published(self, beat: Beat, position: int) -> Iterator[Row]:
        """Only where its arrows do not tell it: nobody gets it, it is sent again, or something comes in between."""
        if self._history.again(position) or not self._arrives_at_once(beat, position):
            who = _line(beat.who)
            yield Row(beat.time, "says", f"published {self._name(beat)}{self._again(position)}", who, who)

    def _arrives_at_once(self, beat: Beat, position: int) -> bool:
        arrival = self._history.first_arrival(beat.id)
        if arrival is None or arrival < position or self._history.is_overtaken(beat.id):
            return False
        between = self._history.told[position + 1 : arrival]
        return not any(isinstance(other, Beat) and other.kind in BARRIERS for other in between)

    def _delivered(self, beat: Beat, position: int) -> Iterator[Row]:
        self._arrived[beat.to] = beat.id
        published = self._history.published.get(beat.id)
        at = published.who if published is not None else beat.who or BROKER
        older = self._history.overtaken(position)
        label = self._name(beat) + self._again(position)
        if older is not None:
            label += f" (ahead of {self._name(older)})"
        elif self._history.late(position) and not self._history.again(position):
            label += " (late)"
        yield Row(beat.time, "again" if self._history.again(position) else "arrow", label, _line(at), _line(beat.to))

    def _handled(self, beat: Beat, position: int) -> Iterator[Row]:
        """Only where its arrow does not say it."""
        again = self._again(position)
        if again or (self._arrived.get(beat.who) != beat.id and self._history.came_by_broker(beat.id)):
            yield Row(beat.time, "note", f"handled {self._name(beat)}{again}", _line(beat.who), _line(beat.who))

    def _outcome(self, beat: Beat) -> Iterator[Row]:
        words, look = {
            "duplicate": ("knew {}, dropped it", "note"),
            "failed": ("failed on {}", "failed"),
            "parked": ("{} waits", "note"),
            "dead": ("gave up on {}", "failed"),
            "skipped": ("skipped {}", "note"),
        }[beat.kind]
        note = self._history.names.words(beat.note)
        if beat.kind == "failed":
            self._reasons[beat.who, beat.id] = note
        elif self._reasons.get((beat.who, beat.id)) == note:  # told already
            note = ""
        label = words.replace("{}", self._name(beat), 1) + (f": {note}" if note else "")
        yield Row(beat.time, look, label, _line(beat.who), _line(beat.who))  # type: ignore[arg-type]

    def _outside(self, beat: Beat, position: int) -> Iterator[Row]:
        who, (thing, call) = _line(beat.who), _call(beat.what)
        call += self._again(position)
        if beat.note == LOST:
            yield Row(beat.time, "lost", f"{call}: never arrived, timed out", who, thing)
            return
        yield Row(beat.time, "again" if self._history.again(position) else "arrow", call, who, thing)
        if beat.note == ACTED:
            yield Row(beat.time, "lost", "done, but the answer was lost: timed out", thing, who)
        elif beat.note not in ("", ANSWERED):
            yield Row(beat.time, "answer", self._history.names.words(beat.note), thing, who)

    def _across(self, beat: Beat, position: int) -> Iterator[Row]:
        parts = [part for part in (plain(beat.what), self._history.names.words(beat.note)) if part]
        if beat.kind == "heal":
            yield Row(beat.time, "heal", ": ".join(["the faults end", *parts]))
        else:
            yield Row(beat.time, "violation", ": ".join(parts) or "violated")


def _line(name: str) -> str:
    return plain(name) or "somebody"


def _call(what: str) -> tuple[str, str]:
    """Whom a call to the outside goes to, and what it asks for."""
    thing, _, call = plain(what).partition(".")
    return (thing, call) if thing and call else ("outside", plain(what) or "a call")


def _lifelines(history: History, rows: Sequence[Row]) -> tuple[str, ...]:
    drawn = dict.fromkeys(name for row in rows for name in (row.at, row.to) if name)
    outside = {_call(beat.what)[0] for beat in history.told if isinstance(beat, Beat) and beat.kind == "outside"}
    services = [name for name in drawn if name not in outside | {CLIENT, BROKER}]
    ends = [name for name in drawn if name in outside - {CLIENT, BROKER}]
    return tuple([CLIENT] * (CLIENT in drawn) + services + [BROKER] * (BROKER in drawn) + ends)


def _spans(history: History, rows: Sequence[tuple[int, Row]]) -> Iterator[Span]:
    for number, (position, row) in enumerate(rows):
        beat = history.told[position]
        if isinstance(beat, Fold):
            continue
        if beat.kind == "crash":
            yield Span(row.at, number, _end(rows, number, beat, restarts=True), down=True)
        elif beat.seconds > 0 and (
            beat.kind in ("cut", "pause") or (beat.kind, beat.what) in (("fault", "cut"), ("fault", "one_way"))
        ):
            yield Span(row.at, number, _end(rows, number, beat, restarts=False), down=False)


def _end(rows: Sequence[tuple[int, Row]], number: int, beat: Beat, *, restarts: bool) -> int:
    """The row at which a service is itself again."""
    until = beat.time + beat.seconds if beat.seconds > 0 else float("inf")
    for other in range(number + 1, len(rows)):
        row = rows[other][1]
        back = row.look in ("heal", "violation") or row.time >= until
        if back or (restarts and row.look in ("restart", "crash") and row.at == rows[number][1].at):
            return other
    return len(rows)
