"""A reaction: what a service does when an event comes. It stays directly callable, for unit tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from farandole.errors import DeclarationError
from farandole.model.effects import Effects, Move
from farandole.model.event import is_message
from farandole.model.guard import Guarding, Reader
from farandole.model.policy import Policy
from farandole.model.signature import Leading, Parameter, Signature, caller_names, place_of, read_signature
from farandole.model.triggers import OnAll, OnCommand, OnCount, OnDeadline, OnEvents, OnUndo, Trigger

if TYPE_CHECKING:
    from farandole.model.process import Step

__all__ = ["Notes", "OnCommand", "OnEvents", "Reaction", "Trigger"]

E = TypeVar("E")
P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
X = TypeVar("X")
F = TypeVar("F", bound=Callable[..., Any])


_LEADING: dict[type, Callable[[Any], Leading]] = {
    OnAll: lambda trigger: Leading(count=len(trigger.events)),
    OnCount: lambda trigger: Leading(sequence=True),
}
"""How handlers take their events, where it is not one parameter for one event."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a reaction says of itself for drawings and checks; nothing runs by it.

    Attributes
    ----------
    effects, states:
        Resources that it touches, and states that it moves.
    relies_on:
        Events that must have been handled by its service before.
    """

    effects: Effects | None = None
    states: tuple[Move, ...] = ()
    relies_on: tuple[type, ...] = ()


class Reaction(Generic[E, P, R]):
    """A handler with its trigger and policy, made by `Service.on` and `Service.command`.

    Attributes
    ----------
    service, name:
        Whose it is, and the name of its function.
    trigger:
        What sets it off, as data.
    events, emits:
        The event or command classes that it reacts to, and those that it may emit.
    place:
        `file:line` of its function.
    on_exhausted, on_late:
        The reactions that run when the retries are used up, and for an event that comes too late for a join or deadline; or None.
    formerly:
        The name it had before a rename, or None: its identity keeps to that one.
    compensates, undoes:
        The reaction that this one semantically undoes, and that one's success event.
    notes:
        What it says of itself for drawings and checks.
    guarding:
        The states in which it may run, and who reads them; or None.
    step:
        What it is to its process, or None: it belongs to none.
    """

    def __init__(  # noqa: PLR0913 - assembled only by Service
        self,
        function: Callable[P, R],
        *,
        service: str,
        name: str,
        trigger: Trigger | None,
        policy: Policy,
        names: dict[str, Any],
        compensates: Reaction[Any, ..., Any] | None = None,
        undoes: type | None = None,
        formerly: str | None = None,
        notes: Notes = Notes(),
        guarding: Guarding | None = None,
        step: Step | None = None,
    ) -> None:
        self.function = function
        self.service = service
        self.name = name
        self.policy = policy
        self.compensates = compensates
        self.undoes = undoes
        self.formerly = formerly
        self.place = place_of(function)
        self.notes = notes
        self.guarding = guarding
        self.step = step
        self.on_exhausted: Reaction[Any, ..., Any] | None = None
        self.on_late: Reaction[Any, ..., Any] | None = None
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._names = names
        self._reader: Reader | None = None
        self._declared = trigger
        self._leading = _LEADING.get(type(trigger), lambda _: Leading())(trigger)
        self._signature = read_signature(function, names, who=self.id, leading=self._leading)
        if self._signature is not None:
            self._check(self._signature)
            self._forget_names()

    @property
    def id(self) -> str:
        """Its identity, `payments.charge`: inbox rows, consumer groups and the ids of emitted events carry it."""
        return f"{self.service}.{self.formerly or self.name}"

    @property
    def signature(self) -> Signature:
        """The signature; forward references are looked up again, and must be there by now."""
        if self._signature is None:
            signature = read_signature(self.function, self._names, who=self.id, leading=self._leading)
            if signature is None:
                raise DeclarationError(
                    f"{self.id} ({self.place}): an annotation names something that is not defined in its module. "
                    f"Import it there outside `if TYPE_CHECKING:`"
                )
            self._check(signature)
            self._signature = signature
            self._forget_names()
        return self._signature

    @property
    def reader(self) -> Reader | None:
        """Who reads the state for its guard, if it has one; forward references are looked up again, and must be there by now."""
        if self.guarding is not None and self._reader is None:
            self._reader = self._read_guard(self.signature)
            if self._reader is None:
                raise DeclarationError(
                    f"{self.id}: an annotation of its guard ({self.guarding.place}) names something that is not defined in its module. "
                    f"Import it there outside `if TYPE_CHECKING:`"
                )
            self._forget_names()
        return self._reader

    def _forget_names(self) -> None:
        """The place of declaration is no longer needed once everything is read."""
        if self._signature is not None and (self.guarding is None or self._reader is not None):
            self._names = {}

    @property
    def known_parameters(self) -> tuple[Parameter, ...]:
        """The parameters after the event; none where a forward reference is not there yet."""
        return self._signature.parameters if self._signature is not None else ()

    @property
    def trigger(self) -> Trigger:
        """What sets it off."""
        return self._declared or OnCommand(self.signature.events[0])

    @property
    def events(self) -> tuple[type, ...]:
        """The event or command classes that it reacts to."""
        declared = self._declared
        return self.signature.events if declared is None or isinstance(declared, OnCommand) else declared.events

    @property
    def causes(self) -> tuple[type, ...]:
        """Those of `events` that may lead to what it emits: what a deadline waits for leads to nothing."""
        if isinstance(self._declared, OnUndo):
            return (self._declared.step,)
        return self._declared.after if isinstance(self._declared, OnDeadline) else self.events

    @property
    def emits(self) -> tuple[type, ...]:
        """The event classes that it may emit."""
        return self.signature.emits

    @property
    def task(self) -> str | None:
        """What a person is to do where it is given up on: the first line of its docstring; None: nobody is asked."""
        asks = self.policy.task
        if not (self.compensates is not None if asks is None else asks):
            return None
        said = (self.__doc__ or "").strip().partition("\n")[0].strip()
        if said or self.compensates is None:
            return said or f"See to what {self.id} did not do"
        return f"Undo {self.undoes.__name__ if self.undoes else 'what was done'} of {self.compensates.id} by hand"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the handler itself, with all its arguments, the event first and by position."""
        return self.function(*args, **kwargs)

    def exhausted(self, function: Callable[Concatenate[E, Q], X]) -> Callable[Concatenate[E, Q], X]:
        """Declare what runs when the retries are used up: it states the failure as an event, so that a saga can undo.

        It takes the same event first; the rest is filled by type, and a parameter of type `Exception` gets the last error.
        """
        if self.on_exhausted is not None:
            raise DeclarationError(
                f"{self.id} ({place_of(function)}) has an exhausted handler already: {self.on_exhausted.place}"
            )
        last = self._part("exhausted", function, self._declared, caller_names(2))
        if self._declared is None and self._signature and last._signature and last.events != self.events:
            raise DeclarationError(f"{last.id} ({last.place}) takes another command than {self.id}")
        self.on_exhausted = last
        return function

    def late(self, function: F) -> F:
        """Declare what runs for an event that comes when its join or deadline is over.

        It takes one event: a part of the join, or what the deadline waited for, as a union if there are several.
        """
        trigger = self._declared
        if trigger is None or isinstance(trigger, (OnEvents, OnCommand, OnUndo)):
            raise DeclarationError(f"{self.id} ({place_of(function)}): nothing comes late for it. Only joins and deadlines end")
        if self.on_late is not None:
            raise DeclarationError(f"{self.id} ({place_of(function)}) has a late handler already: {self.on_late.place}")
        late = trigger.unless if isinstance(trigger, OnDeadline) else trigger.events
        self.on_late = self._part("late", function, OnEvents(late), caller_names(2))
        return function

    def _part(
        self, word: str, function: Callable[..., Any], trigger: Trigger | None, names: dict[str, Any]
    ) -> Reaction[Any, ..., Any]:
        """Another way on, beside the reaction itself."""
        return Reaction(
            function,
            service=self.service,
            name=f"{self.name}.{word}",
            formerly=f"{self.formerly}.{word}" if self.formerly else None,
            trigger=trigger,
            policy=self.policy,
            names=names,
            step=self.step,
        )

    def __repr__(self) -> str:
        return f"<Reaction {self.id}>"

    def _check(self, signature: Signature) -> None:
        self._check_events(signature)
        self._reader = self._read_guard(signature)

    def _read_guard(self, signature: Signature) -> Reader | None:
        """Its guard takes what sets it off: of a join any of its events, of a deadline the one that starts the time."""
        declared = self._declared
        if self.guarding is None:
            return None
        events = signature.events[:1] if declared is None or isinstance(declared, OnCommand) else self.causes
        return self.guarding.read(self.id, events, self._names)

    def _check_events(self, signature: Signature) -> None:
        """The first parameter must accept every event of the trigger; without one, it names the command."""
        if self._declared is None or isinstance(self._declared, OnCommand):
            first: Any = signature.events[0]
            if len(signature.events) > 1 or not is_message(first) or not first.__farandole__.command:
                raise DeclarationError(
                    f"{self.id} ({self.place}) handles a command, so its first parameter is one subclass of Command"
                )
            return
        if isinstance(self._declared, OnAll):
            self._check_parts(self._declared, signature)
            return
        takes = self.causes
        missing = [event.__name__ for event in takes if not issubclass(event, signature.events)]
        if missing:
            union = " | ".join(event.__name__ for event in takes)
            raise DeclarationError(
                f"{self.id} ({self.place}) reacts to {', '.join(missing)}, which its first parameter does not accept. "
                f"Annotate it with: {union}"
            )

    def _check_parts(self, trigger: OnAll, signature: Signature) -> None:
        """A join's leading parameters are its events, in order."""
        fits = len(signature.events) == len(trigger.events) and all(map(issubclass, trigger.events, signature.events))
        if not fits:
            wanted = ", ".join(event.__name__ for event in trigger.events)
            raise DeclarationError(f"{self.id} ({self.place}) joins {wanted}: its first parameters are these, in this order")
