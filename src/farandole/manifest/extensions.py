"""The nodes of a graph as plain data under `x-farandole-…`, and back: fields by their names, those left out that are as by default."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

import msgspec

from farandole.errors import DeclarationError
from farandole.graph.nodes import Place
from farandole.manifest.refs import Spot

__all__ = ["CHOREOGRAPHY", "MESSAGE", "PART", "REACTION", "SERVICE", "data_of", "node_of"]

T = TypeVar("T")

CHOREOGRAPHY = "x-farandole-choreography"
SERVICE = "x-farandole-service"
MESSAGE = "x-farandole-message"
REACTION = "x-farandole-reaction"
PART = "x-farandole-part-of"
"""On an operation: another operation has the reaction, which receives from several channels."""

_PLACE = re.compile(r"([^#]*?)(?::([1-9][0-9]*))?(?:#(.*))?", re.DOTALL)


def data_of(node: Any, without: Iterable[str] = ()) -> dict[str, Any]:
    """The fields of a node that are not as by default, as plain data; places as texts, `payments.py:12`."""
    left_out = set(without)
    return {
        field.name: _plain(getattr(node, field.name))
        for field in fields(node)
        if field.name not in left_out and (field.default is MISSING or getattr(node, field.name) != field.default)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Place):
        return str(value) if _place(str(value)) == value else {"file": value.file, "line": value.line, "pointer": value.pointer}
    if is_dataclass(value):
        return data_of(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _place(text: str) -> Place:
    match = _PLACE.fullmatch(text)
    if match is None:
        return Place(text)
    return Place(match[1], int(match[2]) if match[2] else None, match[3] or "")


def node_of(cls: type[T], spot: Spot, known: Mapping[str, Any]) -> T:
    """A node from what stands in a document.

    Parameters
    ----------
    spot:
        The object with its fields.
    known:
        Fields that stand elsewhere in the document; those here win, also inside of objects.

    Raises
    ------
    Trouble
        A field is missing, or is not what it should be.
    """
    data = spot.value
    if not isinstance(data, dict):
        raise spot.trouble("manifest-structure", "expected an object here", "See docs/manifests.md")
    words = {**known, **data}
    words |= {
        word: {**known[word], **data[word]}
        for word in known
        if isinstance(known[word], dict) and isinstance(data.get(word), dict)
    }
    for word, inner in (("place", words), *((part, words.get(part)) for part in ("exhausted", "late"))):
        if isinstance(inner, dict):
            place = inner.get("place", spot.place)
            inner["place"] = _place(place) if isinstance(place, str) else place
            if inner is not words:
                words[word] = inner
    try:
        return msgspec.convert(_built(words), cls)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise _at(spot, path).trouble("manifest-structure", message.replace("`", ""), "See docs/manifests.md") from None
    except DeclarationError as error:
        raise spot.trouble("manifest-structure", str(error), "See docs/manifests.md") from None


def _built(value: Any) -> Any:
    """Plain data again; msgspec takes no object inside of an object that it converts."""
    if isinstance(value, Place):
        return {"file": value.file, "line": value.line, "pointer": value.pointer}
    if isinstance(value, dict):
        return {key: _built(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_built(inner) for inner in value]
    return value


def _at(spot: Spot, path: str) -> Spot:
    """The place that msgspec means by a path such as `.trigger.receives[0]`."""
    for word in re.findall(r"[^.\[\]`]+", path):
        inner = dict(spot.parts()).get(word) if isinstance(spot.node.value, (dict, list)) else None
        if inner is None:
            break
        spot = inner
    return spot
