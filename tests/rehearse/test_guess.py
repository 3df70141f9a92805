"""Commands made from their types: valid, few keys, the same for the same seed; and what cannot be made is named."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import os
import random
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from examples.shop import events as shop
from farandole import Command, Sensitive
from farandole.errors import ConfigurationError
from farandole.model.wire import Binding
from farandole.rehearse.guess import Guesses

Sku = NewType("Sku", str)
Money = Annotated[decimal.Decimal, Sensitive]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    S = 1
    L = 3


class Card(msgspec.Struct, tag="card", frozen=True):
    digits: Annotated[str, Meta(pattern=r"^\d{4}( \d{4}){3}$")]


class Cash(msgspec.Struct, tag="cash", frozen=True):
    pass


class Point(msgspec.Struct, tag=True, array_like=True, frozen=True):
    x: float
    y: float = 0.0


class Corner(NamedTuple):
    n: int
    label: str = "?"


@dataclass
class Parcel:
    weight: Annotated[float, Meta(gt=0, le=0.5)]
    marks: list[str]


class Extra(TypedDict, total=False):
    note: str
    since: dt.date


class Tree(msgspec.Struct, frozen=True):
    name: str
    kids: tuple[Tree, ...] = ()
    next: Tree | None = None


class Leaf(msgspec.Struct, tag=True):
    value: int


class Fork(msgspec.Struct, tag=True):
    left: Leaf | Fork
    right: Leaf | Fork


class Renamed(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    first_name: str
    last_name: str = "Lovelace"


class Zoo(Command, key="zoo_id"):
    zoo_id: str
    text: str
    number: int
    share: Annotated[float, Meta(ge=0, le=1)]
    even: Annotated[int, Meta(gt=0, lt=11, multiple_of=2)]
    below: Annotated[int, Meta(lt=0)]
    range: Annotated[int, Meta(ge=-3, le=-1)]
    tenth: Annotated[float, Meta(ge=0, multiple_of=0.1)]
    real: float
    yes: bool
    nothing: None
    anything: Any
    money: Money
    sku: Sku
    short: Annotated[str, Meta(min_length=2, max_length=4)]
    long: Annotated[str, Meta(min_length=30)]
    postcode: Annotated[str, Meta(pattern=r"^[A-Z]{1,2}[0-9][^\W_]? [0-9](?:AB|[C-E]{2})$")]
    user_id: uuid.UUID
    when: Annotated[dt.datetime, Meta(tz=True)]
    naive: Annotated[dt.datetime, Meta(tz=False)]
    either: dt.datetime
    day: dt.date
    hour: dt.time
    bedtime: Annotated[dt.time, Meta(tz=True)]
    span: dt.timedelta
    blob: Annotated[bytes, Meta(min_length=1, max_length=3)]
    array: bytearray
    colour: Colour
    size: Size
    mood: Literal["good", "bad", 3] | None
    maybe: Annotated[str, Meta(max_length=1)] | None
    mixed: int | str | list[int] | None
    paid: Card | Cash
    shape: Point
    corner: Corner
    parcel: Parcel
    extra: Extra
    tree: Tree
    fork: Fork
    renamed: Renamed
    pair: tuple[int, Colour]
    many: Annotated[list[int], Meta(min_length=5, max_length=6)]
    colours: set[Colour]
    codes: frozenset[str]
    table: dict[uuid.UUID, list[Corner]]
    days: Annotated[dict[dt.date, int], Meta(min_length=2)]
    unset: int | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] = []
    level: int = 7


def made(cls: type, seed: int = 0, **options: Any) -> Any:
    return Guesses(random.Random(seed), **options).command(cls)


def shown(command: Any) -> str:
    """All of it, sets in order."""
    values = {name: getattr(command, name) for name in command.__struct_fields__}
    return ascii({name: sorted(map(repr, each)) if isinstance(each, set | frozenset) else each for name, each in values.items()})


def many(cls: type, count: int = 400, **options: Any) -> list[Any]:
    guesses = Guesses(random.Random(1), **options)
    return [guesses.command(cls) for _ in range(count)]


@given(st.integers())
def test_every_guess_stays_itself_on_the_wire_and_by_conversion(seed: int) -> None:
    command = made(Zoo, seed)
    binding = Binding(Zoo, domain="zoo", owner="keeper")
    assert binding.decode(binding.encode(command)) == command
    assert msgspec.convert(msgspec.to_builtins(command), Zoo, str_keys=True) == command


@pytest.mark.parametrize("cls", [shop.PlaceOrder, shop.ReturnLines, shop.ReceiveStock])
def test_the_shops_commands_can_be_made(cls: type) -> None:
    assert all(type(command) is cls for command in many(cls, 50))


def test_a_dataclass_and_raw_json_can_be_made_as_well() -> None:
    assert isinstance(made(Parcel), Parcel)
    assert msgspec.json.decode(made(field(msgspec.Raw)).field)


def test_the_same_seed_gives_the_same_commands_in_every_process_and_under_every_hash_seed() -> None:
    program = (
        "import random; from farandole.rehearse.guess import Guesses; from tests.rehearse.test_guess import Zoo, shown\n"
        "guesses = Guesses(random.Random(5))\n"
        "for _ in range(20): print(shown(guesses.command(Zoo)))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "src:."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].splitlines())) == 20


# ---- keys --------------------------------------------------------------------------------------------------------------------


class Place(Command, key="order_id"):
    order_id: str


class Cancel(Command):
    orderId: str


class Move(Command):
    original_order_number: str
    order_ids: list[str]


def test_commands_that_name_the_same_thing_meet() -> None:
    orders = {"order-1", "order-2", "order-3"}
    assert {command.order_id for command in many(Place)} == orders
    assert {command.orderId for command in many(Cancel)} == orders
    assert {command.original_order_number for command in many(Move)} == orders
    assert {order for command in many(Move) for order in command.order_ids} == orders


def test_a_bare_id_and_other_kinds_of_keys_come_from_pools() -> None:
    class Bare(Command):
        id: str
        code: str
        sku: str
        line_no: int
        user_id: uuid.UUID
        short_id: Annotated[str, Meta(max_length=3)]
        long_id: Annotated[str, Meta(min_length=9)]
        plain_id: Annotated[str, Meta(pattern="^ORD-[0-9]{4}$")]

    commands = many(Bare, keys=2)
    assert {command.id for command in commands} == {"o-1", "o-2"}
    assert {command.code for command in commands} == {"code-1", "code-2"}
    assert {command.sku for command in commands} == {"sku-1", "sku-2"}
    assert {command.line_no for command in commands} == {1, 2}
    assert {command.short_id for command in commands} == {"s-1", "s-2"}
    assert {command.long_id for command in commands} == {"long-0001", "long-0002"}
    assert len({command.user_id for command in commands}) == len({command.plain_id for command in commands}) == 2


def test_words_that_only_end_like_keys_are_none() -> None:
    class Odd(Command):
        paid: str
        currency_code: str

    assert not any(command.paid.startswith(("o-", "paid-")) for command in many(Odd))
    assert {"EUR", "GBP"} <= {command.currency_code for command in many(Odd)}


def test_what_is_declared_as_a_key_is_one_whatever_it_is_called() -> None:
    class Own(Command, key="vessel"):
        vessel: str
        harbour: str

    assert {command.vessel for command in many(Own)} == {"vessel-1", "vessel-2", "vessel-3"}
    assert not any(command.harbour.startswith("harbour-") for command in many(Own))
    assert {command.harbour for command in many(Own, keys=1, key_fields={"harbour"})} == {"harbour-1"}


def test_there_is_at_least_one_key() -> None:
    with pytest.raises(ConfigurationError, match="expected keys to be a positive integer, got: 0"):
        Guesses(random.Random(1), keys=0)


# ---- values that find mistakes -----------------------------------------------------------------------------------------------


class Values(Command):
    quantity: int
    unit_price: int
    total_price: decimal.Decimal
    free_price: Annotated[int, Meta(ge=0)]
    limited: Annotated[int, Meta(ge=-5, le=300)]
    between: Annotated[int, Meta(gt=-8, lt=90)]
    share: Annotated[float, Meta(gt=0, lt=1)]
    name: str
    items: list[int]
    when: dt.datetime
    level: int = 70


def test_numbers_are_small_and_touch_their_limits_now_and_then() -> None:
    commands = many(Values)
    assert {command.quantity for command in commands} == set(range(10))
    assert {-5, 300, 0, 1} <= {command.limited for command in commands}
    assert {-7, 89, 0, 1} <= {command.between for command in commands}
    assert all(0 < command.share < 1 for command in commands)
    assert sum(command.quantity == 0 for command in commands) < 60


def test_money_is_positive_unless_its_type_allows_none() -> None:
    commands = many(Values)
    assert all(command.unit_price > 0 and command.total_price > 0 for command in commands)
    assert any(command.free_price == 0 for command in commands)


def test_texts_are_words_now_and_then_empty_or_beyond_ascii() -> None:
    names = [command.name for command in many(Values)]
    assert "" in names and any(not name.isascii() for name in names)
    assert sum(bool(re.fullmatch("[a-z]+", name)) for name in names) > 300


def test_collections_are_short_and_now_and_then_empty() -> None:
    assert {len(command.items) for command in many(Values)} == {0, 1, 2, 3}


def test_times_are_aware_and_not_all_of_one_zone() -> None:
    assert len({command.when.utcoffset() for command in many(Values)}) == 2
    assert all(command.when.tzinfo is not None for command in many(Values))


def test_defaults_are_kept_by_some_and_replaced_by_others() -> None:
    kept = sum(command.level == 70 for command in many(Values))
    assert 50 < kept < 250


def test_examples_of_a_field_are_taken() -> None:
    class Shown(Command):
        number: Annotated[str, Meta(pattern=r"^(?=A)A(?<!B)\d$", examples=["A1", "A2"])]

    assert {command.number for command in many(Shown)} == {"A1", "A2"}


def test_a_class_that_checks_more_than_types_say_is_satisfied() -> None:
    class Ordered(Command):
        first: int
        last: int

        def __post_init__(self) -> None:
            assert self.first < self.last, "upside down"

    assert all(command.first < command.last for command in many(Ordered))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[a-z]+@[^@]+\.(com|org)$",
        r"\S{3,}",
        r"^\w+[-_]\d*?x?$",
        "^[^x]$",
        r"^\D\W.\s$",
        "(?i)^abc$",
        r"^[\u4e00-\u9fff]{2}$",
        "",
    ],
)
@given(seed=st.integers())
def test_simple_patterns_are_spelled(pattern: str, seed: int) -> None:
    assert re.search(pattern, made(field(Annotated[str, Meta(pattern=pattern)]), seed).field)


@given(seed=st.integers())
def test_a_text_has_the_length_that_goes_with_its_pattern(seed: int) -> None:
    text = made(field(Annotated[str, Meta(pattern="^[a-z]+$", min_length=12, max_length=14)]), seed).field
    assert 12 <= len(text) <= 14


# ---- what cannot be made -----------------------------------------------------------------------------------------------------


class Foreign:
    pass


class Line(msgspec.Struct):
    wrapped: Foreign


class Endless(msgspec.Struct):
    inner: Endless


class Nobody(enum.Enum):
    pass


def field(tp: Any) -> type:
    return msgspec.defstruct("Buy", [("field", tp)])


@pytest.mark.parametrize(
    ("tp", "words"),
    [
        (Foreign, r"Buy\.field: nobody knows the values of .*Foreign"),
        (list[Line], r"Buy\.field\[\]\.wrapped: nobody knows"),
        (dict[str, Line], r"Buy\.field\[\]\.wrapped: nobody knows"),
        (tuple[int, Line], r"Buy\.field\[1\]\.wrapped: nobody knows"),
        (Line | int | Foreign, r"Buy: Type unions containing a custom type"),
        (Endless, r"Buy\.field(\.inner)+: it holds another of its own kind, without end"),
        (Annotated[str, Meta(pattern=r"^(a)\1$")], r"Buy\.field: the pattern .* a part that is too hard, 'GROUPREF'"),
        (Annotated[str, Meta(pattern=r"^a$", min_length=5)], r"Buy\.field: no text was found for the pattern '\^a\$'"),
        (Annotated[str, Meta(min_length=2, max_length=1)], r"Buy\.field: no text was found with 2 to 1 characters"),
        (Annotated[int, Meta(gt=1, lt=2)], r"Buy\.field: no number was found that is gt=1, lt=2"),
        (Annotated[set[bool], Meta(min_length=3)], r"Buy\.field: it takes 3 that differ, and 2 were found"),
        (Annotated[int, Meta(examples=["x"])], r"Buy: 200 guesses were refused, the last with: .* at `\$\.field`"),
        (Nobody, r"Nobody has no members|Buy: "),
        ("Unknown", r"Buy: .*Unknown"),
    ],
)
def test_what_cannot_be_made_is_named_with_its_path_and_the_remedy(tp: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no value can be made for .*({words}).*@rehearsal.scenario"):
        made(field(tp))


def test_what_cannot_be_made_is_left_out_where_it_may_be() -> None:
    assert made(field(Foreign | None)).field is None
    assert made(field(Line | int)).field > -1


def test_the_end_of_an_array_is_left_out_and_its_middle_is_not() -> None:
    end = msgspec.defstruct("End", [("first", int), ("rest", list[Line], [])], array_like=True)
    assert made(field(end)).field.rest == []
    middle = msgspec.defstruct("Middle", [("first", Line), ("rest", int)], array_like=True)
    with pytest.raises(ConfigurationError, match=r"Buy\.field\.first\.wrapped"):
        made(field(middle))


def test_a_field_that_has_a_default_keeps_it_where_nothing_else_can_be_made() -> None:
    cls = msgspec.defstruct("Buy", [("lines", list[Line], [])])
    assert all(command.lines == [] for command in many(cls, 20))
