"""Guards: the states in which a reaction may run. The state is read in the transaction, just before the handler."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from farandole.errors import DeclarationError
from farandole.model.effects import Move
from farandole.model.signature import Signature, members_of, place_of, read_reader

__all__ = ["Guard", "Guarding", "ReadState", "Reader", "guarding", "state_name"]

ReadState = Callable[..., Awaitable[str | Enum | None]]
"""Gives the state of what an event is about; None: there is none yet."""

_OTHERWISE = ("skip", "dead", "wait")


@dataclass(frozen=True, slots=True, init=False)
class Guard:
    """The states in which a reaction may run; declared with `guard=`.

        async def order_state(event: OrderEvent, db: AsyncSession) -> str | None: ...

        @orders.on(PaymentCompleted, guard=Guard(order_state, "placed", "reserved"))

    Parameters
    ----------
    reader:
        Gives the state: an `async def` whose parameters are filled by type as those of a reaction are, the event first. It runs in the
        transaction just before the handler. It gives a str, an Enum member, or None: there is none yet.
    states:
        The valid states: texts or Enum members; None: there is none yet. Left out, they are those of `states=Move(…, valid=…)`.
    otherwise:
        What becomes of an event that comes in another state. `"skip"`: it is skipped, with the reason; `"dead"`: it is a dead letter, with the
        reason; `"wait"`: it came too early and is retried by the policy, then it is a dead letter.

    Raises
    ------
    DeclarationError
        The reader is no `async def`, or a state is no text.
    """

    reader: ReadState
    states: tuple[str | None, ...]
    otherwise: Literal["skip", "dead", "wait"]

    def __init__(
        self, reader: ReadState, /, *states: str | Enum | None, otherwise: Literal["skip", "dead", "wait"] = "skip"
    ) -> None:
        if not inspect.iscoroutinefunction(reader):
            raise DeclarationError(
                f"Guard: expected a function that reads the state, `async def order_state(event: OrderEvent, db: AsyncSession) -> str | "
                f"None`, got: {reader!r}"
            )
        for state in states:
            if state is not None and not isinstance(state, Enum) and not (isinstance(state, str) and state):
                raise DeclarationError(f"Guard: expected states to be texts, Enum members or None, got: {state!r}")
        if otherwise not in _OTHERWISE:
            raise DeclarationError(f'Guard: expected otherwise to be "skip", "dead" or "wait", got: {otherwise!r}')
        object.__setattr__(self, "reader", reader)
        object.__setattr__(self, "states", tuple(dict.fromkeys(map(state_name, states))))
        object.__setattr__(self, "otherwise", otherwise)


def state_name(state: str | Enum | None) -> str | None:
    """A state as text: of an Enum member its value where that is a text, otherwise its name."""
    if isinstance(state, Enum):
        return str(state.value) if isinstance(state.value, str) else state.name
    return state if state is None else str(state)


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads the state, its signature known.

    Attributes
    ----------
    id:
        How messages call it.
    known:
        All states that it may give, where its annotation names them; otherwise none.
    """

    id: str
    place: str
    function: ReadState
    signature: Signature
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guarding:
    """A guard at its reaction.

    Attributes
    ----------
    guard:
        With its states.
    move:
        What drawings and checks know of it: what it is about, and its states.
    """

    guard: Guard
    move: Move

    @property
    def place(self) -> str:
        """Where its reader is."""
        return place_of(self.guard.reader)

    def read(self, who: str, events: Sequence[type], names: dict[str, Any]) -> Reader | None:
        """Read the reader's signature; None where a forward reference is not there yet.

        Parameters
        ----------
        who:
            The reaction.
        events:
            What the reader must take.

        Raises
        ------
        DeclarationError
            The reader does not take these events, returns something else, or never returns a state that is valid here.
        """
        function = self.guard.reader
        id = f"{who}: its guard {function.__name__}"
        found = read_reader(function, names, who=id)
        if found is None:
            return None
        signature, returns = found
        missing = [event.__name__ for event in events if not issubclass(event, signature.events)]
        if missing:
            raise DeclarationError(
                f"{id} ({self.place}) must take {', '.join(missing)}, which its first parameter does not accept. Annotate it with a base "
                f"class of all, or with: {' | '.join(event.__name__ for event in events)}"
            )
        known = self._known(id, returns)
        strange = [state for state in self.guard.states if known and state is not None and state not in known]
        if strange:
            raise DeclarationError(
                f"{id} ({self.place}) never gives {_listed(strange)}. By its annotation it gives: {_listed(known)}"
            )
        return Reader(id, self.place, function, signature, known)

    def _known(self, id: str, returns: Any) -> tuple[str, ...]:
        """The states that a return annotation names; none where any text is possible."""
        known: list[str] = []
        is_open = False
        for member in members_of(returns):
            if member in (None, type(None)):
                continue
            if isinstance(member, type) and issubclass(member, Enum):
                known += [str(state_name(state)) for state in member]
            elif get_origin(member) is Literal and all(isinstance(value, str | Enum | None) for value in get_args(member)):
                known += [str(state_name(value)) for value in get_args(member) if value is not None]
            elif member is str:
                is_open = True
            else:
                raise DeclarationError(
                    f"{id} ({self.place}) is declared to return {getattr(member, '__name__', member)}. It returns the state: a str, an "
                    f"Enum member, or None where there is none yet"
                )
        return () if is_open else tuple(dict.fromkeys(known))


def guarding(who: str, guard: Guard | ReadState, moves: tuple[Move, ...]) -> tuple[Guarding, tuple[Move, ...]]:
    """A guard and the moves of its reaction, each completed by the other.

    Raises
    ------
    DeclarationError
        Nobody says which states are valid, or both do and they differ.
    """
    if not isinstance(guard, Guard):
        guard = Guard(guard)
    reader = guard.reader.__name__
    entity = reader.removeprefix("state_of_").removesuffix("_state").replace("_", " ").strip() or reader
    about = moves if len(moves) == 1 else tuple(move for move in moves if move.entity == entity)
    if moves and len(about) != 1:
        raise DeclarationError(
            f"{who}: nobody can tell which of the states= the guard {reader} reads: {_listed([move.entity for move in moves])}. Name the "
            f"reader after it, such as {moves[0].entity}_state"
        )
    if not about and not guard.states:
        raise DeclarationError(
            f'{who}: the guard {reader} has no valid states. Write guard=Guard({reader}, "placed"), or say '
            f'states=Move("{entity}", valid=("placed",)) beside it'
        )
    move = about[0] if about else Move(entity)
    valid = tuple(str(state_name(state)) for state in move.valid)
    named = tuple(state for state in guard.states if state is not None)
    if not guard.states:
        guard = Guard(guard.reader, *(valid or (None,)), otherwise=guard.otherwise)
    elif valid and set(valid) != set(named):
        raise DeclarationError(
            f"{who}: the guard {reader} says that {_listed(guard.states)} are valid, and states= says {_listed(valid)}. Say it once: "
            f"guard={reader} takes them from states="
        )
    full = replace(move, valid=valid or named)
    return Guarding(guard, full), tuple(full if one is move else one for one in moves) if about else (*moves, full)


def _listed(states: Sequence[str | None]) -> str:
    return ", ".join("none yet" if state is None else repr(state) for state in states)
