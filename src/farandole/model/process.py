"""A process (a process manager): orchestration inside one service, with a durable state that its handlers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypedDict,
    TypeVar,
    Unpack,
    get_type_hints,
    overload,
)

import msgspec

from farandole.errors import DeclarationError
from farandole.model.effects import Effects, Move
from farandole.model.event import is_message
from farandole.model.policy import Policy
from farandole.model.signature import caller_names, place_of
from farandole.model.triggers import OnDeadline, OnEvents, OnUndo, event_classes, same_field, seconds

if TYPE_CHECKING:
    from farandole.model.reaction import Reaction
    from farandole.model.service import Service

__all__ = ["Process", "Role", "Step", "Upgrade"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

Role = Literal["starts", "on", "undo", "fails", "completes"]


class Options(TypedDict, total=False):
    """The options of a process's handlers; see `Service.on`."""

    policy: Policy | None
    formerly: str | None
    effects: Effects | None
    states: Move | tuple[Move, ...]
    relies_on: type | tuple[type, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What a reaction is to its process."""

    process: Process[Any]
    role: Role


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Turns a state of an older deployment into the next one."""

    old: type
    new: type
    function: Callable[[Any], Any]


class Handler(Generic[E]):
    """The decorator that declares a handler: it checks the handler's first parameter against the events."""

    def __init__(self, declare: Callable[[Callable[..., Any]], Reaction[Any, Any, Any]]) -> None:
        self._declare = declare

    def __call__(self, function: Callable[Concatenate[E, P], R]) -> Reaction[E, Concatenate[E, P], R]:
        return self._declare(function)


class Declares:
    """One kind of a process's handlers, for one event or several."""

    def __init__(self, process: Process[Any], role: Role) -> None:
        self._process = process
        self._role = role

    @overload
    def __call__(self, a: type[A], /, **options: Unpack[Options]) -> Handler[A]: ...
    @overload
    def __call__(self, a: type[A], b: type[B], /, **options: Unpack[Options]) -> Handler[A | B]: ...
    @overload
    def __call__(self, a: type[A], b: type[B], c: type[C], /, **options: Unpack[Options]) -> Handler[A | B | C]: ...
    @overload
    def __call__(
        self, a: type[A], b: type[B], c: type[C], d: type[D], /, **options: Unpack[Options]
    ) -> Handler[A | B | C | D]: ...
    @overload
    def __call__(  # from five on, type checkers no longer compare the events with the handler
        self,
        a: type[Any],
        b: type[Any],
        c: type[Any],
        d: type[Any],
        e: type[Any],
        /,
        *more: type[Any],
        **options: Unpack[Options],
    ) -> Handler[Any]: ...
    def __call__(self, *events: Any, **options: Any) -> Any:
        who = f"{self._process.id}.{self._role}(...)"
        return self._process._declare(self._role, OnEvents(event_classes(who, events)), caller_names(2), options)


class Process(Generic[S]):
    """Orchestration inside one service: the handlers of one instance share a state, one after the other. Made by `Service.process`.

        @fulfilment.starts(OrderPaid)
        async def begin(event: OrderPaid, state: Fulfilment) -> PickGoods: ...

    The event is the first parameter; the rest is filled by type, the state among it. A handler changes the state in place; it is kept
    in the handler's transaction.

    Attributes
    ----------
    id:
        `service.name`.
    state:
        The class of its state.
    starts:
        `@process.starts(Event, …)`: an instance begins.
    on:
        `@process.on(Event, …)`: an instance goes on.
    fails:
        `@process.fails(Event, …)`: the completed steps are undone, the newest first, then the handler runs, and the instance is over.
    completes:
        `@process.completes(Event, …)`: the handler runs, and the instance is over.
    """

    def __init__(self, service: Service, name: str, by: str | None, state: type[S]) -> None:
        self.name = name
        self.service = service
        self.id = f"{service.name}.{name}"
        self.by = by
        self.state = state
        self.reactions: list[Reaction[Any, Any, Any]] = []
        self.upgrades: list[Upgrade] = []
        self.starts = Declares(self, "starts")
        self.on = Declares(self, "on")
        self.fails = Declares(self, "fails")
        self.completes = Declares(self, "completes")
        self._kinds: dict[str, str] = {}
        self._check_state()

    def undo(self, event: type[A], *, until: type | None = None, **options: Unpack[Options]) -> Handler[A]:
        """Declare how the step that an event completed is undone when the instance fails.

        Parameters
        ----------
        event:
            The event that completed the step; the handler takes it again.
        until:
            The event that says that the step is undone; None: it is when the handler has run.
        options:
            As of `Service.on`.
        """
        who = f"{self.id}.undo(...)"
        event_classes(who, (event,) if until is None else (event, until))
        return self._declare("undo", OnUndo(event, until), caller_names(2), dict(options))

    def timeout(
        self,
        *,
        after: type[A],
        within: timedelta | float,
        unless: type | tuple[type, ...] = (),
        fails: bool = False,
        **options: Unpack[Options],
    ) -> Handler[A]:
        """Declare what runs when an instance is not over, or something did not come, some time after an event.

        Parameters
        ----------
        after:
            The event that starts the time; the handler takes it.
        within:
            How long, as a timedelta or in seconds.
        unless:
            Events that end the time; the end of the instance does so anyway.
        fails:
            Whether the instance fails then: its steps are undone, then the handler runs.
        options:
            As of `Service.on`.
        """
        who = f"{self.id}.timeout(...)"
        several = unless if isinstance(unless, tuple) else (unless,)
        event_classes(who, (after, *several))
        trigger = OnDeadline((after,), several, seconds(who, within), self.by)
        return self._declare("fails" if fails else "on", trigger, caller_names(2), dict(options))

    def upgrade(self, function: F) -> F:
        """Declare how a state that an older deployment kept becomes the next one; the last upgrade gives the state of today.

        @fulfilment.upgrade
        def v2(old: FulfilmentV1) -> Fulfilment: ...
        """
        where = f"{self.id}.upgrade {getattr(function, '__name__', function)} ({place_of(function)})"
        try:
            hints = get_type_hints(function, localns=caller_names(2) or None)
        except NameError as error:
            raise DeclarationError(f"{where}: {error}. Declare both classes above it") from None
        new = hints.pop("return", None)
        if len(hints) != 1 or not all(
            isinstance(cls, type) and issubclass(cls, msgspec.Struct) for cls in (*hints.values(), new)
        ):
            raise DeclarationError(
                f"{where}: expected one old state and a new one, both classes of msgspec.Struct: (old: V1) -> V2"
            )
        (old,) = hints.values()
        if self.upgrades and self.upgrades[-1].new is not old:
            raise DeclarationError(
                f"{where} takes {old.__name__}, but the upgrade before it gives {self.upgrades[-1].new.__name__}. "
                f"Declare them from the oldest to the newest, each from the state that the one before gives"
            )
        self.upgrades.append(Upgrade(old, new, function))
        return function

    def check(self) -> None:
        """What can be said only when all is declared; `Choreography` asks for it.

        Raises
        ------
        DeclarationError
            It has no start, or no end; something is undone that is no step; its upgrades end in another state; a handler takes another.
        """
        place = self.reactions[0].place if self.reactions else self.service.place
        by_role: dict[str, list[Reaction[Any, Any, Any]]] = {}
        for reaction in self.reactions:
            by_role.setdefault(_role(reaction), []).append(reaction)
            self._check_parameters(reaction)
        if "starts" not in by_role:
            raise DeclarationError(f"{self.id} ({place}) has no start. Declare one: @{self.name}.starts(…)")
        if "completes" not in by_role and "fails" not in by_role:
            raise DeclarationError(
                f"{self.id} ({place}) never ends. Say what completes it: @{self.name}.completes(…), or fails it"
            )
        steps = {event for word in ("starts", "on") for reaction in by_role.get(word, ()) for event in reaction.causes}
        undone: dict[type, Reaction[Any, Any, Any]] = {}
        for reaction in by_role.get("undo", ()):
            (step,) = reaction.causes
            if step not in steps:
                raise DeclarationError(
                    f"{reaction.id} ({reaction.place}) undoes {step.__name__}, which is no step of {self.id}. "
                    f"Declare what follows from it: @{self.name}.on({step.__name__})"
                )
            if "fails" not in by_role:
                raise DeclarationError(
                    f"{reaction.id} ({reaction.place}) never runs: nothing fails {self.id}. Say what does: @{self.name}.fails(…)"
                )
            if other := undone.get(step):
                raise DeclarationError(
                    f"{step.__name__} is undone twice, by {other.id} ({other.place}) and {reaction.id} ({reaction.place})"
                )
            undone[step] = reaction
        if self.upgrades and self.upgrades[-1].new is not self.state:
            last = self.upgrades[-1]
            raise DeclarationError(
                f"{self.id}: its last upgrade ({place_of(last.function)}) gives {last.new.__name__}, but its state is {self.state.__name__}. "
                f"Declare the upgrade that gives {self.state.__name__}"
            )

    def _declare(
        self, role: Role, trigger: OnEvents | OnDeadline | OnUndo, names: dict[str, Any], options: dict[str, Any]
    ) -> Handler[Any]:
        unknown = set(options) - set(Options.__annotations__)
        if unknown:
            raise DeclarationError(
                f"{self.id}.{role}(...) has no option {min(unknown)!r}. Known are {', '.join(Options.__annotations__)}"
            )
        same_field(f"{self.id}.{role}(...)", trigger.events, self.by, self._kinds)

        def declare(function: Callable[..., Any]) -> Reaction[Any, Any, Any]:
            reaction = self.service._add(function, trigger=trigger, names=names, step=Step(self, role), **options)
            self.reactions.append(reaction)
            return reaction

        return Handler(declare)

    def _check_state(self) -> None:
        state, name = self.state, getattr(self.state, "__name__", repr(self.state))
        who = f"{self.service.name}.process({self.name!r}, state={name})"
        if not (isinstance(state, type) and issubclass(state, msgspec.Struct)) or is_message(state):
            raise DeclarationError(f"{who}: its state is a class of msgspec.Struct: class {name}(msgspec.Struct): …")
        if state.__struct_config__.frozen:
            raise DeclarationError(f"{who}: handlers change the state in place, so it cannot be frozen. Leave frozen=True out")
        try:
            required = [field.name for field in msgspec.structs.fields(state) if field.required]
            msgspec.json.Decoder(state)
        except (NameError, TypeError) as error:
            raise DeclarationError(f"{who}: it cannot be kept as JSON: {error}. Use types that msgspec supports") from None
        if required:
            raise DeclarationError(
                f"{who}: a process begins with nothing known, so every field needs a default. Give one to: {', '.join(required)}"
            )

    def _check_parameters(self, reaction: Reaction[Any, Any, Any]) -> None:
        """A struct that is neither the state nor provided is meant to be the state."""
        provided = [given.type for given in self.service.provided]
        for part in filter(None, (reaction, reaction.on_exhausted, reaction.on_late)):
            for parameter in part.known_parameters:
                tp = parameter.type
                if isinstance(tp, type) and issubclass(tp, msgspec.Struct) and tp is not self.state and tp not in provided:
                    raise DeclarationError(
                        f"{part.id} ({part.place}) takes {parameter.name!r} of type {tp.__name__}, but the state of {self.id} is "
                        f"{self.state.__name__}. Annotate it with {self.state.__name__}"
                    )

    def __repr__(self) -> str:
        return f"<Process {self.id}: {len(self.reactions)} handlers>"


def _role(reaction: Reaction[Any, Any, Any]) -> Role:
    if reaction.step is None:
        raise AssertionError(f"{reaction.id} belongs to no process")
    return reaction.step.role
