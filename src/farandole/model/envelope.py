"""The envelope: CloudEvents 1.0 context attributes and data, in the JSON format, and the ids that tie a flow together.

Sources: CloudEvents 1.0.2 specification and JSON event format; the extensions `partitionkey` and `traceparent`
(CloudEvents' own), `correlationid`, `causationid` and `depth` (ours); UUIDv8 from RFC 9562.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec

from farandole.errors import EnvelopeError

__all__ = [
    "Envelope",
    "Joined",
    "Message",
    "caused_id",
    "decode",
    "decode_batch",
    "encode",
    "hashed_id",
    "parse",
    "quotes_around",
    "repeated_key",
]

Text = Annotated[str, msgspec.Meta(min_length=1)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


ABSENT = msgspec.Raw(b"")


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What travels: who says what, when, why, and the data.

    Attributes
    ----------
    id:
        This event. With `source` it is unique; a repeat carries the same id.
    source:
        Who emitted it, a URI reference such as `/shop/orders`.
    type:
        What it is, such as `shop.OrderPlaced.v1`.
    time:
        When it was emitted, aware.
    correlationid:
        The workflow instance: the id of the command or event that began it.
    causationid:
        The id of the event that caused this one; several are separated by commas.
    partitionkey:
        Events with one key and topic stay in order.
    traceparent:
        The W3C trace context of the emission.
    depth:
        How many emissions lie between this event and the beginning of the flow.
    data:
        The JSON value as it travelled, byte for byte; `ABSENT` (empty) where there is none.
    extensions:
        Other attributes that a foreign producer set. Read only: what has any travels on by its original bytes.
    """

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    time: Instant | None = None
    subject: Text | None = None
    datacontenttype: Text | None = None
    dataschema: Text | None = None
    correlationid: str | None = None
    causationid: str | None = None
    partitionkey: str | None = None
    traceparent: str | None = None
    depth: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    data: msgspec.Raw = ABSENT
    data_base64: str | None = None
    extensions: dict[str, str | int | bool] | None = None

    @property
    def causes(self) -> tuple[str, ...]:
        """The ids of the events that caused this one; several for a join."""
        return tuple(self.causationid.split(",")) if self.causationid else ()


class Joined(Envelope, frozen=True, kw_only=True):
    """Several envelopes as the one cause of what follows from all of them. It does not travel.

    Attributes
    ----------
    parts:
        Those, in the order of the ids.
    """

    parts: tuple[Envelope, ...] = ()


class Message(msgspec.Struct, frozen=True, gc=False):
    """An envelope ready to travel: its exact bytes, and what a broker must know to route them.

    Attributes
    ----------
    topic, key, id, type:
        Copied from the envelope, so that brokers and the outbox need not parse it.
    body:
        The envelope as CloudEvents JSON. Kept byte for byte everywhere.
    """

    topic: str
    key: str
    id: str
    type: str
    body: bytes


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_extension = msgspec.json.Decoder(str | Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] | bool | None).decode
_NAME = re.compile(r"[a-z0-9]+")
_MEDIA_TYPE = re.compile(r"[^\s/;]+/[^\s/;]+")
_JSON = "application/json"
_TIMED_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_KNOWN = frozenset(Envelope.__struct_fields__) - {"extensions"}


def decode(body: bytes) -> Envelope:
    """Read CloudEvents JSON.

    Raises
    ------
    EnvelopeError
        The bytes are no CloudEvent: the message names the attribute.
    """
    envelope = parse(body)
    # Only our own way of writing comes back byte for byte; in it no key can stand twice, and there are no nulls.
    if (
        envelope.datacontenttype == _JSON
        and encode(envelope) == body
        and envelope.extensions is None
        and envelope.data_base64 is None
    ):
        return envelope
    return _decode_foreign(body)


