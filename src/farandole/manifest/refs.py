"""Documents and the references between them: inside of one folder, never over a network, never in a circle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from farandole.graph.nodes import Place
from farandole.manifest.parse import BYTES, parse
from farandole.manifest.tree import Node, Trouble, plain
from farandole.schema.walk import pointer_of

__all__ = ["Files", "Spot", "content_of", "real_path"]

_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|\\\\")


@dataclass(frozen=True)
class Spot:
    """A value in a document, with the way to it.

    Attributes
    ----------
    path:
        The document's real path.
    shown:
        Its path as people gave it.
    """

    files: Files
    path: Path
    shown: str
    node: Node
    tokens: tuple[str, ...] = ()

    @property
    def pointer(self) -> str:
        """The JSON pointer to it."""
        return pointer_of(*self.tokens)

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.shown, self.node.line, self.pointer)

    @property
    def value(self) -> Any:
        """What it holds, without lines."""
        return plain(self.node)

    @property
    def ref(self) -> str | None:
        """The reference that stands in its place, or None."""
        inner = self.node.value.get("$ref") if isinstance(self.node.value, dict) else None
        return inner.value if inner is not None and isinstance(inner.value, str) else None

    def get(self, key: str) -> Spot | None:
        """What stands under a key, as it is, or None."""
        inner = self.node.value.get(key) if isinstance(self.node.value, dict) else None
        return None if inner is None else Spot(self.files, self.path, self.shown, inner, (*self.tokens, key))

    def at(self, key: str) -> Spot | None:
        """What stands under a key, references followed, or None."""
        inner = self.get(key)
        return None if inner is None else self.files.follow(inner)

    def parts(self) -> Iterator[tuple[str, Spot]]:
        """The values of an object by key, or of a list by index.

        Raises
        ------
        Trouble
            It is neither.
        """
        if isinstance(self.node.value, dict):
            for key in self.node.value:
                yield key, Spot(self.files, self.path, self.shown, self.node.value[key], (*self.tokens, key))
        elif isinstance(self.node.value, list):
            for index, inner in enumerate(self.node.value):
                yield str(index), Spot(self.files, self.path, self.shown, inner, (*self.tokens, str(index)))
        elif self.node.value is not None:
            raise self.trouble("manifest-structure", "expected an object or a list here", "See the specification of AsyncAPI")

    def text(self, key: str, default: str = "") -> str:
        """The text under a key; numbers as they would be written."""
        inner = self.get(key)
        if inner is None or inner.node.value is None:
            return default
        if isinstance(inner.node.value, (dict, list)):
            raise inner.trouble("manifest-structure", f"expected a text as {key}", "Write a text in its place")
        return str(inner.node.value)

    def trouble(self, rule: str, what: str, fix: str) -> Trouble:
        """Trouble at this place."""
        return Trouble(rule, self.place, what, fix)


class Files:
    """The documents of one folder, each read once.

    Parameters
    ----------
    root:
        The folder that no reference leaves.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._trees: dict[Path, Node | Trouble] = {}

    def load(self, path: Path, shown: str) -> Spot:
        """The document in a file.

        Raises
        ------
        Trouble
            It cannot be read.
        """
        real = real_path(path, shown)
        if real not in self._trees:
            try:
                self._trees[real] = parse(content_of(real, shown), shown)
            except Trouble as trouble:
                self._trees[real] = trouble
        tree = self._trees[real]
        if isinstance(tree, Trouble):
            raise tree
        return Spot(self, real, shown, tree)

    def follow(self, spot: Spot) -> Spot:
        """What stands there in the end, when each `$ref` is replaced by what it leads to.

        Raises
        ------
        Trouble
            A reference leads nowhere, or in a circle, or where it must not.
        """
        seen: set[tuple[Path, tuple[str, ...]]] = set()
        while (ref := spot.ref) is not None:
            if (spot.path, spot.tokens) in seen:
                raise spot.trouble(
                    "manifest-reference", f"$ref {ref} leads in a circle", "Let one of them hold something of its own"
                )
            seen.add((spot.path, spot.tokens))
            spot = self.resolve(spot, ref)
        return spot

    def resolve(self, spot: Spot, ref: str) -> Spot:
        """What one reference leads to; it may be a reference itself.

        Raises
        ------
        Trouble
            As `follow`.
        """
        file, _, fragment = ref.partition("#")
        if _ELSEWHERE.match(file):
            raise spot.trouble(
                "manifest-reference", f"$ref {ref} leads out of the folder", "Only files are read: put a copy into the folder"
            )
        document = self._document(spot, ref, unquote(file)) if file else Spot(self, spot.path, spot.shown, self._tree(spot))
        if fragment and not fragment.startswith("/"):
            raise spot.trouble(
                "manifest-reference", f"$ref {ref} has no JSON pointer behind #", "Write one such as #/components/…"
            )
        return self._walk(document, spot, ref, unquote(fragment))

    def _tree(self, spot: Spot) -> Node:
        tree = self._trees[spot.path]
        assert isinstance(tree, Node)
        return tree

    def _document(self, spot: Spot, ref: str, file: str) -> Spot:
        try:
            path = (spot.path.parent / file).resolve()
            inside, there = path.is_relative_to(self.root), path.is_file()
        except (OSError, ValueError, RuntimeError):
            inside, there = True, False
            path = spot.path
        if not inside:
            raise spot.trouble("manifest-reference", f"$ref {ref} leads out of the folder", f"Put a copy into {self.root.name}/")
        if not there:
            raise spot.trouble(
                "manifest-reference", f"$ref {ref}: there is no such file", "Correct the path; it is relative to this document"
            )
        shown = Path(spot.shown).parent / file
        return self.load(path, str(shown))

    def _walk(self, document: Spot, spot: Spot, ref: str, pointer: str) -> Spot:
        node, tokens = document.node, []
        for token in pointer.split("/")[1:]:
            word = token.replace("~1", "/").replace("~0", "~")
            tokens.append(word)
            inner = node.value
            if isinstance(inner, dict) and word in inner:
                node = inner[word]
            elif isinstance(inner, list) and word.isdecimal() and int(word) < len(inner):
                node = inner[int(word)]
            else:
                raise spot.trouble(
                    "manifest-reference",
                    f"$ref {ref} leads nowhere: {document.shown} has no {pointer_of(*tokens)}",
                    "Correct the reference, or add what it means",
                )
        return Spot(self, document.path, document.shown, node, tuple(tokens))


def real_path(path: Path, shown: str) -> Path:
    """The path without links.

    Raises
    ------
    Trouble
        They lead in a circle.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise Trouble("manifest-unreadable", Place(shown), "the link leads in a circle", "Remove it") from None


def content_of(path: Path, shown: str) -> bytes:
    """The bytes of a file, as far as they are read.

    Raises
    ------
    Trouble
        It is no file, or cannot be read.
    """
    try:
        if not path.is_file():
            raise Trouble("manifest-unreadable", Place(shown), "it is no file", "Remove it, or put a document in its place")
        with path.open("rb") as file:
            return file.read(BYTES + 1)
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        raise Trouble("manifest-unreadable", Place(shown), what, "Check its permissions") from None
