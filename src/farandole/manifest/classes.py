"""Python types for JSON Schemas: what msgspec decodes all valid data with. Where Python or msgspec cannot say it, the type is wider."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from farandole.schema.of_class import MARK
from farandole.schema.walk import MISSING, target

__all__ = ["REQUIRED", "Class", "Field", "Types", "quoted"]

REQUIRED: Any = object()
"""In place of a default: the field must be there."""
_DEEP = 40
"""Deeper than this nobody names a class."""
_FORMATS = {
    "date-time": ("Annotated[datetime, msgspec.Meta(tz=True)]", "datetime"),
    "date": ("date", "date"),
    "time": ("time", "time"),
    "uuid": ("UUID", "UUID"),
    "decimal": ("Decimal", "Decimal"),
    "duration": ("timedelta", "timedelta"),
}
_SCALARS = {"integer": "int", "number": "float", "boolean": "bool", "null": "None"}


@dataclass
class Field:
    """A field: how it is called in JSON, its type as Python text, and its default as Python text or `REQUIRED`."""

    name: str
    type: str
    default: Any = REQUIRED


@dataclass
class Class:
    """A class to write.

    Attributes
    ----------
    tag:
        The field that tells it from others in a union and its value there, or None.
    """

    name: str
    doc: str = ""
    fields: list[Field] = field(default_factory=list)
    tag: tuple[str, Any] | None = None


@dataclass
class _Union:
    """The alternatives of a type: at most one for each kind of JSON value, as msgspec wants it."""

    kinds: dict[str, str] = field(default_factory=dict)
    literals: dict[str, list[Any]] = field(default_factory=dict)
    classes: list[tuple[Class, Any]] = field(default_factory=list)  # with their schemas
    anything: bool = False

    def add(self, kind: str, text: str, wider: str) -> None:
        """Another alternative; two of a kind become one that is wide enough for both."""
        known = self.kinds.get(kind)
        self.kinds[kind] = text if known in (None, text) else wider


class Types:
    """Types and classes for all the schemas of one module.

    Attributes
    ----------
    classes:
        The classes that came up, in order.
    uses:
        The names that the texts use, to be imported.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self.classes: list[Class] = []
        self.uses: set[str] = set()
        self._taken = set(taken)
        self._known: dict[str, Class] = {}

    def fields_of(self, schema: Mapping[str, Any], only: Iterable[str] | None, durations: bool) -> list[Field] | None:
        """The fields of a message, or None where its data is no object with fields.

        Parameters
        ----------
        only:
            The names of those that are wanted; None: all.
        durations:
            Whether durations are such as Python writes; those of others may have months.
        """
        self._root, self._durations = schema, durations
        whole = self._object(schema)
        return None if whole is None else self._fields(whole, only, 0)

    def name(self, wish: str) -> str:
        """A name that no class has yet."""
        words = "".join(word[:1].upper() + word[1:] for word in re.split(r"\W+|_", wish) if word)
        words = words if words[:1].isalpha() else f"X{words}"
        found, number = words, 1
        while found in self._taken:
            number += 1
            found = f"{words}{number}"
        self._taken.add(found)
        return found

    # --- classes

    def _fields(self, whole: Mapping[str, Any], only: Iterable[str] | None, depth: int) -> list[Field]:
        wanted = None if only is None else set(only)
        required = whole.get("required")
        needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        return [
            self._field(str(name), schema, name in needed, depth)
            for name, schema in whole["properties"].items()
            if wanted is None or name in wanted
        ]

    def _field(self, name: str, schema: Any, needed: bool, depth: int) -> Field:
        union = self._union(schema, name, depth)
        marked = _is_marked(schema)
        if needed:
            return Field(name, self._text(union, marked))
        default = self._default(schema, union)
        if default is None:
            union.add("null", "None", "None")
            default = "None"
        return Field(name, self._text(union, marked), default)

    def _default(self, schema: Any, union: _Union) -> str | None:
        """The schema's default as Python text, where it is a value of this type that nobody can change; None otherwise."""
        value = schema.get("default", MISSING) if isinstance(schema, Mapping) else MISSING
        if value is MISSING or value is None or union.anything:
            return None
        kind = _kind_of(value)
        if kind in union.literals and value in union.literals[kind]:
            return quoted(value)
        text = union.kinds.get(kind)
        if value == [] and text is not None and text.endswith(", ...]"):
            return "()"
        if value == {} and text is not None and text.startswith("dict["):
            return "dict"
        return quoted(value) if text in ("str", "int", "float", "bool") and kind != "null" else None

    def _class(self, schema: Mapping[str, Any], wish: str, depth: int) -> Class:
        """The class for an object; the same one for the same schema, in whichever message."""
        identity = _identity(schema, self._root)
        if identity not in self._known:
            title = schema.get("title")
            doc = schema.get("description")
            made = Class(self.name(title if isinstance(title, str) and re.search(r"\w", title) else wish))
            made.doc = doc if isinstance(doc, str) else ""
            self._known[identity] = made
            made.fields = self._fields(schema, None, depth + 1)
            self.classes.append(made)
        return self._known[identity]

    def _object(self, schema: Any, hops: int = 0) -> Mapping[str, Any] | None:
        """An object with fields, its references followed and its parts put together; None where it is something else."""
        if not isinstance(schema, Mapping) or hops > _DEEP or "enum" in schema or "const" in schema:
            return None
        parts = [self._object(part, hops + 1) for part in _list(schema.get("allOf"))]
        if isinstance(ref := schema.get("$ref"), str):
            parts.append(self._object(target(self._root, ref), hops + 1))
        if isinstance(schema.get("properties"), Mapping) and schema.get("type", "object") == "object":
            if not parts:
                return schema if schema["properties"] else None
            parts.append(schema)
        objects = [part for part in parts if part is not None]
        if not objects or len(objects) != len(parts):
            return None
        if len(objects) == 1:
            return objects[0]
        properties: dict[str, Any] = {}
        for part in objects:
            properties = {**part["properties"], **properties}
        merged = {
            "type": "object",
            "properties": properties,
            "title": next((part["title"] for part in objects if "title" in part), ""),
        }
        return {**merged, "required": [name for part in objects for name in _list(part.get("required"))]}

    # --- types

    def _type(self, schema: Any, wish: str, depth: int) -> str:
        return self._text(self._union(schema, wish, depth), _is_marked(schema))

    def _union(self, schema: Any, wish: str, depth: int) -> _Union:
        union = _Union()
        self._collect(union, schema, wish, depth)
        return union

    def _collect(self, union: _Union, schema: Any, wish: str, depth: int) -> None:
        """Add what a schema allows for to a union."""
        if schema is False:
            return
        if not isinstance(schema, Mapping) or depth > _DEEP:
            union.anything = True
        elif (whole := self._object(schema)) is not None:
            union.classes.append((self._class(whole, _named(schema) or wish, depth), whole))
        elif "enum" in schema or "const" in schema:
            for value in [schema["const"]] if "const" in schema else _list(schema["enum"]):
                _add_value(union, value)
        elif isinstance(schema.get("type"), (str, list)):
            for tp in _list(schema["type"]) or [schema["type"]]:
                self._add_type(union, tp, schema, wish, depth)
        elif isinstance(ref := schema.get("$ref"), str):
            self._collect(union, target(self._root, ref), wish, depth + 1)
        elif members := _list(schema.get("anyOf")) or _list(schema.get("oneOf")):
            for member in members:
                self._collect(union, member, wish, depth + 1)
        elif parts := _list(schema.get("allOf")):
            self._collect(union, next((part for part in parts if part not in ({}, True)), {}), wish, depth + 1)
        else:
            union.anything = True

    def _add_type(self, union: _Union, tp: Any, schema: Mapping[str, Any], wish: str, depth: int) -> None:
        if tp in _SCALARS:
            union.add(tp, _SCALARS[tp], _SCALARS[tp])
        elif tp == "string":
            union.add(tp, self._string(schema), "str")
        elif tp == "array":
            union.add(tp, self._array(schema, wish, depth), "tuple[Any, ...]")
        elif tp == "object":
            inner = schema.get("additionalProperties", True)
            values = "Any" if isinstance(inner, bool) else self._type(inner, f"{wish} value", depth + 1)
            plain = not _list(schema.get("required")) and "properties" not in schema and "patternProperties" not in schema
            union.add(tp, f"dict[str, {values if plain else 'Any'}]", "dict[str, Any]")
        else:
            union.anything = True

    def _string(self, schema: Mapping[str, Any]) -> str:
        if schema.get("contentEncoding") == "base64":
            return "bytes"
        format = schema.get("format")
        if not isinstance(format, str) or format not in _FORMATS or (format == "duration" and not self._durations):
            return "str"
        return _FORMATS[format][0]

    def _array(self, schema: Mapping[str, Any], wish: str, depth: int) -> str:
        prefix, items = schema.get("prefixItems"), schema.get("items", True)
        if isinstance(prefix, list) and schema.get("minItems") == schema.get("maxItems") == len(prefix) and prefix:
            return f"tuple[{', '.join(self._type(item, wish, depth + 1) for item in prefix)}]"
        if prefix is not None or not isinstance(items, Mapping):
            return "tuple[Any, ...]"
        return f"tuple[{self._type(items, _one_of(wish), depth + 1)}, ...]"

    def _text(self, union: _Union, marked: bool) -> str:
        """The type as Python text."""
        text = "Any" if union.anything else self._alternatives(union)
        if marked:
            text = f"{text[:-1]}, Sensitive]" if re.fullmatch(r"Annotated\[[^\[\]]*\]", text) else f"Annotated[{text}, Sensitive]"
        self.uses.update(re.findall(r"[A-Za-z]\w*", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)))
        return text

    def _alternatives(self, union: _Union) -> str:
        kinds = dict(union.kinds)
        literals: list[Any] = []
        for kind, values in union.literals.items():
            if kind in kinds or (kind == "integer" and ("number" in kinds or "number" in union.literals)):
                union_of_both = {"string": "str", "integer": "int"}[kind]
                kinds[kind] = union_of_both
            else:
                literals += values
        texts = [f"Literal[{', '.join(quoted(value) for value in literals)}]"] if literals else []
        texts += self._objects(union, kinds)
        texts += [kinds[kind] for kind in ("string", "integer", "number", "boolean", "array", "object", "null") if kind in kinds]
        return " | ".join(dict.fromkeys(texts)) or "Any"

    @staticmethod
    def _objects(union: _Union, kinds: dict[str, str]) -> list[str]:
        """The classes of a union, where msgspec can tell them apart; otherwise a map in their place."""
        classes = list({made.name: made for made, _ in union.classes}.values())
        if not classes:
            return []
        if len(classes) == 1 and "object" not in kinds and classes[0].tag is None:
            return [classes[0].name]
        tag = _tag({made.name: schema for made, schema in union.classes})
        fits = tag and all(made.tag in (None, (tag[0], tag[1][made.name])) for made in classes)
        if tag is None or not fits or "object" in kinds:
            if len(classes) == 1 and "object" not in kinds:
                return [classes[0].name]
            kinds["object"] = "dict[str, Any]"
            return []
        for made in classes:
            made.tag = (tag[0], tag[1][made.name])
        return [made.name for made in classes]


