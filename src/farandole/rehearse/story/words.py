"""Words: what happened, in short plain sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from farandole.drawing.letters import plain
from farandole.rehearse.beats import Beat
from farandole.rehearse.story.groups import Group, grouped
from farandole.rehearse.story.history import History
from farandole.rehearse.story.relevance import Fold, relevant
from farandole.rehearse.story.times import span
from farandole.rehearse.story.troubles import TROUBLES, happening, opening, outside_outcome, place
from farandole.words import listed

__all__ = ["Sentence", "sentences", "told", "violated"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, and when it happened, in virtual seconds since the run began."""

    time: float
    text: str


def sentences(beats: Sequence[Beat | Fold]) -> list[str]:
    """What happened, as short plain sentences.

    Where a rule was violated, only what concerns it is told (`relevant`). What belongs together is one sentence: an arrival and what
    became of it, a handled event and what was published for it.
    """
    return [sentence.text for sentence in told(beats)]


def told(beats: Sequence[Beat | Fold]) -> list[Sentence]:
    """The same, with times."""
    history = History(relevant(beats))
    return list(_counted(_Teller(history).sentences()))


def _counted(found: Iterator[Sentence]) -> Iterator[Sentence]:
    """Equal sentences that follow each other, as one."""
    last: Sentence | None = None
    times = 0
    for sentence in found:
        if last is not None and sentence.text == last.text:
            times += 1
            continue
        if last is not None:
            yield _times(last, times)
        last, times = sentence, 1
    if last is not None:
        yield _times(last, times)


def _times(sentence: Sentence, times: int) -> Sentence:
    if times < 2:
        return sentence
    return Sentence(sentence.time, f"{sentence.text.removesuffix('.')} ({'twice' if times == 2 else f'{times} times'}).")


def violated(history: History, beat: Beat) -> str:
    """What was violated, and how."""
    parts = [part for part in (plain(beat.what), history.names.words(beat.note)) if part]
    return _ended(": ".join(["Violated", *parts]))


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


