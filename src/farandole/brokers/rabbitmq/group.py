"""Who the members of a group are, as one of them hears of them, and what each consumes.

Members say every `BEAT` seconds that they live, at once when they come, and when they leave. Whoever was silent for `LEASE` seconds
counts as dead. All compute the same from the same names: partition i, over all topics, belongs to the i-th name, modulo. Where views
differ for a moment, or a member is slow but alive, no harm is done: a queue has one active consumer, and the server sees to it.
"""

from __future__ import annotations

import msgspec

__all__ = ["BEAT", "LEASE", "Members", "Word", "hear", "say"]

LEASE = 10.0
"""Seconds that a member lives without a sign."""
BEAT = 2.5
"""Seconds between signs."""


class Word(msgspec.Struct, omit_defaults=True):
    """What members say to each other.

    Attributes
    ----------
    kind:
        `hello`: I came, who else is there? `beat`: I live. `bye`: I leave. `ask`: what have you in hand? `count`: this.
    name:
        Who says it.
    held:
        Of `count`: how many messages of each topic were delivered to this member, and are not acknowledged.
    queues:
        Of `count`: how many queues of each topic it consumes.
    """

    kind: str
    name: str
    held: dict[str, int] = {}
    queues: dict[str, int] = {}


say = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Word).decode


def hear(body: bytes) -> Word | None:
    """What was said; None where it is no word of ours."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class Members:
    """The living, by name, ourselves among them."""

    def __init__(self, own: str) -> None:
        self.own = own
        self._seen: dict[str, float] = {}

    def heard(self, name: str, now: float) -> bool:
        """One lives. Gives whether that is news."""
        news = name != self.own and name not in self._seen
        if name != self.own:
            self._seen[name] = now
        return news

    def left(self, name: str) -> bool:
        """One left. Gives whether that is news."""
        return self._seen.pop(name, None) is not None

    def bury(self, now: float) -> None:
        """Forget those who were silent for too long."""
        self._seen = {name: seen for name, seen in self._seen.items() if now < seen + LEASE}

    def spare(self, now: float) -> None:
        """We could not hear anybody until now: nobody is dead for that."""
        self._seen = dict.fromkeys(self._seen, now)

    def share(self, partitions: int) -> set[int]:
        """The partitions that are ours."""
        names = sorted([self.own, *self._seen])
        return set(range(names.index(self.own), partitions, len(names)))