def quoted(value: Any) -> str:
    """A value as Python text, texts in double quotes where that needs no escapes."""
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and text[0] == "'" and '"' not in text else text


def _add_value(union: _Union, value: Any) -> None:
    kind = _kind_of(value)
    if kind == "string" or (kind == "integer" and isinstance(value, int) and abs(value) < 2**62):
        values = union.literals.setdefault(kind, [])
        if value not in values:
            values.append(value)
    elif kind in _SCALARS:
        union.add(kind, _SCALARS[kind], _SCALARS[kind])
    else:
        wide = "tuple[Any, ...]" if kind == "array" else "dict[str, Any]"
        union.add(kind, wide, wide)


def _kind_of(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def _tag(schemas: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, Any]] | None:
    """A field with another text, or another number, in each of these schemas: its name and the values by class."""
    first = next(iter(schemas.values()))
    for name in first["properties"]:
        values: dict[str, Any] = {}
        for cls, schema in schemas.items():
            place = schema["properties"].get(name)
            only = _list(place.get("enum")) if isinstance(place, Mapping) else []
            only = [place["const"]] if isinstance(place, Mapping) and "const" in place else only
            if len(only) == 1 and type(only[0]) in (str, int) and name in _list(schema.get("required")):
                values[cls] = only[0]
        distinct = len(set(values.values())) == len(schemas) and len({type(value) for value in values.values()}) == 1
        if len(values) == len(schemas) and distinct:
            return name, values
    return None


