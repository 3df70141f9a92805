"""A reaction: what a service does when an event comes. It stays directly callable, for unit tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from farandole.errors import DeclarationError
from farandole.model.event import is_message
from farandole.model.policy import Policy
from farandole.model.signature import Signature, caller_names, place_of, read_signature

__all__ = ["OnCommand", "OnEvents", "Reaction", "Trigger"]

E = TypeVar("E")
P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
X = TypeVar("X")


@dataclass(frozen=True, slots=True)
class OnEvents:
    """Runs when one of these events comes."""

    events: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class OnCommand:
    """Runs when this command is sent."""

    command: type


Trigger = OnEvents | OnCommand


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
    on_exhausted:
        The reaction that runs when the retries are used up, or None.
    formerly:
        The name it had before a rename, or None: its identity keeps to that one.
    compensates, undoes:
        The reaction that this one semantically undoes, and that one's success event.
    """

    def __init__(  # noqa: PLR0913 - assembled only by Service
        self,
        function: Callable[P, R],
        *,
        service: str,
        name: str,
        trigger: OnEvents | None,
        policy: Policy,
        names: dict[str, Any],
        compensates: Reaction[Any, ..., Any] | None = None,
        undoes: type | None = None,
        formerly: str | None = None,
    ) -> None:
        self.function = function
        self.service = service
        self.name = name
        self.policy = policy
        self.compensates = compensates
        self.undoes = undoes
        self.formerly = formerly
        self.place = place_of(function)
        self.on_exhausted: Reaction[Any, ..., Any] | None = None
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._names = names
        self._signature = read_signature(function, names, who=self.id)
        self._declared = trigger
        if self._signature is not None:
            self._check(self._signature)
            self._names = {}

    @property
    def id(self) -> str:
        """Its identity, `payments.charge`: inbox rows, consumer groups and the ids of emitted events carry it."""
        return f"{self.service}.{self.formerly or self.name}"

    @property
    def signature(self) -> Signature:
        """The signature; forward references are looked up again, and must be there by now."""
        if self._signature is None:
            signature = read_signature(self.function, self._names, who=self.id)
            if signature is None:
                raise DeclarationError(
                    f"{self.id} ({self.place}): an annotation names something that is not defined in its module. "
                    f"Import it there outside `if TYPE_CHECKING:`"
                )
            self._check(signature)
            self._signature, self._names = signature, {}
        return self._signature

    @property
    def trigger(self) -> Trigger:
        """What sets it off."""
        return self._declared or OnCommand(self.signature.events[0])

    @property
    def events(self) -> tuple[type, ...]:
        """The event or command classes that it reacts to."""
        return self._declared.events if self._declared else self.signature.events

    @property
    def emits(self) -> tuple[type, ...]:
        """The event classes that it may emit."""
        return self.signature.emits

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
        last: Reaction[Any, ..., Any] = Reaction(
            function,
            service=self.service,
            name=f"{self.name}.exhausted",
            formerly=f"{self.formerly}.exhausted" if self.formerly else None,
            trigger=self._declared,
            policy=self.policy,
            names=caller_names(2),
        )
        if self._declared is None and self._signature and last._signature and last.events != self.events:
            raise DeclarationError(f"{last.id} ({last.place}) takes another command than {self.id}")
        self.on_exhausted = last
        return function

    def __repr__(self) -> str:
        return f"<Reaction {self.id}>"

    def _check(self, signature: Signature) -> None:
        """The first parameter must accept every event of the trigger; without one, it names the command."""
        if self._declared is None:
            first: Any = signature.events[0]
            if len(signature.events) > 1 or not is_message(first) or not first.__farandole__.command:
                raise DeclarationError(
                    f"{self.id} ({self.place}) handles a command, so its first parameter is one subclass of Command"
                )
            return
        missing = [event.__name__ for event in self._declared.events if not issubclass(event, signature.events)]
        if missing:
            union = " | ".join(event.__name__ for event in self._declared.events)
            raise DeclarationError(
                f"{self.id} ({self.place}) reacts to {', '.join(missing)}, which its first parameter does not accept. "
                f"Annotate it with: {union}"
            )
