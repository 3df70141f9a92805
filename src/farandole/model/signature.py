"""Reads a handler's signature: which events it takes, what must be given to it, what it may emit.

The annotation is the declaration, so nothing is guessed: a missing or unfit annotation is an error that names the place.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from farandole.errors import DeclarationError
from farandole.model.event import Command, Event, is_message

__all__ = ["Parameter", "Signature", "caller_names", "place_of", "read_signature"]

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
        The classes that the first parameter accepts.
    parameters:
        The others, which the runtime fills by type.
    emits:
        The event classes that the return annotation declares.
    is_async:
        Whether it is a coroutine function; a plain `def` runs in a thread.
    """

    events: tuple[type, ...]
    parameters: tuple[Parameter, ...]
    emits: tuple[type, ...]
    is_async: bool


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


def read_signature(function: Callable[..., Any], names: dict[str, Any], *, who: str) -> Signature | None:
    """Read a handler's signature, or give None where a forward reference is not there yet.

    Parameters
    ----------
    function:
        The handler; its first parameter is the event.
    names:
        Local names of the place of declaration.
    who:
        How messages call the handler, such as `payments.charge`.

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
    signature = inspect.signature(function)
    if signature.return_annotation is inspect.Signature.empty:
        raise DeclarationError(
            f"{who} ({where}) has no return annotation, so nobody can tell what it emits. "
            f"Write `-> None` if nothing, or the events: `-> PaymentCompleted | PaymentFailed`"
        )
    try:
        hints = typing.get_type_hints(function, localns=names or None, include_extras=True)
    except NameError:
        return None
    except (AttributeError, SyntaxError, TypeError) as error:
        raise DeclarationError(f"{who} ({where}): an annotation cannot be read: {error}") from None
    if not signature.parameters:
        raise DeclarationError(f"{who} ({where}) takes no parameter. The event is the first one")
    first, *rest = signature.parameters.values()
    if first.kind is first.KEYWORD_ONLY:
        raise DeclarationError(f"{who} ({where}): the event {first.name!r} is passed by position. Put it before the `*`")
    _need_annotation(who, where, [first, *rest], hints)
    return Signature(
        events=_events(who, where, first.name, hints[first.name]),
        parameters=tuple(Parameter(p.name, hints[p.name], p.kind is p.KEYWORD_ONLY, p.default is not p.empty) for p in rest),
        emits=tuple(dict.fromkeys(_emissions(who, where, hints["return"]))),
        is_async=inspect.iscoroutinefunction(function),
    )


def _need_annotation(who: str, where: str, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> None:
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            stars = "*" if p.kind is p.VAR_POSITIONAL else "**"
            raise DeclarationError(f"{who} ({where}): {stars}{p.name} cannot be filled by type. Name each parameter")
        if p.name not in hints:
            raise DeclarationError(f"{who} ({where}): parameter {p.name!r} has no annotation, so it cannot be filled by type")


def _events(who: str, where: str, name: str, annotation: Any) -> tuple[type, ...]:
    members = _members(annotation)
    if not all(is_message(member) or member in (Event, Command) for member in members):
        raise DeclarationError(
            f"{who} ({where}): the first parameter {name!r} must be the event (a subclass of Event or Command, "
            f"or a union of such), got: {_show(annotation)}"
        )
    return tuple(members)


def _emissions(who: str, where: str, annotation: Any) -> list[type]:
    found: list[type] = []
    for member in _members(annotation):
        if member in (None, type(None)):
            continue
        if is_message(member):
            found.append(member)
        elif get_origin(member) in _SEQUENCES or member in _SEQUENCES:
            inside = [part for part in get_args(member) if part is not Ellipsis]
            if not inside:
                raise DeclarationError(f"{who} ({where}) returns {_show(member)}. Say of what: list[PaymentCompleted]")
            for part in inside:
                found += _emissions(who, where, part)
        elif member in (Event, Command):
            raise DeclarationError(f"{who} ({where}) returns {_show(member)}, which could be any. Name the classes that it emits")
        else:
            raise DeclarationError(
                f"{who} ({where}) is declared to return {_show(member)}. "
                f"A reaction returns events: one, a union, None, a tuple or a list of them"
            )
    return found


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if isinstance(annotation, types.UnionType) or get_origin(annotation) is Union:
        return [inner for member in get_args(annotation) for inner in _members(member)]
    if hasattr(annotation, "__value__"):  # a PEP 695 alias
        return _members(annotation.__value__)
    return [annotation]


def _show(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
