"""The trace of a rehearsal: what happened when and where, its running hash, and where two traces first differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

__all__ = ["Difference", "Entry", "Trace", "difference", "without_addresses"]

Entry = tuple[float, str, str]
"""Virtual time in seconds, node, what."""

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{5,}")
_BEFORE = 3
"""How many entries that agree are told before the first that differs."""


def without_addresses(text: str) -> str:
    """A text without the addresses that a `repr` may hold: they differ from process to process."""
    return _ADDRESS.sub("0x…", text) if "0x" in text else text


class Trace:
    """What happened in one run, in order. Writing is cheap; it is cleaned and hashed when somebody asks.

    Attributes
    ----------
    append:
        Adds an entry.
    """

    def __init__(self) -> None:
        self._raw: list[Entry] = []
        self.append = self._raw.append
        self._end: int | None = None
        self._hash = blake2b(digest_size=16)
        self._hashed = 0

    def write(self, time: float, node: str, what: str) -> None:
        """Add an entry."""
        self.append((time, node, what))

    def seal(self) -> None:
        """What is written from now on is not kept: what still runs only unwinds."""
        self._end = len(self._raw)

    @property
    def count(self) -> int:
        """How many entries there are."""
        return len(self._raw) if self._end is None else self._end

    @property
    def entries(self) -> list[Entry]:
        """What was written, without addresses."""
        return [(time, node, without_addresses(what)) for time, node, what in self._raw[: self._end]]

    @property
    def digest(self) -> str:
        """The hash of all entries so far: the same in every process for the same run."""
        fresh = self._raw[self._hashed : self._end]
        self._hashed += len(fresh)
        text = "".join(f"{time!r}\t{node}\t{without_addresses(what)}\n" for time, node, what in fresh)
        self._hash.update(text.encode("utf-8", "surrogatepass"))
        return self._hash.hexdigest()

    def text(self) -> str:
        """The entries, a line each."""
        return "".join(f"{tell(entry)}\n" for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two traces first differ.

    Attributes
    ----------
    index:
        How many entries agree.
    before:
        The last of those that agree.
    first, second:
        What came then; None: that run had ended.
    """

    index: int
    before: tuple[Entry, ...]
    first: Entry | None
    second: Entry | None

    def __str__(self) -> str:
        lines = [f"Both runs agree on {self.index} entries, and then differ:"]
        lines += [f"  both:   {tell(entry)}" for entry in self.before]
        lines += [
            f"  {name + ':':7} {'(it had ended)' if entry is None else tell(entry)}"
            for name, entry in (("first", self.first), ("second", self.second))
        ]
        return "\n".join(lines)


def difference(first: Sequence[Entry], second: Sequence[Entry]) -> Difference | None:
    """The first place where two traces differ; None: nowhere."""
    shorter = min(len(first), len(second))
    index = next((i for i in range(shorter) if first[i] != second[i]), shorter)
    if index == len(first) == len(second):
        return None
    at = slice(index, index + 1)
    return Difference(
        index, tuple(first[max(0, index - _BEFORE) : index]), *(next(iter(run[at]), None) for run in (first, second))
    )


def tell(entry: Entry) -> str:
    """An entry as a line."""
    time, node, what = entry
    return f"{time:12.6f} s  {node or '-'}  {what}"
