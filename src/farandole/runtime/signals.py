"""What the runtime tells whoever listens, once per batch: the only door by which observation gets in. Deaf by default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

__all__ = ["Counters", "Signals"]


class Signals:
    """Override what you want to hear. Methods must not block, raise or await."""

    def handled(self, lane: str, count: int) -> None:
        """So many reactions ran and committed."""

    def duplicates(self, lane: str, count: int) -> None:
        """So many deliveries were known already and were dropped."""

    def failed(self, reaction: str, event_id: str, state: str, reason: str) -> None:
        """A reaction failed; `state` is what its inbox row is now (`parked`, `dead`, …)."""

    def retried(self, reaction: str, count: int) -> None:
        """So many waiting events were run again."""

    def published(self, service: str, count: int) -> None:
        """So many messages left the outbox."""

    def trouble(self, who: str, error: BaseException) -> None:
        """A part of the runtime could not do its work (database or broker down) and will try again."""


class Counters(Signals, Mapping[str, int]):
    """Counts what it hears: `handled`, `duplicates`, `retries`, `parked`, `dead`, `skipped`, `published`, `trouble`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def handled(self, lane: str, count: int) -> None:
        self._counts["handled"] += count

    def duplicates(self, lane: str, count: int) -> None:
        self._counts["duplicates"] += count

    def failed(self, reaction: str, event_id: str, state: str, reason: str) -> None:
        self._counts[state] += 1

    def retried(self, reaction: str, count: int) -> None:
        self._counts["retries"] += count

    def published(self, service: str, count: int) -> None:
        self._counts["published"] += count

    def trouble(self, who: str, error: BaseException) -> None:
        self._counts["trouble"] += 1

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("handled", "duplicates", "retries", "parked", "dead", "skipped", "published", "trouble"))

    def __len__(self) -> int:
        return len(list(iter(self)))
