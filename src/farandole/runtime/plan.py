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
from farandole.model.later import Later
from farandole.model.policy import Settled
from farandole.model.reaction import Reaction
from farandole.model.resources import CONTEXT, ERROR, STATE, is_outside, kinds_of
from farandole.model.service import Provided, Service
from farandole.model.signature import Parameter
from farandole.model.triggers import OnAll, OnCommand
from farandole.model.wire import Binding, Wire
from farandole.runtime.context import Context
from farandole.runtime.saga import Saga
from farandole.runtime.signals import Emitted
from farandole.world import World

__all__ = [
    "Limits",
    "Plan",
    "Suspended",
    "compile_call",
    "compile_plan",
    "flat",
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
    takes, needs:
        What its handler takes that has a breaker, by type; and what its `exhausted` and `late` handlers take as well.
    task:
        What a person is asked to do where it is given up on, or None.
    saga:
        What it puts before its handler where it waits for several events, for time to pass or for a state, or None.
    guarded:
        Whether a guard reads a state before its handler.
    service:
        Whose it is.
    command:
        The wire type of the command that it handles, or None.
    posts:
        Whether it may return commands, or what is due later; see `posting`.
    handlers:
        The reactions that handle the commands it may return, by wire type.
    traceparent:
        (reaction, cause, what) -> the trace context of what it emits; None: the cause's.
    """

    __slots__ = (
        "_delayed",
        "_emitters",
        "_limits",
        "bindings",
        "call",
        "command",
        "exhausted",
        "guarded",
        "handlers",
        "id",
        "is_async",
        "late",
        "needs",
        "outside",
        "place",
        "policy",
        "posts",
        "saga",
        "service",
        "takes",
        "task",
        "traceparent",
        "wants_context",
    )

    def __init__(
        self, reaction: Reaction[Any, Any, Any], service: Service, wire: Wire, given: Mapping[Any, Any], limits: Limits
    ) -> None:
        signature = reaction.signature
        kinds = kinds_of(reaction, service)
        self.id = reaction.id
        self.place = reaction.place
        self.policy = Settled.of(reaction.policy)
        self.outside = is_outside(reaction, service)
        self.is_async = signature.is_async
        self.wants_context = CONTEXT in kinds
        # A join's handler takes each event by a parameter; a handler of a process is given its event and the state together.
        event = "*event" if isinstance(reaction.trigger, OnAll) else "event" if reaction.step is None else "event[0]"
        self.call = compile_call(reaction.function, signature.parameters, kinds, given, event=event)
        self.bindings = tuple(wire.by_class[cls] for cls in reaction.events)
        self.exhausted: Plan | None = None
        self.late: Plan | None = None
        self.saga: Saga | None = None
        self.takes: tuple[Any, ...] = tuple(
            kind.type for kind in kinds if isinstance(kind, Provided) and kind.breaker is not None
        )
        self.needs = self.takes
        self.task = reaction.task
        self.guarded = reaction.guarding is not None
        self.service = service.name
        self.command = wire.by_class[reaction.trigger.command].type if isinstance(reaction.trigger, OnCommand) else None
        handlers = wire.choreography.commands
        self.handlers = {wire.by_class[cls].type: handlers[cls].id for cls in signature.emits if cls in handlers}
        self.posts = bool(self.handlers or signature.delayed)
        self.guarded = reaction.guarding is not None
        self._emitters = {cls: wire.by_class[cls] for cls in signature.at_once}
        self._delayed = {cls: wire.by_class[cls] for cls in signature.delayed}
        self._limits = limits
        self.traceparent: Callable[[str, Envelope, Emitted], str | None] | None = None

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
            return [self.message(result, cause, now, 0)]
        if not isinstance(result, _SEVERAL):
            raise self._undeclared(result)
        return [self.message(event, cause, now, index) for index, event in enumerate(flat(result))]

    def message(self, value: Any, cause: Envelope, now: datetime, index: int) -> Message:
        """One of the things that a handler returned, as a message.

        Parameters
        ----------
        value:
            An event, a command, or one of them inside of `Later`.
        now:
            The time that it carries.
        index:
            At which place it was returned: its id follows from it.
        """
        event, emitters = (value.message, self._delayed) if isinstance(value, Later) else (value, self._emitters)
        binding = emitters.get(type(event))
        if binding is None:
            raise self._undeclared(value)
        depth = cause.depth + 1
        if depth > self._limits.depth:
            raise self._too_deep(binding, cause)
        id = caused_id(cause.id, cause.time, f"{self.id}\n{cause.id}\n{index}")
        correlation = cause.correlationid or cause.id
        own = None if binding.key_of is None else binding.key_of(event)
        # A command without a key of its own keeps the place of what caused it: those of one instance stay in order.
        key = str(own) if own is not None else (cause.partitionkey or cause.id) if binding.type in self.handlers else id
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
                # A command that a reaction handed over does not travel: what follows from it follows from what caused that.
                causationid=(self.command and cause.causationid) or cause.id,
                partitionkey=key,
                traceparent=cause.traceparent
                if self.traceparent is None
                else self.traceparent(self.id, cause, Emitted(id, binding.type, binding.topic)),
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

    def _undeclared(self, value: Any) -> EmissionError:
        delayed = [f"Later[{cls.__name__}]" for cls in self._delayed]
        declared = ", ".join([*(cls.__name__ for cls in self._emitters), *delayed]) or "nothing"
        name = f"Later[{type(value.message).__name__}]" if isinstance(value, Later) else type(value).__name__
        return EmissionError(
            f"{self.id} ({self.place}) returned {name}, which it does not declare. "
            f"It declares: {declared}. Add it to the return annotation"
        )

    def _too_deep(self, binding: Binding, cause: Envelope) -> EmissionError:
        return EmissionError(
            f"{self.id} ({self.place}) would emit {binding.type} at depth {cause.depth + 1}; the limit is {self._limits.depth}. "
            f"A cycle of events? Look at the chain of {cause.correlationid or cause.id}"
        )


def flat(result: Any) -> list[Any]:
    """What a handler returned, one after the other."""
    several = result if isinstance(result, _SEVERAL) else (result,)
    return [event for part in several for event in (part if isinstance(part, _SEVERAL) else (part,)) if event is not None]


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
    parts = [part for part in (plan, plan.exhausted, plan.late) if part is not None]
    plan.needs = tuple(dict.fromkeys(tp for part in parts for tp in part.takes))
    return plan


def compile_call(
    function: Callable[..., Any],
    parameters: Sequence[Parameter],
    kinds: Sequence[str | Provided | None],
    given: Mapping[Any, Any],
    *,
    event: str = "event",
) -> Callable[[Any, Any, Any, Any], Any]:
    """(event, transaction, context, error) -> what the function gives, with its parameters filled by their kinds.

    Parameters
    ----------
    event:
        What its first parameter is given.
    """
    names: dict[str, Any] = {"function": function}
    arguments = [event]
    for number, (parameter, kind) in enumerate(zip(parameters, kinds, strict=True)):
        if kind is None:
            continue  # it has a default
        if isinstance(kind, Provided):
            value = f"p{number}"
            names[value] = given[kind.type]
        elif kind in (CONTEXT, ERROR):
            value = kind
        elif kind == STATE:
            value = "event[1]"
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
        + (". The reader of a guard reads its service's own database, and waits for nothing else" if plan.guarded else "")
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
