"""The shapes that a schema allows for: its references, unions and conjunctions worked out, one plain object for each way to be valid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from farandole.schema.walk import MISSING, Steps, same, target

__all__ = ["TYPES", "Shape", "Shapes", "kind_of"]

Shape = dict[str, Any]
"""Keywords that hold together, with one `type`. `enum` stands for `const` too; `pattern`, `format` and `multipleOf` are sets."""

TYPES = ("null", "boolean", "number", "string", "array", "object")
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SETS = ("pattern", "format", "multipleOf", "contentEncoding")
_PLAIN = frozenset(
    {"enum", "properties", "required", "additionalProperties", "items", "prefixItems", "uniqueItems", "propertyNames", "title"}
    | set(_LEAST + _MOST + _SETS)
)
_OF_TYPE: dict[str, frozenset[str]] = {
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format", "contentEncoding"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties", "propertyNames"}),
}
_OF_TYPE["integer"] = _OF_TYPE["number"]
_CUTS = 10_000
"""More circles than these are not understood."""
_MANY = 256
"""More shapes than this are not told apart."""


class Shapes:
    """The shapes of a schema and of all that is in it.

    Parameters
    ----------
    root:
        The whole schema, in which references are looked up.
    """

    def __init__(self, root: Any) -> None:
        self.root = root
        self._known: dict[int, tuple[Any, list[Shape] | None]] = {}  # with what it is about, which so keeps its id
        self._worked_out: dict[int, tuple[Any, list[Shape] | None]] = {}
        self._split: dict[int, tuple[Shape, list[Shape]]] = {}
        self._both: dict[tuple[int, int], Any] = {}
        self._way: set[str] = set()
        self._cuts = 0

    def of(self, schema: Any) -> Steps[list[Shape] | None]:
        """The shapes of a schema; [] where nothing is valid; None where it is not understood."""
        if id(schema) not in self._known:
            bases: list[Shape] | None = yield self._bases(schema)
            shapes = None if bases is None else [shape for base in bases for shape in self._typed(base)]
            self._known[id(schema)] = (schema, shapes)
        return self._known[id(schema)][1]

    def _typed(self, base: Shape) -> list[Shape]:
        """The shapes of one object, the same ones each time: so a schema that leads back to itself is noticed."""
        if id(base) not in self._split:
            self._split[id(base)] = (base, list(_by_type(base)))
        return self._split[id(base)][1]

    def _bases(self, schema: Any) -> Steps[list[Shape] | None]:
        """As `of`, with `types` in place of `type`."""
        if id(schema) in self._worked_out:
            return self._worked_out[id(schema)][1]
        before = self._cuts
        bases: list[Shape] | None = yield self._work_out(schema)
        if self._cuts == before or not self._way:  # otherwise it is so only on this way
            if self._cuts != before and not bases:
                bases = None  # it leads in a circle, and to nothing else
            self._worked_out[id(schema)] = (schema, bases)
        return bases

    def _work_out(self, schema: Any) -> Steps[list[Shape] | None]:
        if isinstance(schema, bool):
            return [{}] if schema else []
        if not isinstance(schema, Mapping):
            return None
        found: list[Shape] | None = [_base(schema)]
        if isinstance(ref := schema.get("$ref"), str):
            inner = target(self.root, ref)
            if ref in self._way and self._cuts < _CUTS:
                self._cuts += 1  # an alternative that is the whole again adds nothing to it
                return []
            if ref in self._way or inner is MISSING:
                return None
            self._way.add(ref)
            found = self._product(found, (yield self._bases(inner)))
            self._way.discard(ref)
        for part in _list(schema.get("allOf")):
            found = self._product(found, (yield self._bases(part)))
        for word in ("anyOf", "oneOf"):
            if isinstance(members := schema.get(word), list):
                several: list[Shape] | None = []
                for member in members:
                    bases = yield self._bases(member)
                    several = None if several is None or bases is None or len(several) > _MANY else several + bases
                found = self._product(found, several)
        return found

    def _product(self, left: list[Shape] | None, right: list[Shape] | None) -> list[Shape] | None:
        if left is None or right is None or len(left) * len(right) > _MANY:
            return None
        return [self._merged(one, other) for one in left for other in right]

    def _merged(self, one: Shape, other: Shape) -> Shape:
        """What holds where both hold."""
        if not one or not other:
            return one or other
        out = {**other, **one}
        for word in one.keys() & other.keys():
            mine, yours = one[word], other[word]
            if word == "types":
                out[word] = list(_common(mine, yours))
            elif word == "enum":
                out[word] = [value for value in mine if any(same(value, each) for each in yours)]
            elif word in _LEAST:
                out[word] = max(mine, yours)
            elif word in _MOST:
                out[word] = min(mine, yours)
            elif word in _SETS or word == "required":
                out[word] = mine | yours
            elif word == "uniqueItems":
                out[word] = mine or yours
            elif word in ("items", "additionalProperties", "propertyNames"):
                out[word] = self._and(mine, yours)
        if "prefixItems" in one or "prefixItems" in other:
            longest = max(len(one.get("prefixItems", ())), len(other.get("prefixItems", ())))
            out["prefixItems"] = [self._and(_item(one, index), _item(other, index)) for index in range(longest)]
        if "properties" in one or "properties" in other:
            names = dict.fromkeys([*one.get("properties", ()), *other.get("properties", ())])
            out["properties"] = {name: self._and(_property(one, name), _property(other, name)) for name in names}
        return out

    def _and(self, one: Any, other: Any) -> Any:
        """A schema for both, the same one each time."""
        if one is True or one is other:
            return other
        if other is True:
            return one
        return self._both.setdefault((id(one), id(other)), {"allOf": [one, other]})


def kind_of(value: Any) -> str:
    """The type of a JSON value; whole numbers are integers."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def _base(schema: Mapping[str, Any]) -> Shape:
    """The plain keywords of one object, those that are as they should be."""
    base: Shape = {word: value for word, value in schema.items() if word in _PLAIN and _is_sound(word, value)}
    if "const" in schema:
        base["enum"] = [schema["const"]]
    items = schema.get("items")
    if isinstance(items, list):  # draft 7
        base["prefixItems"] = items
        base.pop("items", None)
        if "additionalItems" in schema:
            base["items"] = schema["additionalItems"]
    for word in _SETS:
        if word in base:
            base[word] = frozenset([base[word]])
    if "required" in base:
        base["required"] = frozenset(base["required"])
    said = schema.get("type")
    types = [said] if isinstance(said, str) else said
    if isinstance(types, list) and all(tp in (*TYPES, "integer") for tp in types):
        base["types"] = types
    return base


