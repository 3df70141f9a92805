"""Troubles: faults, crashes and calls to the outside, each as a subject and what happened to it."""

from __future__ import annotations

from dataclasses import dataclass

from farandole.drawing.letters import plain
from farandole.rehearse.beats import Beat
from farandole.rehearse.story.history import History
from farandole.rehearse.story.points import point_words
from farandole.rehearse.story.times import span

__all__ = ["ACTED", "ANSWERED", "LOST", "TROUBLES", "Happening", "happening", "outside_outcome", "place"]

TROUBLES = frozenset(("crash", "restart", "pause", "clock", "cut", "fault", "database"))
"""Kinds that `happening` tells."""

LOST = "timed out before acting"
"""The note of an outside call that never arrived."""

ACTED = "timed out after acting"
"""The note of an outside call that was carried out, and whose answer was lost."""

ANSWERED = "answered"
"""The note of an outside call that went as it should, with nothing more to say."""

_SLOW = "slow"

_AT_BROKER = {
    "refused": "refused a publish{of}",
    "unanswered": "stored a publish{of}, and the answer was lost",
    "partial": "stored only part of a publish{of}",
    "duplicate": "stored {event}{of} twice",
    "delay": "held {event}{of} back{lasting}",
    "failover": "failed over to another machine",
    "forgets": "lost messages that it had acknowledged",
}
_AT_SERVICE = {
    "cut": "was cut off from the broker{lasting}",
    "one_way": "reached the broker, but heard nothing back{lasting}",
    "pause": "stood still{lasting}",
    "slow": "was slow to reach the broker{lasting}",
    "skew": "had a clock that was off{by}",
}
_CUT_BROKER = {
    "cut": "was cut off from everyone{lasting}",
    "one_way": "heard everyone, but was not heard{lasting}",
    "slow": "was slow to be reached{lasting}",
}
_DATABASES = {
    "statement": "had a statement fail in its database",
    "refused": "had a commit refused by its database",
    "unknown": "got an error from a commit, which may have been kept all the same",
    "slow": "had a slow database{lasting}",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """A subject and what happened to it.

    Attributes
    ----------
    subject:
        As it stands inside a sentence: "payments", "the broker".
    words:
        What follows it: "was cut off from the broker for 12.0 s".
    """

    subject: str
    words: str

    @property
    def sentence(self) -> str:
        return f"{opening(self.subject)} {self.words}."

    def note(self, who: str) -> str:
        """For a label at that service."""
        words = self.words.removeprefix("was ")
        return words if self.subject == who else f"{self.subject} {words}"


def place(name: str) -> str:
    """A service, the client or the broker, as it stands inside a sentence."""
    return {"client": "the client", "broker": "the broker", "": "somebody"}.get(name) or plain(name) or "somebody"


def opening(subject: str) -> str:
    """As it stands at the beginning of a sentence; services keep their spelling."""
    return subject[:1].upper() + subject[1:] if subject in ("the client", "the broker", "somebody") else subject


def happening(history: History, position: int) -> Happening:
    """What happened at this position, where there is a beat of one of the `TROUBLES`."""
    beat = history.told[position]
    assert isinstance(beat, Beat)
    note = history.names.words(beat.note)
    who = place(beat.who)
    if beat.kind == "crash":
        when = point_words(plain(beat.note), in_hand=_in_hand(history, position))
        return Happening(who, f"crashed {when}".rstrip())
    if beat.kind == "restart":
        return Happening(who, f"restarted ({note})" if note else "restarted")
    if beat.kind == "clock":
        words = f"had its clock set {'back' if beat.seconds < 0 else 'forward'} by {span(beat.seconds)}"
    elif beat.kind == "database":
        words = _DATABASES.get(beat.what) or f"had trouble with its database ({plain(beat.what) or 'unknown'}){{lasting}}"
    else:
        who, words = _fault(beat, who)
    return Happening(who, _filled(words, history, beat) + (f": {note}" if note else ""))


def _fault(beat: Beat, who: str) -> tuple[str, str]:
    name = beat.kind if beat.kind == "pause" else beat.what or beat.kind
    if name in _AT_BROKER:
        return "the broker", _AT_BROKER[name]
    usual = _CUT_BROKER if beat.who == "broker" else _AT_SERVICE
    return who, usual.get(name) or _AT_SERVICE.get(name) or f"met the fault {plain(name)}{{lasting}}"


def _filled(words: str, history: History, beat: Beat) -> str:
    """The blanks filled in, one after the other: what fills them may hold braces."""
    lasting = f" for {span(beat.seconds)}" if beat.seconds else ""
    of = f" of {place(beat.who)}" if beat.who not in ("broker", "") else ""
    by = f" by {span(beat.seconds)}" if beat.seconds else ""
    event = history.names.full(beat) or "a message"
    for blank, text in (("{lasting}", lasting), ("{by}", by), ("{of}", of), ("{event}", event)):
        words = words.replace(blank, text, 1)
    return words


def _in_hand(history: History, position: int) -> bool:
    """Whether the last that a process did before was to work on an event that came from the broker."""
    crash = history.told[position]
    assert isinstance(crash, Beat)
    for beat in reversed(history.told[:position]):
        if not isinstance(beat, Beat):
            continue
        if beat.kind == "delivered" and beat.to == crash.who:
            return True
        if beat.who == crash.who and beat.kind in ("handled", "duplicate"):
            return history.came_by_broker(beat.id)
        if beat.kind == "command" and beat.to == crash.who:
            return False
        if beat.who == crash.who and beat.kind in ("published", "crash", "restart", "parked", "dead", "failed"):
            return False
    return False


def outside_outcome(note: str) -> str:
    """What became of a call to the outside, after "payments called Gateway.charge"."""
    if note == LOST:
        return " and heard a time-out; nothing was done"
    if note == ACTED:
        return "; it was done, and the answer was lost"
    if note == _SLOW:
        return ", which took long"
    return f": {note}" if note not in ("", ANSWERED) else ""
