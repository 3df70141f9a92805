"""A document as a tree that knows its lines, and trouble with a document as a finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from farandole.checks.base import Finding
from farandole.graph.nodes import Place

__all__ = ["DEPTH", "NODES", "RULES", "Node", "Trouble", "plain"]

DEPTH = 200
"""How deep a document may be nested."""
NODES = 1_000_000
"""How many values a document may hold, those counted that it repeats by aliases."""

RULES = {
    "manifest-unreadable": "a document cannot be read: not UTF-8, too large, nested too deep",
    "manifest-syntax": "a document is no YAML or JSON",
    "manifest-duplicate-key": "a key stands twice in one object",
    "manifest-version": "a version of AsyncAPI that is not understood",
    "manifest-structure": "a document is not built as AsyncAPI says",
    "manifest-reference": "a reference leads nowhere, in a circle, out of the folder or over a network",
}
"""The ids of what may be found while reading, each with a few words."""


class Node:
    """A value of a document and the line that it begins in; a value of an object: the line of its key.

    Attributes
    ----------
    value:
        A dict of nodes, a list of nodes, or what JSON has besides.
    size, depth:
        How many values it holds, itself included, and in how many levels.
    """

    __slots__ = ("depth", "line", "size", "value")

    def __init__(self, value: Any, line: int) -> None:
        self.value = value
        self.line = line
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        self.size = 1 + sum(node.size for node in inner)
        self.depth = 1 + max((node.depth for node in inner), default=0)


@dataclass
class Trouble(Exception):
    """What is wrong with a document, where, and what to do."""

    rule: str
    place: Place
    what: str
    fix: str

    def finding(self) -> Finding:
        """The same as a finding; its subject is the place in the document."""
        subject = f"{self.place.file}#{self.place.pointer}" if self.place.pointer else self.place.file
        return Finding(self.rule, self.place, self.what, self.fix, subject)

    def __str__(self) -> str:
        return f"{self.place}: {self.what}. {self.fix}"


def plain(node: Node) -> Any:
    """The value without its lines."""
    if isinstance(node.value, dict):
        return {key: plain(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [plain(inner) for inner in node.value]
    return node.value
