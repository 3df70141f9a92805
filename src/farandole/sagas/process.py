"""Processes: the handlers of one instance take turns at one row, which holds their state and how far the instance came.

    (unknown) ──starts──> running ──completes──> completed ──more──> skipped
                           │  ▲
                           on ┘ fails ──> undoing ──all is undone: the handler of `fails` runs──> failed ──more──> skipped

    undoing: the newest step that is not undone ──its row of the undo reaction──> undone ──(`until` came)──> the next one

A step is completed when an event comes for which an `undo` is declared; the event is kept as a part. To undo it, its bytes become a row of
the undo reaction, which is run, retried and buried as any other. Meanwhile the row of the event that failed the instance waits. A step
that is completed when the instance is failing or has failed is undone as well.

A local handler holds the lock of the instance's row from `collect` to `conclude`. An outside one does not: so `conclude` compares the
revision, and where another handler changed the instance meanwhile, this one runs again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from farandole.errors import ProcessChanged, ProcessNotStarted, StateError
from farandole.model.envelope import Message, caused_id, decode
from farandole.model.process import Process, Step
from farandole.model.triggers import OnDeadline, OnUndo
from farandole.model.wire import Wire
from farandole.runtime import posting
from farandole.runtime.inbox import DONE
from farandole.runtime.plan import Plan
from farandole.runtime.saga import Arrival, Ready, Saga
from farandole.runtime.worker import inbox_id
from farandole.sagas.instance import instance_key
from farandole.stores.base import InboxRow, Instance, Transaction, Verdict
from farandole.words import date
from farandole.world import World

__all__ = ["Course", "Turn"]

_OVER = ("completed", "failed")


class Book(msgspec.Struct, omit_defaults=True):
    """What is kept of an instance.

    Attributes
    ----------
    version:
        How many upgrades there were when the state was written.
    state:
        The state as JSON.
    undone:
        The steps, by event id, whose undo was begun.
    undoing:
        The row (reaction, id) that undoes a step just now.
    awaited:
        The type that says that the step is undone, once its handler has run.
    came:
        That type came before the handler had ended.
    failing:
        The row (reaction, id) of the event that failed the instance.
    """

    version: int = 0
    state: msgspec.Raw = msgspec.Raw(b"{}")
    undone: list[str] = []
    undoing: tuple[str, str] | None = None
    awaited: str | None = None
    came: bool = False
    failing: tuple[str, str] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a step is being undone."""
        return self.undoing is not None or self.awaited is not None


class Course:
    """What the handlers of a process share while they run: its kept form, its undo reactions, its timeouts."""

    def __init__(self, process: Process[Any], wire: Wire) -> None:
        self.id = process.id
        self.by = process.by
        self.starts = [cls.__name__ for reaction in process.reactions if _is(reaction.step, "starts") for cls in reaction.events]
        self.undo = {
            wire.by_class[reaction.trigger.step].type: reaction.id
            for reaction in process.reactions
            if isinstance(reaction.trigger, OnUndo)
        }
        self.timeouts = [reaction.id for reaction in process.reactions if isinstance(reaction.trigger, OnDeadline)]
        self._upgrades = process.upgrades
        self._decoders: list[msgspec.json.Decoder[Any]] = [
            msgspec.json.Decoder(cls) for cls in (*(each.old for each in process.upgrades), process.state)
        ]
        self._new = process.state

    def state(self, book: Book, instance: Instance) -> Any:
        """The state, brought to the class of today.

        Raises
        ------
        StateError
            It was written by another deployment, and no upgrade leads here.
        """
        if not instance.revision:
            return self._new()
        if book.version >= len(self._decoders):
            raise StateError(
                f"{self.id}: the state of {instance.key} was written by a newer deployment, with {book.version} upgrades; this one has "
                f"{len(self._upgrades)}. Deploy that one again, then retry"
            )
        try:
            state = self._decoders[book.version].decode(book.state)
            for upgrade in self._upgrades[book.version :]:
                state = upgrade.function(state)
        except Exception as error:
            raise StateError(
                f"{self.id}: the state of {instance.key} cannot be read any more: {error}. Keep the former class and declare what it "
                f"becomes with @{self.id.rpartition('.')[2]}.upgrade, then retry"
            ) from error
        return state

    def keep(self, book: Book, state: Any) -> None:
        """Write the state down.

        Raises
        ------
        StateError
            Its values do not match its types.
        """
        try:
            data = msgspec.json.encode(state)
            self._decoders[-1].decode(data)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise StateError(
                f"{self.id}: a handler left values in its {self._new.__name__} that do not match its types: {error}. Put others there"
            ) from None
        book.version, book.state = len(self._upgrades), msgspec.Raw(data)


