"""Commands made from their types, for rehearsals whose author wrote no scenario.

    guesses = Guesses(random.Random(7))
    guesses.command(PlaceOrder), guesses.command(CancelOrder)  # both may well be about "order-2"

Values are drawn so as to find mistakes: few different keys, so that commands meet; small numbers, and the limits now and then;
words, and now and then none, or one beyond ASCII. What is drawn depends on the seed alone.
"""

from __future__ import annotations

import importlib
import math
import random
import re
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID
from zlib import crc32

import msgspec
from msgspec import inspect

from farandole.errors import ConfigurationError
from farandole.rehearse.world import START

__all__ = ["Guesses"]

T = TypeVar("T")

_TRIES = 200
_DEEP, _TOO_DEEP = 3, 8  # from the first on, what may be left out is; at the second, it has no end
_WORDS = ("tea", "cup", "lamp", "clock", "ribbon", "lantern")
_ODD_WORDS = ("", "Zoë", "Łódź", "日本", "o'clock", "🌷")
_USUAL_WORDS = {
    "email": ("ada@example.org", "grace@example.org"),
    "mail": ("ada@example.org", "grace@example.org"),
    "country": ("DE", "FR", "GB"),
    "currency": ("EUR", "GBP"),
    "url": ("https://example.org/a", "https://example.org/b"),
}
_MONEY = frozenset(["amount", "balance", "cents", "charge", "cost", "fee", "pence", "price", "sum", "total", "value"])
_KEY_WORDS = frozenset(["code", "id", "key", "no", "number", "ref", "reference", "uuid"])
_OWN_KEYS = frozenset({"isbn", "sku"})
_NAME_PARTS = re.compile(r"[A-Z]+(?![^\W_A-Z])|[A-Z]?[^\W_A-Z]+")
_LATEST = datetime.fromtimestamp(START, UTC)


class _Unmade(Exception):
    """No value can be made; says where and why."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a command a value stands: `path` for people, the name of its field, and how many objects it is in."""

    path: str
    name: str = ""
    depth: int = 0

    @property
    def words(self) -> list[str]:
        return [part.lower() for part in _NAME_PARTS.findall(self.name)]

    def field(self, name: str) -> _Place:
        return _Place(f"{self.path}.{name}", name, self.depth + 1)

    def item(self, mark: str = "[]") -> _Place:
        """An item of it: what is in `order_ids` is an `order_id`."""
        return replace(self, path=self.path + mark, name=self.name.removesuffix("s"))

    def fail(self, why: str) -> _Unmade:
        return _Unmade(f"{self.path}: {why}")


