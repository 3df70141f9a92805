"""A payload's schema made complete in itself: what it refers to elsewhere in the documents comes along under `$defs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from farandole.manifest.refs import Spot
from farandole.schema.walk import pointer_of, rewritten

__all__ = ["bundled"]

_Target = tuple[Path, tuple[str, ...]]


def bundled(payload: Spot) -> Any:
    """The schema that stands at a place, with every reference leading inside of it.

    Raises
    ------
    Trouble
        A reference leads nowhere, in a circle, or where it must not.
    """
    return _Bundle(_root(payload)).schema()


def _root(payload: Spot) -> Spot:
    """What is the root of the schema: where there is a reference and nothing else, what it leads to."""
    seen: set[_Target] = set()
    while payload.ref is not None and len(payload.node.value) == 1:
        inner = payload.files.resolve(payload, payload.ref)
        if inner.path == payload.path and inner.tokens[: len(payload.tokens)] == payload.tokens:
            return payload  # it leads into itself
        if (inner.path, inner.tokens) in seen:
            return payload.files.follow(payload)  # raises: a circle
        seen.add((inner.path, inner.tokens))
        payload = inner
    return payload


class _Bundle:
    def __init__(self, root: Spot) -> None:
        self.root = root
        value = root.value
        self._names: dict[_Target, str] = {}
        self._taken = set(value.get("$defs") or ()) if isinstance(value, dict) else set()
        self._todo: list[tuple[str, Spot]] = []

    def schema(self) -> Any:
        whole = self._rewritten(self.root)
        more: dict[str, Any] = {}
        while self._todo:
            name, spot = self._todo.pop(0)
            more[name] = self._rewritten(spot)
        if more and isinstance(whole, dict):
            defs = whole.get("$defs")
            whole["$defs"] = {**(defs if isinstance(defs, dict) else {}), **more}
        return whole

    def _rewritten(self, spot: Spot) -> Any:
        if isinstance(spot.node.value, list):
            raise spot.trouble("manifest-structure", "expected a schema, found a list", "Write an object such as {type: string}")

        def change(part: dict[str, Any]) -> None:
            ref = part.get("$ref")
            if isinstance(ref, str):
                part["$ref"] = self._place(spot, ref)

        return rewritten(spot.value, change)

    def _place(self, spot: Spot, ref: str) -> str:
        inner = spot.files.resolve(self._near(spot, ref), ref)
        depth = len(self.root.tokens)
        if inner.path == self.root.path and inner.tokens[:depth] == self.root.tokens:
            return "#" + pointer_of(*inner.tokens[depth:])
        target = (inner.path, inner.tokens)
        if target not in self._names:
            name = _name(inner)
            while name in self._taken:
                name += "_"
            self._taken.add(name)
            self._names[target] = name
            self._todo.append((name, inner))
        return "#" + pointer_of("$defs", self._names[target])

    @staticmethod
    def _near(spot: Spot, ref: str) -> Spot:
        """The object with this reference, so that trouble is told with its line."""
        todo = [spot]
        while todo:
            here = todo.pop()
            if here.ref == ref:
                return here
            if isinstance(here.node.value, (dict, list)):
                todo += [inner for _, inner in here.parts()]
        return spot


def _name(spot: Spot) -> str:
    """A name for a definition: how it is called where it stands."""
    tokens = [token for token in spot.tokens if token not in ("payload", "schema", "properties", "items")]
    return tokens[-1] if tokens else spot.path.stem
