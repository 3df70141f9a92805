"""Runs what waits in the inbox table: retries of local reactions, and every run of outside ones.

    take (attempts + 1, token, lease) -> LOCAL:   all taken in one transaction, a savepoint each, and what waits behind them
                                         OUTSIDE: each on its own: handler without a transaction, then one transaction writes
                                                  state, outbox and `done`, where the token still matches

Only the first waiting row of a key is due; settling it makes the next one due. So order per key needs no memory here.

What takes something whose breaker is open is left where it is, due as before; out of a half open one, a single row is taken. A run that
failed by the doing of what rests now is not counted, so that nothing dies because a gateway was down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from farandole.bell import Bell, end_all
from farandole.errors import BreakerOpen, ClaimLost, EnvelopeError, ProcessChanged, StoreBusy, StoreError
from farandole.model.envelope import Envelope, Message, decode
from farandole.model.policy import Policy, Retry, Settled
from farandole.runtime import posting, runs
from farandole.runtime.away import AWAY
from farandole.runtime.batch import fault_of
from farandole.runtime.breaker import Permit
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
LATER = Settled.of(Policy(retry=Retry(attempts=100, delay=0.1, longest=60.0), on_failure="skip"))
"""What is due later has no handler that could fail: the database does, and comes back."""
PATIENCE = 86_400.0
"""Seconds after which an event's failures count though a breaker is open: perhaps the event is what opens it."""


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
        self._later = posting.later_of(service)
        self._handlers = {plan.command: plan.id for plan in plans.values() if plan.command is not None}
        # In the order of declaration: that of a set differs from process to process.
        self.names = (*plans, self._unread, self._later)
        self._alone = tuple(
            id for id, plan in plans.items() if plan.outside or (plan.exhausted is not None and plan.exhausted.outside)
        )
        self._together = tuple(name for name in self.names if name not in self._alone)
        self._running: dict[asyncio.Task[None], InboxRow] = {}
        self._kept_out: Sequence[InboxRow] = ()
        self._wary: dict[tuple[str, str], int] = {}  # keys where a claimer died, and how many more rows of each run by themselves
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
            plan, breakers = self._plans[name], self._outside.breakers
            free = plan.policy.concurrency - sum(row.reaction == name for row in self._running.values())
            if (room := breakers.room(plan)) is not None:
                free = min(free, room)
            rows = await self._store.take((name,), free, self._lease) if free > 0 else []
            for row in rows:
                self._start(row)
            taken += rows
        return len(taken)

    # ---- local -----------------------------------------------------------------------------------------------------------

    async def _run_together(self, rows: Sequence[InboxRow], most: int = MANY) -> None:
        """Local reactions: one transaction, a savepoint each, with what waited behind them, up to `most` in all.

        Where it breaks, they run again without the last that came behind, then without any; if it breaks still, their leases run out,
        and each comes alone. Where the database does not even let it begin, that is not theirs: they go back uncounted, once it does.
        """
        ran: list[InboxRow] = []
        try:
            settled, emitted = await self._run_in_savepoints(rows, ran, most)
        except StoreError as error:
            if isinstance(error, StoreBusy) and error.waited:
                self._kept_out = rows
                raise
            if len(ran) > len(rows):
                await self._run_together(rows, len(ran) - 1 if most == MANY else len(rows))
            elif len(rows) > 1:
                raise
            else:
                await self._settle_failure(rows[0], Failure(error))
            return
        if emitted:
            self._wake_relay()
        self.bell.ring()
        again = sum(row.attempts > 1 for row in rows)
        if again:
            self._signals.retried("local", again)
        failures = [(row, verdict) for row, verdict in settled if verdict.reason is not None]
        if len(settled) > len(failures):
            self._signals.handled("local", len(settled) - len(failures))
        for row, verdict in failures:
            self._signals.failed(row.reaction, row.id, verdict.state, verdict.reason or "")
        if self._signals.listens:
            self._signals.ran([runs.of_row(row, verdict) for row, verdict in settled])

    async def _run_in_savepoints(
        self, rows: Sequence[InboxRow], ran: list[InboxRow], most: int
    ) -> tuple[list[tuple[InboxRow, Verdict]], bool]:
        """What became of each, and whether something was emitted. A row that another holds by now is not among them.

        Whatever begins to run is added to `ran`, also where the transaction breaks.
        """
        settled: list[tuple[InboxRow, Verdict]] = []
        out: list[Message] = []
        async with self._store.begin() as transaction:
            while rows:
                ran += rows
                done = await self._run_each(transaction, rows, out)
                settled += done
                behind = [row for row, _ in done if self._is_followed(row)][: max(0, most - len(ran))]
                rows = await transaction.take_next(behind, self._lease) if behind else ()
            if out:
                await transaction.emit(out)
        return settled, bool(out)

    def _is_followed(self, row: InboxRow) -> bool:
        """Whether what waits behind this row may run in its transaction.

        That may kill the process, and then the run that was counted is this row's: so nothing follows its last run. Nor where a claimer died,
        for as many rows as may have followed then: what killed it is soon the first, and counted.
        """
        queue = row.reaction, row.key
        if row.crashed:
            self._wary[queue] = MANY
        if left := self._wary.pop(queue, 0):
            if left > 1:
                self._wary[queue] = left - 1
            return False
        plan = self._plans.get(row.reaction)
        return row.blocks and plan is not None and row.attempts < plan.policy.retry.attempts

    async def _run_each(
        self, transaction: Transaction, rows: Sequence[InboxRow], out: list[Message]
    ) -> list[tuple[InboxRow, Verdict]]:
        settled: list[tuple[InboxRow, Verdict]] = []
        for row in rows:
            try:
                async with transaction.savepoint() as part:
                    verdict, messages = await self._run_one(part, row)
            except ClaimLost:
                continue
            except StoreBusy:
                raise
            except Exception as error:
                failure = error.failure if isinstance(error, _Failed) else Failure(error)
                verdict, messages = self._verdict(row, failure), []
                await transaction.settle(row, verdict)
            settled.append((row, verdict))
            out += messages
        return settled

    async def _run_one(self, transaction: Transaction, row: InboxRow) -> tuple[Verdict, list[Message]]:
        """What became of the row, and what was emitted."""
        if row.reaction == self._unread:
            return DONE, await self._reread_one(transaction, row)
        if row.reaction == self._later:
            return DONE, await self._due(transaction, row)
        plan, end = self._plan(row)
        envelope, event = self._read(plan, row)
        arrival = Arrival(plan, row.id, event, envelope, row.body, row.attempts)
        try:
            if plan.saga is not None:
                ready = await self._collected(plan.saga, transaction, arrival)
                if isinstance(ready, Verdict):
                    await transaction.settle(row, ready)
                    return ready, []
                plan, event, envelope = ready.plan, ready.event, ready.cause
            await transaction.settle(row, end)
            call = plan.call(event, transaction, plan.context(envelope, row.attempts, self._world), _LastError(row))
            value = await run_handler(plan, call, inline=self._store.inline)
            messages = await posting.emit(plan, value, envelope, self._world.now(), transaction)
            if arrival.plan.saga is not None:
                await arrival.plan.saga.conclude(transaction, arrival, messages)
            await transaction.flush()
        except ClaimLost:
            raise
        except BaseException as error:
            if not fault_of(error):
                raise
            if (excuse := self._store.excuse(error)) is not None:
                raise excuse from error
            raise _Failed(Failure(error, event)) from error
        return end, messages

    async def _reread_one(self, transaction: Transaction, row: InboxRow) -> list[Message]:
        """A dead letter that could not be read, retried by hand: perhaps this version can."""
        rows = self._reread(row)
        new = set(await transaction.claim([(r.reaction, r.id) for r in rows]))
        await transaction.park([r for r in rows if (r.reaction, r.id) in new])
        await transaction.settle(row, DONE)
        return []

    async def _due(self, transaction: Transaction, row: InboxRow) -> list[Message]:
        """What was to happen later is due: an event leaves, a command goes to its handler."""
        message = posting.message_of(row)
        await transaction.settle(row, DONE)
        if row.topic != posting.COMMAND:
            return [message]
        handler = self._handlers.get(message.type)
        if handler is None:
            raise EnvelopeError(
                f"{message.type} is due, but this service handles it no more. Give it a handler again, or discard it"
            )
        await posting.post(transaction, [posting.row_of_command(handler, message)])
        return []

    # ---- outside ---------------------------------------------------------------------------------------------------------

    def _start(self, row: InboxRow) -> None:
        try:
            permit = self._outside.breakers.enter(self._plans[row.reaction])
        except BreakerOpen:  # it opened while the row was taken
            self._kept_out = [*self._kept_out, row]
            return
        task = asyncio.create_task(self._run_alone(row, permit), name=f"{row.reaction} {row.id}")
        self._running[task] = row
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self.bell.ring()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._signals.trouble("scheduler", error)  # it stays claimed; its lease runs out, and it runs again

    async def _run_alone(self, row: InboxRow, permit: Permit) -> None:
        """One outside reaction, or a local one whose `exhausted` handler reaches outside."""
        try:
            await self._perform(row, permit)
        finally:
            permit.leave()

    async def _perform(self, row: InboxRow, permit: Permit) -> None:
        event: Any = None
        envelope: Envelope | None = None
        try:
            plan, end = self._plan(row)
            envelope, event = self._read(plan, row)
            arrival = Arrival(plan, row.id, event, envelope, row.body, row.attempts)
            if plan.saga is not None:
                ready = await self._collect(plan.saga, arrival, row)
                if ready is None:
                    return
                plan, event, envelope = ready.plan, ready.event, ready.cause
            context = plan.context(envelope, row.attempts, self._world)
            async with self._outside.run(plan, event, context, _LastError(row), permit) as (transaction, value):
                await transaction.settle(row, end)
                messages = await posting.emit(plan, value, envelope, self._world.now(), transaction)
                if arrival.plan.saga is not None:
                    await arrival.plan.saga.conclude(transaction, arrival, messages)
                if messages:
                    await transaction.emit(messages)
        except ClaimLost:
            return
        except ProcessChanged:  # not its fault, so that the run is not counted: it sees the new state next
            await self._store.give_back([row])
            return
        except BaseException as error:
            if not fault_of(error):
                raise
            failure = error.failure if isinstance(error, _Failed) else Failure(error, event)
            until = None if self._is_old(envelope) else permit.put_off
            await self._settle_failure(row, failure, until)
        else:
            self._signals.handled(row.reaction, 1)
            self._tell(row, end)
            if messages:
                self._wake_relay()
        if row.attempts > 1:
            self._signals.retried(row.reaction, 1)

    async def _collect(self, saga: Saga, arrival: Arrival, row: InboxRow) -> Ready | None:
        """A join, a deadline or a guard, in a transaction of its own; None: there is nothing to run, and the row is settled."""
        async with self._store.begin() as transaction:
            ready = await self._collected(saga, transaction, arrival)
            if isinstance(ready, Ready):
                return ready
            await transaction.settle(row, ready)
        if ready.reason is None:
            self._signals.handled(row.reaction, 1)
        else:
            self._signals.failed(row.reaction, row.id, ready.state, ready.reason)
        self._tell(row, ready)
        self.bell.ring()
        return None

    def _tell(self, row: InboxRow, verdict: Verdict) -> None:
        if self._signals.listens:
            self._signals.ran([runs.of_row(row, verdict)])

    async def _collected(self, saga: Saga, transaction: Transaction, arrival: Arrival) -> Ready | Verdict:
        """A guard runs code of the user in it: as in a handler of the transaction, it must not wait for anything but SQL."""
        collecting = saga.collect(transaction, arrival, self._world)
        ready: Ready | Verdict = await run_handler(arrival.plan, collecting, inline=self._store.inline)
        return ready

    def _is_old(self, envelope: Envelope | None) -> bool:
        return envelope is None or envelope.time is None or self._world.time() - envelope.time.timestamp() > PATIENCE

    async def _settle_failure(self, row: InboxRow, failure: Failure, put_off: float | None = None) -> None:
        verdict = self._verdict(row, failure) if put_off is None else self._wait(row, failure, put_off)
        try:
            async with self._store.begin() as transaction:
                await transaction.settle(row, verdict)
        except ClaimLost:
            return  # the commit that seemed to fail had succeeded, or another took over
        self._signals.failed(row.reaction, row.id, verdict.state, verdict.reason or "")
        self._tell(row, verdict)

    # ---- both ------------------------------------------------------------------------------------------------------------

    def _plan(self, row: InboxRow) -> tuple[Plan, Verdict]:
        """Which handler's turn it is, and the state its success ends in."""
        plan = self._plans[row.reaction]
        row.task = plan.task
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
        if plan is None and row.reaction != self._later:
            return Verdict(
                "dead", reason=failure.reason, place=row.place, error=type(failure.error).__name__, attempts=row.attempts
            )
        return after_failure(
            LATER if plan is None else plan.policy,
            failure,
            attempts=row.attempts,
            now=self._world.time(),
            chance=self._world.random(),
            exhausted_handler=plan is not None and plan.exhausted is not None,
        )

    def _wait(self, row: InboxRow, failure: Failure, until: float) -> Verdict:
        """A run that failed by the doing of what rests now is put off, and not counted."""
        said = {"reason": failure.reason, "place": failure.place, "error": type(failure.error).__name__}
        return Verdict("parked", due=until, blocks=self._plans[row.reaction].policy.park, attempts=row.attempts - 1, **said)

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
        await end_all(self._running)
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
