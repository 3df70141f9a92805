"""Names: events as people know them, by type and key. Nobody knows a long id."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from farandole.drawing.letters import plain
from farandole.rehearse.beats import Beat

__all__ = ["EVENTFUL", "Names", "named_in"]

EVENTFUL = frozenset(
    ("command", "refused", "answered", "published", "delivered", "handled", "duplicate", "failed", "parked", "dead", "skipped")
)
"""Kinds that are about an event or a command."""

_TYPED = frozenset(("command", "refused", "answered", "published", "delivered"))
"""Kinds that tell its type in `what`; the others may give the reaction's name instead."""

_LONGEST = 24  # letters of a key that are still read
_WORD = re.compile(r"[^\W_][\w.:@/+-]*")
_HUMP = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class Names:
    """What to call events and commands.

    Parameters
    ----------
    beats:
        All that is told. Where several of one type and key appear in them, they are numbered in that order.

    Attributes
    ----------
    several:
        Whether events of more than one key appear.
    """

    def __init__(self, beats: Sequence[Beat]) -> None:
        self._what: dict[str, str] = {}
        self._key: dict[str, str] = {}
        for beat in sorted(beats, key=lambda beat: beat.kind not in _TYPED):
            if beat.id and beat.kind in EVENTFUL:
                if beat.what:
                    self._what.setdefault(beat.id, beat.what)
                if beat.key:
                    self._key.setdefault(beat.id, beat.key)
        keys = {beat.key for beat in beats if beat.key and beat.key != beat.id}
        self._keys = _short_keys(keys)
        self._nouns = _nouns(beats, keys)
        self._numbers = self._count(beats)
        self.several = len(keys) > 1

    def _count(self, beats: Sequence[Beat]) -> dict[str, int]:
        alike: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for beat in beats:
            if beat.id and beat.kind in EVENTFUL:
                alike[self._of(beat)][beat.id] = None
        return {id: number for ids in alike.values() if len(ids) > 1 for number, id in enumerate(ids, start=1)}

    def _of(self, beat: Beat) -> tuple[str, str]:
        """Its event's type and key; what the beat itself says of another matter does not count."""
        own = beat.what if beat.kind in EVENTFUL else ""
        key = self._key.get(beat.id, beat.key)
        return self._what.get(beat.id, own), "" if key == beat.id else key

    def full(self, beat: Beat) -> str:
        """Type, key and number, as in `OrderPlaced (order o-1) #2`; empty where nothing is known."""
        what, key = self._of(beat)
        noun = self._nouns.get(what, "")
        said = plain(f"{noun} {self._keys.get(key, key)}") if key else ""
        return self._join(beat.id, [plain(what), f"({said})" if said else ""])

    def brief(self, beat: Beat) -> str:
        """For a label: the key only where there are others."""
        what, key = self._of(beat)
        return self._join(beat.id, [plain(what), plain(self._keys.get(key, key)) if self.several else ""])

    def _join(self, id: str, parts: list[str]) -> str:
        number = self._numbers.get(id)
        words = [part for part in parts if part]
        if not words:
            return ""
        return " ".join([*words, f"#{number}"] if number else words)

    def reaction(self, beat: Beat) -> str:
        """The reaction that a beat names in place of its event's type, or empty."""
        of_reaction = beat.kind in EVENTFUL - _TYPED and self._what.get(beat.id, beat.what) != beat.what
        return plain(beat.what) if of_reaction else ""

    def known(self, id: str) -> bool:
        """Whether an event or command of this id appears."""
        return id in self._what

    def words(self, text: str) -> str:
        """A text with names in place of the ids in it."""
        return _WORD.sub(self._named, plain(text))

    def _named(self, match: re.Match[str]) -> str:
        word = match.group()
        bare = word.rstrip(".:")
        if len(bare) < 8 or not self.known(bare):
            return word
        return self.full(Beat(0.0, "delivered", "", self._what[bare], bare, key=self._key.get(bare, ""))) + word[len(bare) :]

    def noun(self, beats: Iterable[Beat]) -> str:
        """What the keys of these events are keys of, where it is one thing; or empty."""
        found = {self._nouns.get(self._of(beat)[0], "") for beat in beats}
        return found.pop() if len(found) == 1 else ""


def named_in(text: str, names: Iterable[str]) -> set[str]:
    """Those of some keys or ids that stand in a text as words of their own."""
    return {name for name in names if name and name in text and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)}


def _short_keys(keys: set[str]) -> dict[str, str]:
    """Long keys without their middle; whole where two would look alike."""
    short = {key: f"{key[:8]}…{key[-6:]}" for key in keys if len(key) > _LONGEST}
    shown = list(short.values())
    return {key: text for key, text in short.items() if shown.count(text) == 1}


def _nouns(beats: Sequence[Beat], keys: set[str]) -> dict[str, str]:
    """By event type, what its keys are keys of: `order`, where a violation says "order o-1" and OrderPlaced has the key o-1."""
    types: dict[str, set[str]] = defaultdict(set)
    for beat in beats:
        if beat.key and beat.what and beat.kind in _TYPED:
            types[beat.key].add(beat.what)
    nouns: dict[str, str] = {}
    for beat in beats:
        if beat.kind == "violation":
            for key in named_in(beat.note, keys):
                nouns.update(_nouns_before(key, beat.note, types[key]))
    return nouns


def _nouns_before(key: str, note: str, types: set[str]) -> dict[str, str]:
    for noun in re.findall(rf"(?<![\w-])([A-Za-z]{{3,}}) {re.escape(key)}(?![\w-])", note):
        if any(noun.lower() in _humps(what) for what in types):
            return dict.fromkeys(types, noun.lower())
    return {}


def _humps(what: str) -> list[str]:
    return [hump.lower() for hump in _HUMP.findall(what)]
