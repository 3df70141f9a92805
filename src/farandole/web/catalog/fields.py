"""The fields of a message, from its JSON Schema: names, types in words, what they mean, and which must not be seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from farandole.schema.of_class import MARK

__all__ = ["BLOT", "Field", "blotted", "fields_of", "inner_types"]

_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minLength": "letters, at least",
    "maxLength": "letters, at most",
    "minItems": "items, at least",
    "maxItems": "items, at most",
    "pattern": "matches",
}
_DEEP = 6  # a type within a type within a type is told to here


BLOT = "•••"
"""What stands for a value that must not be seen."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field: `type` in words, `must`: whether it is always there, `limits`: what its values keep to."""

    name: str
    type: str
    must: bool
    sensitive: bool
    doc: str = ""
    limits: str = ""
    default: str = ""


def fields_of(schema: Mapping[str, Any] | None) -> list[Field]:
    """The fields of an object's schema, in their order."""
    found = _mapping((schema or {}).get("properties"))
    required = (schema or {}).get("required")
    must = set(required) if isinstance(required, list) else set()
    return [_field(str(name), _mapping(inner), must=name in must) for name, inner in found.items()]


def inner_types(schema: Mapping[str, Any] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The other classes that a schema mentions, by name."""
    for name, inner in _mapping((schema or {}).get("$defs")).items():
        yield str(name), _mapping(inner)


def _field(name: str, schema: Mapping[str, Any], *, must: bool) -> Field:
    limits = [f"{words} {schema[key]}" for key, words in _LIMITS.items() if key in schema]
    return Field(
        name,
        _type(schema),
        must,
        schema.get(MARK) is True,
        str(schema.get("description") or schema.get("title") or ""),
        "; ".join(limits),
        _default(schema),
    )


def _default(schema: Mapping[str, Any]) -> str:
    if "default" not in schema:
        return ""
    return BLOT if schema.get(MARK) is True else json.dumps(schema["default"], ensure_ascii=False)


def blotted(value: Any, paths: Iterable[str]) -> Any:
    """An example without the values of its sensitive fields, which are named as in `Message.sensitive`: `lines[].name`, `notes.*`."""
    for path in paths:
        value = _blot(value, path.replace("[]", ".[]").split("."))
    return value


def _blot(value: Any, steps: list[str]) -> Any:
    if not steps or steps == ["*"]:
        return BLOT
    step, rest = steps[0], steps[1:]
    if step == "[]" and isinstance(value, (list, tuple)):
        return [_blot(item, rest) for item in value]
    if isinstance(value, Mapping):
        return {name: _blot(inner, rest) if step in ("*", name) else inner for name, inner in value.items()}
    return value


def _type(schema: Any, depth: int = 0) -> str:
    """A type as people say it: `string (date)`, `list of Line`, `string or null`."""
    if not isinstance(schema, Mapping) or depth > _DEEP:
        return "anything"
    if isinstance(ref := schema.get("$ref"), str):
        return ref.rpartition("/")[2] or "itself"
    for word in ("anyOf", "oneOf"):
        if isinstance(several := schema.get(word), list):
            return " or ".join(dict.fromkeys(_type(one, depth + 1) for one in several))
    if isinstance(several := schema.get("allOf"), list):
        return " and ".join(dict.fromkeys(_type(one, depth + 1) for one in several))
    if isinstance(values := schema.get("enum"), list):
        return "one of " + ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(str(one) for one in kind)
    if kind == "array":
        if isinstance(several := schema.get("prefixItems"), list):
            return "(" + ", ".join(_type(one, depth + 1) for one in several) + ")"
        return f"list of {_type(schema.get('items'), depth + 1)}"
    if kind == "object" and isinstance(more := schema.get("additionalProperties"), Mapping):
        return f"map of {_type(more, depth + 1)}"
    form = schema.get("format") or schema.get("contentEncoding")
    return f"{kind or 'anything'}" + (f" ({form})" if form else "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
