"""Deliveries as entries of a record, without what is sensitive, and entries as events again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from farandole.brokers.base import Delivery
from farandole.errors import EnvelopeError
from farandole.model.envelope import ABSENT, Envelope, decode, encode, parse
from farandole.model.event import HIDDEN, hides_key, redacted, sensitive_fields
from farandole.model.wire import Binding, Wire
from farandole.stores.record import Entry

__all__ = ["Reading", "read_kept"]


class _Known:
    """What is kept of events of one class."""

    def __init__(self, binding: Binding) -> None:
        hidden = sensitive_fields(binding.cls)
        self.binding = binding
        self.field: str | None = binding.cls.__farandole__.key
        self.hides_key = hides_key(binding.cls)
        self._hides = bool(hidden)
        self._decode = msgspec.json.Decoder(binding.cls).decode

    def data(self, envelope: Envelope) -> bytes:
        """The data without what is sensitive or not declared; nothing where it is no such event."""
        try:
            event = self._decode(envelope.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return b""
        return encode(redacted(event) if self._hides else event)


class Reading:
    """What a choreography's classes know of its events.

    An event keeps the fields that its class declares, with `"***"` for those that hold something sensitive. One whose class is not known here
    keeps none, and no key: nobody could tell what may be seen. Where the key field is sensitive, so is the key.

    Parameters
    ----------
    wire:
        The bindings of the choreography.
    """

    def __init__(self, wire: Wire) -> None:
        found: dict[str, Binding] = {}
        for binding in wire.by_class.values():
            meta = binding.cls.__farandole__
            if not meta.command and (
                binding.type not in found or meta.of is None
            ):  # the owner's class knows more than a reader's
                found[binding.type] = binding
        self._known = {type: _Known(binding) for type, binding in found.items()}
        self.topics = tuple(sorted({binding.topic for binding in found.values() if binding.topic}))
        flows = wire.choreography.workflows
        self._ends = frozenset(wire.by_class[cls].type for flow in flows for cls in flow.outcomes)
        self.key_fields = frozenset(known.field for known in self._known.values()) - {None}

    def shows_key(self, type: str) -> bool:
        """Whether the key of such events may be seen: its class is known here, and does not hide it."""
        known = self._known.get(type)
        return known is not None and not known.hides_key

    def entry_of(self, delivery: Delivery) -> Entry:
        """What is to be recorded of a delivery.

        Raises
        ------
        EnvelopeError
            It is no event, or its text is no Unicode.
        """
        return self.entry_in(parse(delivery.body), delivery.body, delivery.topic)

    def entry_in(self, envelope: Envelope, body: bytes, topic: str = "") -> Entry:
        """As `entry_of`, of an envelope that is decoded already."""
        known = self._known.get(envelope.type)
        field, key, data = None, envelope.partitionkey, b""
        if known is not None:
            field = known.field
            if known.hides_key:
                key = HIDDEN
            data = known.data(envelope)
        elif key and key != envelope.id:  # nobody can tell whether it may be seen
            key = HIDDEN
        if data != envelope.data or key != envelope.partitionkey:
            body = encode(
                msgspec.structs.replace(
                    envelope, data=msgspec.Raw(data) if data else ABSENT, partitionkey=key, data_base64=None, extensions=None
                )
            )
        entry = Entry(
            id=envelope.id,
            type=envelope.type,
            source=envelope.source,
            correlation_id=envelope.correlationid or envelope.id,
            causationid=envelope.causationid or "",
            time=None if envelope.time is None else envelope.time.timestamp(),
            field=field or "" if key else "",
            key=key or "",
            topic=topic,
            body=body,
        )
        _check_text(entry)
        return entry

    def end_of(self, entries: Iterable[Entry]) -> Entry | None:
        """The event that ended an instance: the first one counts."""
        return next((entry for entry in entries if entry.type in self._ends), None)

    def event_of(self, entry: Entry) -> Any:
        """The event of an entry, as an instance of its class; sensitive fields are `"***"`.

        Raises
        ------
        EnvelopeError
            No class here knows its type, or nothing of its data was kept.
        """
        known = self._known.get(entry.type)
        envelope = decode(entry.body)
        if known is None or not envelope.data:
            raise EnvelopeError(
                f"the record has no data of {entry.id}: its type {entry.type} is not known where it was recorded or here"
            )
        return read_kept(known.binding, bytes(envelope.data))


def read_kept(binding: Binding, data: bytes) -> Any:
    """The event in data of a record, or in whole data; what is sensitive is not looked at, as `"***"` may stand where a number should.

    Raises
    ------
    EnvelopeError
        It is no such event.
    """
    hidden = sensitive_fields(binding.cls)
    try:
        return binding.decode(data)
    except EnvelopeError:
        if not hidden:
            raise
    try:
        values: dict[str, Any] = msgspec.json.decode(data)
        fields = {field.encode_name: field for field in msgspec.structs.fields(binding.cls)}
        kept = [(fields[name], value) for name, value in values.items() if name in fields]
        return binding.cls(
            **{field.name: value if field.name in hidden else msgspec.convert(value, field.type) for field, value in kept}
        )
    except (msgspec.MsgspecError, TypeError, AttributeError, UnicodeDecodeError, RecursionError) as error:
        raise EnvelopeError(f"{binding.type}: {error}") from None


def _check_text(entry: Entry) -> None:
    """Refuse what no database takes."""
    text = entry.id + entry.type + entry.source + entry.correlation_id + entry.causationid + entry.key
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise EnvelopeError(
                f"{entry.id!a} is not recorded: an attribute of it is no Unicode text (a lone surrogate)"
            ) from None