class _Teller:
    """Words for groups of beats."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._names = history.names
        self._by_kind: dict[str, Callable[[Group, Beat, int], str]] = {
            "command": self._command,
            "refused": lambda group, beat, _: self._told_of(beat, "was refused"),
            "answered": lambda group, beat, _: self._told_of(beat, "was answered"),
            "published": self._published,
            "delivered": self._delivered,
            "outside": self._outside,
            "heal": lambda group, beat, _: f"The faults ended: {note}." if (note := self._note(beat)) else "The faults ended.",
            "violation": lambda group, beat, _: violated(self._history, beat),
        }

    def sentences(self) -> Iterator[Sentence]:
        for group in grouped(self._history):
            first = self._history.told[group.first]
            if isinstance(first, Fold):
                yield Sentence(first.time, str(first))
                continue
            beat = self._beat(group.place)
            yield Sentence(beat.time, self._sentence(group, first, beat))

    def _sentence(self, group: Group, first: Beat, beat: Beat) -> str:
        if first.kind in TROUBLES:
            text = happening(self._history, group.first).sentence
            after = self._of_kind(group, "restart")
            return f"{text[:-1]}; it {happening(self._history, after).words}{self._later(beat, after)}." if after else text
        tell = self._by_kind.get(first.kind, self._outcome)
        return _ended(tell(group, first, group.first))

    def _command(self, group: Group, beat: Beat, position: int) -> str:
        name = self._name(beat, "a command")
        text = f"{opening(place(beat.who))} sent {name} to {place(beat.to)}{self._again(position)}"
        if (refused := self._of_kind(group, "refused")) is not None:
            return f"{text}, which refused it{self._because(self._beat(refused))}"
        if published := self._publications(group):
            text += f", which published {published}"
        answered = self._of_kind(group, "answered")
        note = self._note(self._beat(answered)) if answered is not None else ""
        return f"{text}; the answer was: {note}" if note else text

    def _told_of(self, beat: Beat, passive: str) -> str:
        return f"{self._name(beat, 'A command')} {passive}{self._because(beat)}"

    def _published(self, group: Group, beat: Beat, position: int) -> str:
        return f"{opening(place(beat.who))} published {self._publications(group)}"

    def _delivered(self, group: Group, beat: Beat, position: int) -> str:
        """An arrival, and what became of it; where it arrived as it should, only what became of it."""
        older = self._history.overtaken(position)
        again = self._again(position) or (" late" if self._history.late(position) else "")
        arrived = f"{self._name(beat, 'An event')} came to {place(beat.to)}{again}"
        if older is not None:
            arrived += f" ahead of {self._name(older, 'an older one')}, which had been published earlier"
        rest = [self._beat(other) for other in group.others]
        if not rest:
            return arrived
        if older is None and not again:
            return self._outcome(group, rest[0], group.others[0])
        joint = ", and" if older is not None else " and"
        return f"{arrived}{joint} {self._became(group, rest[0], group.others[0])}"

    def _became(self, group: Group, beat: Beat, position: int) -> str:
        """What became of an event, after its arrival is told."""
        because = self._because(beat)
        if beat.kind == "handled":
            text = f"was handled{self._again(position)}"
            return f"{text}, and {place(beat.who)} published {published}" if (published := self._publications(group)) else text
        if beat.kind == "failed":
            return f"failed{because}{self._afterwards(group)}"
        passive = {
            "duplicate": f"was dropped: {place(beat.who)} knew it",
            "parked": f"has to wait{because}",
            "dead": f"was given up on{because}",
        }
        return passive.get(beat.kind, f"was skipped{because}")

    def _outcome(self, group: Group, beat: Beat, position: int) -> str:
        """What a service made of an event."""
        name, because, reaction = self._name(beat, "an event"), self._because(beat), self._names.reaction(beat)
        who = f"{place(beat.who)}.{reaction}" if reaction else opening(place(beat.who))
        if beat.kind == "handled":
            text = f"{who} handled {name}{self._again(position)}"
            return f"{text} and published {published}" if (published := self._publications(group)) else text
        if beat.kind == "failed":
            return f"{who} failed on {name}{because}{self._afterwards(group)}"
        active = {
            "duplicate": f"{who} dropped {name}, which it knew",
            "parked": f"{who} made {name} wait{because}",
            "dead": f"{who} gave up on {name}{because}",
        }
        return active.get(beat.kind, f"{who} skipped {name}{because}")

    def _afterwards(self, group: Group) -> str:
        """What came after a failure."""
        for kind, words in (("parked", "it waits to be tried again"), ("dead", "it was given up on")):
            if (position := self._of_kind(group, kind)) is not None:
                failed = next(beat for beat in map(self._beat, group.all) if beat.kind == "failed")
                after = self._beat(position)
                return f"; {words}" + (self._because(after) if after.note != failed.note else "")
        return ""

    def _outside(self, group: Group, beat: Beat, position: int) -> str:
        about = self._name(beat, "")
        called = f"{opening(place(beat.who))} called {plain(beat.what) or 'the outside'}"
        about = f" for {about}" if about and self._names.several else ""
        return called + about + self._again(position) + outside_outcome(self._names.words(beat.note))

    def _publications(self, group: Group) -> str:
        found = [position for position in group.all if self._beat(position).kind == "published"]
        names = [f"{self._name(self._beat(position), 'an event')}{self._again(position)}" for position in found]
        return listed(names) if names else ""

    def _of_kind(self, group: Group, kind: str) -> int | None:
        return next((position for position in group.others if self._beat(position).kind == kind), None)

    def _again(self, position: int) -> str:
        return " again" if self._history.again(position) else ""

    def _name(self, beat: Beat, unknown: str) -> str:
        return self._names.full(beat) or unknown

    def _note(self, beat: Beat) -> str:
        return self._names.words(beat.note)

    def _because(self, beat: Beat) -> str:
        return f": {note}" if (note := self._note(beat).rstrip(".")) else ""

    def _later(self, beat: Beat, after: int) -> str:
        seconds = self._beat(after).time - beat.time
        return f" {span(seconds)} later" if seconds > 0 else ""

    def _beat(self, position: int) -> Beat:
        beat = self._history.told[position]
        assert isinstance(beat, Beat)
        return beat
