"""Reads a handler's signature: which events it takes, what must be given to it, what it may emit.

The annotation is the declaration, so nothing is guessed: a missing or unfit annotation is an error that names the place.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Union, get_args, get_origin

from farandole.errors import DeclarationError
from farandole.model.event import Command, Event, is_message
from farandole.model.later import Later

__all__ = ["Leading", "Parameter", "Signature", "caller_names", "members_of", "place_of", "read_reader", "read_signature"]

_SEQUENCES = (list, tuple, Sequence)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter after the event: its name, its type, whether it must be passed by keyword, whether it has a default."""

    name: str
    type: Any
    keyword: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """What a handler takes and gives.

    Attributes
    ----------
    events:
        The classes that the first parameter accepts; of a join, those of its leading parameters in turn.
    parameters:
        The others, which the runtime fills by type.
    emits:
        The event and command classes that the return annotation declares.
    is_async:
        Whether it is a coroutine function; a plain `def` runs in a thread.
    answers:
        The alternatives of the return annotation: each the classes that are emitted together, () for none.
    many:
        Those of `emits` of which it may emit several at once.
    delayed, at_once:
        Those of `emits` that may come inside of `Later[…]`, and those that may come as they are.
    """

    events: tuple[type, ...]
    parameters: tuple[Parameter, ...]
    emits: tuple[type, ...]
    is_async: bool
    answers: tuple[tuple[type, ...], ...] = ()
    many: tuple[type, ...] = ()
    delayed: tuple[type, ...] = ()
    at_once: tuple[type, ...] = ()


@dataclass(frozen=True, slots=True)
class _Emission:
    """A class that may be emitted: whether there may be any number of it, and whether it waits."""

    cls: type
    many: bool
    delayed: bool


@dataclass(frozen=True, slots=True)
class Leading:
    """How a handler takes its events: by how many leading parameters, and whether as a sequence."""

    count: int = 1
    sequence: bool = False


