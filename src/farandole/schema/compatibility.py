"""Whether those who read a message understand what its writer sends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from farandole.schema.shapes import TYPES, Shape, Shapes, kind_of
from farandole.schema.walk import Steps, run, same

__all__ = ["breaks"]

_PAIRS = 500_000
"""How many pairs of schemas are compared before giving up; nobody wrote such a schema by hand."""
_REASONS = 20
"""How many reasons are worth reading."""
_FORMATS = frozenset({"date-time", "date", "time", "duration", "uuid", "decimal"})
"""Formats that readers really parse; others are only notes."""


def breaks(writer: Mapping[str, Any] | bool, reader: Mapping[str, Any] | bool) -> list[str]:
    """Why data that is valid for the writer's schema may not be valid for the reader's; [] where all of it is.

    A writer sends only what its schema names. What this does not understand (`not`, `if`, `patternProperties`, references that lead out of the
    schema) gives no alarm.

    Parameters
    ----------
    writer, reader:
        JSON Schemas, each complete in itself, in draft 7, 2019-09 or 2020-12.

    Returns
    -------
    Sentences, each beginning with the path: `lines[].quantity: the writer sends a number, the reader takes an integer`. At most 20.
    """
    comparison = _Comparison(writer, reader)
    try:
        reasons = run(comparison.compare(writer, reader))
    except _TooMuchError:
        return ["the data: these schemas are too entangled to be compared"]
    return list(dict.fromkeys(map(str, reasons)))


class _TooMuchError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why something breaks, and the way there from outside: a chain, because a path of 100,000 steps is not copied at each of them."""

    step: str
    what: str = ""
    inner: _Reason | None = None

    def __str__(self) -> str:
        steps, reason = [], self
        while reason.inner is not None:
            steps.append(reason.step)
            reason = reason.inner
        path = "".join([*steps, reason.step]).removeprefix(".") or "the data"
        if len(path) > 120:
            path = f"{path[:60]}…{path[-60:]}"
        return f"{path}: {reason.what}"


_Reasons = list[_Reason]


def _inside(step: str, reasons: _Reasons) -> _Reasons:
    return [_Reason(step, inner=reason) for reason in reasons]


