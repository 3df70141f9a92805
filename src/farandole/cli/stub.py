"""Source text for a new service: its file, its test, and the events that are not there yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from farandole.cli.wiring import written
from farandole.model.event import sensitive_fields

__all__ = ["Stub", "event_source", "imported", "service_source", "snake", "test_source"]

_SIMPLE = {str: '""', int: "0", float: "0.0", bool: "False"}


@dataclass(frozen=True, slots=True)
class Stub:
    """What is to be written.

    Attributes
    ----------
    service, reaction:
        Their names.
    on:
        The event classes that it reacts to.
    emits:
        The names of what it may emit, each with its class, or None where that is to be written.
    places:
        For each event's name the module to import it from, as the service's file says it, and as a test does.
    width:
        How long lines may be.
    """

    service: str
    reaction: str
    on: tuple[type, ...]
    emits: Mapping[str, type | None]
    places: Mapping[str, tuple[str, str]]
    width: int

    @property
    def key(self) -> str | None:
        """The field that new events are ordered by: the key of the first event, if it is a plain value and all have it."""
        meta: Any = getattr(self.on[0], "__farandole__")  # noqa: B009
        key: str | None = meta.key
        plain = key is not None and key in shared(self.on) and shared(self.on)[key] in _SIMPLE
        return key if plain and key not in sensitive_fields(self.on[0]) else None

    @property
    def answer(self) -> tuple[str, dict[str, str]] | None:
        """An event that the reaction can return as it stands, with its values; None where none can be made."""
        given = shared(self.on)
        for name, cls in self.emits.items():
            if cls is None:
                return name, ({self.key: f"event.{self.key}"} if self.key else {})
            values: dict[str, str] = {}
            for field, tp in required(cls).items():
                value = f"event.{field}" if given.get(field) == tp else _SIMPLE.get(tp)
                if value is None:
                    break
                values[field] = value
            else:
                return name, values
        return None


def shared(events: Iterable[type]) -> dict[str, Any]:
    """The fields that all of these have, with the same type."""
    first, *others = ({field.name: field.type for field in msgspec.structs.fields(cls)} for cls in events)
    return {name: tp for name, tp in first.items() if all(name in other and other[name] == tp for other in others)}


def required(cls: type) -> dict[str, Any]:
    """The fields of an event class that must be given."""
    return {field.name: field.type for field in msgspec.structs.fields(cls) if field.required}


def snake(name: str) -> str:
    """`order_placed` for `OrderPlaced`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def imported(names: Iterable[str], places: Mapping[str, tuple[str, str]], width: int, *, test: bool = False) -> str:
    """Import lines for these events."""
    modules: dict[str, list[str]] = {}
    for name in sorted(names):
        modules.setdefault(places[name][test], []).append(name)
    return "".join(_import(module, several, width) for module, several in sorted(modules.items()))


def _import(module: str, names: Sequence[str], width: int) -> str:
    line = f"from {module} import {', '.join(names)}\n"
    return line if len(line) <= width + 1 else written(f"from {module} import (", list(names), ")", width, exploded=True) + "\n"


def service_source(stub: Stub) -> str:
    """The file of the service."""
    title = stub.service.replace("_", " ").capitalize()
    events = " | ".join(cls.__name__ for cls in stub.on)
    head = written(f"@{stub.service}.on(", [cls.__name__ for cls in stub.on], ")", stub.width)
    define = f"async def {stub.reaction}("
    result = " | ".join(stub.emits) or "None"
    line = f"{define}event: {events}) -> {result}:"
    if len(line) > stub.width:
        last = f") -> {result}:"
        if len(last) > stub.width:  # as formatters do it: all on one line, or one on each
            inside = result if len(result) <= stub.width - 4 else "\n    | ".join(stub.emits)
            last = f") -> (\n    {inside}\n):"
        line = f"{define}\n    event: {events},\n{last}"
    return (
        f'"""{title}: TODO say what it does."""\n\n'
        "from farandole import Service\n\n"
        f"{imported([*(cls.__name__ for cls in stub.on), *stub.emits], stub.places, stub.width)}\n"
        f'{stub.service} = Service("{stub.service}")\n\n\n'
        f"{head}\n{line}\n"
        f'    """TODO: say what it does{_when(stub)}."""\n{_body(stub)}'
    )


