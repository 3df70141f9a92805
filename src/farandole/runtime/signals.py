"""What the runtime tells whoever listens, once per batch: the only door by which observation gets in. Deaf by default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from farandole.brokers.base import Delivery
    from farandole.model.envelope import Envelope, Message
    from farandole.runtime.context import Context

__all__ = ["Counters", "Emitted", "Run", "Signals"]


class Emitted(NamedTuple):
    """What a message will be, while it is made."""

    id: str
    type: str
    topic: str


class Run(msgspec.Struct, gc=False, kw_only=True):
    """What became of one event in one reaction, once it is committed.

    Attributes
    ----------
    reaction:
        `payments.charge`; `payments.(envelope)` for what could not be read; `(relay)` for what could not be published.
    id:
        The event's id, or its place in the topic where it has none.
    state:
        `done`; `skipped`, `dead`, `exhausted` or `parked`, with the reason (`parked` without one waits behind another of its key);
        `duplicate`: it was known, and nothing was done; `refused`: a command, and its caller was told why.
    envelope:
        The event; None where it could not be read.
    attempt:
        1 for the first.
    due:
        When it is tried again, in seconds since 1970.
    reason, error, place:
        Why it failed, the class of the error, and `file:line`.
    at, seconds, emitted:
        When it was committed, in seconds since 1970; how long the handler took; how many events it returned. None where that is not known,
        or no handler ran. The runtime leaves them out; `observe.observer` puts them in.
    """

    reaction: str
    id: str
    state: str
    envelope: Envelope | None = None
    attempt: int = 1
    due: float | None = None
    reason: str | None = None
    error: str | None = None
    place: str | None = None
    at: float | None = None
    seconds: float | None = None
    emitted: int | None = None

    @property
    def service(self) -> str:
        """Whose reaction it is; "" for the relay's."""
        return self.reaction.partition(".")[0] if "." in self.reaction else ""


class Signals:
    """Override what you want to hear. Methods must not block, raise or await.

    Attributes
    ----------
    listens:
        Whether anybody wants to hear of single events, by `begins` to `traceparent`. Asked when a service starts: where nobody does, it
        costs nothing.
    """

    listens: bool = False

    def begins(self, context: Context) -> None:
        """A handler begins; called where it runs, so that context variables that are set here hold in it."""

    def ended(self, context: Context, value: Any, error: BaseException | None) -> None:
        """It returned, or raised. What it did is not committed yet, and may run again."""

    def ran(self, runs: Sequence[Run]) -> None:
        """This is committed now."""

    def received(self, lane: str, deliveries: Sequence[Delivery]) -> None:
        """A lane fetched these."""

    def sent(self, service: str, messages: Sequence[Message], began: float) -> None:
        """The broker has these; publishing them began at this time, by the world's monotonic clock."""

    def traceparent(self, reaction: str, cause: Envelope, emitted: Emitted) -> str | None:
        """The W3C trace context for something that a reaction emits. Asked after its handler returned, and before it is committed."""
        return cause.traceparent

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

    def breaker(self, service: str, dependency: str, state: str, until: float) -> None:
        """A breaker is `open` now (until then, in seconds since 1970), `half open` or `closed`."""

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
