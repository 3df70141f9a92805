"""What the runtime tells of single events where somebody listens: as runs, and by watching handlers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from farandole.errors import EnvelopeError
from farandole.model.envelope import Envelope, Message, decode
from farandole.runtime.signals import Run, Signals
from farandole.stores.base import InboxRow, Verdict

if TYPE_CHECKING:
    from farandole.runtime.batch import Result, Work
    from farandole.runtime.plan import Plan

__all__ = ["of_batch", "of_message", "of_row", "watch"]


def watch(plan: Plan, signals: Signals) -> None:
    """Let somebody listen to the handlers of a plan."""
    for part in (plan, plan.exhausted, plan.late):
        if part is not None:
            part.wants_context = True
            part.traceparent = signals.traceparent
            part.call = _heard(part, signals)


def _heard(plan: Plan, signals: Signals) -> Any:
    call = plan.call

    async def called(event: Any, transaction: Any, context: Any, error: Any) -> Any:
        signals.begins(context)
        try:
            value = await call(event, transaction, context, error)
        except BaseException as failure:
            signals.ended(context, None, failure)
            raise
        signals.ended(context, value, None)
        return value

    def called_in_thread(event: Any, transaction: Any, context: Any, error: Any) -> Any:
        signals.begins(context)
        try:
            value = call(event, transaction, context, error)
        except BaseException as failure:
            signals.ended(context, None, failure)
            raise
        signals.ended(context, value, None)
        return value

    return called if plan.is_async else called_in_thread


def of_batch(works: Iterable[Work], result: Result) -> Iterator[Run]:
    """The runs of a batch.

    Parameters
    ----------
    works:
        All of it.
    """
    told = {(row.reaction, row.id) for row in result.settled}
    envelopes = {(work.plan.id, work.id): work.envelope for work in works}
    for work in result.ready:
        if (work.plan.id, work.id) not in told:
            yield Run(reaction=work.plan.id, id=work.envelope.id, state="done", envelope=work.envelope)
    for work in result.known:
        yield Run(reaction=work.plan.id, id=work.envelope.id, state="duplicate", envelope=work.envelope)
    for row in result.settled:
        yield _of_row(row, row, envelopes.get((row.reaction, row.id)))


def of_row(row: InboxRow, verdict: Verdict | None = None) -> Run:
    """The run of a row of the inbox.

    Parameters
    ----------
    verdict:
        What became of it; None: what the row says.
    """
    try:
        envelope = decode(row.body)
    except EnvelopeError:
        envelope = None
    return _of_row(row, row if verdict is None else verdict, envelope)


def _of_row(row: InboxRow, end: InboxRow | Verdict, envelope: Envelope | None) -> Run:
    attempts = row.attempts if end.attempts is None else end.attempts
    return Run(
        reaction=row.reaction, id=row.id if envelope is None else envelope.id, state=end.state, envelope=envelope,
        attempt=max(1, attempts), due=end.due, reason=end.reason, error=end.error, place=end.place,
    )  # fmt: skip


def of_message(message: Message, reason: str) -> Run:
    """The run of a message that no broker takes."""
    return Run(reaction="(relay)", id=message.id, state="dead", envelope=decode(message.body), reason=reason, error="BrokerError")