class _Comparison:
    def __init__(self, writer: Any, reader: Any) -> None:
        self._writer = Shapes(writer)
        self._reader = Shapes(reader)
        self._left = _PAIRS
        self._known: dict[tuple[int, int], _Reasons] = {}
        self._order: list[tuple[int, int]] = []
        self._under_way: dict[tuple[int, int], bool] = {}  # and whether somebody relied on it
        self._kept: list[Any] = []  # keeps what was made here, so that no id is used twice

    def compare(self, writer: Any, reader: Any) -> Steps[_Reasons]:
        """Why what `writer` allows for may not be valid for `reader`."""
        if reader is True or writer is False or reader == {}:
            return []
        left: list[Shape] | None = yield self._writer.of(writer)
        right: list[Shape] | None = yield self._reader.of(reader)
        if left is None or right is None:
            return []
        reasons: _Reasons = []
        for shape in left:
            reasons += yield self._one_of(shape, right)
            if len(reasons) >= _REASONS:
                break
        return reasons[:_REASONS]

    def _one_of(self, shape: Shape, readers: list[Shape]) -> Steps[_Reasons]:
        """Why a shape of the writer fits none of the reader's."""
        takers = [reader for reader in readers if _may_take(reader["type"], shape["type"])]
        if not takers:
            taken = _either(_name(reader) for reader in readers)
            return [_Reason("", f"the writer may send {_name(shape)}, the reader takes {taken}")]
        if "enum" not in shape:
            plain: _Reasons = yield self._any(shape, takers)
            return plain
        unknown: list[Any] = []
        reasons: _Reasons = []
        for value in shape["enum"]:
            alone = {"type": kind_of(value), "enum": [value]}
            self._kept.append(alone)
            found = yield self._any(alone, takers)
            if found and all("enum" in taker for taker in takers):
                unknown.append(value)
            else:
                reasons += found
        if unknown:
            values = ", ".join(_short(value) for value in unknown[:5]) + (", …" if len(unknown) > 5 else "")
            reasons.insert(0, _Reason("", f"the writer may send {values}, which the reader does not know"))
        return reasons

    def _any(self, shape: Shape, takers: list[Shape]) -> Steps[_Reasons]:
        """The reasons of the taker that is meant, or [] where one takes it."""
        found: list[_Reasons] = []
        for taker in takers:
            reasons: _Reasons = yield self._fits(shape, taker)
            if not reasons:
                return []
            found.append(reasons)
        if len(takers) == 1:
            return found[0]
        meant = [reasons for taker, reasons in zip(takers, found, strict=True) if _same_tag(shape, taker)]
        if len(meant) == 1:
            return meant[0]
        return [_Reason("", f"no alternative of the reader takes {_name(shape)} as the writer sends it")]

    def _fits(self, writer: Shape, reader: Shape) -> Steps[_Reasons]:
        """Why data of one shape is not of the other.

        A pair that is met again on the way down is taken to fit: if it does not, the reason is found where it was met first.
        """
        pair = (id(writer), id(reader))
        if pair in self._known:
            return self._known[pair]
        if pair in self._under_way:
            self._under_way[pair] = True
            return []
        self._left -= 1
        if self._left < 0:
            raise _TooMuchError
        self._under_way[pair] = False
        began = len(self._order)
        reasons: _Reasons = yield self._look(writer, reader)
        if self._under_way.pop(pair) and reasons:
            for other in self._order[began:]:  # these may have relied on this pair: they are looked at anew
                self._known.pop(other, None)
            del self._order[began:]
        self._known[pair] = reasons = reasons[:_REASONS]
        self._order.append(pair)
        return reasons

    def _look(self, writer: Shape, reader: Shape) -> Steps[_Reasons]:
        reasons: _Reasons = []
        if "enum" in reader:
            values = writer.get("enum", {"boolean": [True, False], "null": [None]}.get(writer["type"]))
            if values is None:
                known = ", ".join(_short(value) for value in reader["enum"][:5])
                return [_Reason("", f"the writer may send any {writer['type']}, the reader knows only {known}")]
            unknown = [value for value in values if not any(same(value, each) for each in reader["enum"])]
            if unknown:
                return [_Reason("", f"the writer may send {_short(unknown[0])}, which the reader does not know")]
        if reader["type"] == "integer" and writer["type"] == "number" and not _is_whole(writer):
            return [_Reason("", "the writer may send a fraction, the reader takes an integer")]
        if writer["type"] in ("integer", "number"):
            reasons += _number(writer, reader)
        elif writer["type"] == "string":
            reasons += _string(writer, reader)
        elif writer["type"] == "array":
            reasons += yield self._array(self._spelled_out(writer), reader)
        elif writer["type"] == "object":
            reasons += yield self._object(self._spelled_out(writer), reader)
        return reasons

    def _spelled_out(self, shape: Shape) -> Shape:
        """An array or object that is given as a value, as a schema that only it fits."""
        if "enum" not in shape:
            return shape
        (value,) = shape["enum"]
        self._kept.append(value)
        if shape["type"] == "array":
            items: list[Any] = [{"const": item} for item in value]
            self._kept.append(items)
            distinct = not any(same(item, other) for index, item in enumerate(value) for other in value[:index])
            return {"prefixItems": items, "items": False, "minItems": len(items), "maxItems": len(items), "uniqueItems": distinct}
        properties = {name: {"const": inner} for name, inner in value.items()}
        self._kept.append(properties)
        return {"properties": properties, "required": frozenset(properties), "additionalProperties": False}

    def _object(self, writer: Shape, reader: Shape) -> Steps[_Reasons]:
        reasons: _Reasons = []
        properties, required = writer.get("properties", {}), writer.get("required", frozenset())
        rest = writer.get("additionalProperties", _UNSAID)
        wanted, others = reader.get("properties", {}), reader.get("additionalProperties", True)
        for name in sorted(reader.get("required", frozenset()) - required):
            sends = "may leave it out" if name in properties or rest not in (False, _UNSAID) else "does not send it"
            reasons.append(_Reason(f".{name}", f"the reader needs it, the writer {sends}"))
        for name, schema in properties.items():
            if name not in wanted and others is False and (yield self._is_possible(schema)):
                reasons.append(_Reason(f".{name}", "the writer may send it, the reader refuses fields that it does not know"))
            else:
                reasons += _inside(f".{name}", (yield self.compare(schema, wanted.get(name, others))))
        if rest not in (False, _UNSAID):
            if others is False:
                reasons.append(_Reason("", "the writer may send any field, the reader refuses fields that it does not know"))
            else:
                reasons += _inside(".*", (yield self.compare(rest, others)))
            if rest is not True:  # of true, nobody says what will come
                for name in wanted.keys() - properties.keys():
                    reasons += _inside(f".{name}", (yield self.compare(rest, wanted[name])))
        names = reader.get("propertyNames", True)
        if names is not True:
            said = writer.get("propertyNames", True)
            if rest not in (False, _UNSAID):
                reasons += _inside(".(a name)", (yield self.compare(self._names(said), names)))
            if properties:
                keys = {"enum": list(properties)}
                self._kept.append(keys)
                reasons += _inside(".(a name)", (yield self.compare(keys, names)))
        most = len(properties) if rest in (False, _UNSAID) else None
        sizes = {**writer, "minProperties": max(writer.get("minProperties", 0), len(required))}
        if most is not None:
            sizes["maxProperties"] = min(writer.get("maxProperties", most), most)
        return reasons + _sizes(sizes, reader, "Properties", "fields")

    def _names(self, said: Any) -> Any:
        schema = {"allOf": [{"type": "string"}, said]}
        self._kept.append(schema)
        return schema

    def _is_possible(self, schema: Any) -> Steps[bool]:
        shapes: list[Shape] | None = yield self._writer.of(schema)
        return shapes != []

    def _array(self, writer: Shape, reader: Shape) -> Steps[_Reasons]:
        reasons = _sizes(writer, reader, "Items", "items")
        if reader.get("uniqueItems") and not writer.get("uniqueItems") and writer.get("maxItems", 2) > 1:
            reasons.append(_Reason("[]", "the writer may send an item twice, the reader does not take it twice"))
        ours, theirs = writer.get("prefixItems", []), reader.get("prefixItems", [])
        most = writer.get("maxItems", float("inf"))
        longest = max(len(ours), len(theirs))
        for index in range(int(min(longest, most))):
            left = ours[index] if index < len(ours) else writer.get("items", True)
            right = theirs[index] if index < len(theirs) else reader.get("items", True)
            if left is not False:
                reasons += _inside(f"[{index}]", (yield self.compare(left, right)))
            if left is False:
                most = min(most, index)
                break
        if most > longest and writer.get("items", True) is not False:
            reasons += _inside("[]", (yield self.compare(writer.get("items", True), reader.get("items", True))))
        return reasons


