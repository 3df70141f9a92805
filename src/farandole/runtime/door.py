"""The door: commands come in here, are carried out in one transaction with what they emit, and answer with a receipt.

Commands that wait together share a transaction (one commit for many); when one of them fails, each gets its own savepoint, and only
the failed one's caller hears of it: a command is not retried and never parked, its caller decides.
The caller's idempotency key names the command's id, so that a repeat is answered from the inbox without running again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from farandole.errors import CommandRefused, EmissionError, EnvelopeError, Reject, Skip, StoreError
from farandole.model.blotting import blotted
from farandole.model.envelope import Envelope, decode, encode, hashed_id
from farandole.model.wire import Wire
from farandole.runtime import posting
from farandole.runtime.batch import fault_of, patiently
from farandole.runtime.inbox import describe
from farandole.runtime.outside import Outside
from farandole.runtime.plan import Plan, flat, run_handler
from farandole.runtime.saga import Arrival
from farandole.runtime.signals import Run, Signals
from farandole.stores.base import Store, Transaction, Verdict
from farandole.world import World

__all__ = ["Door", "Receipt"]

MANY = 100


class Receipt(msgspec.Struct, frozen=True):
    """What a command came to.

    Attributes
    ----------
    correlation_id:
        The workflow instance that it began (or went on).
    event_ids:
        The ids of the events that it emitted, in order.
    result:
        What its handler returned: an event, a tuple of events, or None.
    repeated:
        Whether it had been carried out before, and this is the answer from then.
    """

    correlation_id: str
    event_ids: tuple[str, ...]
    result: Any
    repeated: bool = False


class _Kept(msgspec.Struct, frozen=True):
    """A receipt as it is kept in the inbox."""

    correlation_id: str
    events: list[msgspec.Raw]
    several: bool


class _Pending:
    __slots__ = ("answer", "command", "envelope", "plan")

    def __init__(self, plan: Plan, command: Any, envelope: Envelope, answer: asyncio.Future[Receipt]) -> None:
        self.plan = plan
        self.command = command
        self.envelope = envelope
        self.answer = answer


class Door:
    """Carries out one service's commands."""

    def __init__(
        self,
        service: str,
        plans: dict[type, Plan],
        store: Store,
        world: World,
        wire: Wire,
        outside: Outside,
        signals: Signals,
        wake: Callable[[bool], None],
    ) -> None:
        self._service = service
        self._plans = plans
        self._store = store
        self._world = world
        self._wire = wire
        self._outside = outside
        self._signals = signals
        self._wake = wake
        self._pending: deque[_Pending] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._reaching_out: set[asyncio.Task[Receipt]] = set()
        self._classes = {binding.type: binding for binding in wire.by_class.values()}

    @property
    def busy(self) -> bool:
        """Whether commands wait or are being carried out."""
        return bool(self._pending or self._reaching_out) or (self._pump is not None and not self._pump.done())

    async def send(
        self, command: Any, *, idempotency_key: str | None, correlation_id: str | None, traceparent: str | None
    ) -> Receipt:
        """Carry out a command; see `App.send`."""
        plan = self._plans[type(command)]
        envelope = self._envelope(plan, command, idempotency_key, correlation_id, traceparent)
        pending = _Pending(plan, command, envelope, asyncio.get_running_loop().create_future())
        if plan.outside:
            task = asyncio.create_task(self._alone(pending), name=f"{plan.id} {envelope.id}")
            self._reaching_out.add(task)
            task.add_done_callback(self._reaching_out.discard)
            return await asyncio.shield(task)
        self._pending.append(pending)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._work(), name=f"{self._service} door")
        return await asyncio.shield(pending.answer)

    async def close(self) -> None:
        """Finish what came in."""
        running = [*self._reaching_out, *([self._pump] if self._pump is not None else [])]
        await asyncio.gather(*running, return_exceptions=True)

    def _envelope(self, plan: Plan, command: Any, key: str | None, correlation: str | None, traceparent: str | None) -> Envelope:
        """The command as an envelope, checked against its types as if it had travelled."""
        binding = self._wire.by_class[type(command)]
        try:
            data = binding.encode(command)
        except EnvelopeError as error:
            raise EmissionError(f"send({type(command).__name__}): its values do not match its types: {error}") from None
        id = self._world.new_id() if key is None else hashed_id(f"{plan.id}\n{binding.type}\n{key}")
        return Envelope(
            specversion="1.0",
            id=id,
            source=binding.source,
            type=binding.type,
            time=self._world.now(),
            correlationid=correlation or id,
            traceparent=traceparent,
            depth=0,
            data=msgspec.Raw(data),
        )

    async def _work(self) -> None:
        """Until nothing waits: everything that waits now in one transaction."""
        while self._pending:
            some = [self._pending.popleft() for _ in range(min(MANY, len(self._pending)))]
            try:
                await self._together(some)
            except BaseException as error:
                for pending in some:
                    if not pending.answer.done():
                        pending.answer.set_exception(error)
                if not isinstance(error, Exception):
                    raise

    async def _together(self, some: Sequence[_Pending]) -> None:
        try:
            done = await patiently(lambda: self._in_one(some))
        except Exception as error:
            if isinstance(error, StoreError) or len(some) == 1:
                if len(some) == 1:
                    self._refuse(some[0], error)
                    return
                raise
            done = await self._in_savepoints(some)
        for pending, receipt in done:
            try:
                answer = receipt or await self._repeat(pending)
            except Exception as error:
                self._refuse(pending, error)
                continue
            if not pending.answer.done():
                pending.answer.set_result(answer)

    async def _in_one(self, some: Sequence[_Pending]) -> list[tuple[_Pending, Receipt | None]]:
        async with self._store.begin() as transaction:
            done = [(pending, await self._carry_out(transaction, pending)) for pending in some]
            await transaction.flush()
        self._committed(done)
        return done

    async def _in_savepoints(self, some: Sequence[_Pending]) -> list[tuple[_Pending, Receipt | None]]:
        done: list[tuple[_Pending, Receipt | None]] = []
        async with self._store.begin() as transaction:
            for pending in some:
                try:
                    async with transaction.savepoint() as part:
                        receipt = await self._carry_out(part, pending)
                        await part.flush()
                except Exception as error:
                    self._refuse(pending, error)
                else:
                    done.append((pending, receipt))
        self._committed(done)
        return done

    def _committed(self, done: Sequence[tuple[_Pending, Receipt | None]]) -> None:
        self._wake(any(pending.plan.posts for pending, _ in done))
        for pending, receipt in done:
            self._tell(pending, "done" if receipt is not None else "duplicate")

    def _tell(self, pending: _Pending, state: str, error: Exception | None = None) -> None:
        if self._signals.listens:
            reason, kind = (None, None) if error is None else (describe(error, pending.command), type(error).__name__)
            run = Run(
                reaction=pending.plan.id,
                id=pending.envelope.id,
                state=state,
                envelope=pending.envelope,
                reason=reason,
                error=kind,
            )
            self._signals.ran([run])

    async def _carry_out(self, transaction: Transaction, pending: _Pending) -> Receipt | None:
        """Claim, run, emit, keep the receipt. None where the command was known already."""
        plan, envelope = pending.plan, pending.envelope
        if not await transaction.claim([(plan.id, envelope.id)]):
            return None
        try:
            await self._guard(transaction, pending)
            call = plan.call(pending.command, transaction, plan.context(envelope, 1, self._world), None)
            value = await run_handler(plan, call, inline=self._store.inline)
        except BaseException as error:
            if (excuse := self._store.excuse(error)) is not None:
                raise excuse from error
            if not fault_of(error) or isinstance(error, Exception):
                raise
            reason = blotted(str(error), pending.command)
            raise CommandRefused(f"{plan.id} ended with {type(error).__name__}", reason=reason) from error
        return await self._finish(transaction, pending, value)

    async def _guard(self, transaction: Transaction, pending: _Pending) -> None:
        """Refuse a command that comes in a state in which it is not valid."""
        plan = pending.plan
        if plan.saga is not None:
            arrival = Arrival(plan, pending.envelope.id, pending.command, pending.envelope, b"")
            collecting = plan.saga.collect(transaction, arrival, self._world)
            verdict = await run_handler(plan, collecting, inline=self._store.inline)
            if isinstance(verdict, Verdict):
                raise Reject(verdict.reason or verdict.state)

    async def _finish(self, transaction: Transaction, pending: _Pending, value: Any) -> Receipt:
        plan, envelope = pending.plan, pending.envelope
        messages = await posting.emit(plan, value, envelope, self._world.now(), transaction)
        if messages:
            await transaction.emit(messages)
        correlation = envelope.correlationid or envelope.id
        if plan.posts:
            value = _said(value)
        kept = _Kept(correlation, [msgspec.Raw(message.body) for message in messages], isinstance(value, list | tuple))
        await transaction.keep_receipt(plan.id, envelope.id, encode(kept))
        result = tuple(value) if isinstance(value, list) else value
        return Receipt(correlation, tuple(message.id for message in messages), result)

    async def _alone(self, pending: _Pending) -> Receipt:
        """A command whose handler reaches outside: no transaction while it runs."""
        plan, envelope = pending.plan, pending.envelope
        if await self._store.receipt(plan.id, envelope.id) is not None:
            self._tell(pending, "duplicate")
            return await self._repeat(pending)
        context = plan.context(envelope, 1, self._world)
        permit = self._outside.breakers.enter(plan)
        try:
            if plan.saga is not None:
                async with self._store.begin(durable=False) as transaction:
                    await self._guard(transaction, pending)
            async with self._outside.run(plan, pending.command, context, None, permit) as (transaction, value):
                if not await transaction.claim([(plan.id, envelope.id)]):
                    raise _Known
                receipt = await self._finish(transaction, pending, value)
        except _Known:
            self._tell(pending, "duplicate")
            return await self._repeat(pending)
        except Exception as error:
            self._tell(pending, "refused", error)
            if isinstance(error, Reject | Skip):
                raise _refused(pending, error) from error
            raise
        finally:
            permit.leave()
        self._committed([(pending, receipt)])
        return receipt

    async def _repeat(self, pending: _Pending) -> Receipt:
        """The answer that was given the first time."""
        body = await self._store.receipt(pending.plan.id, pending.envelope.id)
        if body is None:
            raise CommandRefused(
                f"{pending.plan.id}: a command under this idempotency key is known, but its answer is not kept any more",
                reason="known, without a receipt",
            )
        kept = msgspec.json.decode(body, type=_Kept)
        events = [decode(bytes(raw)) for raw in kept.events]
        values = tuple(self._classes[event.type].decode(bytes(event.data)) for event in events)
        result = values if kept.several else (values[0] if values else None)
        return Receipt(kept.correlation_id, tuple(event.id for event in events), result, repeated=True)

    def _refuse(self, pending: _Pending, error: Exception) -> None:
        self._tell(pending, "refused", error)
        if not pending.answer.done():
            pending.answer.set_exception(_refused(pending, error) if isinstance(error, Reject | Skip) else error)


def _said(value: Any) -> Any:
    """The events among what a handler returned: what stays within the service is no answer."""
    events = tuple(part for part in flat(value) if not posting.is_posted(part))
    return events if isinstance(value, list | tuple) else events[0] if events else None


def _refused(pending: _Pending, error: Reject | Skip) -> CommandRefused:
    reason = describe(error, pending.command)
    refused = CommandRefused(f"{pending.plan.id} refused: {reason}", reason=reason)
    refused.__cause__ = error
    return refused


class _Known(Exception):
    pass
