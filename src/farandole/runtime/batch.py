"""Runs a batch of local reactions in one transaction.

    BEGIN -> claim all (known events drop out) -> each: handler, emissions checked -> flush -> outbox -> COMMIT

Optimistic: if one raises, the batch runs again without it, and it is parked in that same transaction. If a second one raises, the batch
runs with a savepoint per event. Handlers of innocent events may thus run more than once, which is harmless: all that local
reactions do is undone with the transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from farandole.errors import StoreBusy
from farandole.model.envelope import Envelope, Message
from farandole.runtime import posting, runs
from farandole.runtime.inbox import Failure, after_failure
from farandole.runtime.plan import Plan, Suspended, outside_in_transaction, run_inline, took_too_long
from farandole.runtime.saga import Arrival, Saga
from farandole.runtime.signals import Signals
from farandole.stores.base import InboxRow, Store, Transaction, Verdict
from farandole.world import World

__all__ = ["Batch", "Result", "Work", "fault_of", "patiently", "row_of"]

T = TypeVar("T")


COLLISIONS = 2
"""How often a batch that collided with another transaction runs again at once, before whoever asked for it waits."""


class Work(msgspec.Struct, frozen=True, gc=False):
    """One reaction that one event asks for.

    Attributes
    ----------
    id:
        The event's identity in the inbox.
    delivery:
        The index of its delivery in the fetched batch.
    """

    plan: Plan
    id: str
    key: str
    event: Any
    envelope: Envelope
    topic: str
    body: bytes
    delivery: int


class Result(msgspec.Struct):
    """What a batch came to.

    Attributes
    ----------
    handled, parked:
        Counts of works.
    emitted:
        Whether something waits in the outbox now.
    posted:
        Whether something may wait in the inbox now that a handler put there.
    stopped_at:
        The delivery from which on nothing was done, because a key has too many waiting; None: all was done.
    settled:
        The rows of those that failed, were skipped, or wait.
    ready, known:
        The works whose handlers had their turn, and those that were dropped as duplicates.
    """

    handled: int = 0
    parked: int = 0
    emitted: bool = False
    posted: bool = False
    stopped_at: int | None = None
    settled: list[InboxRow] = msgspec.field(default_factory=list)
    ready: Sequence[Work] = ()
    known: list[Work] = msgspec.field(default_factory=list)

    @property
    def failures(self) -> list[InboxRow]:
        """The rows with a reason."""
        return [row for row in self.settled if row.reason is not None]


class _Culprit(Exception):
    def __init__(self, work: Work, failure: Failure) -> None:
        self.work = work
        self.failure = failure


def fault_of(error: BaseException) -> bool:
    """Whether an exception out of a handler is that handler's fault, not somebody stopping us."""
    return not isinstance(error, KeyboardInterrupt | GeneratorExit) and (isinstance(error, Exception) or not _ours(error))


