"""Stand-in until the part on schemas is merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["breaks"]


def breaks(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> list[str]:
    """Why JSON data that is valid for the writer's schema may not be readable with the reader's."""
    return list(_breaks(writer, reader))


def _breaks(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> Iterator[str]:
    sent, read = writer.get("properties", {}), reader.get("properties", {})
    for name in reader.get("required", ()):
        if name not in sent:
            yield f"`{name}`: required, but not sent"
        elif name not in writer.get("required", ()):
            yield f"`{name}`: required, but optional where it is written"
    for name in read:
        if name in sent and "type" in read[name] and "type" in sent[name] and sent[name]["type"] != read[name]["type"]:
            yield f"`{name}`: expected {read[name]['type']}, but {sent[name]['type']} is sent"
