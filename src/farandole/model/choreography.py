"""A choreography: services and the graph that their declarations form. Pure: making one does no I/O."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar, overload

from farandole.errors import DeclarationError
from farandole.model.event import is_message
from farandole.model.expectation import Expectation
from farandole.model.measure import Measure
from farandole.model.reaction import OnCommand, Reaction
from farandole.model.service import Service
from farandole.model.triggers import event_classes, seconds

__all__ = ["AllowedCycle", "Choreography", "Edge", "Invariant", "Workflow", "allow_cycle"]

Check = TypeVar("Check", bound=Callable[..., Any])
T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Workflow:
    """A named business flow through the graph: observed, never controlled.

    Parameters
    ----------
    name:
        What people call it.
    starts:
        The event, or events, that begin an instance.
    succeeds, fails:
        The events that end it well or badly.
    within:
        How long an instance should take at most; a number is seconds.
    doc:
        What it is, for people.
    expects:
        What should follow what, and how soon: see `expect`.
    """

    name: str
    starts: type | tuple[type, ...]
    succeeds: type | tuple[type, ...]
    fails: type | tuple[type, ...] = ()
    within: timedelta | float | None = None
    doc: str = ""
    expects: tuple[Expectation, ...] | list[Expectation] = ()
    place: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for word in ("starts", "succeeds", "fails"):
            value = getattr(self, word)
            several = value if isinstance(value, tuple) else (value,)
            if not all(is_message(tp) for tp in several) or (word != "fails" and not several):
                raise DeclarationError(f"Workflow({self.name!r}): {word}= takes event classes, got: {value!r}")
            object.__setattr__(self, word, several)
        frame = sys._getframe(2)  # beyond the __init__ of the dataclass
        object.__setattr__(self, "place", f"{frame.f_code.co_filename}:{frame.f_lineno}")
        if self.within is not None:
            seconds(f"Workflow({self.name!r})", self.within)
        self._check_expectations()

    def _check_expectations(self) -> None:
        if not isinstance(self.expects, (tuple, list)) or not all(isinstance(one, Expectation) for one in self.expects):
            raise DeclarationError(
                f"Workflow({self.name!r}): expects= takes a list of expect(Event, after=…, within=…), got: {self.expects!r}"
            )
        object.__setattr__(self, "expects", tuple(self.expects))
        names = [one.name for one in self.expects]
        if twice := [name for name in names if names.count(name) > 1]:
            raise DeclarationError(
                f"Workflow({self.name!r}): two expectations are called {twice[0]!r}. Give one another name: expect(…, name=…)"
            )

    @property
    def outcomes(self) -> tuple[type, ...]:
        """The events that end an instance."""
        return (*self.succeeds, *self.fails)  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Edge:
    """One arrow of the graph: when `service` receives `cause`, its `reaction` may emit `effect` (None: nothing)."""

    service: str
    reaction: str
    cause: type
    effect: type | None
    exhausted: bool = False
    compensates: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class AllowedCycle:
    """A cycle that somebody wants; see `allow_cycle`."""

    events: tuple[type, ...]
    at_most: int
    reason: str
    place: str


def allow_cycle(*events: type, at_most: int, reason: str = "") -> AllowedCycle:
    """Say that a cycle of the graph is meant, and how often it is gone round at most: `Choreography(…, cycles=[allow_cycle(…)])`.

    The runtime's limit on the depth of causes (32) ends what goes round more often.

    Parameters
    ----------
    events:
        Events on it; every cycle through all of them is meant.
    at_most:
        How often one workflow goes round.
    reason:
        Why, for whoever reads the map.

    Raises
    ------
    DeclarationError
        No event classes, or a bound below 1.
    """
    event_classes("allow_cycle(...)", events)
    if isinstance(at_most, bool) or not isinstance(at_most, int) or at_most < 1:
        raise DeclarationError(f"allow_cycle(...): expected at_most to be an integer >= 1, got: {at_most!r}")
    return AllowedCycle(events, at_most, reason, _caller())


def _caller() -> str:
    frame = sys._getframe(2)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that must be true of the databases of all services together.

    Attributes
    ----------
    name:
        The function's.
    check:
        Takes a `farandole.rehearse.View`. See `Choreography.invariant` for its answer.
    always:
        Whether it must be true after every commit, and not only when nothing is under way.
    place:
        `file:line`.
    """

    name: str
    check: Callable[[Any], Any]
    always: bool
    place: str