def _ours(error: BaseException) -> bool:
    """A BaseException that is not for handlers to answer for: our own cancellation, or a simulated death of the process."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return not isinstance(error, SystemExit)


async def patiently(attempt: Callable[[], Awaitable[T]], tell: Callable[[StoreBusy], None] = lambda _: None) -> T:
    """Where transactions collide, all of it runs again, at once; where the store itself has waited already, it does not."""
    for _ in range(COLLISIONS):
        try:
            return await attempt()
        except StoreBusy as error:
            if error.waited:
                raise
            tell(error)
    return await attempt()


def row_of(work: Work, **what: Any) -> InboxRow:
    """The inbox row of a work that is more than a mark."""
    plan = work.plan
    return InboxRow(reaction=plan.id, id=work.id, key=work.key, topic=work.topic, body=work.body, task=plan.task, **what)


def _row(work: Work, verdict: Verdict) -> InboxRow:
    return row_of(
        work,
        state=verdict.state,
        due=verdict.due,
        blocks=verdict.blocks,
        attempts=1 if verdict.attempts is None else verdict.attempts,
        reason=verdict.reason,
        place=verdict.place,
        error=verdict.error,
    )


class Batch:
    """Runs batches against one store."""

    def __init__(self, store: Store, world: World, signals: Signals) -> None:
        self._store = store
        self._world = world
        self._signals = signals
        self._work: Work  # the one whose handler runs
        self._event: Any  # what that handler was given
        self._posted = False
        self._told: list[InboxRow] = []  # what was skipped or given up on without a handler, with a reason

    async def run(self, works: Sequence[Work], dead: Sequence[InboxRow] = ()) -> Result:
        """Run all, commit once.

        Parameters
        ----------
        works:
            In the order of arrival.
        dead:
            Rows of what could not be read, to be written in the same transaction.

        Raises
        ------
        StoreError
            Nothing was committed, or it is unknown; run the batch again.
        """
        self._posted = False
        try:
            result = await patiently(lambda: self._attempts(works, dead), lambda error: self._signals.trouble("batch", error))
        finally:
            for name in ("_work", "_event"):
                self.__dict__.pop(name, None)  # the collector cannot see through a work, and would keep all that its plan knows
        result.posted = self._posted
        for row in result.failures:
            self._signals.failed(row.reaction, row.id, row.state, row.reason or "")
        if self._signals.listens:
            self._signals.ran(list(runs.of_batch(works, result)))
        return result

    async def _attempts(self, works: Sequence[Work], dead: Sequence[InboxRow]) -> Result:
        try:
            return await self._together(works, dead, None)
        except _Broken:
            return await self._one_by_one(works, dead)
        except _Culprit as culprit:
            first = culprit
        try:
            return await self._together(works, dead, first)
        except (_Broken, _Culprit):
            return await self._one_by_one(works, dead)

    async def _together(self, works: Sequence[Work], dead: Sequence[InboxRow], culprit: _Culprit | None) -> Result:
        result = Result()
        self._told = []
        async with self._store.begin() as transaction:
            ready = await self._admit(transaction, works, dead, result, culprit)
            out = await self._perform(transaction, ready)
            try:
                await transaction.flush()
            except Exception as error:
                if (excuse := self._store.excuse(error)) is not None:
                    raise excuse from error
                raise _Broken from error  # a flush has no culprit: savepoints find it
            if out:
                await transaction.emit(out)
                result.emitted = True
        result.ready = ready
        result.handled = len(ready) - sum(row.reason is not None for row in self._told)
        result.settled += self._told
        return result

    async def _perform(self, transaction: Transaction, ready: Sequence[Work]) -> list[Message]:
        """The handlers, one after the other; what they emit.

        Where statements never suspend, whoever does waits for something else while it holds the write lock: that is refused.
        Elsewhere nobody can tell what a handler waits for, and each has its time.
        """
        if not self._store.inline:
            return await self._perform_in_time(transaction, ready)
        running = self._handlers(transaction, ready)
        try:
            return run_inline(running)
        except Suspended as place:
            plan = self._work.plan
            raise _Culprit(self._work, Failure(outside_in_transaction(plan, place), self._event)) from None

    async def _perform_in_time(self, transaction: Transaction, ready: Sequence[Work]) -> list[Message]:
        limit = asyncio.timeout(None)
        try:
            async with limit:
                return await self._handlers(transaction, ready, limit)
        except TimeoutError as error:
            if limit.expired():
                raise _Culprit(self._work, Failure(took_too_long(self._work.plan), place=self._work.plan.place)) from error
            raise

    async def _handlers(
        self, transaction: Transaction, ready: Sequence[Work], limit: asyncio.Timeout | None = None
    ) -> list[Message]:
        """The hot path: keep it short."""
        out: list[Message] = []
        world, point, now = self._world, self._world.point, self._world.now()
        for work in ready:
            self._work, self._event, plan = work, work.event, work.plan
            point("worker.handler:before")
            if limit is not None:
                limit.reschedule(asyncio.get_running_loop().time() + plan.policy.timeout)
            try:
                if plan.saga is not None:
                    out += await self._wait(plan.saga, work, transaction)
                    continue
                context = plan.context(work.envelope, 1, world) if plan.wants_context else None
                value = await plan.call(work.event, transaction, context, None)
                if value is not None:
                    if plan.posts:
                        self._posted = True
                        out += await posting.emit(plan, value, work.envelope, now, transaction)
                    else:
                        out += plan.emissions(value, work.envelope, now)
            except BaseException as error:
                if not fault_of(error):
                    raise
                if (excuse := self._store.excuse(error)) is not None:
                    raise excuse from error
                raise _Culprit(work, Failure(error, self._event)) from error
        return out

    async def _wait(self, saga: Saga, work: Work, transaction: Transaction) -> list[Message]:
        """A join, a deadline, a guard or a process: note the event, and run the handler if its time has come."""
        self._posted = True  # perhaps; the scheduler looks once more than it must
        arrival = Arrival(work.plan, work.id, work.event, work.envelope, work.body)
        ready = await saga.collect(transaction, arrival, self._world)
        if isinstance(ready, Verdict):
            if ready.state != "done":
                row = _row(work, ready)
                await transaction.park([row])
                self._told.append(row)
            return []
        plan, self._event = ready.plan, ready.event
        value = await plan.call(ready.event, transaction, plan.context(ready.cause, 1, self._world), None)
        messages = await posting.emit(plan, value, ready.cause, self._world.now(), transaction)
        await saga.conclude(transaction, arrival, messages)
        return messages

    async def _one_by_one(self, works: Sequence[Work], dead: Sequence[InboxRow]) -> Result:
        """One transaction, a savepoint per event."""
        result = Result()
        stuck: set[tuple[str, str]] = set()
        async with self._store.begin() as transaction:
            ready = await self._admit(transaction, works, dead, result, None)
            out: list[Message] = []
            for work in ready:
                if (work.plan.id, work.key) in stuck:
                    await self._park(transaction, [row_of(work)], result)
                    continue
                self._told = []
                try:
                    async with transaction.savepoint() as part:
                        messages = await self._perform(part, [work])
                        await part.flush()
                except StoreBusy:
                    raise
                except Exception as error:
                    failure = error.failure if isinstance(error, _Culprit) else Failure(error, self._event)
                    row = self._failed(work, failure)
                    await self._park(transaction, [row], result)
                    if row.blocks:
                        stuck.add((work.plan.id, work.key))
                else:
                    result.handled += 1 - sum(row.reason is not None for row in self._told)
                    result.settled += self._told
                    result.ready = [*result.ready, work]
                    out += messages
            if out:
                await transaction.emit(out)
                result.emitted = True
        return result

    async def _admit(
        self, transaction: Transaction, works: Sequence[Work], dead: Sequence[InboxRow], result: Result, culprit: _Culprit | None
    ) -> list[Work]:
        """Claim what is new, park what stands behind a parked event of its key; give what may run."""
        blocked = await transaction.blocked({work.plan.id for work in works}) if works else {}
        if blocked:
            works = _within_bounds(works, blocked, result)
        marks = [(work.plan.id, work.id) for work in works]
        marks += [(row.reaction, row.id) for row in dead]
        new = await transaction.claim(marks) if marks else ()
        if len(new) == len(works) and not blocked and culprit is None and not dead:
            return list(works)
        fresh = set(new)
        stuck = set(blocked)
        ready: list[Work] = []
        rows = [row for row in dead if (row.reaction, row.id) in fresh]
        for work in works:
            if (work.plan.id, work.id) not in fresh:
                result.known.append(work)
                continue
            fresh.discard((work.plan.id, work.id))
            if culprit is not None and work is culprit.work:
                row = self._failed(work, culprit.failure)
                rows.append(row)
                if row.blocks:
                    stuck.add((work.plan.id, work.key))
            elif (work.plan.id, work.key) in stuck:
                rows.append(row_of(work))
            else:
                ready.append(work)
        await self._park(transaction, rows, result)
        return ready

    async def _park(self, transaction: Transaction, rows: Sequence[InboxRow], result: Result) -> None:
        if rows:
            await transaction.park(rows)
            result.parked += len(rows)
            result.settled += rows

    def _failed(self, work: Work, failure: Failure) -> InboxRow:
        plan, world = work.plan, self._world
        verdict = after_failure(
            plan.policy,
            failure,
            attempts=1,
            now=world.time(),
            chance=world.random(),
            exhausted_handler=plan.exhausted is not None,
        )
        return _row(work, verdict)


class _Broken(Exception):
    pass


def _within_bounds(works: Sequence[Work], blocked: dict[tuple[str, str], int], result: Result) -> Sequence[Work]:
    """Cut the batch before the first delivery whose key has too many waiting."""
    count = dict(blocked)
    for work in works:
        place = (work.plan.id, work.key)
        if place in count:
            count[place] += 1
            if count[place] > work.plan.policy.parked_per_key:
                result.stopped_at = work.delivery
                return [w for w in works if w.delivery < work.delivery]
    return works