class Guesses:
    """Makes commands.

    Parameters
    ----------
    chance:
        Where all is drawn from: the same state gives the same commands, in every process.
    keys:
        How many different values a key has.
    key_fields:
        Names of fields that are keys though they do not look it: what events declare as `key=`. A command's own key is known.

    Raises
    ------
    ConfigurationError
        There would be no key at all.
    """

    def __init__(self, chance: random.Random, *, keys: int = 3, key_fields: Iterable[str] = ()) -> None:
        if keys < 1:
            raise ConfigurationError(f"expected keys to be a positive integer, got: {keys}")
        self._chance = chance
        self._keys = keys
        self._key_fields = set(key_fields)
        self._known: dict[type, tuple[Any, msgspec.json.Decoder[Any]]] = {}

    def command(self, cls: type) -> Any:
        """A command of this class, valid by its constraints, that stays itself when it is encoded and decoded.

        Raises
        ------
        ConfigurationError
            None can be made; the message has the path of the field.
        """
        try:
            shape, decoder = self._read(cls)
            return self._valid(shape, decoder, _Place(cls.__name__))
        except _Unmade as why:
            raise ConfigurationError(
                f"no value can be made for {why}. Write a scenario that makes its commands itself (@rehearsal.scenario), "
                f"or give the field examples: Annotated[…, msgspec.Meta(examples=[…])]"
            ) from None

    def _read(self, cls: type) -> tuple[Any, msgspec.json.Decoder[Any]]:
        if cls not in self._known:
            own_key = getattr(getattr(cls, "__farandole__", None), "key", None)
            if own_key is not None:
                self._key_fields.add(own_key)
            try:
                self._known[cls] = inspect.type_info(cls), msgspec.json.Decoder(cls)
            except (NameError, TypeError, ValueError) as error:
                raise _Unmade(f"{cls.__name__}: {error}") from None
        return self._known[cls]

    def _valid(self, shape: Any, decoder: msgspec.json.Decoder[Any], place: _Place) -> Any:
        """Draw until the class accepts it: `__post_init__` may refuse what its types allow."""
        refusal: Exception | None = None
        for _ in range(_TRIES):
            try:
                made = decoder.decode(msgspec.json.encode(self._make(shape, place)))
                decoder.decode(msgspec.json.encode(made))
            except _Unmade:
                raise
            except Exception as error:  # whatever a `__post_init__` raises
                refusal = error
            else:
                return made
        raise place.fail(f"{_TRIES} guesses were refused, the last with: {refusal}")

    def _make(self, shape: Any, place: _Place) -> Any:
        """Plain values that decode to what is wanted."""
        make = _MAKERS.get(type(shape).__name__)
        if make is None:
            raise place.fail(f"nobody knows the values of {getattr(shape, 'cls', shape)!r}")
        if place.depth > _TOO_DEEP:
            raise place.fail("it holds another of its own kind, without end")
        return make(self, shape, place)

    def _rarely(self, chance: float = 0.1) -> bool:
        return self._chance.random() < chance

    def _either(self, usual: Sequence[T], odd: Sequence[T]) -> T:
        """One of the usual values, or now and then an odd one."""
        return self._chance.choice(odd if odd and (not usual or self._rarely(0.15)) else usual)

    # ---- objects and alternatives ----------------------------------------------------------------------------------------

    def _metadata(self, shape: inspect.Metadata, place: _Place) -> Any:
        examples = (shape.extra_json_schema or {}).get("examples")
        return self._chance.choice(examples) if examples else self._make(shape.type, place)

    def _object(self, shape: Any, place: _Place) -> dict[str, Any]:
        tag_field = getattr(shape, "tag_field", None)
        made = {} if tag_field is None else {tag_field: shape.tag}
        for field in shape.fields:
            if self._leaves_out(field, place):
                continue
            try:
                made[field.encode_name] = self._make(field.type, place.field(field.name))
            except _Unmade:
                if field.required:
                    raise
        return made

    def _leaves_out(self, field: inspect.Field, place: _Place) -> bool:
        """What a factory makes may differ from run to run, so it is left to its factory only where it must be."""
        if field.required:
            return False
        return place.depth >= _DEEP or (field.default_factory is msgspec.NODEFAULT and self._rarely(0.3))

    def _row(self, shape: Any, place: _Place) -> list[Any]:
        """An object that is an array on the wire: only its end may be left out."""
        made: list[Any] = [] if getattr(shape, "tag_field", None) is None else [shape.tag]
        for n, field in enumerate(shape.fields):
            try:
                made.append(self._make(field.type, place.field(field.name)))
            except _Unmade:
                if any(later.required for later in shape.fields[n:]):
                    raise
                break
        return made

    def _struct(self, shape: inspect.StructType, place: _Place) -> Any:
        return self._row(shape, place) if shape.array_like else self._object(shape, place)

    def _union(self, shape: inspect.UnionType, place: _Place) -> Any:
        """One of them; None now and then, and where it is deep already."""
        if shape.includes_none and (place.depth >= _DEEP or self._rarely(0.2)):
            return None
        others = [each for each in shape.types if not isinstance(each, inspect.NoneType)]
        self._chance.shuffle(others)
        why: _Unmade | None = None
        for each in others:
            try:
                return self._make(each, place)
            except _Unmade as unmade:
                why = unmade
        if shape.includes_none or why is None:
            return None
        raise why

    def _member(self, shape: inspect.EnumType, place: _Place) -> Any:
        members = list(shape.cls)
        if not members:
            raise place.fail(f"{shape.cls.__name__} has no members")
        return self._chance.choice(members).value

    # ---- collections -----------------------------------------------------------------------------------------------------

    def _size(self, shape: Any, place: _Place) -> int:
        least, most = shape.min_length or 0, shape.max_length
        usual = 0 if place.depth > _DEEP or self._rarely() else self._chance.randint(1, 3)
        return max(least, usual if most is None else min(usual, most))

    def _list(self, shape: Any, place: _Place) -> list[Any]:
        return [self._make(shape.item_type, place.item()) for _ in range(self._size(shape, place))]

    def _set(self, shape: Any, place: _Place) -> list[Any]:
        return self._different(shape, place, lambda: self._make(shape.item_type, place.item()))

    def _dict(self, shape: Any, place: _Place) -> dict[Any, Any]:
        keys = self._different(shape, place, lambda: self._make(shape.key_type, place.item(" (a key of it)")))
        return {key: self._make(shape.value_type, place.item()) for key in keys}

    def _different(self, shape: Any, place: _Place, make: Callable[[], Any]) -> list[Any]:
        """So many that differ; fewer, where that is allowed and there are no more."""
        size, found = self._size(shape, place), dict[bytes, Any]()
        for _ in range(size * 20):
            item = make()
            found.setdefault(msgspec.json.encode(item), item)
            if len(found) == size:
                break
        if len(found) < (shape.min_length or 0):
            raise place.fail(f"it takes {shape.min_length} that differ, and {len(found)} were found")
        return list(found.values())

    def _tuple(self, shape: inspect.TupleType, place: _Place) -> list[Any]:
        return [self._make(each, place.item(f"[{n}]")) for n, each in enumerate(shape.item_types)]

    # ---- keys ------------------------------------------------------------------------------------------------------------

    def _key(self, place: _Place) -> tuple[str, int] | None:
        """What the field identifies, and one of a few numbers; None: it is no key."""
        words = place.words
        if not words or (words[-1] not in _KEY_WORDS | _OWN_KEYS and place.name not in self._key_fields):
            return None
        if words[-1] in _KEY_WORDS:
            words = words[:-1] or (words if words[-1] in ("code", "number") else ["o"])
        return None if words[-1] in _USUAL_WORDS else (words[-1], self._chance.randint(1, self._keys))

    # ---- texts and bytes -------------------------------------------------------------------------------------------------

    def _text(self, shape: inspect.StrType, place: _Place) -> str:
        key = self._key(place)
        texts = _key_texts(*key, shape.min_length or 0) if key else self._words(shape, place)
        for text in texts:
            if _fits(text, shape):
                return text
        chance = random.Random(f"{key[0]}-{key[1]}") if key else self._chance  # everywhere the same text for the same key
        return _spelled(shape, chance, place)

    def _words(self, shape: inspect.StrType, place: _Place) -> list[str]:
        """A word, then the same made to fit."""
        usual = next((_USUAL_WORDS[word] for word in place.words if word in _USUAL_WORDS), _WORDS)
        word = self._either(usual, _ODD_WORDS)
        if self._rarely(0.05) and shape.max_length is not None and shape.max_length <= 1000:
            word = word.ljust(shape.max_length, "é")
        longer = (word or "x") * (shape.min_length or 1)
        return [word, word[: shape.max_length], longer[: shape.max_length], longer[: shape.min_length]]

    def _bytes(self, shape: inspect.BytesType, place: _Place) -> bytes:
        least, most = shape.min_length or 0, shape.max_length
        size = max(least, 0 if self._rarely() else self._chance.randint(1, 8))
        return self._chance.randbytes(size if most is None else min(size, most))

    def _uuid(self, shape: inspect.UUIDType, place: _Place) -> UUID:
        what, number = self._key(place) or (place.name, self._chance.randint(1, self._keys))
        return UUID(f"{crc32(what.encode()):08x}-0000-4000-8000-{number:012x}")

    # ---- numbers ---------------------------------------------------------------------------------------------------------

    def _int(self, shape: inspect.IntType, place: _Place) -> int:
        return int(self._number(shape, place, shape.multiple_of or 1))

    def _float(self, shape: inspect.FloatType, place: _Place) -> float:
        low, high = _limits(shape, 0)
        small = low is not None and high is not None and high - low < 2
        return float(self._number(shape, place, shape.multiple_of or ((high - low) / 16 if small else 0.25)))

    def _number(self, shape: Any, place: _Place, unit: Any) -> Any:
        low, high = _limits(shape, unit)
        base = 1 if low is None else max(low, 1)
        if high is not None and base > high:
            base = high - 8 * unit if low is None else low
        usual = [base + n * unit for n in range(9)]
        odd = [each for each in (0, 1, low, high) if each is not None]
        if shape.multiple_of:
            usual, odd = ([-(-each // unit) * unit for each in some] for some in (usual, odd))
            odd += [high // unit * unit] if high is not None else []
        if shape.ge is None and shape.gt is None and not _MONEY.isdisjoint(place.words):
            odd = [each for each in odd if each > 0]
        usual, odd = ([each for each in some if _allowed(each, shape)] for some in (usual, odd))
        if not usual + odd:
            raise place.fail(f"no number was found that is {_told(shape)}")
        if usual and (key := self._key(place)):
            return usual[(key[1] - 1) % len(usual)]
        return self._either(usual, odd)

    def _decimal(self, shape: inspect.DecimalType, place: _Place) -> Decimal:
        usual = [Decimal(f"{self._chance.randint(1, 9)}.{cents}") for cents in ("00", "50", "99")]
        return self._either(usual, [Decimal("0.01"), Decimal(1000)] + [Decimal(0)] * _MONEY.isdisjoint(place.words))

    # ---- times -----------------------------------------------------------------------------------------------------------

    def _datetime(self, shape: inspect.DateTimeType, place: _Place) -> datetime:
        day = _LATEST - timedelta(days=self._chance.randint(0, 9))
        east = timezone(timedelta(hours=5, minutes=30))
        moment = self._either([day], [day.astimezone(east), day.replace(microsecond=999_999)])
        return moment.replace(tzinfo=None) if shape.tz is False else moment

    def _date(self, shape: inspect.DateType, place: _Place) -> date:
        day = _LATEST.date() - timedelta(days=self._chance.randint(0, 9))
        return self._either([day], [date(day.year, 12, 31), date(2024, 2, 29)])

    def _time(self, shape: inspect.TimeType, place: _Place) -> time:
        moment = self._either([time(self._chance.randint(8, 18))], [time.min, time.max])
        return moment.replace(tzinfo=UTC) if shape.tz else moment

    def _span(self, shape: inspect.TimeDeltaType, place: _Place) -> timedelta:
        usual = [timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)]
        return self._either(usual, [timedelta(0), timedelta(seconds=0.5)])


_MAKERS: dict[str, Callable[[Guesses, Any, _Place], Any]] = {
    "Metadata": Guesses._metadata,
    "StructType": Guesses._struct,
    "DataclassType": Guesses._object,
    "TypedDictType": Guesses._object,
    "NamedTupleType": Guesses._row,
    "UnionType": Guesses._union,
    "EnumType": Guesses._member,
    "LiteralType": lambda guesses, shape, place: guesses._chance.choice(shape.values),
    "NoneType": lambda guesses, shape, place: None,
    "BoolType": lambda guesses, shape, place: guesses._rarely(0.5),
    "AnyType": lambda guesses, shape, place: guesses._chance.choice(_WORDS),
    "RawType": lambda guesses, shape, place: guesses._chance.choice(_WORDS),
    "IntType": Guesses._int,
    "FloatType": Guesses._float,
    "DecimalType": Guesses._decimal,
    "StrType": Guesses._text,
    "BytesType": Guesses._bytes,
    "ByteArrayType": Guesses._bytes,
    "MemoryViewType": Guesses._bytes,
    "UUIDType": Guesses._uuid,
    "DateTimeType": Guesses._datetime,
    "DateType": Guesses._date,
    "TimeType": Guesses._time,
    "TimeDeltaType": Guesses._span,
    "ListType": Guesses._list,
    "VarTupleType": Guesses._list,
    "SetType": Guesses._set,
    "FrozenSetType": Guesses._set,
    "TupleType": Guesses._tuple,
    "DictType": Guesses._dict,
    "FrozenDictType": Guesses._dict,
}
"""How each kind of type is made, by its name in `msgspec.inspect`: older versions lack some."""


# ---- limits of numbers -------------------------------------------------------------------------------------------------------


def _limits(shape: Any, unit: Any) -> tuple[Any, Any]:
    """The least and the greatest number, where there are; `unit` inside of limits that are not allowed themselves."""
    low = shape.ge if shape.ge is not None else None if shape.gt is None else shape.gt + unit
    high = shape.le if shape.le is not None else None if shape.lt is None else shape.lt - unit
    return tuple(None if each is None or not math.isfinite(each) else each for each in (low, high))  # type: ignore[return-value]


def _allowed(number: Any, shape: Any) -> bool:
    return bool(
        (shape.ge is None or number >= shape.ge)
        and (shape.gt is None or number > shape.gt)
        and (shape.le is None or number <= shape.le)
        and (shape.lt is None or number < shape.lt)
        and (not shape.multiple_of or number % shape.multiple_of == 0)
    )


def _told(shape: Any) -> str:
    limits = {name: getattr(shape, name) for name in ("ge", "gt", "le", "lt", "multiple_of")}
    return ", ".join(f"{name}={limit}" for name, limit in limits.items() if limit is not None)


# ---- texts -------------------------------------------------------------------------------------------------------------------


def _key_texts(what: str, number: int, least: int) -> list[str]:
    """A key as long as may be: "order-1", "o-1", "1"; with zeros where it must be longer."""
    return [f"{start}{number:0{max(1, least - len(start))}}" for start in (f"{what}-", f"{what[0]}-", "")]


def _fits(text: str, shape: inspect.StrType) -> bool:
    least, most = shape.min_length or 0, shape.max_length
    return (
        least <= len(text)
        and (most is None or len(text) <= most)
        and (shape.pattern is None or re.search(shape.pattern, text) is not None)
    )


def _spelled(shape: inspect.StrType, chance: random.Random, place: _Place) -> str:
    """A text for a pattern, by its parts."""
    if shape.pattern is None:
        raise place.fail(f"no text was found with {shape.min_length or 0} to {shape.max_length} characters")
    nodes: Iterable[Any] = importlib.import_module("re._parser").parse(shape.pattern)
    for _ in range(_TRIES):
        try:
            text = _spell(nodes, chance, shape.min_length or 3)
        except KeyError as part:
            raise place.fail(f"the pattern {shape.pattern!r} has a part that is too hard, {part}") from None
        if _fits(text, shape):
            return text
    raise place.fail(f"no text was found for the pattern {shape.pattern!r}")


_LETTERS = string.ascii_letters + string.digits + string.punctuation + " "
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_NOT_DIGIT": string.ascii_letters,
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": string.ascii_letters + string.digits,
    "CATEGORY_WORD": string.ascii_letters + string.digits + "_",
    "CATEGORY_NOT_WORD": " -.",
}


def _spell(nodes: Iterable[Any], chance: random.Random, spread: int) -> str:
    """A text for parts of a pattern as `re` reads it; KeyError for a part that is not simple."""
    text = ""
    for op, value in nodes:
        match str(op):
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                text += chance.choice(_letters(value if str(op) == "IN" else [(op, value)]))
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, inside = value
                for _ in range(chance.randint(least, min(int(most), least + spread))):
                    text += _spell(inside, chance, spread)
            case "SUBPATTERN":
                text += _spell(value[-1], chance, spread)
            case "BRANCH":
                text += _spell(chance.choice(value[1]), chance, spread)
            case "AT":
                pass  # "^", "$" and the like: whether they hold is looked at in the end
            case hard:
                raise KeyError(hard)
    return text


def _letters(parts: Sequence[Any]) -> list[str]:
    """The letters of a set such as `[^a-z0-9_]`."""
    found, negated = set[str](), str(parts[0][0]) in ("NEGATE", "NOT_LITERAL", "ANY")
    for op, value in parts:
        match str(op):
            case "LITERAL" | "NOT_LITERAL":
                found.add(chr(value))
            case "RANGE":
                found.update(map(chr, range(value[0], min(value[1], value[0] + 999) + 1)))
            case "CATEGORY":
                found.update(_CATEGORIES[str(value)])
    return sorted(set(_LETTERS) - found if negated else found) or [" "]