class Choreography:
    """A set of services and the graph that their declarations form.

    Parameters
    ----------
    name:
        The domain: the first part of every wire type, `shop.OrderPlaced.v1`.
    services:
        The services; a repository may hold one only.
    workflows:
        The business flows to observe.
    cycles:
        Cycles of the graph that are meant.
    measures:
        Figures of the business, counted from the record; see `Measure`.

    Raises
    ------
    DeclarationError
        Two services of one name, a command with two handlers, a type with two owners and no topic, a reader class emitted,
        two classes for one wire type in one service.
    """

    def __init__(
        self,
        name: str,
        *services: Service,
        workflows: list[Workflow] | tuple[Workflow, ...] = (),
        cycles: list[AllowedCycle] | tuple[AllowedCycle, ...] = (),
        measures: list[Measure] | tuple[Measure, ...] = (),
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DeclarationError(f'expected a choreography name of lower-case letters, digits, "-" and "_", got: {name!r}')
        if not services:
            raise DeclarationError(
                f"Choreography({name!r}) has no services. Give it at least one: Choreography({name!r}, orders)"
            )
        self.name = name
        self.services: dict[str, Service] = {}
        for service in services:
            if not isinstance(service, Service):
                raise DeclarationError(f"Choreography({name!r}): expected services, got: {service!r}")
            if service.name in self.services:
                raise DeclarationError(f"Choreography({name!r}): two services are called {service.name!r}")
            self.services[service.name] = service
            for process in service.processes.values():
                process.check()
        self.workflows = self._all("workflows", Workflow, "Workflow(…)", workflows)
        self.cycles = self._all("cycles", AllowedCycle, "allow_cycle(…)", cycles)
        names = [workflow.name for workflow in self.workflows]
        if twice := [name for name in names if names.count(name) > 1]:
            raise DeclarationError(f"Choreography({name!r}): two workflows are called {twice[0]!r}")
        self.measures = self._all("measures", Measure, "Measure.open(…) and the like", measures)
        names = [measure.name for measure in self.measures]
        if twice := [name for name in names if names.count(name) > 1]:
            raise DeclarationError(f"Choreography({name!r}): two measures are called {twice[0]!r}. Give one another name")
        self.invariants: list[Invariant] = []

    def _all(self, word: str, kind: type[T], example: str, given: Any) -> tuple[T, ...]:
        """What was given, if it is a list of this kind."""
        if not isinstance(given, (list, tuple)) or not all(isinstance(one, kind) for one in given):
            raise DeclarationError(f"Choreography({self.name!r}): {word}= takes a list of {example}, got: {given!r}")
        return tuple(given)

    @overload
    def invariant(self, check: Check, /) -> Check: ...
    @overload
    def invariant(self, *, always: bool = False) -> Callable[[Check], Check]: ...
    def invariant(self, check: Any = None, *, always: bool = False) -> Any:
        """Declare something that must be true, whatever goes wrong; rehearsals check it.

            @shop.invariant
            async def nobody_ships_unpaid(world):
                assert not world.rows("shipping", "SELECT …")

        Parameters
        ----------
        check:
            A function, or coroutine function, of a `farandole.rehearse.View`. It is broken where it raises `AssertionError`, or gives
            False, a text, or texts; nothing, None and True are fine. It may also give a `farandole.testing.checkers.Quantity`.
        always:
            Whether it must be true after every commit of every service; otherwise when nothing is under way any more.
        """

        def declare(check: Check) -> Check:
            code = getattr(inspect.unwrap(check), "__code__", None) if callable(check) else None
            if code is None:
                raise DeclarationError(f"@{self.name}.invariant takes a function of one parameter, the world; got: {check!r}")
            name, place = code.co_name, f"{code.co_filename}:{code.co_firstlineno}"
            if any(known.name == name for known in self.invariants):
                raise DeclarationError(f"{place}: {self.name} has an invariant {name} already. Give this one another name")
            self.invariants.append(Invariant(name, check, always, place))
            return check

        return declare if check is None else declare(check)

    @property
    def reactions(self) -> list[Reaction[Any, Any, Any]]:
        """All reactions, in the order of declaration."""
        return [reaction for service in self.services.values() for reaction in service.reactions.values()]

    @cached_property
    def commands(self) -> dict[type, Reaction[Any, Any, Any]]:
        """The handler of each command."""
        found: dict[type, Reaction[Any, Any, Any]] = {}
        for reaction in self.reactions:
            if isinstance(reaction.trigger, OnCommand):
                other = found.setdefault(reaction.trigger.command, reaction)
                if other is not reaction:
                    raise DeclarationError(
                        f"{reaction.trigger.command.__name__} has two handlers, {other.id} ({other.place}) and "
                        f"{reaction.id} ({reaction.place}). A command has exactly one"
                    )
        return found

    @cached_property
    def edges(self) -> list[Edge]:
        """Every arrow receives -> emits."""
        return [edge for reaction in self.reactions for edge in _edges_of(reaction)]

    @cached_property
    def posted(self) -> frozenset[type]:
        """The commands that reactions return: their handlers are retried, unlike those of commands that are only sent."""
        return frozenset(edge.effect for edge in self.edges if edge.effect in self.commands)

    @cached_property
    def owners(self) -> dict[type, tuple[str, ...]]:
        """The services that emit each event class."""
        found: dict[type, list[str]] = {}
        for edge in self.edges:
            if edge.effect is None:
                continue
            meta = edge.effect.__farandole__  # type: ignore[attr-defined]
            if meta.command:
                self._check_command(edge)
                continue
            if meta.of is not None:
                raise DeclarationError(
                    f"{edge.service}.{edge.reaction} is declared to emit {edge.effect.__name__}, which is a reader class "
                    f"(of={meta.of!r}): its owner alone emits it"
                )
            services = found.setdefault(edge.effect, [])
            if edge.service not in services:
                services.append(edge.service)
        return {tp: tuple(services) for tp, services in found.items()}

    def _check_command(self, edge: Edge) -> None:
        """A command that a reaction returns is for its own service: commands stay within one bounded context."""
        handler = self.commands.get(edge.effect) if edge.effect else None
        if handler is None or handler.service != edge.service:
            name = getattr(edge.effect, "__name__", "")
            who = f"{handler.id} ({handler.place}) does" if handler else "nobody does"
            reaction = self.services[edge.service].reactions[edge.reaction]
            raise DeclarationError(
                f"{edge.service}.{edge.reaction} ({reaction.place}) returns the command {name}, which {edge.service} does not handle: {who}. "
                f"Commands stay within one service: handle it here with @{edge.service}.command, or emit an event that the other reacts to"
            )

    def __repr__(self) -> str:
        return f"<Choreography {self.name}: {', '.join(self.services)}>"


def _edges_of(reaction: Reaction[Any, Any, Any]) -> Iterator[Edge]:
    undoes = reaction.compensates is not None
    for cause in reaction.causes:
        for effect in reaction.emits or (None,):
            yield Edge(reaction.service, reaction.name, cause, effect, compensates=undoes)
        for effect in reaction.on_exhausted.emits if reaction.on_exhausted else ():
            yield Edge(reaction.service, reaction.name, cause, effect, exhausted=True, compensates=undoes)
    if reaction.on_late is not None:
        for cause in reaction.on_late.events:
            for effect in reaction.on_late.emits:
                yield Edge(reaction.service, reaction.name, cause, effect, late=True)