_UNSAID = object()
"""No `additionalProperties`: the writer sends what it names."""


def _may_take(reader: str, writer: str) -> bool:
    numbers = ("integer", "number")
    return reader == writer or (reader in numbers and writer in numbers)


def _is_whole(shape: Shape) -> bool:
    return any(float(step).is_integer() for step in shape.get("multipleOf", ())) or all(
        kind_of(value) == "integer" for value in shape.get("enum", (0.5,))
    )


def _number(writer: Shape, reader: Shape) -> _Reasons:
    reasons = []
    low, high = _bounds(writer)
    least, most = _bounds(reader)
    if low < least:
        reasons.append(_Reason("", f"the writer may send {_less(low)}, the reader takes no less than {_bound(least)}"))
    if high > most:
        reasons.append(_Reason("", f"the writer may send {_more(high)}, the reader takes no more than {_bound(most)}"))
    steps = writer.get("multipleOf", frozenset()) | ({1} if writer["type"] == "integer" else frozenset())
    for step in sorted(reader.get("multipleOf", ())):
        values = writer.get("enum")
        fits = all(value % step == 0 for value in values) if values else any(each % step == 0 for each in steps)
        if step and not fits:
            reasons.append(_Reason("", f"the reader takes multiples of {step} only"))
    return reasons