class Turn:
    """One handler's turn at an instance of its process; see `runtime.saga.Saga`.

    Parameters
    ----------
    inner:
        Its deadline, where it is a timeout.
    """

    def __init__(self, plan: Plan, step: Step, course: Course, wire: Wire, *, trigger: Any, inner: Saga | None) -> None:
        self._id = plan.id
        self._role = step.role
        self._course = course
        self._inner = inner
        until = trigger.until if isinstance(trigger, OnUndo) else None
        self._until = None if until is None else wire.by_class[until].type

    # ---- before the handler ------------------------------------------------------------------------------------------------

    async def collect(self, transaction: Transaction, arrival: Arrival, world: World) -> Ready | Verdict:
        """Note what came, and tell whether the handler is to run."""
        instance, book = await self._look(transaction, arrival)
        if self._role == "undo" and arrival.id != inbox_id(arrival.envelope):
            return self._ready(arrival, instance, book)  # a row that undoes a step
        if instance.state in _OVER:
            return await self._after_the_end(transaction, arrival, instance)
        if self._inner is not None and book.failing != (self._id, arrival.id):
            found = await self._inner.collect(transaction, arrival, world)
            if isinstance(found, Verdict):
                return found
            arrival.memory["plan"] = found.plan
        if not instance.revision:
            return self._first(arrival, instance, book)
        if arrival.envelope.type in self._course.undo:
            await self._note(transaction, arrival, instance, book)
        if instance.state == "undoing":
            return await self._while_undoing(transaction, arrival, instance, book)
        if self._role == "starts":
            return Verdict("skipped", reason=f"a second start of {instance.key}: {self._course.id} runs already")
        if self._role == "undo":
            return DONE if arrival.envelope.type != self._until else _unasked(arrival)
        if self._role == "fails":
            return await self._fail(transaction, arrival, instance, book)
        return self._ready(arrival, instance, book)

    def _first(self, arrival: Arrival, instance: Instance, book: Book) -> Ready:
        if self._role == "starts":
            return self._ready(arrival, instance, book)
        raise ProcessNotStarted(
            f"{arrival.envelope.type} came for {instance.key}, but {self._course.id} has not begun there: {' or '.join(self._course.starts)} "
            f"has not come, or was not handled. Look for that one, then retry this one"
        )

    async def _after_the_end(self, transaction: Transaction, arrival: Arrival, instance: Instance) -> Verdict:
        undo = self._course.undo.get(arrival.envelope.type)
        if instance.state == "failed" and undo is not None:
            await posting.post(transaction, [_undo_row(undo, instance.key, arrival.id, arrival.body)])
            if self._role == "undo":
                return DONE
        return Verdict("skipped", reason=f"too late: {self._course.id} {instance.state} at {date(instance.since)} UTC")

    async def _while_undoing(self, transaction: Transaction, arrival: Arrival, instance: Instance, book: Book) -> Ready | Verdict:
        if self._role == "undo" and arrival.envelope.type == self._until:
            if book.awaited == self._until:
                book.awaited = None
                await self._undo_next(transaction, instance, book)
            elif book.undoing is not None and book.undoing[0] == self._id:
                book.came = True
            else:
                return _unasked(arrival)
            await self._write(transaction, instance, book)
            return DONE
        if book.failing == (self._id, arrival.id):
            return await self._fail(transaction, arrival, instance, book)
        if self._role == "undo":
            return DONE  # noted
        return Verdict("skipped", reason=f"{self._course.id} fails just now: what was done is being undone")

    async def _fail(self, transaction: Transaction, arrival: Arrival, instance: Instance, book: Book) -> Ready | Verdict:
        """First its steps are undone; then it is this event's turn."""
        if instance.state != "undoing":
            instance.state, book.failing = "undoing", (self._id, arrival.id)
            instance.revision += 1
        waits = await self._undo_next(transaction, instance, book)
        await self._write(transaction, instance, book)
        if waits:
            reason = f"what {self._course.id} did for {instance.key} is undone first"
            return Verdict("parked", blocks=False, attempts=0, reason=reason)
        return self._ready(arrival, instance, book)

    def _ready(self, arrival: Arrival, instance: Instance, book: Book) -> Ready:
        state = self._course.state(book, instance)
        arrival.memory.update(state=state, revision=instance.revision)
        cause = arrival.envelope
        if cause.partitionkey != instance.key:  # commands keep to the order of the instance
            cause = msgspec.structs.replace(cause, partitionkey=instance.key)
        return Ready(arrival.memory.get("plan", arrival.plan), (arrival.event, state), cause)

    # ---- after the handler -------------------------------------------------------------------------------------------------

    async def conclude(self, transaction: Transaction, arrival: Arrival, emitted: Sequence[Message]) -> None:
        """Keep the state that the handler left, and go on with what follows from its end."""
        instance, book = await self._look(transaction, arrival)
        if instance.revision != arrival.memory["revision"]:
            raise ProcessChanged(f"{self._course.id}: another event changed {instance.key} while {self._id} ran; it runs again")
        if self._inner is not None:
            await self._inner.conclude(transaction, arrival, emitted)
        self._course.keep(book, arrival.memory["state"])
        instance.revision += 1
        if self._role == "starts":
            instance.state = "running"
            await self._note(transaction, arrival, instance, book)
        elif self._role in ("completes", "fails"):
            instance.state = "completed" if self._role == "completes" else "failed"
            await self._end_timers(transaction, instance)
        elif self._role == "undo" and book.undoing == (self._id, arrival.id):
            book.undoing = None
            if self._until is not None and not book.came:
                book.awaited = self._until
            else:
                await self._undo_next(transaction, instance, book)
        await self._write(transaction, instance, book)

    async def _end_timers(self, transaction: Transaction, instance: Instance) -> None:
        """Nothing is to run for an instance that is over."""
        for timeout in self._course.timeouts:
            timer = await transaction.instance(timeout, instance.key)
            if timer.timer is not None:
                await transaction.drop(timeout, timer.timer, f"{self._course.id} {instance.state} in time")
            if timer.state == "open":
                timer.state = "ended"
                await transaction.keep(timer)

    # ---- steps and their undoing -------------------------------------------------------------------------------------------

    async def _note(self, transaction: Transaction, arrival: Arrival, instance: Instance, book: Book) -> None:
        """A step was completed; where the instance fails already, it is undone in its turn."""
        kind = arrival.envelope.type
        if kind not in self._course.undo or not await transaction.add_part(instance, arrival.id, arrival.body):
            return
        instance.have[kind] = instance.have.get(kind, 0) + 1
        if instance.state == "undoing":
            await self._undo_next(transaction, instance, book)
        await self._write(transaction, instance, book)

    async def _undo_next(self, transaction: Transaction, instance: Instance, book: Book) -> bool:
        """Begin to undo the newest step; where none is left, the event that failed the instance has its turn. Gives whether one is undone."""
        if book.is_busy:
            return True
        book.came = False
        for body in reversed(await transaction.parts(instance) if instance.have else ()):
            envelope = decode(body)
            step = inbox_id(envelope)
            if step in book.undone:
                continue
            row = _undo_row(self._course.undo[envelope.type], instance.key, step, body)
            book.undone.append(step)
            book.undoing = (row.reaction, row.id)
            await posting.post(transaction, [row])
            return True
        if instance.state == "undoing" and book.failing is not None:
            await transaction.wake(*book.failing)
        return False

    # ---- the row -----------------------------------------------------------------------------------------------------------

    async def _look(self, transaction: Transaction, arrival: Arrival) -> tuple[Instance, Book]:
        """The instance of this event, locked, and what is kept of it."""
        instance = await transaction.instance(self._course.id, instance_key(arrival, self._course.by))
        return instance, Book() if instance.data is None else msgspec.json.decode(instance.data, type=Book)

    async def _write(self, transaction: Transaction, instance: Instance, book: Book) -> None:
        instance.data = msgspec.json.encode(book)
        await transaction.keep(instance)


def _is(step: Step | None, role: str) -> bool:
    return step is not None and step.role == role


def _unasked(arrival: Arrival) -> Verdict:
    return Verdict("skipped", reason=f"nobody waits for {arrival.envelope.type}: nothing that it undoes is being undone")


def _undo_row(reaction: str, key: str, step: str, body: bytes) -> InboxRow:
    """The row that undoes a step: the same id whoever asks for it, so that it comes once."""
    envelope = decode(body)
    id = caused_id(step, envelope.time, f"{reaction}\n{step}\nundo")
    return InboxRow(reaction=reaction, id=id, key=key, topic=posting.STEP, body=body)
