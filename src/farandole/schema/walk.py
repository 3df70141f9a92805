"""Ways through a JSON Schema that no depth and no circle can hurt."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

__all__ = ["MISSING", "Steps", "pointer_of", "rewritten", "run", "same", "target"]

T = TypeVar("T")
Steps = Generator["Steps[Any]", Any, T]
"""A function that may call itself as deep as it likes: it yields its calls, and `run` makes them."""

MISSING: Any = object()
"""What a reference leads to that leads nowhere."""

_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values are schemas by name."""
_DATA = frozenset({"default", "enum", "const", "examples", "example"})
"""Keywords whose values are data, in which `$ref` would be a key like any other."""


def run(steps: Steps[T]) -> T:
    """The answer of a generator that yields the generators whose answers it needs. Depth costs memory, not stack."""
    stack: list[Steps[Any]] = [steps]
    value: Any = None
    while stack:
        try:
            call = stack[-1].send(value)
        except StopIteration as end:
            stack.pop()
            value = end.value
        else:
            stack.append(call)
            value = None
    answer: T = value
    return answer


def pointer_of(*tokens: str) -> str:
    """A JSON pointer (RFC 6901): `/channels/shop.orders`."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def target(root: Any, ref: str) -> Any:
    """What a reference leads to inside of a schema, or `MISSING` where it leads out of it, or nowhere."""
    if ref != "#" and not ref.startswith("#/"):
        return MISSING
    node = root
    for token in ref.split("/")[1:]:
        word = token.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and word in node:
            node = node[word]
        elif isinstance(node, list) and word.isdecimal() and int(word) < len(node):
            node = node[int(word)]
        else:
            return MISSING
    return node


def rewritten(schema: Any, change: Callable[[dict[str, Any]], None]) -> Any:
    """A copy of a schema in which `change` has seen, and may have changed, every object that is a schema. Data is left alone."""
    holder: list[Any] = [schema]
    todo: list[tuple[Any, Any, str]] = [(holder, 0, "schema")]
    while todo:
        parent, place, kind = todo.pop()
        value = parent[place]
        if isinstance(value, Mapping) and kind != "data":
            copy = parent[place] = dict(value)
            if kind == "schema":
                change(copy)
            for word in copy:
                inner = "schema" if kind == "map" else "map" if word in _MAPS else "schema"
                todo.append((copy, word, "data" if kind == "schema" and (word in _DATA or word.startswith("x-")) else inner))
        elif isinstance(value, (list, tuple)) and kind != "data":
            items = parent[place] = list(value)
            todo += [(items, index, kind) for index in range(len(items))]
    return holder[0]


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1 is 1.0, but true is not 1."""
    todo = [(one, other)]
    while todo:
        left, right = todo.pop()
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            if left.keys() != right.keys():
                return False
            todo += [(left[word], right[word]) for word in left]
        elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
            if len(left) != len(right):
                return False
            todo += zip(left, right, strict=True)
        elif isinstance(left, bool) is not isinstance(right, bool) or left != right:
            return False
    return True
