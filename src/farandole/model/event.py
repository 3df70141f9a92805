"""Events and commands: immutable facts and directed requests, as frozen msgspec structs.

    class OrderEvent(Event, topic="orders", key="order_id"):
        order_id: str

    class OrderPlaced(OrderEvent, version="1.0"):
        email: Annotated[str, Sensitive]

What the class keywords say is kept in one class attribute, `__farandole__`, so that fields may be called
`version`, `key`, `topic` or `name`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, dataclass_transform, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

import msgspec

from farandole.errors import DeclarationError

__all__ = ["HIDDEN", "Command", "Event", "Meta", "Sensitive", "hides_key", "is_message", "redacted", "sensitive_fields"]

HIDDEN = "***"
"""What is shown in place of a sensitive value."""
_INHERIT: Any = object()
_VERSION = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_WORD = re.compile(r"[^\W\d]\w*")
_TOPIC = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_OWNER = re.compile(r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*")


class Sensitive:
    """Marks a field, `Annotated[str, Sensitive]`, whose value must not appear in any log, trace, page or reason."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What a class says of itself on the wire.

    Attributes
    ----------
    name:
        The type's name on the wire; the class's own unless given.
    version:
        (major, minor). The major is part of the wire type.
    key:
        The field whose value keeps events in order, or None: each event is its own key.
    topic:
        The topic, or None: the owner's name.
    of:
        `"domain.owner"` for a reader class, whose events another team owns; None for one's own.
    command:
        Whether this is a command.
    public:
        Whether consumers outside of the choreography are expected.
    place:
        `file:line` of the class.
    """

    name: str
    version: tuple[int, int] = (1, 0)
    key: str | None = None
    topic: str | None = None
    of: str | None = None
    command: bool = False
    public: bool = False
    place: str = field(default="", compare=False)


def _parse_version(cls: type, version: str) -> tuple[int, int]:
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise DeclarationError(
            f'{cls.__qualname__}: expected version to be "major.minor" such as version="1.0", got: {version!r}'
        )
    return int(match[1]), int(match[2] or 0)


def _check(cls: Any, meta: Meta) -> None:
    fields = cls.__struct_fields__
    if meta.key is not None and meta.key not in fields:
        raise DeclarationError(
            f"{cls.__qualname__}: key={meta.key!r} is not a field of it. Name one of: {', '.join(fields) or '(it has no fields)'}"
        )
    _match(cls, "name", meta.name, _WORD, 'a word such as name="OrderPlaced"')
    _match(cls, "topic", meta.topic, _TOPIC, 'letters, digits, "-", "_" and "." such as topic="orders"')
    if not isinstance(meta.public, bool):
        raise DeclarationError(f"{cls.__qualname__}: expected public to be True or False, got: {meta.public!r}")
    _match(cls, "of", meta.of, _OWNER, '"domain.service" such as of="shop.orders"')


def _match(cls: type, word: str, value: Any, pattern: re.Pattern[str], expected: str) -> None:
    if value is not None and (not isinstance(value, str) or not pattern.fullmatch(value)):
        raise DeclarationError(f"{cls.__qualname__}: expected {word} to be {expected}, got: {value!r}")


if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
    class _Message:
        __farandole__: ClassVar[Meta]

        def __init_subclass__(
            cls,
            *,
            version: str = ...,
            key: str | None = ...,
            topic: str | None = ...,
            name: str | None = ...,
            of: str | None = ...,
            public: bool = ...,
        ) -> None: ...

        def replace(self, **changes: Any) -> Self:
            """A copy with other values for some fields."""

    class Event(_Message):
        """An immutable fact, named in the past tense, broadcast to whoever reacts."""

    class Command(_Message):
        """A directed request, verb first, with exactly one handler."""

else:

    class MessageMeta(type(msgspec.Struct)):
        """Takes the class keywords `version`, `key`, `topic`, `name`, `of` and `public`; makes structs frozen and keyword-only."""

        def __new__(
            mcls,
            clsname: str,
            bases: tuple[type, ...],
            namespace: dict[str, Any],
            /,
            *,
            version: str = _INHERIT,
            key: str | None = _INHERIT,
            topic: str | None = _INHERIT,
            name: str | None = _INHERIT,
            of: str | None = _INHERIT,
            **options: Any,
        ) -> Any:
            public = options.pop("public", _INHERIT)
            options.setdefault("frozen", True)
            options.setdefault("kw_only", True)
            cls = super().__new__(mcls, clsname, bases, namespace, **options)
            parent = next((b.__farandole__ for b in bases if hasattr(b, "__farandole__")), Meta(name=clsname))
            said = {"key": key, "topic": topic, "of": of, "public": public}
            meta = replace(
                parent,
                name=clsname if name is _INHERIT or name is None else name,
                version=(1, 0) if version is _INHERIT else _parse_version(cls, version),
                place=f"{(frame := sys._getframe(1)).f_code.co_filename}:{frame.f_lineno}",
                **{word: value for word, value in said.items() if value is not _INHERIT},
            )
            _check(cls, meta)
            cls.__farandole__ = meta
            return cls

    class _Message(msgspec.Struct, metaclass=MessageMeta):
        def replace(self, **changes: Any) -> Self:
            """A copy with other values for some fields."""
            return msgspec.structs.replace(self, **changes)

        def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
            yield from redacted(self).items()

        def __repr__(self) -> str:
            inside = ", ".join(f"{name}={value!r}" for name, value in redacted(self).items())
            return f"{type(self).__name__}({inside})"

    class Event(_Message):
        """An immutable fact, named in the past tense, broadcast to whoever reacts."""

    class Command(_Message):
        """A directed request, verb first, with exactly one handler."""

    Command.__farandole__ = replace(Command.__farandole__, command=True)


def is_message(tp: Any) -> bool:
    """Whether `tp` is a class of events or of commands: a subclass of `Event` or `Command`, not these themselves."""
    return isinstance(tp, type) and hasattr(tp, "__farandole__") and tp not in (Event, Command)


def sensitive_fields(cls: type) -> frozenset[str]:
    """The fields of an event class (or of a process's state) that are marked `Sensitive`, or that hold something with such a mark inside."""
    known = _SENSITIVE.get(cls)
    if known is None:
        fields: tuple[str, ...] = getattr(cls, "__struct_fields__", None) or tuple(getattr(cls, "__dataclass_fields__", ()))
        try:
            types = get_type_hints(cls, include_extras=True)
            known = _SENSITIVE[cls] = frozenset(name for name in fields if _is_sensitive(types[name], set()))
        except NameError:  # a forward reference that is not there yet: what cannot be read is not shown
            return frozenset(fields)
    return known


def hides_key(cls: Any) -> bool:
    """Whether the key of such events is sensitive, as the field is that it is taken from."""
    return cls.__farandole__.key in sensitive_fields(cls)


_SENSITIVE: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def _is_sensitive(tp: Any, seen: set[Any]) -> bool:
    """Whether a value of this type may hold something marked `Sensitive`, however deep."""
    if get_origin(tp) is Annotated:
        first, *marks = get_args(tp)
        return any(mark is Sensitive or isinstance(mark, Sensitive) for mark in marks) or _is_sensitive(first, seen)
    if (alias := getattr(tp, "__value__", None) or getattr(tp, "__supertype__", None)) is not None:  # `type X = …`, NewType
        return _is_sensitive(alias, seen)
    origin = get_origin(tp) or tp
    if isinstance(origin, type) and _has_fields(origin) and origin not in seen:
        seen.add(origin)
        if any(_is_sensitive(inner, seen) for inner in get_type_hints(origin, include_extras=True).values()):
            return True
    return any(_is_sensitive(part, seen) for part in get_args(tp))


def _has_fields(cls: type) -> bool:
    """Structs, dataclasses, and typed or named tuples and dicts: whatever msgspec reads field by field."""
    return (
        issubclass(cls, msgspec.Struct)
        or is_dataclass(cls)
        or (issubclass(cls, (dict, tuple)) and hasattr(cls, "__annotations__"))
    )


def redacted(event: Any) -> dict[str, Any]:
    """The fields of an event by name, with `"***"` in place of every sensitive value."""
    hidden = sensitive_fields(type(event))
    return {name: HIDDEN if name in hidden else getattr(event, name) for name in event.__struct_fields__}
