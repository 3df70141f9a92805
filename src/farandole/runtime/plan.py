"""Call plans: each reaction compiled once into one call that fills its parameters, and its emissions into checked messages."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from types import CoroutineType
from typing import Any, TypeVar

import msgspec

from farandole.errors import EmissionError, EnvelopeError, OutsideInTransaction
from farandole.model.envelope import Envelope, Message, caused_id, encode
from farandole.model.policy import Settled
from farandole.model.reaction import Reaction
from farandole.model.resources import CONTEXT, ERROR, is_outside, kind_of
from farandole.model.service import Provided, Service
from farandole.model.triggers import OnAll
from farandole.model.wire import Binding, Wire
from farandole.runtime.context import Context
from farandole.runtime.saga import Saga
from farandole.world import World

__all__ = [
    "Limits",
    "Plan",
    "Suspended",
    "compile_plan",
    "outside_in_transaction",
    "run_handler",
    "run_in_time",
    "run_inline",
    "took_too_long",
]

T = TypeVar("T")

_JSON = "application/json"
_SEVERAL = (list, tuple)


class Limits(msgspec.Struct, frozen=True):
    """Bounds on what may leave and arrive.

    Attributes
    ----------
    depth:
        The longest chain of emissions.
    bytes_out, bytes_in:
        The largest envelope that is emitted, and that is read.
    """

    depth: int = 32
    bytes_out: int = 1_000_000
    bytes_in: int = 10_000_000


class Plan:
    """How to run one reaction.

    Attributes
    ----------
    call:
        (event, transaction, context, error) -> the handler's result or coroutine.
    outside:
        Whether it runs without a transaction.
    wants_context:
        Whether a `Context` must be made for it.
    exhausted, late:
        The plans of its `exhausted` and `late` handlers, or None.
    saga:
        What it puts before its handler where it waits for several events or for time to pass, or None.
    """

    __slots__ = (
        "_emitters",
        "_limits",
        "bindings",
        "call",
        "exhausted",
        "id",
        "is_async",
        "late",
        "outside",
        "place",
        "policy",
        "saga",
        "wants_context",
    )

    def __init__(
        self, reaction: Reaction[Any, Any, Any], service: Service, wire: Wire, given: Mapping[Any, Any], limits: Limits
    ) -> None:
        signature = reaction.signature
        kinds = [kind_of(parameter, service.provided) for parameter in signature.parameters]
        self.id = reaction.id
        self.place = reaction.place
        self.policy = Settled.of(reaction.policy)
        self.outside = is_outside(reaction, service)
        self.is_async = signature.is_async
        self.wants_context = CONTEXT in kinds
        self.call = _compile_call(reaction, kinds, given)
        self.bindings = tuple(wire.by_class[cls] for cls in reaction.events)
        self.exhausted: Plan | None = None
        self.late: Plan | None = None
        self.saga: Saga | None = None
        self._emitters = {cls: wire.by_class[cls] for cls in signature.emits}
        self._limits = limits

    def context(self, envelope: Envelope, attempt: int, world: World) -> Context | None:
        """The context of one run, where the handler wants it."""
        return Context(self.id, envelope, attempt, world) if self.wants_context else None

    def binding(self, wire_type: str) -> Binding:
        """The binding of one of the types that this reaction takes."""
        for binding in self.bindings:
            if binding.type == wire_type:
                return binding
        raise EnvelopeError(f"{self.id} takes {', '.join(b.type for b in self.bindings)}, not {wire_type}")

    def emissions(self, result: Any, cause: Envelope, now: datetime) -> list[Message]:
        """What a handler returned, as messages with ids that are the same in every run.

        Raises
        ------
        EmissionError
            Something in it was not declared, does not match its types, is too large, or lies too deep.
        """
        if result is None:
            return []
        if type(result) in self._emitters:
            return [self._message(result, cause, now, 0)]
        if not isinstance(result, _SEVERAL):
            raise self._undeclared(result)
        flat = [event for part in result for event in (part if isinstance(part, _SEVERAL) else (part,)) if event is not None]
        return [self._message(event, cause, now, index) for index, event in enumerate(flat)]

    def _message(self, event: Any, cause: Envelope, now: datetime, index: int) -> Message:
        binding = self._emitters.get(type(event))
        if binding is None:
            raise self._undeclared(event)
        depth = cause.depth + 1
        if depth > self._limits.depth:
            raise self._too_deep(binding, cause)
        id = caused_id(cause.id, cause.time, f"{self.id}\n{cause.id}\n{index}")
        correlation = cause.correlationid or cause.id
        own = None if binding.key_of is None else binding.key_of(event)
        key = id if own is None else str(own)
        try:
            data = event if binding.fits is not None and binding.fits(event) else msgspec.Raw(binding.encode(event))
            envelope = Envelope(
                specversion="1.0",
                id=id,
                source=binding.source,
                type=binding.type,
                time=now,
                datacontenttype=_JSON,
                correlationid=correlation,
                causationid=cause.id,
                partitionkey=key,
                traceparent=cause.traceparent,
                depth=depth,
                data=data,
            )
            body = encode(envelope)
        except (EnvelopeError, ValueError, OverflowError) as error:
            raise EmissionError(
                f"{self.id} ({self.place}) returned a {type(event).__name__} whose values do not match its types: {error}"
            ) from None
        if len(body) > self._limits.bytes_out:
            raise EmissionError(
                f"{self.id} ({self.place}) returned a {type(event).__name__} of {len(body):,} bytes; the limit is "
                f"{self._limits.bytes_out:,}. Send a reference to the large part instead"
            )
        return Message(binding.topic, key, id, binding.type, body)

    def _undeclared(self, event: Any) -> EmissionError:
        declared = ", ".join(cls.__name__ for cls in self._emitters) or "nothing"
        return EmissionError(
            f"{self.id} ({self.place}) returned {type(event).__name__}, which it does not declare. "
            f"It declares: {declared}. Add it to the return annotation"
        )

    def _too_deep(self, binding: Binding, cause: Envelope) -> EmissionError:
        return EmissionError(
            f"{self.id} ({self.place}) would emit {binding.type} at depth {cause.depth + 1}; the limit is {self._limits.depth}. "
            f"A cycle of events? Look at the chain of {cause.correlationid or cause.id}"
        )


def compile_plan(
    reaction: Reaction[Any, Any, Any], service: Service, wire: Wire, given: Mapping[Any, Any], limits: Limits
) -> Plan:
    """The plan of a reaction, and of its `exhausted` and `late` handlers.

    Parameters
    ----------
    given:
        What the service provides, opened, by type.
    """
    plan = Plan(reaction, service, wire, given, limits)
    if reaction.on_exhausted is not None:
        plan.exhausted = Plan(reaction.on_exhausted, service, wire, given, limits)
    if reaction.on_late is not None:
        plan.late = Plan(reaction.on_late, service, wire, given, limits)
    return plan


def _compile_call(
    reaction: Reaction[Any, Any, Any], kinds: Sequence[str | Provided | None], given: Mapping[Any, Any]
) -> Callable[[Any, Any, Any, Any], Any]:
    names: dict[str, Any] = {"function": reaction.function}
    arguments = ["*event" if isinstance(reaction.trigger, OnAll) else "event"]
    for number, (parameter, kind) in enumerate(zip(reaction.signature.parameters, kinds, strict=True)):
        if kind is None:
            continue  # it has a default
        if isinstance(kind, Provided):
            value = f"p{number}"
            names[value] = given[kind.type]
        elif kind in (CONTEXT, ERROR):
            value = kind
        else:
            value = f"transaction.resource({kind!r})"
        arguments.append(f"{parameter.name}={value}")
    call: Callable[[Any, Any, Any, Any], Any] = eval(  # noqa: S307 - our own text: one call without packing and unpacking
        f"lambda event, transaction, context, error: function({', '.join(arguments)})", names
    )
    return call


class Suspended(Exception):
    """A coroutine that was run inline suspended; the text is the `file:line` that awaits."""


def run_inline(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to its end a coroutine that never suspends: what it awaits are statements of a store that runs them inline.

    Raises
    ------
    Suspended
        It does suspend; it was closed.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    place = _awaiting(coroutine)
    coroutine.close()
    raise Suspended(place)


def outside_in_transaction(plan: Plan, place: Suspended) -> OutsideInTransaction:
    """What to tell a handler that waits for something outside while its transaction is open."""
    return OutsideInTransaction(
        f"{plan.id} awaits something that is not SQL inside its transaction ({place}), which would hold the write lock meanwhile. "
        f"Give what it calls with service.provide(…), or say policy=Policy(outside=True)"
    )


def took_too_long(plan: Plan) -> TimeoutError:
    """What to tell a handler that did not end in time."""
    return TimeoutError(f"{plan.id} took longer than its timeout of {plan.policy.timeout:g} s")


async def run_in_time(plan: Plan, call: Awaitable[T]) -> T:
    """Await a handler, but no longer than its policy allows.

    Raises
    ------
    TimeoutError
        It took longer.
    """
    limit = asyncio.timeout(plan.policy.timeout)
    try:
        async with limit:
            return await call
    except TimeoutError as error:
        if limit.expired():
            raise took_too_long(plan) from error
        raise


async def run_handler(plan: Plan, call: Coroutine[Any, Any, Any], *, inline: bool) -> Any:
    """Run one handler inside its transaction."""
    if not inline:
        return await run_in_time(plan, call)
    try:
        return run_inline(call)
    except Suspended as place:
        raise outside_in_transaction(plan, place) from None


def _awaiting(coroutine: Any) -> str:
    """`file:line` of the innermost await that is not asyncio's own."""
    line = ""
    while inspect.iscoroutine(coroutine) and isinstance(coroutine, CoroutineType) and coroutine.cr_frame is not None:
        if line and "/asyncio/" in coroutine.cr_code.co_filename:
            break
        line = f"{coroutine.cr_code.co_filename}:{coroutine.cr_frame.f_lineno}"
        coroutine = coroutine.cr_await
    return line
