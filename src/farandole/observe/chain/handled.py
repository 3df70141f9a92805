"""What became of an event in one reaction: from all that was told of its runs, and from what the inbox of its service holds now. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from farandole.stores.base import InboxRow
from farandole.stores.record import Fate

__all__ = ["Handled", "handled", "of_row"]

ENDS = frozenset({"done", "skipped", "exhausted", "dead", "refused"})
"""States in which nothing more happens by itself."""
TELLING = ("", "never", "duplicate", "answered", "claimed", "parked", "refused", "skipped", "exhausted", "dead", "done")
"""From the least to the most telling: what counts of two that were told at the same time."""


@dataclass(slots=True)
class Handled:
    """What became of an event in one reaction.

    Attributes
    ----------
    reaction:
        `payments.charge`.
    state:
        As that of a `Fate`; also `claimed`: it runs now, or its process died; `answered`: nothing was told, but an answer was recorded;
        `never`: nothing was ever told.
    attempts:
        How often it ran.
    most:
        How often it runs at most, where that is declared; None: not known.
    at:
        When the last of it was committed, in seconds since 1970; None: not known.
    seconds, emitted:
        How long the handler took in its last run, and how many events it returned; None where that was not told.
    due:
        When it is tried again.
    reason, error, place:
        Why it failed the last time, the class of the error, and `file:line`; "" where it never did.
    duplicates:
        How often it came once more, and nothing was done.
    waited, retried:
        Seconds from the event until the first run began, and from there until the last did; None where that is not known.
    undoes:
        The type, as people say it, whose work the reaction undoes; "".
    unsaid:
        How many of the events that it returned were not recorded yet.
    """

    reaction: str
    state: str
    attempts: int = 1
    most: int | None = None
    at: float | None = None
    seconds: float | None = None
    emitted: int | None = None
    due: float | None = None
    reason: str = ""
    error: str = ""
    place: str = ""
    duplicates: int = 0
    waited: float | None = None
    retried: float | None = None
    undoes: str = ""
    unsaid: int = 0

    @property
    def service(self) -> str:
        """Whose reaction it is; "" for the relay."""
        return self.reaction.partition(".")[0] if "." in self.reaction else ""

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look."""
        return self.state in ("dead", "exhausted", "parked", "never") or self.unsaid > 0


def of_row(row: InboxRow, correlation_id: str = "") -> Fate:
    """A row of an inbox as a fate."""
    return Fate(
        id=row.id, correlation_id=correlation_id, reaction=row.reaction, state=row.state, attempt=row.attempts, at=row.handled_at,
        due=row.due, reason=row.reason or "", error=row.error or "", place=row.place or "",
    )  # fmt: skip


def handled(fates: Iterable[Fate], rows: Iterable[Fate] = ()) -> dict[str, list[Handled]]:
    """By event, what became of it in each reaction that was heard of.

    Parameters
    ----------
    fates:
        What was told of runs, in any order.
    rows:
        What inboxes held when somebody looked, after the fates were read: the latest word, which knows little of what came before.
    """
    told: dict[tuple[str, str], list[Fate]] = {}
    for fate in fates:
        told.setdefault((fate.id, fate.reaction), []).append(fate)
    now = {(row.id, row.reaction): row for row in rows}
    found: dict[str, list[Handled]] = {}
    for id, reaction in dict.fromkeys((*told, *now)):
        found.setdefault(id, []).append(_merged(reaction, told.get((id, reaction), ()), now.get((id, reaction))))
    return found


def _merged(reaction: str, told: Collection[Fate], row: Fate | None) -> Handled:
    runs = [fate for fate in told if fate.state != "duplicate"]
    if len(runs) > 1:
        runs.sort(key=_telling)
    last = row if row is not None and not (runs and runs[-1].state == row.state) else runs[-1] if runs else None
    duplicates = len(told) - len(runs)
    if last is None:
        latest = max(told, key=_telling)
        return Handled(reaction, "duplicate", at=latest.at, duplicates=duplicates)
    # Of a failure that was overcome its reason stays, and of a run how long it took, where the latest word has none.
    failed, attempts = last, last.attempt
    for fate in reversed(runs):
        failed = failed if failed.reason else fate
        attempts = max(attempts, fate.attempt)
    return Handled(
        reaction,
        last.state,
        attempts=attempts,
        at=last.at or None,
        seconds=last.seconds if last is not row else None,
        emitted=last.emitted if last is not row else None,
        due=(row if row is not None else last).due if last.state == "parked" else None,
        reason=failed.reason,
        error=failed.error,
        place=failed.place,
        duplicates=duplicates,
        retried=_retried(runs),
    )


def _retried(runs: Sequence[Fate]) -> float | None:
    """From the beginning of the first run to that of the last, by one clock."""
    if len(runs) < 2:
        return None
    first, last = (run.at - (run.seconds or 0.0) for run in (runs[0], runs[-1]))
    return max(0.0, last - first)


def _telling(fate: Fate) -> tuple[float, int, int]:
    return fate.at, fate.attempt, TELLING.index(fate.state) if fate.state in TELLING else 0