_Bound = tuple[float, float]
"""A bound, and how much it is moved inwards where it is exclusive: an order, not a number."""


def _bounds(shape: Shape) -> tuple[_Bound, _Bound]:
    if "enum" in shape:
        return (min(shape["enum"]), 0), (max(shape["enum"]), 0)
    infinite = float("inf")
    low = max((shape.get("minimum", -infinite), 0), (shape.get("exclusiveMinimum", -infinite), 1))
    high = min((shape.get("maximum", infinite), 0), (shape.get("exclusiveMaximum", infinite), -1))
    if shape["type"] == "integer":
        low = (low[0] + 1, 0) if low[1] and float(low[0]).is_integer() else low
        high = (high[0] - 1, 0) if high[1] and float(high[0]).is_integer() else high
    return low, high


def _bound(bound: _Bound) -> str:
    return f"{bound[0]}" if not bound[1] else f"{bound[0]}, exclusive"


def _less(bound: _Bound) -> str:
    return "any small number" if bound[0] == -float("inf") else _bound(bound)


def _more(bound: _Bound) -> str:
    return "any large number" if bound[0] == float("inf") else _bound(bound)


def _string(writer: Shape, reader: Shape) -> _Reasons:
    lengths = writer
    if "enum" in writer:
        sizes = [len(value) for value in writer["enum"]]
        lengths = {**writer, "minLength": min(sizes), "maxLength": max(sizes)}
    reasons = _sizes(lengths, reader, "Length", "characters")
    reasons += [
        _Reason("", f"the reader takes only what matches {p}")
        for p in sorted(reader.get("pattern", frozenset()) - writer.get("pattern", frozenset()))
    ]
    for format in sorted(reader.get("format", frozenset()) - writer.get("format", frozenset())):
        if format in _FORMATS:
            reasons.append(_Reason("", f"the writer may send any text, the reader takes a {format}"))
    for encoding in sorted(reader.get("contentEncoding", frozenset()) - writer.get("contentEncoding", frozenset())):
        reasons.append(_Reason("", f"the writer may send any text, the reader takes {encoding}"))
    return reasons


def _sizes(writer: Shape, reader: Shape, word: str, unit: str) -> _Reasons:
    reasons = []
    low, least = writer.get(f"min{word}", 0), reader.get(f"min{word}", 0)
    high, most = writer.get(f"max{word}", float("inf")), reader.get(f"max{word}", float("inf"))
    if low < least:
        reasons.append(_Reason("", f"the writer may send {low} {unit}, the reader takes no fewer than {least}"))
    if high > most:
        many = "any number of" if high == float("inf") else high
        reasons.append(_Reason("", f"the writer may send {many} {unit}, the reader takes no more than {most}"))
    return reasons


def _same_tag(writer: Shape, reader: Shape) -> bool:
    """Whether a property with one value says that both mean the same alternative."""
    for name, theirs in reader.get("properties", {}).items():
        ours = writer.get("properties", {}).get(name)
        left, right = _only(ours), _only(theirs)
        if left and right:
            return same(left[0], right[0])
    return False


def _only(schema: Any) -> list[Any]:
    """The one value that a schema allows for, in a list; [] where there are others."""
    if not isinstance(schema, Mapping):
        return []
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return values if isinstance(values, list) and len(values) == 1 else []


_A = {"null": "null", "boolean": "a boolean", "array": "a list", "object": "an object", "integer": "an integer"}


def _name(shape: Shape) -> str:
    if "enum" in shape:
        return ", ".join(_short(value) for value in shape["enum"][:3])
    title = f" ({shape['title']})" if "title" in shape and shape["type"] == "object" else ""
    return _A.get(shape["type"], f"a {shape['type']}") + title


def _either(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(names))
    return " or ".join(known) if 0 < len(known) < len(TYPES) else "anything" if known else "nothing"


def _short(value: Any) -> str:
    """A value in few letters, whatever it is."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, TypeError, ValueError):
        return "a value nested too deep to be shown"
    return text if len(text) <= 40 else f"{text[:39]}…"
