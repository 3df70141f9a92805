"""A service: the owner of reactions, events and one database. Declaring one does no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from farandole.errors import DeclarationError
from farandole.model.event import is_message
from farandole.model.policy import Policy
from farandole.model.reaction import OnEvents, Reaction
from farandole.model.signature import caller_names, place_of

__all__ = ["Provided", "Service"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
P = ParamSpec("P")
R = TypeVar("R")

_AnyReaction = Reaction[Any, ..., Any]
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Provided:
    """Something a service gives to its reactions: a value, or a way to open one."""

    type: Any
    source: Any
    local: bool


class _On(Generic[E]):
    """The decorator that `on` gives: it checks the handler's first parameter against the events."""

    def __init__(self, declare: Callable[[Callable[..., Any]], Reaction[Any, Any, Any]]) -> None:
        self._declare = declare

    def __call__(self, function: Callable[Concatenate[E, P], R]) -> Reaction[E, Concatenate[E, P], R]:
        return self._declare(function)


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

    Examples
    --------
    >>> payments = Service("payments")
    >>> payments
    <Service payments: 0 reactions>
    """

    def __init__(self, name: str, *, policy: Policy | None = None, tables: Any = None) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DeclarationError(f'expected a service name of lower-case letters, digits, "-" and "_", got: {name!r}')
        self.name = name
        self.policy = policy or Policy()
        self.tables = tables
        self.reactions: dict[str, Reaction[Any, Any, Any]] = {}
        self.provided: list[Provided] = []

    @overload
    def on(
        self,
        a: type[A],
        /,
        *,
        policy: Policy | None = ...,
        compensates: _AnyReaction | None = ...,
        undoes: type | None = ...,
        formerly: str | None = ...,
    ) -> _On[A]: ...
    @overload
    def on(
        self,
        a: type[A],
        b: type[B],
        /,
        *,
        policy: Policy | None = ...,
        compensates: _AnyReaction | None = ...,
        undoes: type | None = ...,
        formerly: str | None = ...,
    ) -> _On[A | B]: ...
    @overload
    def on(
        self,
        a: type[A],
        b: type[B],
        c: type[C],
        /,
        *,
        policy: Policy | None = ...,
        compensates: _AnyReaction | None = ...,
        undoes: type | None = ...,
        formerly: str | None = ...,
    ) -> _On[A | B | C]: ...
    @overload
    def on(
        self,
        a: type[A],
        b: type[B],
        c: type[C],
        d: type[D],
        /,
        *,
        policy: Policy | None = ...,
        compensates: _AnyReaction | None = ...,
        undoes: type | None = ...,
        formerly: str | None = ...,
    ) -> _On[A | B | C | D]: ...
    @overload
    def on(  # from five on, type checkers no longer compare the events with the handler
        self,
        a: type[Any],
        b: type[Any],
        c: type[Any],
        d: type[Any],
        e: type[Any],
        /,
        *more: type[Any],
        policy: Policy | None = ...,
        compensates: _AnyReaction | None = ...,
        undoes: type | None = ...,
        formerly: str | None = ...,
    ) -> _On[Any]: ...
    def on(
        self,
        *events: type,
        policy: Policy | None = None,
        compensates: _AnyReaction | None = None,
        undoes: type | None = None,
        formerly: str | None = None,
    ) -> _On[Any]:
        """Declare a reaction to one or several types of event.

        Parameters
        ----------
        events:
            The event classes; the handler's first parameter is annotated with them, as a union if several.
        policy:
            How it runs and fails.
        compensates, undoes:
            This reaction semantically undoes what that reaction did, and the event by which it said so.
        formerly:
            The function name it had before, so that a rename keeps its consumer group and its inbox rows.

        Raises
        ------
        DeclarationError
            The events are no event classes, or the handler's signature does not fit.
        """
        if not events or not all(is_message(event) for event in events):
            got = ", ".join(getattr(e, "__name__", repr(e)) for e in events) or "nothing"
            raise DeclarationError(f"{self.name}.on(...) takes one or several classes of Event, got: {got}")
        if len(set(events)) < len(events):
            raise DeclarationError(f"{self.name}.on(...) names an event twice: {', '.join(e.__name__ for e in events)}")
        commands = [event.__name__ for event in events if event.__farandole__.command]  # type: ignore[attr-defined]
        if commands:
            raise DeclarationError(f"{self.name}.on({commands[0]}): that is a Command. Use @{self.name}.command")
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
        names = caller_names(2)

        def declare(function: Callable[..., Any]) -> Reaction[Any, Any, Any]:
            return self._add(
                function,
                trigger=OnEvents(events),
                policy=policy,
                names=names,
                compensates=compensates,
                undoes=undoes,
                formerly=formerly,
            )

        return _On(declare)

    def command(self, function: Callable[Concatenate[E, P], R]) -> Reaction[E, Concatenate[E, P], R]:
        """Declare the handler of a command: the one its first parameter is annotated with."""
        return self._add(function, trigger=None, policy=None, names=caller_names(2))

    def provide(self, tp: Any, source: Any, *, local: bool = False) -> None:
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
        """
        if any(given.type is tp for given in self.provided):
            raise DeclarationError(f"{self.name}.provide({getattr(tp, '__name__', tp)}): it is provided already")
        self.provided.append(Provided(tp, source, local))

    def _add(
        self, function: Callable[..., Any], *, trigger: OnEvents | None, policy: Policy | None, names: dict[str, Any], **undo: Any
    ) -> Reaction[Any, Any, Any]:
        name = getattr(function, "__name__", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise DeclarationError(
                f"{self.name} ({place_of(function)}): a reaction is named by its function, so it needs one with a name. Use `def`"
            )
        if name in self.reactions:
            raise DeclarationError(
                f"{self.name}.{name} ({place_of(function)}) is declared already: {self.reactions[name].place}. "
                f"Reactions are named by their function; give it another name"
            )
        reaction: Reaction[Any, Any, Any] = Reaction(
            function,
            service=self.name,
            name=name,
            trigger=trigger,
            policy=(policy or Policy()).over(self.policy),
            names=names,
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
