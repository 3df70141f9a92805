"""What the rules ask of JSON Schemas: which fields a reader needs that a writer does not send, and which paths it reads.

Schemas may be nested without end and refer to themselves; nothing here recurses. What is not understood is left alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["missing", "objects", "reads", "resolved", "without_required", "written"]

Schema = Mapping[str, Any]

Path = tuple[Any, str] | None
"""The path before, and the last word: a text for each would be long where schemas are deep."""

_DATA = frozenset({"const", "default", "enum", "example", "examples"})


def resolved(schema: Any, root: Schema) -> Schema:
    """The schema behind `$ref`s within `root` and behind "or null"; {} where there is none."""
    seen: set[int] = set()
    while isinstance(schema, Mapping) and id(schema) not in seen:
        seen.add(id(schema))
        reference = schema.get("$ref")
        if isinstance(reference, str):
            schema = _pointed(reference, root)
            continue
        options = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(options, list):
            real = [option for option in options if not (isinstance(option, Mapping) and option.get("type") == "null")]
            if len(real) == 1:
                schema = real[0]
                continue
        return schema
    return {}


def _pointed(reference: str, root: Schema) -> Any:
    """What a local reference points to (RFC 6901), or None."""
    if not reference.startswith("#"):
        return None
    value: Any = root
    for word in reference[1:].split("/")[1:]:
        key = word.replace("~1", "/").replace("~0", "~")
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def missing(reader: Schema, writer: Schema) -> Iterator[tuple[str, bool]]:
    """The fields that a reader needs and does not surely get: its path, and whether the writer sends it sometimes.

    Only what both describe field by field is compared, so a schema that says nothing gives no alarm.
    """
    todo: deque[tuple[Path, Any, Any]] = deque([(None, reader, writer)])
    seen: set[tuple[int, int]] = set()
    while todo:
        path, needed, sent = todo.popleft()
        needed, sent = resolved(needed, reader), resolved(sent, writer)
        if (id(needed), id(sent)) in seen:
            continue
        seen.add((id(needed), id(sent)))
        if "items" in needed and "items" in sent:
            todo.append(((path, "[]"), needed["items"], sent["items"]))
        wanted, offered = needed.get("properties"), sent.get("properties")
        if not isinstance(wanted, Mapping) or not isinstance(offered, Mapping):
            continue
        must, always = _names(needed.get("required")), _names(sent.get("required"))
        more = sent.get("additionalProperties", False)  # said in so many words: the writer may send what it does not list
        for name, inner in wanted.items():
            place = (path, name)
            if name in offered:
                todo.append((place, inner, offered[name]))
                if name in must and name not in always and not _has_default(offered[name]):
                    yield written(place), True
            elif name in must and not more:
                yield written(place), False


def written(path: Path) -> str:
    """`items[].name`."""
    words: list[str] = []
    while path is not None:
        path, word = path
        words.append(word)
    return ".".join(reversed(words)).replace(".[]", "[]")


def _names(value: Any) -> frozenset[str]:
    return frozenset(value) if isinstance(value, (list, tuple)) else frozenset()


def _has_default(schema: Any) -> bool:
    """Our own encoder writes fields with defaults, too: they are optional to whoever makes the event, not to whoever reads it."""
    return isinstance(schema, Mapping) and "default" in schema


def reads(schema: Schema, path: str) -> bool:
    """Whether a reader with this schema gets the value at a path such as `items[].name`; an open object gets everything below it."""
    here = resolved(schema, schema)
    for word in path.replace("[]", ".[]").split("."):
        if word == "[]":
            inner = here.get("items")
        else:
            fields = here.get("properties")
            if not isinstance(fields, Mapping):
                return True  # it takes the whole thing
            if word not in fields:
                return False
            inner = fields[word]
        if inner is None:
            return True
        here = resolved(inner, schema)
    return True


def objects(schema: Schema) -> Iterator[tuple[Path, Schema]]:
    """Every object in a schema that is described field by field, with its path: None for the outermost."""
    todo: deque[tuple[Path, Any]] = deque([(None, schema)])
    seen: set[int] = set()
    while todo:
        path, value = todo.popleft()
        here = resolved(value, schema)
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(fields := here.get("properties"), Mapping):
            yield path, here
            todo += [((path, name), inner) for name, inner in fields.items()]
        if "items" in here:
            todo.append(((path, "[]"), here["items"]))


def without_required(schema: Schema) -> Schema:
    """A copy in which no field must be there."""
    copy: dict[str, Any] = {}
    todo: list[tuple[Any, Any]] = [(schema, copy)]
    while todo:
        source, target = todo.pop()
        pairs = source.items() if isinstance(source, Mapping) else enumerate(source)
        for key, value in pairs:
            if key == "required" and isinstance(value, (list, tuple)):
                continue
            inner = {} if isinstance(value, Mapping) else [] if isinstance(value, (list, tuple)) else value
            if inner is not value and key in _DATA:
                inner = value
            elif inner is not value:
                todo.append((value, inner))
            if isinstance(target, dict):
                target[key] = inner
            else:
                target.append(inner)
    return copy
