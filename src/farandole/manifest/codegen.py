"""Reader classes for the events in a manifest, as Python source: for teams who hear them in another repository."""

from __future__ import annotations

import keyword
import re
import textwrap
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches

from farandole.errors import ConfigurationError
from farandole.graph.graph import Graph
from farandole.graph.nodes import Message, short
from farandole.manifest.classes import REQUIRED, Class, Field, Types, quoted

__all__ = ["reader_classes"]

_WIDTH = 88
_WIRE = re.compile(r"([a-z][a-z0-9_-]*)\.([^\W\d]\w*)\.v([0-9]+)")
_OWNER = re.compile(r"[a-z][a-z0-9_-]*")
_TOPIC = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_MODULES = {
    "datetime": ("date", "datetime", "time", "timedelta"),
    "decimal": ("Decimal",),
    "typing": ("Annotated", "Any", "Literal"),
    "uuid": ("UUID",),
}
_IMPORTED = {name for names in _MODULES.values() for name in names} | {"Event", "Sensitive", "msgspec"}
_TYPES = {"str", "int", "float", "bool", "bytes", "tuple", "dict"}
_METHODS = {"replace"}
"""What events have themselves."""


def reader_classes(graph: Graph, command: str, fields: Sequence[str] = ()) -> str:
    """Source of reader classes for the events that the services of a graph send.

    An event that Farandole cannot name on its wire, such as one of a foreign document, becomes a plain struct for its data.

    Parameters
    ----------
    command:
        How to write it again; it stands in the first line.
    fields:
        The fields that are needed, such as `OrderPlaced.order_id`, or events as a whole; empty: all. An event's key always comes along.

    Raises
    ------
    ConfigurationError
        There is no event, or no such field.
    """
    events = [node for node in graph.messages if node.role == "owner" and node.kind == "event"]
    if not events:
        raise ConfigurationError(f"{graph.name} sends no events: there is nothing to read")
    return _Module(graph, _wanted(events, fields)).source(command)


def _wanted(events: list[Message], fields: Sequence[str]) -> dict[str, tuple[Message, set[str] | None]]:
    """The events to write by type, each with the names of its fields; None: all of them."""
    by_type: dict[str, Message] = {}
    for event in events:
        by_type.setdefault(event.type, event)
    if not fields:
        return {tp: (event, None) for tp, event in by_type.items()}
    found: dict[str, tuple[Message, set[str] | None]] = {}
    for entry in fields:
        event, name = _named(by_type, entry.strip())
        known = _properties(event)
        if name and name not in known:
            raise ConfigurationError(f"{short(event.type)} has no field {name!r}. {_nearest(name, known)}")
        chosen = found.get(event.type, (event, set[str]()))[1]
        found[event.type] = (event, None if chosen is None or not name else chosen | {name})
    return {tp: found[tp] for tp in by_type if tp in found}


def _named(by_type: Mapping[str, Message], entry: str) -> tuple[Message, str]:
    for tp, event in by_type.items():
        if entry == tp or entry.startswith(f"{tp}."):
            return event, entry[len(tp) + 1 :]
    name, _, field = entry.partition(".")
    meant = [event for tp, event in by_type.items() if short(tp) == name]
    if not meant:
        raise ConfigurationError(f"there is no event {name!r}. {_nearest(name, list(dict.fromkeys(map(short, by_type))))}")
    if len(meant) > 1:
        types = " or ".join(event.type for event in meant)
        raise ConfigurationError(f"{name} may be {types}: say which, such as {meant[0].type}.{field or '…'}")
    return meant[0], field


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, 1, 0.6)
    return f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}"


def _properties(event: Message) -> list[str]:
    fields = Types(()).fields_of(event.schema or {}, None, durations=True)
    return [field.name for field in fields or ()]