def _when(stub: Stub) -> str:
    others = [name for name in stub.emits if stub.answer is None or name != stub.answer[0]]
    when = f", and when it answers with {' or '.join(others)}" if others and stub.answer else ""
    return when if len(when) <= stub.width - 40 else ", and when it answers with which event"


def _body(stub: Stub) -> str:
    if not stub.emits:
        return ""
    if stub.answer is None:
        return f'    raise NotImplementedError("TODO: {stub.service}.{stub.reaction}")\n'
    name, values = stub.answer
    return written(f"    return {name}(", [f"{field}={value}" for field, value in values.items()], ")", stub.width) + "\n"


def event_source(name: str, stub: Stub) -> str:
    """The class of an event that is not there yet."""
    text = '    """TODO: say what has happened."""\n'
    if stub.key is None:
        return f"class {name}(Event):\n{text}\n    # TODO: its fields\n"
    tp = shared(stub.on)[stub.key].__name__
    return f'class {name}(Event, key="{stub.key}"):\n{text}\n    {stub.key}: {tp}\n    # TODO: its other fields\n'


def test_source(stub: Stub, module: str) -> str:
    """A test of the new reaction that passes, to begin with."""
    title = stub.service.replace("_", " ").capitalize()
    event = stub.on[0]
    sample = {field: _sample(field, tp) for field, tp in required(event).items()}
    imports = f"from {module} import {stub.reaction}\n"
    if len(imports) > stub.width + 1:
        imports = f"from {module} import (\n    {stub.reaction},\n)\n"
    head = f'"""{title}: TODO say what must be true."""\n\n'
    if None in sample.values():
        names = [cls.__name__ for cls in stub.on]
        expected = written(f"    assert {stub.reaction}.events == (", names, ",)" if len(names) == 1 else ")", stub.width)
        place = imported(names, stub.places, stub.width, test=True)
        return f"{head}{_sorted(place, imports)}\n\ndef test_{stub.service}_reacts_to_{snake(event.__name__)}() -> None:\n{expected}\n"
    make = (
        written(f"    event = {event.__name__}(", [f"{field}={value}" for field, value in sample.items()], ")", stub.width) + "\n"
    )
    names, extra, check, title = [event.__name__], "", "", "does_nothing_yet_with"
    call = f"asyncio.run({stub.reaction}(event))"
    if stub.emits and stub.answer is None:
        extra, title = "import pytest\n\n", "is_not_written_yet_for"
        check = f'    with pytest.raises(NotImplementedError, match="{stub.reaction}"):\n        {call}\n'
    elif stub.answer is not None:
        name, values = stub.answer
        names.append(name)
        title = f"answers_with_{snake(name)}_to"
        parts = [f"{field}={value}" for field, value in values.items()]
        check = f"    answer = {call}\n" + written(f"    assert answer == {name}(", parts, ")", stub.width) + "\n"
    else:
        check = f"    {call}\n"
    place = imported(names, stub.places, stub.width, test=True)
    names = [f"{stub.service}_{title}_{snake(event.__name__)}", f"{stub.service}_{title}", stub.service]
    test = next(line for name in names if len(line := f"def test_{name}() -> None:\n") <= stub.width or name == stub.service)
    return f"{head}import asyncio\n\n{extra}{_sorted(place, imports)}\n\n{test}{make}{check}"


def _sorted(*imports: str) -> str:
    """Import statements in the order of the alphabet."""
    statements = re.findall(r"^from .*?(?:\(\n.*?\n\)|)\n(?=from |\Z)", "".join(imports), flags=re.MULTILINE | re.DOTALL)
    return "".join(sorted(statements)) or "".join(imports)


def _sample(field: str, tp: Any) -> str | None:
    """A value for a field, as source; None where that takes an import or a guess."""
    if get_origin(tp) in (Union, UnionType) and NoneType in get_args(tp):
        return "None"
    if get_origin(tp) is Literal:
        return _text(get_args(tp)[0])
    if tp is str:
        return _text(f"{field}-1")
    if tp in (list, dict) or get_origin(tp) in (list, dict):
        return "[]" if (get_origin(tp) or tp) is list else "{}"
    return {int: "1", float: "1.0", bool: "True"}.get(tp)


def _text(value: object) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else repr(value)