def _is_sound(word: str, value: Any) -> bool:
    if word in _LEAST or word in _MOST or word == "multipleOf":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if word in ("enum", "prefixItems"):
        return isinstance(value, list)
    if word == "required":
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    if word == "properties":
        return isinstance(value, Mapping)
    if word in ("pattern", "format", "title", "contentEncoding"):
        return isinstance(value, str)
    if word == "uniqueItems":
        return isinstance(value, bool)
    return isinstance(value, (bool, Mapping))


def _by_type(base: Shape) -> Iterator[Shape]:
    """One shape for each type, with the keywords that count for it."""
    types = list(dict.fromkeys(base.get("types", TYPES)))
    if "integer" in types and "number" in types:
        types.remove("integer")
    for tp in types:
        words = _OF_TYPE.get(tp, frozenset())
        shape = {"type": tp} | {word: value for word, value in base.items() if word in words}
        if "title" in base:
            shape["title"] = base["title"]
        if "enum" in base:
            shape["enum"] = [value for value in base["enum"] if kind_of(value) in ((tp, "integer") if tp == "number" else (tp,))]
            if not shape["enum"]:
                continue
        yield shape


def _common(one: list[str], other: list[str]) -> Iterator[str]:
    for tp in one:
        if tp in other or (tp == "integer" and "number" in other):
            yield tp
        elif tp == "number" and "integer" in other:
            yield "integer"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _item(shape: Shape, index: int) -> Any:
    """What stands at a place of an array."""
    prefix = shape.get("prefixItems", ())
    return prefix[index] if index < len(prefix) else shape.get("items", True)


def _property(shape: Shape, name: str) -> Any:
    """What a property may be."""
    properties = shape.get("properties", {})
    return properties[name] if name in properties else shape.get("additionalProperties", True)
