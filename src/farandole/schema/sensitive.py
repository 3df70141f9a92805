"""Which fields of a schema are sensitive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from farandole.schema.of_class import MARK
from farandole.schema.walk import target

__all__ = ["sensitive_paths"]


_STEPS = 20_000
"""Schemas that refer to each other twice and twice again have more paths than anybody can name."""


def sensitive_paths(schema: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The sensitive fields of a schema as dotted paths, sorted: `email`, `address.street`, `lines[].name`, `notes.*`.

    Of a field with sensitive ones inside, the paths of those are named. A schema that holds itself has no end of paths, so there the
    field that leads back into it is named as a whole, if something in it is sensitive. Where there are too many paths, `*` stands for all.
    """
    if not schema or not _has_mark(schema):
        return ()
    found: set[str] = set()
    back: list[tuple[str, str]] = []
    holders: set[str] = set()
    # What is still to be seen: (schema, path, references on the way here).
    todo: list[tuple[Any, str, tuple[str, ...]]] = [(schema, "", ("#",))]
    for _ in range(_STEPS):
        if not todo:
            break
        node, path, way = todo.pop()
        if not isinstance(node, Mapping):
            continue
        if node.get(MARK) is True:
            found.add(path or "*")
            holders.update(way)
            continue
        if isinstance(ref := node.get("$ref"), str):
            if ref in way:
                back.append((ref, path))
            else:
                todo.append((target(schema, ref), path, (*way, ref)))
        todo += [(inner, path + step, way) for step, inner in _inside(node, path)]
    if todo:
        return ("*",)
    found.update(path for ref, path in back if ref in holders)
    return tuple(sorted(found))


def _inside(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """The schemas within a schema, each with the step that leads there."""
    dot = "." if path else ""
    for word in ("allOf", "anyOf", "oneOf"):
        yield from (("", part) for part in _list(node.get(word)))
    if isinstance(properties := node.get("properties"), Mapping):
        yield from ((f"{dot}{name}", inner) for name, inner in properties.items())
    items = node.get("items")
    yield from (("[]", part) for part in (*_list(node.get("prefixItems")), *(_list(items) or [items])))
    yield f"{dot}*", node.get("additionalProperties")


def _has_mark(schema: Any) -> bool:
    todo = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, Mapping):
            if node.get(MARK) is True:
                return True
            todo += node.values()
        elif isinstance(node, list):
            todo += node
    return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