def _identity(schema: Mapping[str, Any], root: Any) -> str:
    """What tells schemas apart: their text, and that of all that they refer to."""
    texts: dict[str, str] = {}
    todo = [json.dumps(schema, sort_keys=True)]
    first = todo[0]
    while todo:
        for ref in re.findall(r'"\$ref": "((?:[^"\\]|\\.)*)"', todo.pop()):
            if ref not in texts:
                found = target(root, json.loads(f'"{ref}"'))
                texts[ref] = "" if found is MISSING else json.dumps(found, sort_keys=True)
                todo.append(texts[ref])
    return json.dumps([first, sorted(texts.items())])


def _is_marked(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get(MARK) is True


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _named(schema: Any) -> str:
    """How a schema calls what it refers to, or ""."""
    while isinstance(schema, Mapping) and "$ref" not in schema and len(_list(schema.get("allOf"))) == 1:
        schema = schema["allOf"][0]
    ref = schema.get("$ref") if isinstance(schema, Mapping) else None
    return ref.rpartition("/")[2] if isinstance(ref, str) and "/" in ref else ""


def _one_of(wish: str) -> str:
    """What one of several is called: `lines` are made of `line`."""
    return wish[:-1] if wish.endswith("s") and len(wish) > 2 and not wish.endswith("ss") else f"{wish} item"