def place_of(function: Callable[..., Any]) -> str:
    """`file:line` of a function, for messages."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def caller_names(depth: int) -> dict[str, Any]:
    """The local names of the frames that declare something, so that classes local to a function can be found."""
    names: dict[str, Any] = {}
    frame: types.FrameType | None = sys._getframe(depth)
    scope = frame.f_globals if frame else None
    while frame is not None and frame.f_globals is scope:
        if frame.f_locals is not frame.f_globals:
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names


def read_signature(
    function: Callable[..., Any], names: dict[str, Any], *, who: str, leading: Leading = Leading()
) -> Signature | None:
    """Read a handler's signature, or give None where a forward reference is not there yet.

    Parameters
    ----------
    function:
        The handler; its first parameter is the event.
    names:
        Local names of the place of declaration.
    who:
        How messages call the handler, such as `payments.charge`.
    leading:
        How it takes its events.

    Raises
    ------
    DeclarationError
        No event parameter, no annotation, an annotation that is no event, or an async generator.
    """
    if not inspect.isroutine(function):
        raise DeclarationError(f"{who}: a reaction is a function, got: {function!r}")
    where = place_of(function)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise DeclarationError(f"{who} ({where}) is a generator. Return the events instead: one, a tuple or a list")
    if inspect.signature(function).return_annotation is inspect.Signature.empty:
        raise DeclarationError(
            f"{who} ({where}) has no return annotation, so nobody can tell what it emits. "
            f"Write `-> None` if nothing, or the events: `-> PaymentCompleted | PaymentFailed`"
        )
    read = _read(function, names, who=who, leading=leading)
    if read is None:
        return None
    events, rest, returns = read
    emissions = list(_emissions(who, where, returns))
    return Signature(
        events=events,
        parameters=rest,
        emits=tuple(dict.fromkeys(one.cls for one in emissions)),
        is_async=inspect.iscoroutinefunction(function),
        answers=tuple(dict.fromkeys(_answers(returns))),
        many=tuple(dict.fromkeys(one.cls for one in emissions if one.many)),
        delayed=tuple(dict.fromkeys(one.cls for one in emissions if one.delayed)),
        at_once=tuple(dict.fromkeys(one.cls for one in emissions if not one.delayed)),
    )


def read_reader(function: Callable[..., Any], names: dict[str, Any], *, who: str) -> tuple[Signature, Any] | None:
    """The signature of what reads something for a reaction, and its return annotation; None as for `read_signature`.

    Raises
    ------
    DeclarationError
        Its parameters are not those of a reaction, or it does not say what it returns.
    """
    if inspect.signature(function).return_annotation is inspect.Signature.empty:
        raise DeclarationError(f"{who} ({place_of(function)}) has no return annotation. Say what it gives: `-> str | None`")
    read = _read(function, names, who=who, leading=Leading())
    if read is None:
        return None
    events, rest, returns = read
    return Signature(events, rest, (), inspect.iscoroutinefunction(function)), returns


def _read(
    function: Callable[..., Any], names: dict[str, Any], *, who: str, leading: Leading
) -> tuple[tuple[type, ...], tuple[Parameter, ...], Any] | None:
    """The events, the other parameters and the return annotation; None where a forward reference is not there yet."""
    where = place_of(function)
    try:
        hints = typing.get_type_hints(function, localns=names or None, include_extras=True)
    except NameError:
        return None
    except (AttributeError, SyntaxError, TypeError) as error:
        raise DeclarationError(f"{who} ({where}): an annotation cannot be read: {error}") from None
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise DeclarationError(f"{who} ({where}) takes no parameter. The event is the first one")
    first, rest = parameters[: leading.count], parameters[leading.count :]
    if len(first) < leading.count:
        raise DeclarationError(
            f"{who} ({where}) waits for {leading.count} events, so its first {leading.count} parameters are these"
        )
    for p in first:
        if p.kind is p.KEYWORD_ONLY:
            raise DeclarationError(f"{who} ({where}): the event {p.name!r} is passed by position. Put it before the `*`")
    _need_annotation(who, where, parameters, hints)
    return (
        tuple(tp for p in first for tp in _events(who, where, p.name, _item(who, where, p.name, hints[p.name], leading))),
        tuple(Parameter(p.name, hints[p.name], p.kind is p.KEYWORD_ONLY, p.default is not p.empty) for p in rest),
        hints["return"],
    )


def _item(who: str, where: str, name: str, annotation: Any, leading: Leading) -> Any:
    """The annotation of one event, where the parameter takes a sequence of them."""
    if not leading.sequence:
        return annotation
    if get_origin(annotation) in _SEQUENCES and (inside := [part for part in get_args(annotation) if part is not Ellipsis]):
        return inside[0]
    raise DeclarationError(
        f"{who} ({where}) waits for several events, so its first parameter {name!r} takes a sequence: "
        f"Sequence[{_show(annotation)}]"
    )


def _need_annotation(who: str, where: str, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> None:
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            stars = "*" if p.kind is p.VAR_POSITIONAL else "**"
            raise DeclarationError(f"{who} ({where}): {stars}{p.name} cannot be filled by type. Name each parameter")
        if p.name not in hints:
            raise DeclarationError(f"{who} ({where}): parameter {p.name!r} has no annotation, so it cannot be filled by type")


def _events(who: str, where: str, name: str, annotation: Any) -> tuple[type, ...]:
    members = members_of(annotation)
    if not all(is_message(member) or member in (Event, Command) for member in members):
        raise DeclarationError(
            f"{who} ({where}): the first parameter {name!r} must be the event (a subclass of Event or Command, "
            f"or a union of such), got: {_show(annotation)}"
        )
    return tuple(members)


def _emissions(who: str, where: str, annotation: Any, *, many: bool = False) -> Iterator[_Emission]:
    """Each class that may be emitted."""
    for member in members_of(annotation):
        if member in (None, type(None)):
            continue
        if is_message(member):
            yield _Emission(member, many, delayed=False)
        elif get_origin(member) is Later:
            waiting = members_of(get_args(member)[0])
            if not all(map(is_message, waiting)):
                raise DeclarationError(f"{who} ({where}) returns {_show(member)}. Say of what: Later[ReminderDue]")
            yield from (_Emission(cls, many, delayed=True) for cls in waiting)
        elif _is_sequence(member):
            inside = [part for part in get_args(member) if part is not Ellipsis]
            if not inside:
                raise DeclarationError(f"{who} ({where}) returns {_show(member)}. Say of what: list[PaymentCompleted]")
            for part in inside:
                yield from _emissions(who, where, part, many=many or _is_open(member))
        elif member in (Event, Command):
            raise DeclarationError(f"{who} ({where}) returns {_show(member)}, which could be any. Name the classes that it emits")
        else:
            raise DeclarationError(
                f"{who} ({where}) is declared to return {_show(member)}. "
                f"A reaction returns events: one, a union, None, a tuple or a list of them; Later[…] for what is due later"
            )


def _answers(annotation: Any) -> Iterator[tuple[type, ...]]:
    """The alternatives: `A | None` is (A), (); `tuple[A, B | C]` is (A, B), (A, C); `list[A]` is (A), ()."""
    for member in members_of(annotation):
        if is_message(member):
            yield (member,)
        elif get_origin(member) is Later:
            yield from _answers(get_args(member)[0])
        elif not _is_sequence(member):
            yield ()
        elif _is_open(member):
            yield tuple(
                dict.fromkeys(tp for part in get_args(member) if part is not Ellipsis for way in _answers(part) for tp in way)
            )
            yield ()
        else:
            for ways in product(*(tuple(_answers(part)) for part in get_args(member))):
                yield tuple(dict.fromkeys(tp for way in ways for tp in way))


def _is_sequence(annotation: Any) -> bool:
    return get_origin(annotation) in _SEQUENCES or annotation in _SEQUENCES


def _is_open(sequence: Any) -> bool:
    """Whether any number may be in it."""
    return get_origin(sequence) is not tuple or Ellipsis in get_args(sequence)


def members_of(annotation: Any) -> list[Any]:
    """The alternatives of an annotation: a union's members, without `Annotated` and aliases around them."""
    if get_origin(annotation) is Annotated:
        return members_of(get_args(annotation)[0])
    if isinstance(annotation, types.UnionType) or get_origin(annotation) is Union:
        return [inner for member in get_args(annotation) for inner in members_of(member)]
    if hasattr(annotation, "__value__"):  # a PEP 695 alias
        return members_of(annotation.__value__)
    return [annotation]


def _show(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