class _Module:
    def __init__(self, graph: Graph, wanted: Mapping[str, tuple[Message, set[str] | None]]) -> None:
        self.graph = graph
        self.types = Types(_IMPORTED | _TYPES | {"None", "True", "False"})
        self.owners = sorted({event.service for event, _ in wanted.values()})
        self._ours: set[str] = set()  # what is used of Farandole and msgspec
        # Names first, so that a class inside of an event never takes that of an event.
        names = {tp: self._name(tp, wanted) for tp in wanted}
        self.events = [(event, self._event(event, names[tp], only)) for tp, (event, only) in wanted.items()]

    def _name(self, tp: str, wanted: Iterable[str]) -> str:
        word = re.sub(r"\W+", "_", short(tp))
        twins = [other for other in wanted if short(other) == short(tp)]
        match = _WIRE.fullmatch(tp)
        return self.types.name(f"{word}V{match[3]}" if match and len(twins) > 1 and tp != twins[0] else word)

    def _event(self, event: Message, name: str, only: set[str] | None) -> Class:
        service = self.graph.service.get(event.service)
        chosen = None if only is None else only | ({event.key} if event.key else set())
        fields = self.types.fields_of(event.schema or {}, chosen, durations=service is not None and service.complete)
        return Class(name, event.doc, fields or [])

    # --- text

    def source(self, command: str) -> str:
        classes = {made.name for made in self.types.classes} | {made.name for _, made in self.events}
        self._reserved = _IMPORTED | _TYPES | classes
        blocks = [self._struct(made) for made in self.types.classes]
        blocks += [self._event_text(event, made) for event, made in self.events]
        names = _list_of("__all__ = [", [quoted(name) for name in sorted(classes, key=_as_isort)], "]")
        head = [
            *(f"# {line}" for line in _wrapped(f"Written by: {' '.join(command.split())}")),
            *(
                f"# {line}"
                for line in _wrapped(
                    f"Events of {', '.join(self.owners)}, who alone publish them. To change it, run the command again."
                )
            ),
        ]
        parts = ["\n".join(head) + "\n\nfrom __future__ import annotations", self._imports(), names]
        return "\n\n".join(part for part in parts if part) + "\n\n\n" + "\n\n\n".join(blocks) + "\n"

    def _imports(self) -> str:
        uses = self.types.uses | self._ours
        lines = []
        for module, known in _MODULES.items():
            if used := sorted((name for name in known if name in uses), key=lambda name: (not name[0].isupper(), name)):
                lines.append(f"from {module} import {', '.join(used)}")
        ours = [name for name in ("Event", "Sensitive") if name in uses]
        others = ["import msgspec"] if "msgspec" in uses else []
        others += [f"from farandole import {', '.join(ours)}"] if ours else []
        return "\n\n".join("\n".join(group) for group in (lines, others) if group)

    def _struct(self, made: Class) -> str:
        options = ["msgspec.Struct", "frozen=True", "kw_only=True"]
        if made.tag is not None:
            options += [f"tag_field={quoted(made.tag[0])}", f"tag={quoted(made.tag[1])}"]
        fields = [field for field in made.fields if made.tag is None or field.name != made.tag[0]]
        return self._text(made.name, options, made.doc, fields, self._python_names(fields))

    def _event_text(self, event: Message, made: Class) -> str:
        names = self._python_names(made.fields)
        notes = []
        if event.schema is None:
            notes.append("Nobody says in a JSON Schema what its data is.")
        match = _WIRE.fullmatch(event.type)
        service = event.service.rpartition(".")[2]
        if match is None or not _OWNER.fullmatch(service) or not _TOPIC.fullmatch(event.topic or "x"):
            notes.append(f"Farandole has no name for {event.type} on its wire, so this is its data alone.")
            options = ["msgspec.Struct", "frozen=True", "kw_only=True"]
        else:
            options = ["Event", f'of="{match[1]}.{service}"']
            options += [f'name="{match[2]}"'] if made.name != match[2] else []
            options += [f'version="{match[3]}.{event.version[1] if event.version[0] == int(match[3]) else 0}"']
            options += [f"key={quoted(names[event.key])}"] if event.key in names else []
            options += [f"topic={quoted(event.topic)}"] if event.topic not in (None, f"{match[1]}.{service}") else []
        text = self._text(made.name, options, made.doc, made.fields, names)
        return "".join(f"# {line}\n" for note in notes for line in _wrapped(note)) + text

    def _text(self, name: str, options: list[str], doc: str, fields: list[Field], names: Mapping[str, str]) -> str:
        self._ours.add(options[0].partition(".")[0])
        head = _list_of(f"class {name}(", options, "):")
        body = [self._field(field, names[field.name]) for field in fields]
        doc_text = _docstring(doc)
        if not body and not doc_text:
            return f"{head}\n    pass"
        return "\n".join([head, *([doc_text] if doc_text else []), *([""] if doc_text and body else []), *body])

    def _field(self, field: Field, name: str) -> str:
        parts = {REQUIRED: [], "dict": ["default_factory=dict"]}.get(field.default, [f"default={field.default}"])
        parts += [f"name={quoted(field.name)}"] if name != field.name else []
        start = f"    {name}: "
        if not parts:
            return _annotated(start, field.type, "")
        if name == field.name and field.default != "dict":
            return _annotated(start, field.type, f" = {field.default}")
        self._ours.add("msgspec")
        line = f"{start}{field.type} = msgspec.field({', '.join(parts)})"
        return line if len(line) <= _WIDTH else _list_of(f"{start}{field.type} = msgspec.field(", parts, ")", indent=4)

    def _python_names(self, fields: Iterable[Field]) -> dict[str, str]:
        """A Python name for each field."""
        found: dict[str, str] = {}
        for field in fields:
            word = re.sub(r"\W", "_", unicodedata.normalize("NFKC", field.name)) or "field"
            if word[0].isdigit() or word.startswith("__"):
                word = f"field_{word.lstrip('_')}"
            if keyword.iskeyword(word) or word in self._reserved or word in _METHODS:
                word += "_"
            name, number = word, 1
            while name in found.values():
                number += 1
                name = f"{word}_{number}"
            found[field.name] = name
        return found


