"""How classes and wire meet: the type, topic, key and decoder of every class of a choreography.

The wire identity is `domain.Name.vMajor`, never a Python path. A topic without a dot belongs to the domain (`orders` is
`shop.orders`); one with a dot is taken as it is.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from operator import attrgetter
from typing import Any
from zlib import crc32

import msgspec

from farandole.errors import DeclarationError, EnvelopeError
from farandole.model.blotting import blotted, blotted_data
from farandole.model.choreography import Choreography
from farandole.model.envelope import Envelope, decode, encode, quotes_around, repeated_key
from farandole.model.event import Meta

__all__ = ["Binding", "Wire", "names_of", "partition_of"]


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: CRC-32 of its UTF-8 bytes, modulo. The same in every process, version and language."""
    return crc32(key.encode("utf-8", "surrogatepass")) % partitions


def names_of(meta: Meta, domain: str, owner: str | None) -> tuple[str, str]:
    """The wire type and the topic of a class; "" where nothing says the topic.

    Parameters
    ----------
    domain, owner:
        Of the choreography, and of the service that emits the event or handles the command; `of=` has the last word.
    """
    if meta.of is not None:
        domain, owner = meta.of.split(".")
    topic = meta.topic or owner or ""
    return f"{domain}.{meta.name}.v{meta.version[0]}", topic if "." in topic or not topic else f"{domain}.{topic}"


