"""A dead letter on its way to another text: what may be seen of it, what somebody made of it, and whether that can be read.

Sensitive values are not shown, neither in the text to edit nor in the difference: `"***"` stands for them, and where it is left standing
the value stays. What is no field of the event's class stays hidden as well: nobody can tell what it is.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from farandole.cli.output import envelope_of
from farandole.errors import ConfigurationError, EnvelopeError
from farandole.model.envelope import Envelope, decode, encode, repeated_key
from farandole.model.event import HIDDEN, hides_key, sensitive_fields
from farandole.model.wire import Binding, Wire
from farandole.runtime.posting import later_of
from farandole.stores.base import InboxRow
from farandole.stores.rows import RELAY

__all__ = ["Draft"]


class Draft:
    """A dead letter that is being edited.

    Parameters
    ----------
    service, row:
        The letter.
    wire:
        What is known of classes.
    """

    def __init__(self, service: str, row: InboxRow, wire: Wire) -> None:
        self._row = row
        self._wire = wire
        self._unread = row.reaction == f"{service}.(envelope)"
        self._anything = self._unread or row.reaction in (RELAY, later_of(service))
        self._envelope = envelope_of(row.body)

    @property
    def text(self) -> str:
        """The event's data as text to edit.

        Raises
        ------
        ConfigurationError
            Nobody can tell what may be shown of it: it is no event, or none of a class that is known here.
        """
        bindings = self._known(self._envelope)
        return _pretty(_blotted(self._fields(self._envelope), bindings))

    def with_data(self, text: str) -> bytes:
        """The letter with other data.

        Raises
        ------
        ConfigurationError
            It is not JSON, or the class of the event does not take it; the message says where.
        """
        envelope, bindings = self._envelope, self._known(self._envelope)
        fields = _object(text)
        before = self._fields(envelope, strict=False)
        hidden = _hidden(bindings, before)
        for name, value in fields.items():
            if value == HIDDEN and (name in hidden or name in _sensitive(bindings)):
                if name not in before:
                    raise ConfigurationError(
                        f'{name}: "{HIDDEN}" keeps the value that a field has, and this one had none. Write the value'
                    )
                fields[name] = before[name]
        attributes = msgspec.json.decode(self._row.body, type=dict[str, msgspec.Raw])
        attributes["data"] = msgspec.Raw(_compact(fields))
        return self._checked(encode(attributes))

    def with_bytes(self, body: bytes) -> bytes:
        """The letter with other bytes: a whole event, under the same id.

        Raises
        ------
        ConfigurationError
            They are no CloudEvent, another event, or one that the reaction does not take.
        """
        return self._checked(body)

    def difference(self, body: bytes) -> list[str]:
        """What another body changes, in lines that begin with `+`, `-` or a blank; without what is sensitive."""
        after = envelope_of(body)
        bindings = [*self._bindings(self._envelope), *self._bindings(after)]
        if self._envelope is None:
            before = [f"({len(self._row.body)} bytes that are no CloudEvent; not shown)"]
        else:
            before = _pretty(self._shown(self._envelope, bindings)).splitlines()
        now = _pretty(self._shown(after, bindings, since=self._envelope)).splitlines() if after is not None else []
        lines = list(difflib.unified_diff(before, now, lineterm="", n=3))
        return [line for line in lines if not line.startswith(("---", "+++", "@@"))]

    def _shown(self, envelope: Envelope, bindings: Sequence[Binding], since: Envelope | None = None) -> dict[str, Any]:
        """An event as far as it may be seen; what is hidden says whether it changed."""
        names = [name for name in Envelope.__struct_fields__ if name not in ("data", "specversion")]
        told = {name: value for name in names if (value := getattr(envelope, name)) not in (None, 0)}
        fields = self._fields(envelope, strict=False)
        shown = _blotted(fields, bindings)
        former = {} if since is None else self._fields(since, strict=False)
        for name in shown:
            if since is not None and shown[name] == HIDDEN and fields[name] != former.get(name):
                shown[name] = f"{HIDDEN} (changed)"
        return {**told, "data": shown}

    def _checked(self, body: bytes) -> bytes:
        row, former = self._row, self._envelope
        try:
            envelope = decode(body)
            bindings = self._known(envelope)
            events = [binding.decode(bytes(envelope.data)) for binding in bindings]
        except EnvelopeError as error:
            raise ConfigurationError(f"the new event cannot be read: {error}. Nothing was changed") from None
        if former is not None and (former.id, former.source) != (envelope.id, envelope.source):
            raise ConfigurationError(
                f"an edit keeps the event's id and source ({former.id}, {former.source}), got: {envelope.id}, {envelope.source}"
            )
        if former is None and row.id not in (envelope.id, row.place, f"{envelope.source}#{envelope.id}"):
            raise ConfigurationError(f"an edit keeps the event's id: expected {row.id}, got: {envelope.id}")
        if not self._unread:
            self._check_key(envelope, bindings, events)
        return body

    def _check_key(self, envelope: Envelope, bindings: Sequence[Binding], events: Sequence[Any]) -> None:
        """Its place in the order is that of its key: under another one it would overtake others."""
        former = self._envelope
        kept = former.partitionkey if former is not None else self._row.key
        allowed = {kept} - {None} if former is None else {kept, *_own_keys(self._bindings(former), former)} - {None}
        got = _keys(bindings, events) - allowed if allowed else set()
        if envelope.partitionkey != kept:
            got.add(str(envelope.partitionkey))
        if got:
            hidden = any(hides_key(binding.cls) for binding in bindings)
            former_key, new_key = (HIDDEN, HIDDEN) if hidden else (self._row.key, min(got))
            raise ConfigurationError(
                f"an edit keeps the event's key ({former_key}), got: {new_key}. The event would leave its place in the order of its key; "
                f"discard it, and let its owner say another"
            )

    def _bindings(self, envelope: Envelope | None) -> list[Binding]:
        """The classes that this event must fit: those of the reaction; of what no reaction has read, all of its type."""
        if envelope is None:
            return []
        wire = self._wire
        found = [binding for binding in wire.by_class.values() if binding.type == envelope.type]
        for reaction in wire.choreography.reactions:
            if reaction.id == self._row.reaction:
                return [wire.by_class[cls] for cls in reaction.events if wire.by_class[cls] in found]
        return found if self._anything else []

    def _known(self, envelope: Envelope | None) -> list[Binding]:
        if envelope is None:
            raise ConfigurationError(
                "these bytes are no CloudEvent, so there is no data to edit. Give the whole event: --whole --file FILE"
            )
        bindings = self._bindings(envelope)
        if not bindings:
            raise ConfigurationError(
                f"{self._row.reaction} takes no {envelope.type}, so nobody can tell what it should look like. Give the whole event, "
                f"with a type that is declared here: --whole --file FILE"
            )
        return bindings

    def _fields(self, envelope: Envelope | None, *, strict: bool = True) -> dict[str, Any]:
        """The data of an event by name. Where it is no object: none, or an error."""
        try:
            found = json.loads(bytes(envelope.data)) if envelope is not None else None
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
        if strict:
            raise ConfigurationError("the event's data is no JSON object. Give the new data: --file FILE")
        return {}


def _keys(bindings: Sequence[Binding], events: Sequence[Any]) -> set[str]:
    """What the classes of an event take for its key."""
    own = (binding.key_of(event) for binding, event in zip(bindings, events, strict=True) if binding.key_of is not None)
    return {str(key) for key in own if key is not None}


def _own_keys(bindings: Sequence[Binding], envelope: Envelope) -> set[str]:
    try:
        return _keys(bindings, [binding.decode(bytes(envelope.data)) for binding in bindings])
    except EnvelopeError:
        return set()  # perhaps it is the key that has to be mended


def _sensitive(bindings: Sequence[Binding]) -> set[str]:
    """The names on the wire of sensitive fields."""
    return {
        name
        for binding in bindings
        for field, name in zip(binding.cls.__struct_fields__, binding.cls.__struct_encode_fields__, strict=True)
        if field in sensitive_fields(binding.cls)
    }


def _hidden(bindings: Sequence[Binding], fields: dict[str, Any]) -> set[str]:
    """The fields that are not shown: sensitive ones, and those that no class has."""
    known = {name for binding in bindings for name in binding.cls.__struct_encode_fields__}
    return {name for name in fields if name not in known or name in _sensitive(bindings)}


def _blotted(fields: dict[str, Any], bindings: Sequence[Binding]) -> dict[str, Any]:
    hidden = _hidden(bindings, fields)
    return {name: HIDDEN if name in hidden else value for name, value in fields.items()}


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        again = repeated_key(text.encode())
    except (ValueError, RecursionError, EnvelopeError) as error:
        raise ConfigurationError(f"the new data is no JSON: {error}. Nothing was changed") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"the new data must be a JSON object, the event's fields by name, got: {type(found).__name__}")
    if again is not None:
        raise ConfigurationError(f"the new data has the key {again!r} twice in one object. Leave one")
    return found


def _compact(fields: dict[str, Any]) -> bytes:
    try:
        return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:  # NaN, infinity, half of a surrogate pair
        raise ConfigurationError(f"the new data cannot be written as JSON: {error}. Nothing was changed") from None


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"