def _as_isort(name: str) -> tuple[bool, list[tuple[int, str]]]:
    """The order that linters want: constants first, 2 before 10."""
    is_constant = name.isupper() and len(name) > 1
    return not is_constant, [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def _list_of(start: str, items: Sequence[str], end: str, indent: int = 0) -> str:
    """Items in one line, or in a line each."""
    line = f"{start}{', '.join(items)}{end}"
    if len(line) <= _WIDTH:
        return line
    inner = "".join(f"{' ' * (indent + 4)}{item},\n" for item in items)
    return f"{start}\n{inner}{' ' * indent}{end}"


def _annotated(start: str, type: str, end: str, indent: int = 4) -> str:
    """An annotation in one line, or its alternatives, or what is in its brackets, in a line each: as formatters do it."""
    if indent + len(start.strip()) + 1 + len(type) + len(end) <= _WIDTH:
        return f"{start}{type}{end}"
    space = " " * indent
    alternatives = _parts(type, "|")
    if len(alternatives) > 1:
        inner = [
            _annotated(f"{space}    {'| ' if index else ''}", each, "", indent + 4) for index, each in enumerate(alternatives)
        ]
        return "\n".join([f"{start}(", *inner, f"{space}){end}"])
    head, bracket, rest = type.partition("[")
    if not bracket:
        return f"{start}{type}{end}"
    return _list_of(f"{start}{head}[", _parts(rest[:-1], ","), f"]{end}", indent)


def _parts(text: str, by: str) -> list[str]:
    """A type's text, taken apart where it is in no brackets and no quotation marks."""
    parts, depth, begin, quote = [], 0, 0, ""
    for at, char in enumerate(text):
        if quote:
            escaped = (at - len(text[:at].rstrip("\\"))) % 2
            quote = "" if char == quote and not escaped else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char in "[(") - (char in "])")
            if char == by and depth == 0:
                parts.append(text[begin:at].strip())
                begin = at + 1
    return [*parts, text[begin:].strip()]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH - 4, break_long_words=False, break_on_hyphens=False)


def _docstring(doc: str) -> str:
    """A docstring with its indent, or "" where there is nothing to say."""
    clean = "".join(char if char.isprintable() or char == "\n" else " " for char in doc).strip()
    clean = clean.replace("\\", "\\\\").replace('"""', "'''")
    if not clean:
        return ""
    lines = [part for line in clean.split("\n") for part in (_wrapped(line) or [""])]
    if lines[-1].endswith('"'):
        lines[-1] += " "
    body = "\n".join(f"    {line}".rstrip() if index else line for index, line in enumerate(lines))
    return f'    """{body}"""' if len(lines) == 1 else f'    """{body}\n    """'