class Binding:
    """One class on the wire.

    Attributes
    ----------
    cls:
        The event or command class.
    key_of:
        Reads an event's key; None: each event is its own.
    type, topic, source:
        Its CloudEvents type, its topic, and the source its owner writes ("" where the owner is unknown).
    owner:
        The service that emits the event or handles the command, or None.
    family:
        The type without its major version.
    fits:
        Tells whether an event's values match its types, for classes of plain values; None: encode it and decode that.
    """

    def __init__(self, cls: Any, *, domain: str, owner: str | None) -> None:
        meta: Meta = cls.__farandole__
        if meta.of is not None:
            domain, owner = meta.of.split(".")
        self.cls = cls
        self.owner = owner
        self.type, self.topic = names_of(meta, domain, owner)
        self.family = f"{domain}.{meta.name}.v"
        self.source = f"/{domain}/{owner}" if owner else ""
        self.key_of: Callable[[Any], Any] | None = attrgetter(meta.key) if meta.key else None
        self.fits = _value_check(cls)
        self._quotes = _quotes_in(cls)
        try:
            self._decode = msgspec.json.Decoder(cls).decode
        except (NameError, TypeError) as error:
            raise DeclarationError(
                f"{cls.__module__}.{cls.__qualname__} cannot be read from JSON: {error}. "
                f"Import the names of its annotations outside `if TYPE_CHECKING:`, and use types that msgspec supports"
            ) from None

    def encode(self, event: Any) -> bytes:
        """The event as JSON, checked against its own types (msgspec does not check what Python code constructs).

        Raises
        ------
        EnvelopeError
            A value is not of its type, or JSON cannot hold it.
        """
        try:
            data = encode(event)
            self._decode(data)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EnvelopeError(blotted(f"{self.type}: {error}", event)) from None
        return data

    def read(self, envelope: Envelope, body: bytes) -> Any:
        """The event of an envelope that was only parsed; keys that stand twice are looked for in all of its bytes.

        Each key and each text in the bytes has two quotation marks. So as many as the decoded values need, and no more, means that
        nothing stands twice; anything else is looked at closely.

        Raises
        ------
        EnvelopeError
            The bytes are no such event, or a key stands twice.
        """
        around = quotes_around(envelope)
        if self._quotes is not None and around is not None and body.count(b'"') == around + self._quotes:
            try:
                return self._decode(envelope.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # decoded once more below, for the sake of the words
        data = bytes(envelope.data)
        try:
            decode(body)
        except EnvelopeError as error:
            raise EnvelopeError(blotted_data(str(error), self.cls, data)) from None
        return self.decode(data)

    def decode(self, data: bytes) -> Any:
        """The event in these JSON bytes.

        Raises
        ------
        EnvelopeError
            They are no such event; the message has the path, such as `$.items[2].sku`.
        """
        try:
            event = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            words = blotted_data(str(error), self.cls, data) if data else "the event has no data"
            raise EnvelopeError(f"{self.type}: {words}") from None
        except RecursionError:
            raise EnvelopeError(f"{self.type}: the JSON is nested too deep") from None
        # What comes back byte for byte holds no key twice; anything else (a reader class, a foreign writer) is looked at closely.
        if encode(event) != data and (key := repeated_key(data)) is not None:
            words = f"the key {key!r} stands twice in one JSON object: readers would not agree which one counts"
            raise EnvelopeError(f"{self.type}: {blotted_data(words, self.cls, data)}")
        return event


_PLAIN = {str: "is str", int: "is int", bool: "is bool", str | None: "in text", int | None: "in number", bool | None: "in truth"}


def _value_check(cls: Any) -> Callable[[Any], bool] | None:
    """A compiled check that each value is of its field's type, where all types are plain: a fraction of a decoding's time."""
    try:
        types = {field.name: field.type for field in msgspec.structs.fields(cls)}
    except NameError:
        return None
    plain = {name: typing.get_args(tp)[0] if typing.get_origin(tp) is typing.Annotated else tp for name, tp in types.items()}
    constrained = any(isinstance(mark, msgspec.Meta) for tp in types.values() for mark in getattr(tp, "__metadata__", ()))
    if constrained or not all(isinstance(tp, typing.Hashable) and tp in _PLAIN for tp in plain.values()):
        return None
    tests = " and ".join(f"type(event.{name}) {_PLAIN[tp]}" for name, tp in plain.items()) or "True"
    none = type(None)
    names = {"text": (str, none), "number": (int, none), "truth": (bool, none)}
    check: Callable[[Any], bool] = eval(f"lambda event: {tests}", names)  # noqa: S307 - our own text, field names are identifiers
    return check


def _quotes_in(cls: Any) -> int | None:
    """How many quotation marks an event has as JSON, where that follows from its class: all fields are there, and plain."""
    try:
        fields = msgspec.structs.fields(cls)
    except NameError:
        return None
    types = [typing.get_args(f.type)[0] if typing.get_origin(f.type) is typing.Annotated else f.type for f in fields]
    if not all(f.required for f in fields) or any(tp not in (str, int, bool) for tp in types):
        return None
    return 2 * len(fields) + 2 * types.count(str)


class Wire:
    """All the bindings of a choreography.

    Attributes
    ----------
    by_class:
        The binding of each class.
    types_of_topic:
        For each topic whose owner is declared here: every wire type that may stand on it. Others are unknown there.
    """

    def __init__(self, choreography: Choreography) -> None:
        self.choreography = choreography
        self.by_class: dict[type, Binding] = {}
        self.types_of_topic: dict[str, set[str]] = {}
        for cls, owners in choreography.owners.items():
            if len(owners) > 1 and cls.__farandole__.topic is None:  # type: ignore[attr-defined]
                raise DeclarationError(
                    f"{cls.__name__} is emitted by {' and '.join(owners)}, so nobody can tell its topic. "
                    f'Let one service own it, or give it one: class {cls.__name__}(Event, topic="…")'
                )
            binding = self._bind(cls, owners[0])
            self.types_of_topic.setdefault(binding.topic, set()).add(binding.type)
        for cls, handler in choreography.commands.items():
            self._bind(cls, handler.service)
        for reaction in choreography.reactions:
            for cls in reaction.events:
                if cls not in self.by_class:
                    self._bind_foreign(cls, reaction.id)
        for workflow in choreography.workflows:
            expected = [cls for one in workflow.expects for cls in (one.after, *one.events)]
            for cls in (*typing.cast(tuple[type, ...], workflow.starts), *workflow.outcomes, *expected):
                if cls not in self.by_class:
                    self._bind_foreign(cls, f"Workflow({workflow.name!r})")
        for measure in choreography.measures:
            for cls in (*measure.since, *measure.until):
                if cls not in self.by_class:
                    self._bind_foreign(cls, f"Measure.{measure.kind}({measure.name!r})")

    def _bind(self, cls: type, owner: str | None) -> Binding:
        binding = Binding(cls, domain=self.choreography.name, owner=owner)
        twin = next((b for b in self.by_class.values() if b.type == binding.type and b.owner == owner), None)
        if twin is not None and not cls.__farandole__.of:  # type: ignore[attr-defined]
            raise DeclarationError(
                f"{cls.__module__}.{cls.__qualname__} and {twin.cls.__module__}.{twin.cls.__qualname__} are both {binding.type} "
                f'on the wire. Give one another version="2.0" or name="…"'
            )
        self.by_class[cls] = binding
        return binding

    def _bind_foreign(self, cls: type, who: str) -> None:
        """A class nobody here emits: its owner is named by `of=`, or its topic by `topic=`."""
        meta: Meta = cls.__farandole__  # type: ignore[attr-defined]
        if meta.of is None and meta.topic is None:
            raise DeclarationError(
                f"{who} needs {cls.__name__}, which no service here emits. "
                f'Add the service that does, or say whose it is: class {cls.__name__}(Event, of="shop.orders")'
            )
        self._bind(cls, None)
