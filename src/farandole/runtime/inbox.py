"""The inbox is one state machine; this is all of it.

    (unknown) ──claim, ran well──────────────────────────────────────────────────────────────> done
        │
        ├──failed, or behind a failed event of its key, or for an outside reaction──> parked
        │                                                                               │ ▲
        │                                                        take: attempts + 1,    │ │ failed, retries left
        │                                                        token, lease           ▼ │ (or the claimer vanished)
        │                                                                             claimed ──ran well──> done
        │                                                                               │ ├──Skip─────────> skipped
        │                                                                               │ └──exhausted────> exhausted
        └──undecodable, unknown, too large──────────────> dead <──retries used up───────┘
                                                           │
                                                           ├──retry by hand──> parked
                                                           └──discard by hand──> skipped

A row is (reaction, event id). Once it exists, the same event drops out, in every state. Done, exhausted and skipped rows are deleted
after the window; parked and dead ones never. Runs are counted when they begin (`take`), so that an event that kills the
process uses up its attempts as well; only a first run, in a batch or right behind another of its key, is counted when it failed.

A reaction with an `exhausted` handler runs that one once its retries are used up, with as many attempts again.
"""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farandole.errors import (
    EmissionError,
    EnvelopeError,
    FarandoleError,
    OutsideInTransaction,
    Reject,
    Skip,
    StateError,
    TransactionOwned,
)
from farandole.model.blotting import blotted
from farandole.stores.base import Verdict

if TYPE_CHECKING:
    from farandole.model.policy import Settled

__all__ = ["DONE", "EXHAUSTED", "Failure", "ProcessDied", "TooEarly", "after_failure", "describe", "has_exhausted_attempts"]

DONE = Verdict("done")
EXHAUSTED = Verdict("exhausted")


class ProcessDied(FarandoleError):
    """An event was taken again and again by a process that did not live to tell what became of it."""


class TooEarly(Exception):
    """An event came before its time: it is tried again as after a failure, whatever errors its policy retries."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_HOPELESS = (Reject, EmissionError, EnvelopeError, OutsideInTransaction, TransactionOwned, ProcessDied, StateError)
_HERE = str(Path(__file__).resolve().parents[1])
_OTHERS = (
    "<",
    *(folder + os.sep for folder in (_HERE, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))),
)
"""Where code begins that is not the user's: generated, ours, Python's, installed packages."""
_LONGEST = 2000


class Failure:
    """What went wrong in a run, in words that may be shown: sensitive values of the event are blotted out."""

    __slots__ = ("error", "place", "reason")

    def __init__(self, error: BaseException, event: Any = None, *, place: str | None = None) -> None:
        self.error = error
        self.place = place or _place(error)
        self.reason = describe(error, event)


def describe(error: BaseException, event: Any = None) -> str:
    """An error as one text, without the sensitive values of the event, or of all parts of a join."""
    text = error.reason if isinstance(error, Reject | Skip | TooEarly) else f"{type(error).__name__}: {error}".rstrip(": ")
    text = blotted(text, *(event if isinstance(event, tuple) else () if event is None else (event,)))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _place(error: BaseException) -> str | None:
    """`file:line` where it was raised, by preference in the user's code."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return None
    own = [f for f in frames if not f.filename.startswith(_OTHERS)]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def has_exhausted_attempts(policy: Settled, attempts: int) -> bool:
    """Whether a run with this number is the `exhausted` handler's, no longer the reaction's."""
    return attempts > policy.retry.attempts


def after_failure(
    policy: Settled, failure: Failure, *, attempts: int, now: float, chance: float, exhausted_handler: bool
) -> Verdict:
    """What becomes of an event after its run number `attempts` failed.

    Parameters
    ----------
    policy:
        The reaction's.
    failure:
        What went wrong.
    attempts:
        Runs so far, this one included.
    now:
        Wall-clock time, in seconds since 1970.
    chance:
        A draw in [0, 1) for the jitter.
    exhausted_handler:
        Whether the reaction has one.
    """
    error, retry = failure.error, policy.retry
    if isinstance(error, Skip):
        return Verdict("skipped", reason=failure.reason, place=failure.place)
    said: dict[str, Any] = {"reason": failure.reason, "place": failure.place, "error": type(error).__name__}
    last = retry.attempts * 2 if exhausted_handler and has_exhausted_attempts(policy, attempts) else retry.attempts
    # SystemExit and CancelledError out of a handler are accidents like others, though they are no Exceptions.
    worth = isinstance(error, TooEarly) or not isinstance(error, Exception) or retry.wants(error)
    hopeless = isinstance(error, _HOPELESS) or not worth
    if attempts < last and not hopeless:
        run = attempts - retry.attempts if has_exhausted_attempts(policy, attempts) else attempts
        return Verdict("parked", due=now + retry.wait(run, chance), blocks=policy.park, attempts=attempts, **said)
    if exhausted_handler and not has_exhausted_attempts(policy, attempts):
        return Verdict("parked", due=now, blocks=policy.park, attempts=retry.attempts, **said)
    return Verdict("dead", blocks=policy.hold, attempts=attempts, **said)
