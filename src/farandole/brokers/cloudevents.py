"""How an event travels over a broker with headers: CloudEvents' structured mode (the default) and its binary mode.

Structured: the body is the event as CloudEvents JSON, byte for byte; headers of our own repeat what a consumer routes by.
Binary: attributes are headers, the body is the data alone. Reading takes whatever mode a producer chose.

Sources: the CloudEvents protocol bindings 1.0.2 for Kafka, NATS and AMQP, and the JSON event format.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

from farandole.errors import EnvelopeError
from farandole.model.envelope import Message, decode

__all__ = ["MODES", "STRUCTURED", "Arrived", "Headers"]

MODES = ("structured", "binary")
STRUCTURED = "application/cloudevents+json"
_JSON = "application/json"
_ORDER = (
    "specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema",
    "correlationid", "causationid", "partitionkey", "traceparent", "depth",
)  # fmt: skip
_PLAIN = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"
"""What the HTTP binding (which NATS follows) leaves as it is, beside letters, digits and `-._~`; space, quotes and % it does not."""

_encode = msgspec.json.encode


class Arrived(NamedTuple):
    """What a consumer makes of a message: the event as CloudEvents JSON, and what the headers say of it (empty: nothing)."""

    body: bytes
    id: str = ""
    type: str = ""
    key: str = ""


class Headers:
    """The headers of one protocol binding.

    Parameters
    ----------
    prefix:
        What stands before the names of attributes: `ce_` for Kafka, `ce-` for NATS, `cloudEvents_` for AMQP.
    aliases:
        Other prefixes that are read.
    quoted:
        Whether values are percent-encoded, as the NATS binding wants it.
    """

    def __init__(self, prefix: str, *aliases: str, quoted: bool = False) -> None:
        self._prefix = prefix
        self._prefixes = tuple(name.lower() for name in (prefix, *aliases))
        self._quoted = quoted

    def write(self, message: Message, mode: str = "structured") -> tuple[dict[str, str], bytes]:
        """The headers, `content-type` among them, and the body.

        Parameters
        ----------
        message:
            What to publish. What is no CloudEvent (an event whose bytes were damaged before) goes as it is.
        mode:
            `structured` or `binary`.
        """
        if mode == "binary" and (split := self._split(message)) is not None:
            return split
        say = self._say
        headers = {"content-type": STRUCTURED, "farandole-id": say(message.id), "farandole-type": say(message.type)}
        headers["farandole-key"] = say(message.key)
        return headers, message.body

    def _split(self, message: Message) -> tuple[dict[str, str], bytes] | None:
        try:
            event = decode(message.body)
        except EnvelopeError:
            return None
        attributes = {**(event.extensions or {}), **_attributes(message.body)}
        headers = {f"{self._prefix}{name}": self._say(_text(value)) for name, value in attributes.items()}
        headers.pop(f"{self._prefix}datacontenttype", None)
        if event.datacontenttype is not None or event.data:
            headers["content-type"] = event.datacontenttype or _JSON
        headers.setdefault(f"{self._prefix}partitionkey", self._say(message.key))
        if event.data_base64 is not None:
            return headers, base64.b64decode(event.data_base64)
        data = bytes(event.data)
        if data and not _is_json(event.datacontenttype or _JSON):
            try:
                return headers, msgspec.json.decode(data, type=str).encode()  # text travels as text
            except msgspec.DecodeError:
                return None
        return headers, data

    def read(self, headers: Mapping[str, str], body: bytes) -> Arrived:
        """The event as CloudEvents JSON, whatever mode it came in; what is no CloudEvent comes as it is."""
        lower = {name.lower(): value for name, value in headers.items()}
        kind = lower.get("content-type", "")
        if not kind.startswith("application/cloudevents"):
            for prefix in self._prefixes:
                if f"{prefix}specversion" in lower:
                    return self._join(prefix, lower, kind, body)
        hear = self._hear
        return Arrived(
            body, hear(lower.get("farandole-id", "")), hear(lower.get("farandole-type", "")), hear(lower.get("farandole-key", ""))
        )

    def _join(self, prefix: str, headers: Mapping[str, str], kind: str, body: bytes) -> Arrived:
        found = {name[len(prefix) :]: self._hear(value) for name, value in headers.items() if name.startswith(prefix)}
        if kind:
            found["datacontenttype"] = kind
        ordered = [name for name in _ORDER if name in found]
        ordered += [name for name in found if name not in ordered]
        parts = [b"%s:%s" % (_encode(name), _value(name, found[name])) for name in ordered]
        if body:
            parts.append(_data(found.get("datacontenttype", _JSON), body))
        whole = b"{" + b",".join(parts) + b"}" if all(parts) else body
        return Arrived(whole, found.get("id", ""), found.get("type", ""), found.get("partitionkey", ""))

    def _say(self, text: str) -> str:
        return quote(text, safe=_PLAIN.replace('"', "")) if self._quoted and not text.isalnum() else text

    def _hear(self, text: str) -> str:
        return unquote(text) if self._quoted and "%" in text else text


def _attributes(body: bytes) -> dict[str, object]:
    """The attributes as they are written, so that a time comes back with the digits it went with."""
    raw: dict[str, object] = msgspec.json.decode(body)
    return {name: value for name, value in raw.items() if name not in ("data", "data_base64") and value is not None}


def _text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _value(name: str, text: str) -> bytes:
    """Headers are text; of our own attributes one is a number."""
    return text.encode() if name == "depth" and text.isascii() and text.isdigit() else _encode(text)


def _is_json(kind: str) -> bool:
    media = kind.partition(";")[0].strip().lower()
    return media.endswith(("/json", "+json"))


def _data(kind: str, body: bytes) -> bytes:
    """The member `data` or `data_base64`; empty where the body is not what its content type says."""
    if _is_json(kind):
        try:
            msgspec.json.decode(body, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            return b""
        return b'"data":' + body
    if kind.lower().startswith("text/"):
        try:
            return b'"data":' + _encode(body.decode())
        except UnicodeDecodeError:
            pass
    return b'"data_base64":' + _encode(base64.b64encode(body).decode())
