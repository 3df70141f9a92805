"""The fields of a message as its JSON Schema has them, and what is different between two of them, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from farandole.schema.of_class import MARK

__all__ = ["beside_fields", "changed_fields", "differences", "only", "properties", "same"]

Schema = Mapping[str, Any]

_SAID = frozenset({"title", "description", "examples", "$comment"})
"""What is said to people, and holds nobody to anything."""
_FIELDS = frozenset({"properties", "required", "$defs"})
_TOLD = frozenset({MARK})
"""What is compared elsewhere, by its paths."""
_DEPTH = 12
"""How deep differences are looked for one by one; below, it is only told that there is one."""


def same(a: Any, b: Any, *, beside: frozenset[str] = frozenset()) -> bool:
    """Whether two JSON values are equal, however deep they are nested, but for these keys; `1` is not `True`."""
    todo = [(a, b)]
    while todo:
        a, b = todo.pop()
        if a is b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if a.keys() - beside != b.keys() - beside:
                return False
            todo += [(a[key], b[key]) for key in a if key not in beside]
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
            if len(a) != len(b):
                return False
            todo += zip(a, b, strict=True)
        elif type(a) is not type(b) or a != b:
            return False
    return True


def properties(schema: Schema | None) -> Mapping[str, Any] | None:
    """The top fields of a message's data; None where the schema does not say, or is no plain object."""
    if schema is None:
        return None
    root = _resolved(schema, schema)
    found = root.get("properties", {} if root.get("type") == "object" else None)
    return found if isinstance(found, Mapping) else None


def beside_fields(schema: Schema | None) -> Schema | None:
    """What a schema says beyond its top fields and what they refer to; what is said to people is left out."""
    if schema is None or properties(schema) is None:
        return schema
    return {word: value for word, value in _resolved(schema, schema).items() if word not in _SAID | _FIELDS}


def only(schema: Schema | None, field: str) -> Schema | None:
    """The same schema with this one top field, so that what compatibility says of it is about this field alone."""
    if schema is None or (found := properties(schema)) is None:
        return schema
    root = dict(_resolved(schema, schema))
    root["properties"] = {field: found[field]} if field in found else {}
    root["required"] = [name for name in root.get("required", ()) if name == field]
    if "$defs" in schema:
        root["$defs"] = schema["$defs"]
    return root


def changed_fields(old: Schema | None, new: Schema | None) -> Iterator[str]:
    """The top fields that came, went, or are not what they were; the definitions that they refer to count."""
    before, now = properties(old), properties(new)
    if old is None or new is None or before is None or now is None:
        return
    for field in sorted({*before, *now}):
        if field not in before or field not in now or not _same_field(old, new, field):
            yield field


def _same_field(old: Schema, new: Schema, field: str) -> bool:
    a, b = dict(only(old, field) or {}), dict(only(new, field) or {})
    defs = a.pop("$defs", {}), b.pop("$defs", {})
    if a["required"] != b["required"] or not same(a["properties"], b["properties"], beside=_TOLD):
        return False
    # Equal text may refer to definitions that are not: only those that this field reaches count.
    names = _reached(a["properties"], defs[0]) | _reached(b["properties"], defs[1])
    return all(same(defs[0].get(name), defs[1].get(name), beside=_TOLD) for name in names)


def _reached(value: Any, defs: Mapping[str, Any]) -> set[str]:
    """The definitions that are referred to from here, in one step or several."""
    found: set[str] = set()
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, Mapping):
            ref = one.get("$ref")
            name = ref.rpartition("/")[2] if isinstance(ref, str) else None
            if name is not None and name not in found:
                found.add(name)
                todo.append(defs.get(name))
            todo += one.values()
        elif isinstance(one, list | tuple):
            todo += one
    return found


def differences(old: Schema, new: Schema, field: str) -> list[str]:
    """What is different about one top field, in words; that it came or went is not told here.

    Each is a clause that begins with the field's path: "`total` is a number now, not an integer".
    """
    before, now = dict(_leaves(old, field)), dict(_leaves(new, field))
    told: list[str] = []
    for path in dict.fromkeys((*before, *now)):
        if path not in now:
            told.append(f"`{path}` is gone")
        elif path not in before:
            told.append(f"`{path}` is new" + (", and required" if now[path]["required"] else ""))
        else:
            told += _of_one(path, before[path], now[path])
    return told or [f"`{field}` is different inside"]


