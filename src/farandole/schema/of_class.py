"""The JSON Schema of a message class: what msgspec reads, with the marks of sensitive fields.

It is JSON Schema 2020-12 that means the same as an AsyncAPI schema (a superset of draft 7): nothing in it is known to one of the two only
and changes what is valid.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from farandole.errors import DeclarationError
from farandole.model.event import Sensitive
from farandole.schema.walk import rewritten

__all__ = ["MARK", "schema_of"]

MARK = "x-farandole-sensitive"
"""On a property: its value must not be seen."""

_REFS = "#/$defs/"


def schema_of(cls: type) -> dict[str, Any]:
    """The JSON Schema of an event or command class (or any class that msgspec reads field by field).

    It is complete in itself: other classes are under `$defs`, the class itself is `#`. Docstrings are descriptions; a sensitive property,
    item or value has `x-farandole-sensitive: true`. The same class gives the same schema in every process.

    Raises
    ------
    DeclarationError
        A field has a type that JSON cannot hold, or that is not there.
    """
    try:
        classes = list(_classes(cls))
        refs, components = msgspec.json.schema_components(classes, ref_template=_REFS + "{name}", schema_hook=_refused)
    except (NameError, TypeError) as error:
        raise DeclarationError(
            f"{cls.__module__}.{cls.__qualname__} has no JSON Schema: {str(error).splitlines()[0]}. "
            f"Import the names of its annotations outside `if TYPE_CHECKING:`, and use types that msgspec supports"
        ) from None
    names = {tp: ref["$ref"].removeprefix(_REFS) for tp, ref in zip(classes, refs)}
    for tp, name in names.items():
        _add_marks(tp, components[name])
        _order_defaults(tp, components[name])
    root = names[cls]
    # A copy of each part: msgspec repeats some objects, and what is printed should not depend on that.
    whole: dict[str, Any] = _tidy(components.pop(root), root)
    if components:
        whole["$defs"] = {name: _tidy(components[name], root) for name in sorted(components)}
    return whole


def _refused(tp: type) -> dict[str, Any]:
    raise TypeError(f"JSON cannot hold a {tp.__qualname__}")


def _tidy(schema: dict[str, Any], root: str) -> Any:
    """Without what draft 7 and 2020-12 read differently; docstrings without their indent; the class itself as `#`."""

    def change(part: dict[str, Any]) -> None:
        if "anyOf" in part:
            part.pop("discriminator", None)  # OpenAPI's object, where AsyncAPI wants a string; the tags are in the members
        if "prefixItems" in part and part.get("items") is False and part.get("maxItems") == len(part["prefixItems"]):
            del part["items"]  # maxItems says so; draft 7 knows no prefixItems and would allow no item at all
        if isinstance(part.get("description"), str):
            part["description"] = inspect.cleandoc(part["description"])
        if "default" in part:
            part["default"] = msgspec.json.decode(msgspec.json.encode(part["default"]))  # a tuple is a list in JSON
        if part.get("$ref") == _REFS + root:
            part["$ref"] = "#"

    return rewritten(schema, change)


# --- classes and their fields


def _classes(cls: type) -> Iterator[type]:
    """This class and every other with fields that a value of it may hold."""
    todo, seen = [cls], {cls}
    while todo:
        tp = todo.pop()
        yield tp
        for hint in _hints(tp).values():
            for inner in _with_fields(hint):
                if inner not in seen:
                    seen.add(inner)
                    todo.append(inner)


def _hints(tp: type) -> dict[str, Any]:
    return get_type_hints(tp, include_extras=True)


def _with_fields(hint: Any) -> Iterator[type]:
    """The classes with fields in an annotation."""
    todo, seen = [hint], set()
    while todo:
        tp = _plain(todo.pop())
        if isinstance(tp, type) and _has_fields(tp) and get_origin(tp) is None:
            yield tp
        elif id(tp) not in seen:
            seen.add(id(tp))
            todo += get_args(tp)


def _has_fields(tp: type) -> bool:
    named = issubclass(tp, (dict, tuple)) and hasattr(tp, "__annotations__")
    return issubclass(tp, msgspec.Struct) or is_dataclass(tp) or named


def _plain(tp: Any) -> Any:
    """An annotation without names for it, marks, and words like `Required`."""
    while True:
        if get_origin(tp) in (Annotated, typing.Required, typing.NotRequired, typing.ClassVar, typing.Final):
            tp = get_args(tp)[0]
        elif (alias := _alias(tp)) is not None:
            tp = alias
        else:
            return tp


def _alias(tp: Any) -> Any:
    """What `type X = …` or NewType stand for."""
    return getattr(tp, "__value__", None) or getattr(tp, "__supertype__", None)


def _fields(tp: type) -> dict[str, Any]:
    """The annotations of a class by the names that stand in JSON; of an array-like one, in order."""
    hints = _hints(tp)
    if issubclass(tp, msgspec.Struct):
        return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(tp)}
    return hints


# --- marks


def _add_marks(tp: type, schema: dict[str, Any]) -> None:
    """Mark what is sensitive in the schema of one class, but not inside the classes that it refers to."""
    places: Any = schema.get("properties", schema.get("prefixItems"))
    offset = 1 if "prefixItems" in schema and getattr(getattr(tp, "__struct_config__", None), "tag", None) is not None else 0
    for index, (name, hint) in enumerate(_fields(tp).items()):
        place: Any = name if isinstance(places, dict) else index + offset
        if isinstance(places, list) or name in places:
            places[place] = _marked(hint, places[place])


def _marked(hint: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an annotation with marks where the annotation has them."""
    while True:
        if _is_marked(hint):
            # Beside a $ref nothing counts in draft 7.
            return {"allOf": [schema], MARK: True} if "$ref" in schema else {**schema, MARK: True}
        inner = get_args(hint)[0] if get_origin(hint) in (Annotated, typing.Required, typing.NotRequired) else _alias(hint)
        if inner is None:
            break
        hint = inner
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # msgspec may join members, so a mark within one is the union's. Classes have their own.
        return _marked(Annotated[Any, Sensitive], schema) if any(_has_mark(part) for part in parts) else schema
    if not isinstance(origin, type):
        return schema
    if isinstance(schema.get("prefixItems"), list):
        inside = [_marked(part, item) for part, item in zip(parts, schema["prefixItems"], strict=False)]
        return {**schema, "prefixItems": inside}
    for word in ("items", "additionalProperties"):
        if parts and isinstance(schema.get(word), dict):
            value = parts[-1] if parts[-1] is not ... else parts[0]
            schema = {**schema, word: _marked(value, schema[word])}
            if len(parts) == 2 and parts[0] is not value and _has_mark(parts[0]):  # the keys of a map
                schema = {**schema, MARK: True}
    return schema


def _is_marked(hint: Any) -> bool:
    return get_origin(hint) is Annotated and any(mark is Sensitive or isinstance(mark, Sensitive) for mark in hint.__metadata__)


def _has_mark(hint: Any) -> bool:
    """Whether there is a mark in an annotation itself."""
    todo, seen = [hint], set()
    while todo:
        tp = todo.pop()
        if _is_marked(tp):
            return True
        if id(tp) not in seen:
            seen.add(id(tp))
            todo += [*get_args(tp), *([_alias(tp)] if _alias(tp) is not None else [])]
    return False


# --- order


def _order_defaults(tp: type, schema: dict[str, Any]) -> None:
    """Sets stand in an order of their own in every process: put defaults that hold some in one order."""
    if not issubclass(tp, msgspec.Struct):
        return
    for field in msgspec.structs.fields(tp):
        place = schema.get("properties", {}).get(field.encode_name, {})
        if "default" in place and field.default is not msgspec.NODEFAULT:
            place["default"] = msgspec.to_builtins(field.default, str_keys=True, order="deterministic")
