"""A figure of the business in one line: how many are open, how long it takes, what share gets there, what it adds up to."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from farandole.errors import DeclarationError
from farandole.model.event import sensitive_fields
from farandole.model.triggers import event_classes

__all__ = ["Measure"]

Events = type | tuple[type, ...]

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_ENDINGS = ("bucket", "count", "created", "info", "of", "reached", "seconds", "sum", "total")
_SECONDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0, 86400.0, 604800.0)


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of the business, counted from the record of events. Made by `open`, `time`, `share` and `sum`.

    Each counts workflow instances: events belong together where they have the same correlation id. They may be recorded in any order, and
    the first of a kind counts.

    Attributes
    ----------
    name:
        What people call it, such as `placed_not_confirmed`; in Prometheus it is `farandole_measure_placed_not_confirmed`.
    kind:
        Which of the four it is.
    since, until:
        The events that begin it in an instance, and those that end it.
    field:
        What is added up.
    buckets:
        The upper bounds of the histogram of a time, in seconds.
    doc:
        What it means, for people.
    place:
        `file:line`.
    """

    name: str
    kind: Literal["open", "time", "share", "sum"]
    since: tuple[type, ...]
    until: tuple[type, ...] = ()
    field: str = ""
    buckets: tuple[float, ...] = ()
    doc: str = ""
    place: str = ""

    @staticmethod
    def open(name: str, *, since: Events, until: Events, doc: str = "") -> Measure:
        """How many instances are between two events: `Measure.open("placed_not_confirmed", since=OrderPlaced, until=(OrderConfirmed, …))`.

        Parameters
        ----------
        name:
            Lower-case words joined by "_".
        since, until:
            An event, or several of which the first counts.
        doc:
            What it means, for people.

        Raises
        ------
        DeclarationError
            The name is none, or these are no events.
        """
        return _made(name, "open", since=since, until=until, doc=doc)

    @staticmethod
    def time(name: str, since: Events, until: Events, *, buckets: tuple[float, ...] = _SECONDS, doc: str = "") -> Measure:
        """How long it takes from one event to another: `Measure.time("order_to_payment", OrderPlaced, PaymentProcessed)`.

        Parameters
        ----------
        name, since, until, doc:
            As for `open`.
        buckets:
            The upper bounds of its histogram, in seconds, from a second to a week by default.

        Raises
        ------
        DeclarationError
            The name is none, these are no events, or the bounds do not grow.
        """
        bounds = [0.0, *buckets] if isinstance(buckets, (tuple, list)) else []
        made = _made(name, "time", since=since, until=until, buckets=tuple(bounds[1:]), doc=doc)
        if len(bounds) < 2 or not all(_is_number(bound) for bound in bounds) or any(b <= a for a, b in pairwise(bounds)):
            raise DeclarationError(
                f"Measure.time({name!r}): expected buckets to be growing seconds, more than 0, got: {buckets!r}"
            )
        return made

    @staticmethod
    def share(name: str, *, of: Events, reach: Events, doc: str = "") -> Measure:
        """Which share of the instances with one event has another too: `Measure.share("conversion", of=OrderPlaced, reach=OrderConfirmed)`.

        Parameters
        ----------
        name, doc:
            As for `open`.
        of, reach:
            An event, or several of which one is enough.

        Raises
        ------
        DeclarationError
            The name is none, or these are no events.
        """
        return _made(name, "share", since=of, until=reach, doc=doc)

    @staticmethod
    def sum(name: str, of: Events, field: str, *, until: Events = (), doc: str = "") -> Measure:
        """What a field adds up to: `Measure.sum("value_in_flight", OrderPlaced, "total_cents", until=(OrderConfirmed, OrderCancelled))`.

        Parameters
        ----------
        name, doc:
            As for `open`.
        of:
            An event, or several: each one adds its value.
        field:
            A number in all of them; what is None adds nothing.
        until:
            What an instance added counts until one of these comes; without them, for as long as it is recorded.

        Raises
        ------
        DeclarationError
            The name is none, these are no events, or the field is unknown, no number, or sensitive.
        """
        made = _made(name, "sum", since=of, until=until, field=field, doc=doc)
        for cls in made.since:
            _check_field(f"Measure.sum({name!r})", cls, field)
        return made


def _made(name: str, kind: Any, *, since: Any, until: Any, **more: Any) -> Measure:
    who = f"Measure.{kind}({name!r})"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DeclarationError(
            f'{who}: expected a name that Prometheus takes, of lower-case words joined by "_", such as "order_to_payment"'
        )
    if name.rpartition("_")[2] in _ENDINGS:
        raise DeclarationError(
            f"{who}: a name does not end in {', '.join(_ENDINGS)}: Prometheus gives these a meaning of its own"
        )
    begins = event_classes(who, since if isinstance(since, tuple) else (since,))
    ends = () if until == () and kind == "sum" else event_classes(who, until if isinstance(until, tuple) else (until,))
    if both := set(begins) & set(ends):
        raise DeclarationError(f"{who}: {both.pop().__name__} cannot both begin and end it. Name another event for one of them")
    frame = sys._getframe(2)
    return Measure(name, kind, begins, ends, place=f"{frame.f_code.co_filename}:{frame.f_lineno}", **more)


def _check_field(who: str, cls: Any, field: Any) -> None:
    fields = cls.__struct_fields__
    if field not in fields:
        raise DeclarationError(f"{who}: {cls.__name__} has no field {field!r}. It has: {', '.join(fields) or 'none'}")
    if field in sensitive_fields(cls):
        raise DeclarationError(
            f"{who}: {cls.__name__}.{field} is sensitive, and the record does not keep it. Add up another field"
        )
    try:
        tp = get_type_hints(cls, include_extras=True)[field]
    except NameError as error:
        raise DeclarationError(f"{who}: the types of {cls.__name__} cannot be read: {error}") from None
    if not _numeric(tp):
        raise DeclarationError(f"{who}: {cls.__name__}.{field} is no number but {tp!r}. Add up an int, float or Decimal")


def _numeric(tp: Any) -> bool:
    if get_origin(tp) is Annotated:
        return _numeric(get_args(tp)[0])
    if get_origin(tp) in (Union, UnionType):
        parts = [part for part in get_args(tp) if part is not type(None)]
        return bool(parts) and all(map(_numeric, parts))
    if (alias := getattr(tp, "__value__", None) or getattr(tp, "__supertype__", None)) is not None:  # `type X = …`, NewType
        return _numeric(alias)
    return isinstance(tp, type) and issubclass(tp, (int, float, Decimal)) and not issubclass(tp, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value < float("inf")
