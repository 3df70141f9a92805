"""What sets a reaction off, as data: one of several events, a command, several events together, or one that did not come in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from types import UnionType
from typing import Any, Generic, TypeVar, TypeVarTuple, Union, get_args, get_origin, get_type_hints, overload

from farandole.errors import DeclarationError
from farandole.model.event import is_message

__all__ = [
    "AllItems",
    "AllOf",
    "AnyOf",
    "OnAll",
    "OnAny",
    "OnCommand",
    "OnCount",
    "OnDeadline",
    "OnEvents",
    "OnUndo",
    "Trigger",
    "all_items",
    "all_of",
    "any_of",
    "event_classes",
    "need_fields",
    "same_field",
    "seconds",
]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
Es = TypeVarTuple("Es")


@dataclass(frozen=True, slots=True)
class OnEvents:
    """Runs when one of these events comes."""

    events: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class OnCommand:
    """Runs when this command is sent."""

    command: type


@dataclass(frozen=True, slots=True)
class OnAll:
    """A join: runs once per instance, when all of these events have come, in any order.

    Attributes
    ----------
    by:
        The field that names the instance; None: the events' keys.
    within:
        How long the first part waits for the others, in seconds; None: for ever.
    """

    events: tuple[type, ...]
    by: str | None = None
    within: float | None = None


@dataclass(frozen=True, slots=True)
class OnAny:
    """Runs once per instance, at the first of these events."""

    events: tuple[type, ...]
    by: str | None = None
    within: float | None = None


@dataclass(frozen=True, slots=True)
class OnCount:
    """A counted join: runs once per instance, when as many events have come as their field `expected` says."""

    events: tuple[type, ...]
    expected: str = ""
    by: str | None = None
    within: float | None = None


@dataclass(frozen=True, slots=True)
class OnDeadline:
    """Runs `within` seconds after one of `after` came, unless one of `unless` came meanwhile."""

    after: tuple[type, ...]
    unless: tuple[type, ...]
    within: float
    by: str | None = None

    @property
    def events(self) -> tuple[type, ...]:
        """All that it must hear of."""
        return (*self.after, *self.unless)


@dataclass(frozen=True, slots=True)
class OnUndo:
    """Runs when a process fails, with the event that completed a step of it.

    Attributes
    ----------
    until:
        The event that says that the step is undone.
    """

    step: type
    until: type | None = None

    @property
    def events(self) -> tuple[type, ...]:
        """All that it must hear of."""
        return (self.step,) if self.until is None else (self.step, self.until)


Trigger = OnEvents | OnCommand | OnAll | OnAny | OnCount | OnDeadline | OnUndo


@dataclass(frozen=True, slots=True)
class AllOf(Generic[*Es]):
    """What `all_of` gives to `Service.on`."""

    events: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Generic[E]):
    """What `any_of` gives to `Service.on`."""

    events: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class AllItems(Generic[E]):
    """What `all_items` gives to `Service.on`."""

    event: type
    expected: str


@overload
def all_of(a: type[A], b: type[B], /) -> AllOf[A, B]: ...
@overload
def all_of(a: type[A], b: type[B], c: type[C], /) -> AllOf[A, B, C]: ...
@overload
def all_of(a: type[A], b: type[B], c: type[C], d: type[D], /) -> AllOf[A, B, C, D]: ...
def all_of(*events: Any) -> Any:
    """A join: all of these events, of one instance, in any order. The handler takes one parameter for each.

        @shipping.on(all_of(PaymentCompleted, InventoryReserved), by="order_id", within=timedelta(hours=1))
        async def ship(paid: PaymentCompleted, reserved: InventoryReserved, db: AsyncSession) -> ShipmentScheduled: ...

    Raises
    ------
    DeclarationError
        Fewer than two event classes, or one twice.
    """
    return AllOf(_several("all_of", events))


@overload
def any_of(a: type[A], b: type[B], /) -> AnyOf[A | B]: ...
@overload
def any_of(a: type[A], b: type[B], c: type[C], /) -> AnyOf[A | B | C]: ...
@overload
def any_of(a: type[A], b: type[B], c: type[C], d: type[D], /) -> AnyOf[A | B | C | D]: ...
def any_of(*events: Any) -> Any:
    """The first of these events, of one instance; those that come later are late. The handler takes their union."""
    return AnyOf(_several("any_of", events))


def all_items(event: type[E], *, expected: str) -> AllItems[E]:
    """A counted join (scatter and gather): as many of these events as their field `expected` says. The handler takes a sequence.

        @orders.on(all_items(LinePicked, expected="line_count"), by="order_id")
        async def pack(lines: Sequence[LinePicked]) -> ParcelPacked: ...

    Parameters
    ----------
    expected:
        A field of the event with the number of all.
    """
    event_classes("all_items(...)", (event,))
    _need_field("all_items", event, "expected", expected)
    return AllItems(event, expected)


def event_classes(who: str, events: tuple[Any, ...]) -> tuple[type, ...]:
    """These, if each is a class of events and none stands twice.

    Raises
    ------
    DeclarationError
        Otherwise.
    """
    if not events or not all(is_message(event) and not event.__farandole__.command for event in events):
        got = ", ".join(getattr(event, "__name__", repr(event)) for event in events) or "nothing"
        raise DeclarationError(f"{who} takes one or several classes of Event, got: {got}")
    if len(set(events)) < len(events):
        raise DeclarationError(f"{who} names an event twice: {', '.join(event.__name__ for event in events)}")
    return events


def seconds(who: str, within: Any) -> float:
    """A duration in seconds, from a timedelta or a number.

    Raises
    ------
    DeclarationError
        It is neither, or not more than no time.
    """
    value = within.total_seconds() if isinstance(within, timedelta) else within
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise DeclarationError(f"{who}: expected within to be a timedelta or seconds, more than 0, got: {within!r}")
    return float(value)


def need_fields(who: str, trigger: Trigger) -> None:
    """That what is told apart `by` a field has it, and has a key where none is named.

    Raises
    ------
    DeclarationError
        Otherwise.
    """
    if not isinstance(trigger, (OnEvents, OnCommand, OnUndo)):
        same_field(who, trigger.events, trigger.by, {})


def same_field(who: str, events: tuple[type, ...], by: str | None, kinds: dict[str, str]) -> None:
    """That events can be told apart by values of one type: of the field `by`, or of their keys.

    Parameters
    ----------
    kinds:
        The types of these values of events before, by the event's name; those of these events are added.

    Raises
    ------
    DeclarationError
        Otherwise.
    """
    for event in events:
        field = by or event.__farandole__.key  # type: ignore[attr-defined]
        if field is None:
            raise DeclarationError(
                f"{who}: {event.__name__} has no key, so nobody can tell which events belong together. Say by=, or give it key="
            )
        _need_field(who, event, "by", field)
        kinds[event.__name__] = _kind(event, field)
    if len(set(kinds.values()) - {""}) > 1:
        said = ", ".join(f"{name} has {kind}" for name, kind in kinds.items())
        raise DeclarationError(f"{who}: instances are told apart by values of one type, but {said}")


def _several(who: str, events: tuple[Any, ...]) -> tuple[type, ...]:
    if len(events) < 2:
        raise DeclarationError(f"{who}(...) takes two classes of Event or more")
    return event_classes(f"{who}(...)", events)


def _need_field(who: str, event: Any, word: str, field: Any) -> None:
    if field not in event.__struct_fields__:
        raise DeclarationError(
            f"{who}: {word}={field!r} is no field of {event.__name__}, which has: {', '.join(event.__struct_fields__) or 'none'}"
        )


def _kind(event: Any, field: str) -> str:
    """The type of a field for comparing, without None; "" where it cannot be told yet."""
    try:
        tp = get_type_hints(event)[field]
    except NameError:
        return ""
    members = [part for part in get_args(tp) if part is not type(None)] if get_origin(tp) in (Union, UnionType) else [tp]
    return " or ".join(sorted(getattr(part, "__name__", str(part)) for part in members))