def parse(body: bytes) -> Envelope:
    """As `decode`, but without looking for attributes that stand twice (`Binding.read` does that together with the data)."""
    try:
        return _decode(body)
    except msgspec.ValidationError:
        return _decode_foreign(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise EnvelopeError(_undecodable(error)) from None


def quotes_around(envelope: Envelope) -> int | None:
    """How many quotation marks stand outside the data where the envelope was written as we write it; None where it was not."""
    if (
        envelope.time is None
        or envelope.datacontenttype != _JSON
        or envelope.correlationid is None
        or envelope.causationid is None
        or envelope.partitionkey is None
        or not envelope.depth
    ):
        return None
    return 40 if envelope.traceparent is None else 44  # 4 for each of nine attributes that are text, 2 each for depth and data


def decode_batch(body: bytes) -> list[Envelope]:
    """Read the CloudEvents JSON batch format: an array of events, all of them valid."""
    try:
        return [decode(bytes(raw)) for raw in _decode_list(body)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise EnvelopeError(_undecodable(error)) from None


def _decode_foreign(body: bytes) -> Envelope:
    """The careful way: explicit nulls, extension attributes, repeated keys, and messages that name the attribute."""
    if (key := repeated_key(body)) is not None:
        raise EnvelopeError(f"the key {key!r} stands twice in one JSON object: readers would not agree which one counts")
    try:
        attributes = _decode_raw(body)
        extensions: dict[str, str | int | bool] = {}
        for name in attributes.keys() - _KNOWN:
            if not _NAME.fullmatch(name):
                raise EnvelopeError(f"attribute {name!r}: names are lower-case letters and digits only")
            value = _extension(name, bytes(attributes.pop(name)))
            if value is not None:
                extensions[name] = value
        present = {name: raw for name, raw in attributes.items() if name == "data" or bytes(raw).strip() != b"null"}
        if "data" in present and "data_base64" in present:
            raise EnvelopeError("an event has data or data_base64, not both")
        envelope = _decode(encode(present))
        if envelope.datacontenttype is not None and not _MEDIA_TYPE.match(envelope.datacontenttype):
            raise EnvelopeError(f"datacontenttype: expected a media type such as {_JSON}, got: {envelope.datacontenttype!r}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise EnvelopeError(_undecodable(error)) from None
    return msgspec.structs.replace(envelope, extensions=extensions) if extensions else envelope


def _extension(name: str, raw: bytes) -> str | int | bool | None:
    try:
        value: str | int | bool | None = _decode_extension(raw)
    except msgspec.DecodeError:
        raise EnvelopeError(f"extension attribute {name!r}: expected a string, a boolean or an integer of 32 bits") from None
    return value


def _undecodable(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the JSON is nested too deep"
    return f"no CloudEvent: {error}"


def repeated_key(body: bytes) -> str | None:
    """A key that stands twice in one object of this JSON, or None. RFC 8259 leaves open which of the two counts.

    Raises
    ------
    EnvelopeError
        The bytes are no JSON, or nested too deep to tell.
    """

    def look(pairs: Sequence[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Repeated(key)
            seen.add(key)

    try:
        json.loads(
            body, object_pairs_hook=look, parse_int=str, parse_float=str
        )  # numbers do not matter: Python refuses huge ones
    except _Repeated as found:
        return str(found)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError(_undecodable(error)) from None
    return None


class _Repeated(Exception):
    """The way out of json.loads."""


def caused_id(cause: str, moment: datetime | None, label: str) -> str:
    """The id of an event that was caused: the same for the same cause and label, whenever it is computed.

    UUIDv8 (RFC 9562, section 5.8): the first 48 bits are the cause's own time in milliseconds (from its id where that is a
    UUIDv7 or v8, else from its `time`), the rest a hash of the label, so that re-runs and replays repeat the id.

    Parameters
    ----------
    cause:
        The id of the first causing event.
    moment:
        That event's time.
    label:
        Whatever tells this emission from others: service, reaction, all causes, index.
    """
    if _TIMED_UUID.fullmatch(cause):
        stamp = cause[:13]
    elif moment is not None:
        text = f"{int(moment.timestamp() * 1000) & 0xFFFFFFFFFFFF:012x}"
        stamp = f"{text[:8]}-{text[8:]}"
    else:
        stamp = "00000000-0000"
    digest = blake2b(label.encode(), digest_size=9).hexdigest()
    return f"{stamp}-8{digest[:3]}-8{digest[3:6]}-{digest[6:]}"


def hashed_id(label: str) -> str:
    """An id for something that is named, not caused: a command under the caller's idempotency key (UUIDv8)."""
    digest = blake2b(label.encode(), digest_size=15).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-8{digest[15:18]}-{digest[18:]}"
