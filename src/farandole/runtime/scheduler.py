"""Runs what waits in the inbox table: retries of local reactions, and every run of outside ones.

    take (attempts + 1, token, lease) -> LOCAL:   all taken in one transaction, a savepoint each
                                         OUTSIDE: each on its own: handler without a transaction, then one transaction writes
                                                  state, outbox and `done`, where the token still matches

Only the first waiting row of a key is due; settling it makes the next one due. So order per key needs no memory here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from farandole.bell import Bell
from farandole.errors import ClaimLost, EnvelopeError, StoreBusy, StoreError
from farandole.model.envelope import Envelope, Message, decode
from farandole.runtime.away import AWAY
from farandole.runtime.batch import fault_of
from farandole.runtime.inbox import DONE, EXHAUSTED, Failure, ProcessDied, after_failure, has_exhausted_attempts
from farandole.runtime.outside import Outside
from farandole.runtime.plan import Plan, run_handler
from farandole.runtime.saga import Arrival, Ready, Saga
from farandole.runtime.signals import Signals
from farandole.stores.base import InboxRow, Store, Transaction, Verdict
from farandole.world import World

__all__ = ["Scheduler"]

POLL = 1.0
MANY = 100


class Scheduler:
    """Runs one service's waiting rows.

    Parameters
    ----------
    plans:
        All plans of the service, by reaction id.
    reread:
        Gives the waiting rows for a message that could not be read before (a dead letter that was retried).
    lease:
        Seconds that a claim lasts without a sign of life.
    poll:
        Seconds between two looks into the table when nothing is due.
    """

    def __init__(  # noqa: PLR0913 - assembled by the host only
        self,
        service: str,
        plans: Mapping[str, Plan],
        store: Store,
        world: World,
        signals: Signals,
        outside: Outside,
        *,
        reread: Callable[[InboxRow], Sequence[InboxRow]],
        wake_relay: Callable[[], None],
        lease: float,
        poll: float = POLL,
    ) -> None:
        self._poll = poll
        self._plans = plans
        self._store = store
        self._world = world
        self._signals = signals
        self._outside = outside
        self._reread = reread
        self._wake_relay = wake_relay
        self._lease = lease
        self._unread = f"{service}.(envelope)"
        self.names = (*plans, self._unread)  # in the order of declaration: that of a set differs from process to process
        self._alone = tuple(
            id for id, plan in plans.items() if plan.outside or (plan.exhausted is not None and plan.exhausted.outside)
        )
        self._together = tuple(name for name in self.names if name not in self._alone)
        self._running: dict[asyncio.Task[None], InboxRow] = {}
        self._kept_out: Sequence[InboxRow] = ()
        self._stopping = False
        self._trouble = 0
        self.bell = Bell()

    @property
    def busy(self) -> bool:
        """Whether outside reactions are running."""
        return bool(self._running)

    def wake(self) -> None:
        """Something may be due."""
        self.bell.ring()

    def stop(self) -> None:
        """Take nothing new; finish what runs."""
        self._stopping = True
        self.bell.ring()

    async def run(self) -> None:
        """Until `stop`; cancelled while draining, it gives back what it claimed."""
        heart = asyncio.create_task(self._beat())
        try:
            while not self._stopping:
                self.bell.still()
                try:
                    taken = await self._step()
                    self._trouble = 0
                except StoreError as error:
                    self._signals.trouble("scheduler", error)
                    self._trouble += 1
                    await self._world.sleep(AWAY.wait(self._trouble, self._world.random()))
                    continue
                await (self._world.sleep(0) if taken else self.bell.wait(await self._pause()))
            while self._running:
                await asyncio.wait(self._running)
        finally:
            heart.cancel()
            await self._abandon()

    async def _pause(self) -> float:
        try:
            due = await self._store.next_due(self.names)
        except StoreError:
            return self._poll
        # What is due but was not taken waits for a free slot; the slot's end wakes us.
        return self._poll if due is None or due <= 0 else min(self._poll, due)

    async def _step(self) -> int:
        """Take and run what is due; give how many rows were taken."""
        if self._kept_out:
            await self._store.give_back(self._kept_out)
            self._kept_out = ()
        due = await self._store.next_due(self.names)
        if due is None or due > 0:
            return 0
        taken = await self._store.take(self._together, MANY, self._lease) if self._together else []
        if taken:
            await self._run_together(taken)
        for name in self._alone:
            free = self._plans[name].policy.concurrency - sum(row.reaction == name for row in self._running.values())
            rows = await self._store.take((name,), free, self._lease) if free > 0 else []
            for row in rows:
                self._start(row)
            taken += rows
        return len(taken)

    # ---- local -----------------------------------------------------------------------------------------------------------

    async def _run_together(self, rows: Sequence[InboxRow]) -> None:
        """Local reactions: one transaction, a savepoint each. Where it breaks, their leases run out, and each comes alone.

        Where the database does not even let it begin, that is not theirs: they go back uncounted, once it does.
        """
        failures: list[tuple[InboxRow, Verdict]] = []
        out: list[Message] = []
        try:
            await self._run_in_savepoints(rows, out, failures)
        except StoreError as error:
            if isinstance(error, StoreBusy) and error.waited:
                self._kept_out = rows
                raise
            if len(rows) > 1:
                raise
            await self._settle_failure(rows[0], Failure(error))
            return
        if out:
            self._wake_relay()
        self.bell.ring()
        again = sum(row.attempts > 1 for row in rows)
        if again:
            self._signals.retried("local", again)
        if len(rows) > len(failures):
            self._signals.handled("local", len(rows) - len(failures))
        for row, verdict in failures:
            self._signals.failed(row.reaction, row.id, verdict.state, verdict.reason or "")

    async def _run_in_savepoints(
        self, rows: Sequence[InboxRow], out: list[Message], failures: list[tuple[InboxRow, Verdict]]
    ) -> None:
        async with self._store.begin() as transaction:
            for row in rows:
                try:
                    async with transaction.savepoint() as part:
                        out += await self._run_one(part, row)
                except ClaimLost:
                    continue
                except StoreBusy:
                    raise
                except Exception as error:
                    failure = error.failure if isinstance(error, _Failed) else Failure(error)
                    verdict = self._verdict(row, failure)
                    failures.append((row, verdict))
                    await transaction.settle(row, verdict)
            if out:
                await transaction.emit(out)

    async def _run_one(self, transaction: Transaction, row: InboxRow) -> list[Message]:
        if row.reaction == self._unread:
            return await self._reread_one(transaction, row)
        plan, end = self._plan(row)
        envelope, event = self._read(plan, row)
        arrival = Arrival(plan, row.id, event, envelope, row.body)
        try:
            if plan.saga is not None:
                ready = await plan.saga.collect(transaction, arrival, self._world)
                if isinstance(ready, Verdict):
                    await transaction.settle(row, ready)
                    return []
                plan, event, envelope = ready.plan, ready.event, ready.cause
            await transaction.settle(row, end)
            call = plan.call(event, transaction, plan.context(envelope, row.attempts, self._world), _LastError(row))
            value = await run_handler(plan, call, inline=self._store.inline)
            messages = plan.emissions(value, envelope, self._world.now())
            if arrival.plan.saga is not None:
                await arrival.plan.saga.conclude(transaction, arrival)
            await transaction.flush()
        except ClaimLost:
            raise
        except BaseException as error:
            if not fault_of(error):
                raise
            if (excuse := self._store.excuse(error)) is not None:
                raise excuse from error
            raise _Failed(Failure(error, event)) from error
        return messages

    async def _reread_one(self, transaction: Transaction, row: InboxRow) -> list[Message]:
        """A dead letter that could not be read, retried by hand: perhaps this version can."""
        rows = self._reread(row)
        new = set(await transaction.claim([(r.reaction, r.id) for r in rows]))
        await transaction.park([r for r in rows if (r.reaction, r.id) in new])
        await transaction.settle(row, DONE)
        return []

    # ---- outside ---------------------------------------------------------------------------------------------------------

    def _start(self, row: InboxRow) -> None:
        task = asyncio.create_task(self._run_alone(row), name=f"{row.reaction} {row.id}")
        self._running[task] = row
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self.bell.ring()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._signals.trouble("scheduler", error)  # it stays claimed; its lease runs out, and it runs again

    async def _run_alone(self, row: InboxRow) -> None:
        """One outside reaction, or a local one whose `exhausted` handler reaches outside."""
        event: Any = None
        try:
            plan, end = self._plan(row)
            envelope, event = self._read(plan, row)
            arrival = Arrival(plan, row.id, event, envelope, row.body)
            if plan.saga is not None:
                ready = await self._collect(plan.saga, arrival, row)
                if ready is None:
                    return
                plan, event, envelope = ready.plan, ready.event, ready.cause
            context = plan.context(envelope, row.attempts, self._world)
            async with self._outside.run(plan, event, context, _LastError(row)) as (transaction, value):
                await transaction.settle(row, end)
                if arrival.plan.saga is not None:
                    await arrival.plan.saga.conclude(transaction, arrival)
                messages = plan.emissions(value, envelope, self._world.now())
                if messages:
                    await transaction.emit(messages)
        except ClaimLost:
            return
        except BaseException as error:
            if not fault_of(error):
                raise
            await self._settle_failure(row, error.failure if isinstance(error, _Failed) else Failure(error, event))
        else:
            self._signals.handled(row.reaction, 1)
            if messages:
                self._wake_relay()
        if row.attempts > 1:
            self._signals.retried(row.reaction, 1)

    async def _collect(self, saga: Saga, arrival: Arrival, row: InboxRow) -> Ready | None:
        """A join or a deadline, in a transaction of its own; None: there is nothing to run, and the row is settled."""
        async with self._store.begin() as transaction:
            ready = await saga.collect(transaction, arrival, self._world)
            if isinstance(ready, Ready):
                return ready
            await transaction.settle(row, ready)
        self._signals.handled(row.reaction, 1)
        self.bell.ring()
        return None

    async def _settle_failure(self, row: InboxRow, failure: Failure) -> None:
        verdict = self._verdict(row, failure)
        try:
            async with self._store.begin() as transaction:
                await transaction.settle(row, verdict)
        except ClaimLost:
            return  # the commit that seemed to fail had succeeded, or another took over
        self._signals.failed(row.reaction, row.id, verdict.state, verdict.reason or "")

    # ---- both ------------------------------------------------------------------------------------------------------------

    def _plan(self, row: InboxRow) -> tuple[Plan, Verdict]:
        """Which handler's turn it is, and the state its success ends in."""
        plan = self._plans[row.reaction]
        if not has_exhausted_attempts(plan.policy, row.attempts):
            return plan, DONE
        if plan.exhausted is None or row.attempts > 2 * plan.policy.retry.attempts:
            died = ProcessDied(f"{row.attempts - 1} runs began, and the last never ended: it kills or stops its process")
            row.attempts -= 1  # this run does not begin
            raise _Failed(Failure(died, place=plan.place))
        return plan.exhausted, EXHAUSTED

    def _read(self, plan: Plan, row: InboxRow) -> tuple[Envelope, Any]:
        try:
            envelope = decode(row.body)
            return envelope, plan.binding(envelope.type).decode(bytes(envelope.data))
        except EnvelopeError as error:
            raise _Failed(Failure(error)) from error

    def _verdict(self, row: InboxRow, failure: Failure) -> Verdict:
        plan = self._plans.get(row.reaction)
        if plan is None:
            return Verdict(
                "dead", reason=failure.reason, place=row.place, error=type(failure.error).__name__, attempts=row.attempts
            )
        return after_failure(
            plan.policy,
            failure,
            attempts=row.attempts,
            now=self._world.time(),
            chance=self._world.random(),
            exhausted_handler=plan.exhausted is not None,
        )

    async def _beat(self) -> None:
        """Keep the claims of what runs alive."""
        while True:
            await self._world.sleep(self._lease / 3)
            if self._running:
                try:
                    await self._store.extend(list(self._running.values()), self._lease)
                except StoreError as error:
                    self._signals.trouble("scheduler", error)

    async def _abandon(self) -> None:
        """Stopped while handlers run: cancel them, and give their rows back uncounted."""
        rows = [*self._running.values(), *self._kept_out]
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        if rows:
            try:
                await self._store.give_back(rows)
            except StoreError as error:  # their leases run out by themselves
                self._signals.trouble("scheduler", error)


class _Failed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class _LastError(Exception):
    """The last error of the reaction, as it was written down."""

    def __init__(self, row: InboxRow) -> None:
        super().__init__(row.reason or "")
