"""YAML and JSON with lines, strict where a manifest must not mean two things: no key twice, no date that was a text.

YAML is read by the JSON rules of YAML 1.2, as AsyncAPI asks for: `no` and `2024-01-01` are texts. Nothing here recurses, and what is too
deep or too large is refused before it is held.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

import yaml

from farandole.graph.nodes import Place
from farandole.manifest.tree import DEPTH, NODES, Node, Trouble

__all__ = ["BYTES", "parse"]

BYTES = 4_000_000
"""How large a document may be."""

_DEEP = f"it is nested deeper than {DEPTH} levels"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "true": True, "false": False}
_WORDS |= {
    each: value for word, value in (("null", None), ("true", True), ("false", False)) for each in (word.title(), word.upper())
}
_WORDS["null"] = None
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(content: bytes, file: str) -> Node:
    """The tree of a YAML or JSON document.

    Parameters
    ----------
    file:
        Its path, for places; `.json` is read as JSON, anything else as YAML.

    Raises
    ------
    Trouble
        It cannot be read.
    """
    if len(content) > BYTES:
        raise Trouble(
            "manifest-unreadable",
            Place(file),
            f"it has {len(content):,} bytes, more than the {BYTES:,} that are read",
            "Split it into several documents, or leave out what no service needs",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Trouble(
            "manifest-unreadable", Place(file, line), f"byte {error.start} is not UTF-8", "Save the file as UTF-8"
        ) from None
    return (_Json if file.endswith(".json") else _Yaml)(text, file).tree()


class _Builder:
    """Puts values together that come one after the other."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file

    def trouble(self, line: int, what: str, fix: str, rule: str = "manifest-syntax") -> Trouble:
        return Trouble(rule, Place(self.file, line), what, fix)

    def too_deep(self, line: int) -> Trouble:
        return self.trouble(line, _DEEP, "Name the inner parts under components/schemas and refer to them", "manifest-unreadable")

    def mapping(self, pairs: list[tuple[str, int, Node]], line: int) -> Node:
        found: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key, at, node in pairs:
            if key in found:
                raise self.trouble(
                    at,
                    f"the key {key!r} stands twice, first in line {lines[key]}",
                    "Remove one of them",
                    "manifest-duplicate-key",
                )
            found[key], lines[key] = node, at
        return Node(found, line)

    def string(self, value: str, line: int) -> str:
        if _SURROGATE.search(value):
            raise self.trouble(
                line, "a text holds half of a character (a lone surrogate)", "Write the character as it is, in UTF-8"
            )
        return value


class _Yaml(_Builder):
    def tree(self) -> Node:
        try:
            return self._document(yaml.parse(self.text, Loader=_LOADER))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else None
            problem = " ".join(str(error.problem or error.context).split())
            raise Trouble("manifest-syntax", Place(self.file, line), f"no YAML: {problem}", "Correct the line") from None
        except yaml.YAMLError as error:
            at = getattr(error, "position", None)
            line = None if at is None else self.text.count("\n", 0, at) + 1
            problem = " ".join(str(error).split())
            raise Trouble("manifest-syntax", Place(self.file, line), f"no YAML: {problem}", "Correct the line") from None

    def _document(self, events: Iterator[Any]) -> Node:
        # What is open: the event that began it, and what came in it so far.
        stack: list[tuple[Any, list[Any]]] = []
        anchors: dict[str, Node] = {}
        done: Node | None = None
        began: Any = None
        for event in events:
            line = event.start_mark.line + 1
            node: Node | None = None
            if isinstance(event, yaml.DocumentStartEvent) and done is not None:
                raise self.trouble(line, "the file holds a second document", "Put each document into a file of its own")
            if isinstance(event, yaml.ScalarEvent):
                node = Node(self._scalar(event, line), line)
            elif isinstance(event, yaml.AliasEvent):
                node = self._alias(event.anchor, anchors, line)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                if len(stack) >= DEPTH:
                    raise self.too_deep(line)
                stack.append((event, []))
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                began, parts = stack.pop()
                line = began.start_mark.line + 1
                is_list = isinstance(began, yaml.SequenceStartEvent)
                node = Node([part for part, _ in parts], line) if is_list else self._pairs(parts, line)
            if node is None:
                continue
            if node.size > NODES:
                raise self.trouble(
                    line,
                    f"it holds more than {NODES:,} values, those counted that its aliases (*name) repeat",
                    "Write a $ref in place of the alias",
                    "manifest-unreadable",
                )
            if len(stack) + node.depth > DEPTH + 1:
                raise self.too_deep(line)
            began = event if isinstance(event, yaml.ScalarEvent) else began
            if began.anchor and not isinstance(event, yaml.AliasEvent):
                anchors[began.anchor] = node
            if stack:
                stack[-1][1].append((node, event))
            else:
                done = node
        return done if done is not None else Node(None, 1)

    def _alias(self, name: Any, anchors: dict[str, Node], line: int) -> Node:
        if name not in anchors:
            raise self.trouble(
                line, f"the alias *{name} stands for nothing that is complete", f"Write &{name} at a value before it"
            )
        return Node(anchors[name].value, line)

    def _pairs(self, parts: list[tuple[Node, Any]], line: int) -> Node:
        pairs: list[tuple[str, int, Node]] = []
        merged: list[Node] = []
        for (key, event), (value, _) in zip(parts[::2], parts[1::2], strict=True):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.trouble(key.line, "a key is no text", "Write a text in its place")
            if event.value == "<<" and event.implicit[0]:
                merged += value.value if isinstance(value.value, list) else [value]
                continue
            pairs.append((self.string(event.value, key.line), key.line, Node(value.value, key.line)))
        known = {key for key, _, _ in pairs}
        for node in merged:
            if not isinstance(node.value, dict):
                raise self.trouble(node.line, "<< takes an object", "Write an alias of an object behind it")
            for key, inner in node.value.items():
                if key not in known:
                    known.add(key)
                    pairs.append((key, inner.line, inner))
        return self.mapping(pairs, line)

    def _scalar(self, event: Any, line: int) -> Any:
        value = event.value
        if not event.implicit[0] or (event.tag and event.tag != "tag:yaml.org,2002:str"):
            return self._tagged(event, line)
        if value in _WORDS:
            return _WORDS[value]
        if _INT.fullmatch(value):
            digits = value[2:] if value[:2] in ("0o", "0x") else value
            if len(digits) > 4000:
                raise self.trouble(line, f"a number of {len(digits)} digits", "Write it as a text, in quotation marks")
            return int(digits, {"0o": 8, "0x": 16}.get(value[:2], 10))
        if _FLOAT.fullmatch(value) and math.isfinite(number := float(value)):
            return number
        return self.string(value, line)

    def _tagged(self, event: Any, line: int) -> Any:
        if event.tag in (None, "!", "tag:yaml.org,2002:str"):
            return self.string(event.value, line)
        raise self.trouble(line, f"the tag {event.tag} means nothing in JSON", "Remove the tag")


