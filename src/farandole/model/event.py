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
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, dataclass_transform, get_args, get_origin

import msgspec

from farandole.errors import DeclarationError

__all__ = ["Command", "Event", "Meta", "Sensitive", "is_message", "redacted", "sensitive_fields"]

_INHERIT: Any = object()
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")


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
    """

    name: str
    version: tuple[int, int] = (1, 0)
    key: str | None = None
    topic: str | None = None
    of: str | None = None
    command: bool = False


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
            f"{cls.__qualname__}: key={meta.key!r} is not a field of it. "
            f"Name one of: {', '.join(fields) or '(it has no fields)'}"
        )
    if meta.of is not None and (not isinstance(meta.of, str) or meta.of.count(".") != 1):
        raise DeclarationError(
            f'{cls.__qualname__}: expected of to be "domain.service" such as of="shop.orders", got: {meta.of!r}'
        )


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
        ) -> None: ...

        def replace(self, **changes: Any) -> Self:
            """A copy with other values for some fields."""

    class Event(_Message):
        """An immutable fact, named in the past tense, broadcast to whoever reacts."""

    class Command(_Message):
        """A directed request, verb first, with exactly one handler."""

else:

    class MessageMeta(type(msgspec.Struct)):
        """Takes the class keywords `version`, `key`, `topic`, `name` and `of`; makes structs frozen and keyword-only."""

        def __new__(  # noqa: PLR0913 - class keywords
            mcls,
            clsname,
            bases,
            namespace,
            /,
            *,
            version=_INHERIT,
            key=_INHERIT,
            topic=_INHERIT,
            name=_INHERIT,
            of=_INHERIT,
            **options,
        ):
            options.setdefault("frozen", True)
            options.setdefault("kw_only", True)
            cls = super().__new__(mcls, clsname, bases, namespace, **options)
            parent = next((b.__farandole__ for b in bases if hasattr(b, "__farandole__")), Meta(name=clsname))
            said = {"key": key, "topic": topic, "of": of}
            meta = replace(
                parent,
                name=clsname if name is _INHERIT else name,
                version=(1, 0) if version is _INHERIT else _parse_version(cls, version),
                **{word: value for word, value in said.items() if value is not _INHERIT},
            )
            _check(cls, meta)
            cls.__farandole__ = meta
            return cls

    class _Message(msgspec.Struct, metaclass=MessageMeta):
        def replace(self, **changes):
            """A copy with other values for some fields."""
            return msgspec.structs.replace(self, **changes)

        def __rich_repr__(self):
            yield from redacted(self).items()

        def __repr__(self):
            inside = ", ".join(f"{name}={value!r}" for name, value in redacted(self).items())
            return f"{type(self).__name__}({inside})"

    class Event(_Message):
        """An immutable fact, named in the past tense, broadcast to whoever reacts."""

    class Command(_Message):
        """A directed request, verb first, with exactly one handler."""

    Command.__farandole__ = replace(Command.__farandole__, command=True)


def is_message(tp: Any) -> bool:
    """Whether `tp` is a class of events or of commands."""
    return isinstance(tp, type) and hasattr(tp, "__farandole__")


@lru_cache(maxsize=None)
def sensitive_fields(cls: type) -> frozenset[str]:
    """The fields of an event class that are marked `Sensitive`."""
    try:
        types = {field.name: field.type for field in msgspec.structs.fields(cls)}
    except NameError:  # a forward reference that is not there yet: what cannot be read is not shown
        return frozenset(cls.__struct_fields__)  # type: ignore[attr-defined]
    return frozenset(name for name, tp in types.items() if _is_sensitive(tp))


def _is_sensitive(tp: Any) -> bool:
    if get_origin(tp) is Annotated:
        first, *marks = get_args(tp)
        return any(mark is Sensitive or isinstance(mark, Sensitive) for mark in marks) or _is_sensitive(first)
    return any(_is_sensitive(part) for part in get_args(tp))


def redacted(event: Any) -> dict[str, Any]:
    """The fields of an event by name, with `"***"` in place of every sensitive value."""
    hidden = sensitive_fields(type(event))
    return {name: "***" if name in hidden else getattr(event, name) for name in type(event).__struct_fields__}
