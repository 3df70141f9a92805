"""Blots out of a text what is sensitive in an event: errors quote what they stumble over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import msgspec

from farandole.model.event import HIDDEN, sensitive_fields

__all__ = ["blotted", "blotted_data"]

SHORT = 4
"""Secrets with fewer letters are blotted out only where they stand alone: else half of the words of any text would go."""


def blotted(text: str, *events: Any) -> str:
    """A text without the sensitive values of these events.

    It finds values as they are, as Python's `repr` writes them, and as JSON does; not what was computed from them.
    """
    return _without(text, (secret for event in events for secret in _secrets(event)))


def blotted_data(text: str, cls: type, data: bytes) -> str:
    """As `blotted`, for the data of an event of this class that could not be made one."""
    hidden = sensitive_fields(cls)
    if not hidden:
        return text
    try:
        values = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text  # no JSON: then the error quotes nothing but a place
    if not isinstance(values, dict):
        return text
    names = {field.encode_name for field in msgspec.structs.fields(cls) if field.name in hidden}
    return _without(text, (leaf for name in names & values.keys() for leaf in _leaves(values[name])))


def _secrets(event: Any) -> Iterator[str]:
    for name in sensitive_fields(type(event)):
        value = getattr(event, name, None)
        yield from _leaves(value)
        if not isinstance(value, bool | None):
            yield str(value)


def _leaves(value: Any) -> Iterator[str]:
    """The texts and numbers in a value, however deep."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(key)
            yield from _leaves(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _leaves(getattr(value, name))
    elif is_dataclass(value):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name))
    elif isinstance(value, Enum):
        yield from _leaves(value.value)
    elif isinstance(value, bytes | bytearray):
        yield bytes(value).decode("utf-8", "replace")
    elif not isinstance(value, bool | None):
        yield str(value)


def _without(text: str, secrets: Iterable[str]) -> str:
    spellings = {spelling for secret in secrets if len(secret) > 1 for spelling in (secret, repr(secret)[1:-1], _json(secret))}
    for secret in sorted(spellings, key=len, reverse=True):
        if len(secret) >= SHORT:
            text = text.replace(secret, HIDDEN)
        else:
            text = re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", HIDDEN, text)
    return text


def _json(text: str) -> str:
    return msgspec.json.encode(text.encode("utf-8", "replace").decode())[1:-1].decode()