_TOKEN = re.compile(r'[ \t\n\r]*(?:([{}\[\],:"])|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)|(true|false|null))')


class _Json(_Builder):
    def tree(self) -> Node:
        self._at = 0
        self._starts = [match.end() for match in re.finditer("\n", self.text)]
        stack: list[tuple[int, list[Any], bool]] = []  # where it began, what came so far, whether it is an object
        while True:
            kind, value, at = self._token()
            line = self._line(at)
            if kind in ("{", "["):
                if len(stack) >= DEPTH:
                    raise self.too_deep(line)
                stack.append((line, [], kind == "{"))
                if self._peek("}" if kind == "{" else "]"):
                    node = self._close(stack.pop())
                else:
                    if kind == "{":
                        self._key(stack[-1][1])
                    continue
            elif kind == "value":
                node = Node(value, line)
            else:
                raise self._unexpected(at)
            while True:  # a value is complete: what holds it may be, too
                if not stack:
                    if self.text[self._at :].strip(" \t\n\r"):
                        raise self._unexpected(self._at)
                    return node
                _, parts, is_object = stack[-1]
                if is_object:
                    key, at_line, _ = parts[-1]
                    node.line = at_line
                    parts[-1] = (key, at_line, node)
                else:
                    parts.append(node)
                if self._peek(","):
                    if is_object:
                        self._key(parts)
                    break
                if not self._peek("}" if is_object else "]"):
                    raise self._unexpected(self._at)
                node = self._close(stack.pop())

    def _close(self, opened: tuple[int, list[Any], bool]) -> Node:
        line, parts, is_object = opened
        return self.mapping(parts, line) if is_object else Node(parts, line)

    def _key(self, parts: list[Any]) -> None:
        kind, value, at = self._token()
        if kind != "value" or not isinstance(value, str) or not self._peek(":"):
            raise self._unexpected(at)
        parts.append((value, self._line(at), None))

    def _token(self) -> tuple[str, Any, int]:
        match = _TOKEN.match(self.text, self._at)
        if match is None:
            raise self._unexpected(self._at)
        at = match.start(match.lastindex or 0)
        self._at = match.end()
        if match[1] == '"':
            try:
                value, self._at = scanstring(self.text, self._at, True)
            except json.JSONDecodeError as error:
                line = self._line(error.pos)
                raise self.trouble(line, f"no JSON: {error.msg.lower()}", "Correct the line") from None
            return "value", self.string(value, self._line(at)), at
        if match[1]:
            return match[1], None, at
        if match[2]:
            if len(match[2]) > 4000:
                raise self.trouble(
                    self._line(at), f"a number of {len(match[2])} digits", "Write it as a text, in quotation marks"
                )
            number = json.loads(match[2])
            if not math.isfinite(number):
                raise self.trouble(self._line(at), "a number that is too large", "Write it as a text, in quotation marks")
            return "value", number, at
        return "value", _WORDS[match[3]], at

    def _peek(self, char: str) -> bool:
        match = _TOKEN.match(self.text, self._at)
        if match is None or match[1] != char:
            return False
        self._at = match.end()
        return True

    def _line(self, at: int) -> int:
        return bisect_right(self._starts, at) + 1

    def _unexpected(self, at: int) -> Trouble:
        rest = self.text[at:].lstrip(" \t\n\r")
        at = len(self.text) - len(rest)
        found = f"{rest[0]!r}" if rest else "the end of the file"
        return self.trouble(
            self._line(min(at, max(len(self.text) - 1, 0))), f"no JSON: {found} is not expected here", "Correct the line"
        )
