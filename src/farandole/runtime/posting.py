"""What a handler returns beside events: commands of its own service, and what is due later. Both become rows of the service's own inbox.

    Command        -> a row of its handler, due now, behind the commands of its key
    Later(event)   -> a row of `service.(later)`, due then: the scheduler puts the event into the outbox
    Later(command) -> the same; then a row of its handler

The rows commit with what the handler wrote, under ids that are the same in every run. So they survive restarts, come once, and are
retried, counted and buried as any other row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from farandole.model.envelope import Envelope, Message, decode
from farandole.model.later import Later
from farandole.runtime.plan import Plan, flat
from farandole.stores.base import InboxRow, Transaction

__all__ = ["COMMAND", "STEP", "emit", "is_posted", "later_of", "message_of", "post", "row_of_command"]

COMMAND = "(command)"
STEP = "(step)"
"""The topics of commands and of steps that are undone: they do not travel."""


def later_of(service: str) -> str:
    """The reaction under which what is due later waits."""
    return f"{service}.(later)"


def is_posted(value: Any) -> bool:
    """Whether something that a handler returned stays within its service."""
    return isinstance(value, Later) or type(value).__farandole__.command


async def emit(plan: Plan, value: Any, cause: Envelope, now: datetime, transaction: Transaction) -> list[Message]:
    """What a handler returned, checked: messages for the outbox; the rest is in the inbox now.

    Raises
    ------
    EmissionError
        As `Plan.emissions`; also for a time that is past.
    """
    if not plan.posts:
        return plan.emissions(value, cause, now)
    out: list[Message] = []
    rows: list[InboxRow] = []
    for index, part in enumerate(flat(value)):
        if isinstance(part, Later):
            due = part.due(now)
            message = plan.message(part, cause, due, index)
            rows.append(_waiting(plan, message, due))
        else:
            message = plan.message(part, cause, now, index)
            handler = plan.handlers.get(message.type)
            if handler is None:
                out.append(message)
            else:
                rows.append(row_of_command(handler, message))
    await post(transaction, rows)
    return out


def row_of_command(handler: str, message: Message) -> InboxRow:
    """A command as a row of its handler; due once those of its key that came before are settled."""
    return InboxRow(reaction=handler, id=message.id, key=message.key, topic=COMMAND, body=message.body)


def _waiting(plan: Plan, message: Message, due: datetime) -> InboxRow:
    topic = COMMAND if message.type in plan.handlers else message.topic
    return InboxRow(
        reaction=later_of(plan.service), id=message.id, key=message.id, topic=topic, body=message.body,
        due=due.timestamp(), blocks=False,
    )  # fmt: skip


def message_of(row: InboxRow) -> Message:
    """The message of a row of `service.(later)`."""
    envelope = decode(row.body)
    return Message(row.topic, envelope.partitionkey or row.id, row.id, envelope.type, row.body)


async def post(transaction: Transaction, rows: Sequence[InboxRow]) -> None:
    """Put rows into the inbox; those that are known drop out."""
    if rows:
        new = set(await transaction.claim([(row.reaction, row.id) for row in rows]))
        await transaction.park([row for row in rows if (row.reaction, row.id) in new])
