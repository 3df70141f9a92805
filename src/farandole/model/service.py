"""A service: the owner of reactions, events and one database. Declaring one does no I/O."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from farandole.errors import DeclarationError
from farandole.model.breaker import Breaker
from farandole.model.effects import Effects, Move
from farandole.model.event import is_message
from farandole.model.guard import Guard, ReadState, guarding
from farandole.model.policy import Policy, policy_from
from farandole.model.process import Handler as _On
from farandole.model.process import Options, Process
from farandole.model.reaction import Notes, Reaction
from farandole.model.signature import caller_names, place_of
from farandole.model.triggers import (
    AllItems,
    AllOf,
    AnyOf,
    OnAll,
    OnAny,
    OnCount,
    OnDeadline,
    OnEvents,
    Trigger,
    event_classes,
    need_fields,
    seconds,
)

__all__ = ["Provided", "Service"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

_AnyReaction = Reaction[Any, ..., Any]
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Provided:
    """Something a service gives to its reactions: a value, or a way to open one."""

    type: Any
    source: Any
    local: bool
    breaker: Breaker | None = None


class Said(TypedDict, total=False):
    """What all reactions may say of themselves, commands as well; see `Service.on`."""

    effects: Effects | None
    states: Move | tuple[Move, ...]
    guard: Guard | ReadState | None


class On(Options, total=False):
    """The options of `Service.on`; see there."""

    guard: Guard | ReadState | None
    compensates: _AnyReaction | None
    undoes: type | None


class OnJoin(On, total=False):
    """Those of a join."""

    by: str | None
    within: timedelta | float | None


class _OnCommand:
    """The decorator that `command(…)` gives."""

    def __init__(self, declare: Callable[[Callable[..., Any]], Reaction[Any, Any, Any]]) -> None:
        self._declare = declare

    def __call__(self, function: Callable[Concatenate[E, P], R]) -> Reaction[E, Concatenate[E, P], R]:
        return self._declare(function)


if TYPE_CHECKING:  # the same decorator, for handlers with two, three or four events

    class _OnTwo(Generic[A, B]):
        def __call__(self, function: Callable[Concatenate[A, B, P], R]) -> Reaction[A, Concatenate[A, B, P], R]: ...

    class _OnThree(Generic[A, B, C]):
        def __call__(self, function: Callable[Concatenate[A, B, C, P], R]) -> Reaction[A, Concatenate[A, B, C, P], R]: ...

    class _OnFour(Generic[A, B, C, D]):
        def __call__(self, function: Callable[Concatenate[A, B, C, D, P], R]) -> Reaction[A, Concatenate[A, B, C, D, P], R]: ...


class Service:
    """What reacts, what it may emit, and what it needs.

    Parameters
    ----------
    name:
        Lower-case letters, digits, `-` and `_`; part of every reaction's identity.
    policy:
        What its reactions do when they fail, unless they say otherwise.
    tables:
        Its own tables, made when the service opens a database that lacks them: a SQLAlchemy `MetaData`, or SQL statements
        (`CREATE TABLE IF NOT EXISTS …`). None: it makes them itself, with a migration tool.
    version, team, doc:
        Its version, who owns it, and what it is for: shown on maps, and written into its manifest.
    cleared:
        Sensitive fields of others that it may read: `"OrderPlaced.email"`, `"email"` of any event, or `"*"`.

    Examples
    --------
    >>> payments = Service("payments")
    >>> payments
    <Service payments: 0 reactions>
    """

    def __init__(
        self,
        name: str,
        *,
        policy: Policy | None = None,
        tables: Any = None,
        version: str = "0.0.0",
        team: str | None = None,
        cleared: str | tuple[str, ...] = (),
        doc: str = "",
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DeclarationError(f'expected a service name of lower-case letters, digits, "-" and "_", got: {name!r}')
        self.name = name
        self.policy = policy_from(f"Service({name!r})", policy)
        self.tables = tables
        self.version = version
        self.team = team
        self.cleared = _several(cleared)
        self.doc = doc
        frame = sys._getframe(1)
        self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        self.reactions: dict[str, Reaction[Any, Any, Any]] = {}
        self.provided: list[Provided] = []
        self.processes: dict[str, Process[Any]] = {}

    @overload
    def on(self, a: type[A], /, **options: Unpack[On]) -> _On[A]: ...
    @overload
    def on(self, a: type[A], b: type[B], /, **options: Unpack[On]) -> _On[A | B]: ...
    @overload
    def on(self, a: type[A], b: type[B], c: type[C], /, **options: Unpack[On]) -> _On[A | B | C]: ...
    @overload
    def on(self, a: type[A], b: type[B], c: type[C], d: type[D], /, **options: Unpack[On]) -> _On[A | B | C | D]: ...
    @overload
    def on(self, join: AllOf[A, B], /, **options: Unpack[OnJoin]) -> _OnTwo[A, B]: ...
    @overload
    def on(self, join: AllOf[A, B, C], /, **options: Unpack[OnJoin]) -> _OnThree[A, B, C]: ...
    @overload
    def on(self, join: AllOf[A, B, C, D], /, **options: Unpack[OnJoin]) -> _OnFour[A, B, C, D]: ...
    @overload
    def on(self, first: AnyOf[A], /, **options: Unpack[OnJoin]) -> _On[A]: ...
    @overload
    def on(self, items: AllItems[A], /, **options: Unpack[OnJoin]) -> _On[Sequence[A]]: ...
    @overload
    def on(  # from five on, type checkers no longer compare the events with the handler
        self, a: type[Any], b: type[Any], c: type[Any], d: type[Any], e: type[Any], /, *more: type[Any], **options: Unpack[On]
    ) -> _On[Any]: ...
    def on(self, *events: Any, **options: Any) -> Any:
        """Declare a reaction to one or several types of event, or to several events together.

        Parameters
        ----------
        events:
            The event classes; the handler's first parameter is annotated with them, as a union if several. Or `all_of(…)`, `any_of(…)`,
            `all_items(…)`: then the first parameters are what these say.
        policy:
            How it runs and fails.
        compensates, undoes:
            This reaction semantically undoes what that reaction did, and the event by which it said so.
        formerly:
            The function name it had before, so that a rename keeps its consumer group and its inbox rows.
        effects, states, relies_on:
            What it says of itself for drawings and checks: an `Effects`, a `Move` or several, events that must have been handled by this
            service before.
        guard:
            The states in which it may run: a `Guard`; or only who reads the state, where `states` says which are valid.
        by, within:
            Of a join: the field that names the instance (default: the events' keys), and how long it waits (a timedelta or seconds).

        Raises
        ------
        DeclarationError
            The events are no event classes, the handler's signature does not fit, or the options do not fit together.
        """
        trigger = self._trigger(events, options)
        self._check_undo(options.get("compensates"), options.get("undoes"))
        return self._declare(trigger, caller_names(2), options)

    def deadline(
        self,
        *,
        after: type[A],
        unless: type | tuple[type, ...],
        within: timedelta | float,
        by: str | None = None,
        **options: Unpack[On],
    ) -> _On[A]:
        """Declare what runs when something did not come in time.

            @orders.deadline(after=OrderPlaced, unless=(PaymentCompleted, PaymentFailed), within=timedelta(minutes=15))
            async def give_up(order: OrderPlaced) -> OrderCancelled: ...

        Parameters
        ----------
        after:
            The event that starts the time; the handler takes it.
        unless:
            The event, or events, that end it.
        within:
            How long, as a timedelta or in seconds.
        by:
            The field that tells which events belong together; default: the events' keys.
        options:
            Those of `on`.

        Raises
        ------
        DeclarationError
            These are no event classes, or the handler's signature does not fit.
        """
        who = f"{self.name}.deadline(...)"
        several = unless if isinstance(unless, tuple) else (unless,)
        event_classes(who, (after, *several))
        trigger = OnDeadline((after,), several, seconds(who, within), by)
        need_fields(who, trigger)
        self._check_undo(options.get("compensates"), options.get("undoes"))
        return self._declare(trigger, caller_names(2), dict(options))

    def process(self, name: str, *, state: type[S], by: str | None = None) -> Process[S]:
        """Begin to declare a process: orchestration inside this service.

            fulfilment = orders.process("fulfilment", by="order_id", state=Fulfilment)

        Parameters
        ----------
        name:
            Its name within the service; with that, its identity.
        state:
            A class of `msgspec.Struct` whose fields all have defaults: what its handlers share, kept with each instance.
        by:
            The field that names the instance; default: the events' keys.

        Raises
        ------
        DeclarationError
            The name is taken, or the state cannot be kept.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DeclarationError(
                f'{self.name}.process(...): expected a name of lower-case letters, digits, "-" and "_", got: {name!r}'
            )
        if name in self.processes or any(known.id == f"{self.name}.{name}" for known in self.reactions.values()):
            raise DeclarationError(f"{self.name}.process({name!r}): {self.name}.{name} is declared already. Give it another name")
        self.processes[name] = Process(self, name, by, state)
        return self.processes[name]

    @overload
    def command(self, function: Callable[Concatenate[E, P], R], /) -> Reaction[E, Concatenate[E, P], R]: ...
    @overload
    def command(self, /, **options: Unpack[Said]) -> _OnCommand: ...
    def command(self, function: Any = None, /, **options: Any) -> Any:
        """Declare the handler of a command: the one its first parameter is annotated with.

            @orders.command
            async def place(command: PlaceOrder) -> OrderPlaced: ...

            @orders.command(guard=Guard(order_state, "placed"))
            async def cancel(command: CancelOrder) -> OrderCancelled: ...

        Parameters
        ----------
        effects, states, guard:
            As those of `on`. A command that comes in another state is refused: its caller is told, with the reason.

        Raises
        ------
        DeclarationError
            The handler takes no command, or the options do not fit together.
        """
        names = caller_names(2)
        if function is not None:
            return self._add(function, trigger=None, names=names)
        self._know(options, Said, "command")
        guard = options.get("guard")
        if isinstance(guard, Guard) and guard.otherwise != "skip":
            raise DeclarationError(
                f"{self.name}.command(...): otherwise={guard.otherwise!r} is for events. The caller of a command is told at once, and decides"
            )
        return _OnCommand(lambda function: self._add(function, trigger=None, names=names, **options))

    def provide(self, tp: Any, source: Any, *, local: bool = False, breaker: Breaker | None = None) -> None:
        """Give the service's reactions something by type, for as long as the worker lives.

        Parameters
        ----------
        tp:
            The type by which reactions ask for it.
        source:
            A value of that type; or a function without parameters, plain, async or an async generator that yields
            it once and cleans up after.
        local:
            True: it does nothing outside the process (a table of prices, say), so that reactions that take it may still
            run in batches inside the transaction.
        breaker:
            When to leave it alone, since it does not answer: reactions that take it wait then, and use up no attempts.
        """
        if breaker is not None and local:
            raise DeclarationError(
                f"{self.name}.provide({getattr(tp, '__name__', tp)}): what is local has no breaker. Leave local= or breaker= out"
            )
        if any(given.type is tp for given in self.provided):
            raise DeclarationError(f"{self.name}.provide({getattr(tp, '__name__', tp)}): it is provided already")
        self.provided.append(Provided(tp, source, local, breaker))

    def _trigger(self, events: tuple[Any, ...], options: dict[str, Any]) -> Trigger:
        """What these events mean; takes `by` and `within` out of the options."""
        who = f"{self.name}.on(...)"
        by, within = options.pop("by", None), options.pop("within", None)
        first = events[0] if len(events) == 1 else None
        time = None if within is None else seconds(who, within)
        trigger: Trigger
        if isinstance(first, AllOf):
            trigger = OnAll(first.events, by, time)
        elif isinstance(first, AnyOf):
            trigger = OnAny(first.events, by, time)
        elif isinstance(first, AllItems):
            trigger = OnCount((first.event,), first.expected, by, time)
        else:
            commands = [event.__name__ for event in events if is_message(event) and event.__farandole__.command]
            if commands:
                raise DeclarationError(f"{self.name}.on({commands[0]}): that is a Command. Use @{self.name}.command")
            if by is not None or within is not None:
                raise DeclarationError(f"{who}: by= and within= belong to joins: {self.name}.on(all_of(A, B), by=…, within=…)")
            trigger = OnEvents(event_classes(who, events))
        need_fields(who, trigger)
        return trigger

    def _check_undo(self, compensates: _AnyReaction | None, undoes: type | None) -> None:
        if (compensates is None) != (undoes is None):
            raise DeclarationError(f"{self.name}.on(...): compensates= and undoes= go together")
        if compensates is not None and undoes not in compensates.emits:
            raise DeclarationError(
                f"{self.name}.on(...): undoes={getattr(undoes, '__name__', undoes)} is not emitted by {compensates.id}, "
                f"which emits: {', '.join(e.__name__ for e in compensates.emits) or 'nothing'}"
            )
        if compensates is not None and compensates.service != self.name:
            raise DeclarationError(
                f"{self.name}.on(...): compensates={compensates.id}, but a service undoes its own work only. "
                f"Declare the compensation on {compensates.service}"
            )

    def _declare(self, trigger: Trigger, names: dict[str, Any], options: dict[str, Any]) -> _On[Any]:
        self._know(options, On, "on")
        return _On(lambda function: self._add(function, trigger=trigger, names=names, **options))

    def _know(self, options: dict[str, Any], known: Any, word: str) -> None:
        unknown = set(options) - set(known.__annotations__)
        if unknown:
            raise DeclarationError(
                f"{self.name}.{word}(...) has no option {min(unknown)!r}. Known are {', '.join(known.__annotations__)}"
            )

    def _add(
        self,
        function: Callable[..., Any],
        *,
        trigger: Trigger | None,
        names: dict[str, Any],
        policy: Policy | None = None,
        effects: Effects | None = None,
        states: Move | tuple[Move, ...] = (),
        relies_on: type | tuple[type, ...] = (),
        guard: Guard | ReadState | None = None,
        **undo: Any,
    ) -> Reaction[Any, Any, Any]:
        name = getattr(function, "__name__", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise DeclarationError(
                f"{self.name} ({place_of(function)}): a reaction is named by its function, so it needs one with a name. Use `def`"
            )
        if name in self.processes:
            raise DeclarationError(
                f"{self.name}.{name} ({place_of(function)}): a process of {self.name} has this name. Give the function another"
            )
        if name in self.reactions:
            raise DeclarationError(
                f"{self.name}.{name} ({place_of(function)}) is declared already: {self.reactions[name].place}. "
                f"Reactions are named by their function; give it another name"
            )
        moves = _several(states)
        guarded = None
        if guard is not None:
            guarded, moves = guarding(f"{self.name}.{name} ({place_of(function)})", guard, moves)
        reaction: Reaction[Any, Any, Any] = Reaction(
            function,
            service=self.name,
            name=name,
            trigger=trigger,
            policy=policy_from(f"{self.name}.{name} ({place_of(function)})", policy).over(self.policy),
            names=names,
            notes=Notes(effects, moves, _several(relies_on)),
            guarding=guarded,
            **undo,
        )
        if twin := next((known for known in self.reactions.values() if known.id == reaction.id), None):
            raise DeclarationError(
                f"{self.name}.{name} ({reaction.place}) and {self.name}.{twin.name} ({twin.place}) would both be {twin.id}, by name or "
                f"by formerly=. Give the new one another name"
            )
        self.reactions[name] = reaction
        return reaction

    def __repr__(self) -> str:
        count = len(self.reactions)
        return f"<Service {self.name}: {count} reaction{'s' * (count != 1)}>"


def _several(value: Any) -> tuple[Any, ...]:
    """One thing stands for a tuple of one."""
    return value if isinstance(value, tuple) else (value,)