def _of_one(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["type"] != new["type"]:
        yield f"`{path}` is {new['type']} now, not {old['type']}"
    if old["required"] != new["required"]:
        yield f"`{path}` is {'required' if new['required'] else 'optional'} now"
    for word in dict.fromkeys((*old["rest"], *new["rest"])):
        a, b = old["rest"].get(word), new["rest"].get(word)
        if a == b or word in _TOLD:
            continue
        if word in _SAID:
            yield f"`{path}` is described in other words"
        elif a is None or b is None:
            yield f"`{path}` has {word} {b} now" if a is None else f"`{path}` no longer has {word} {a}"
        else:
            yield f"`{path}` has {word} {b} now, not {a}"


def _leaves(schema: Schema, field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field below a top field, itself included, by its path: `items[].name`."""
    root = _resolved(schema, schema)
    found = properties(schema) or {}
    if field not in found:
        return
    todo = [(field, found[field], field in root.get("required", ()), 0, frozenset[str]())]
    while todo:
        path, raw, required, depth, seen = todo.pop()
        ref = raw.get("$ref") if isinstance(raw, Mapping) else None
        inner = _resolved(raw, schema) if isinstance(raw, Mapping) else {}
        inner, nothing = _without_null(inner, schema)
        rest = {key: _brief(value) for key, value in inner.items() if key not in _STRUCTURE}
        if isinstance(raw, Mapping):
            rest |= {key: _brief(value) for key, value in raw.items() if key not in _STRUCTURE}
        yield path, {"type": _type_of(inner, schema) + (" or null" if nothing else ""), "required": required, "rest": rest}
        if depth >= _DEPTH or (isinstance(ref, str) and ref in seen):
            continue
        seen = seen | {ref} if isinstance(ref, str) else seen
        below: Any = inner.get("properties")
        names = sorted(below, reverse=True) if isinstance(below, Mapping) else ()
        todo += [(f"{path}.{name}", below[name], name in inner.get("required", ()), depth + 1, seen) for name in names]
        if isinstance(inner.get("items"), Mapping):
            item = _resolved(inner["items"], schema)
            if isinstance(item.get("properties"), Mapping):
                todo.append((f"{path}[]", inner["items"], True, depth + 1, seen))


_STRUCTURE = frozenset({"type", "properties", "required", "items", "$ref", "$defs", "anyOf", "oneOf", "title"})


def _without_null(schema: Schema, root: Schema) -> tuple[Schema, bool]:
    """A schema that allows for null as well, without that; and whether it did."""
    for word in ("anyOf", "oneOf"):
        several = schema.get(word)
        if isinstance(several, list):
            others = [one for one in several if not (isinstance(one, Mapping) and one.get("type") == "null")]
            if len(others) < len(several) and len(others) == 1 and isinstance(others[0], Mapping):
                return {**_resolved(others[0], root), **{key: value for key, value in schema.items() if key != word}}, True
    return schema, False


def _type_of(schema: Schema, root: Schema, depth: int = 0) -> str:
    """The type, as people say it."""
    if isinstance(schema.get("enum"), list):
        return f"one of {_brief(schema['enum'])}"
    if "const" in schema:
        return f"always {_brief(schema['const'])}"
    said = schema.get("type")
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list) and depth < 3:
            several = [_type_of(_resolved(one, root), root, depth + 1) for one in schema[word] if isinstance(one, Mapping)]
            return " or ".join(dict.fromkeys(several)) or "anything"
    if said == "array":
        items = schema.get("items")
        return (
            f"array of {_type_of(_resolved(items, root), root, depth + 1)}"
            if isinstance(items, Mapping) and depth < 3
            else "array"
        )
    if isinstance(said, list):
        return " or ".join(map(str, said))
    form = schema.get("format")
    return f"{said} ({form})" if said and isinstance(form, str) else str(said or "anything")


def _resolved(schema: Schema, root: Schema) -> Schema:
    """What a schema refers to within its own document; itself where that leads nowhere."""
    seen: set[str] = set()
    while isinstance(ref := schema.get("$ref"), str) and ref not in seen:
        seen.add(ref)
        target: Any = root
        for word in ref.removeprefix("#").split("/")[1:]:
            target = target.get(word.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            break
        schema = target
    return schema


def _brief(value: Any) -> str:
    """A JSON value in one line, short."""
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except RecursionError:
        return "…"
    return text if len(text) <= 60 else f"{text[:59]}…"
