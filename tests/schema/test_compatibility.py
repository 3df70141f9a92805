"""What a reader cannot read is told with its path; what it can read gives no alarm."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.counts import often
from tests.schema.schemas import changed, data, schemas

from farandole import Event
from farandole.schema import breaks, schema_of


class Line(msgspec.Struct):
    sku: str
    quantity: int


class OrderPlaced(Event):
    order_id: str
    lines: list[Line]
    note: str | None = None
    status: Literal["new", "paid"] = "new"


def obj(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or []}


INT, NUM, STR = {"type": "integer"}, {"type": "number"}, {"type": "string"}


def test_a_schema_is_read_by_itself() -> None:
    schema = schema_of(OrderPlaced)
    assert breaks(schema, schema) == []


def test_a_reader_with_fewer_fields_reads_it() -> None:
    class Reader(Event, name="OrderPlaced"):
        order_id: str

    assert breaks(schema_of(OrderPlaced), schema_of(Reader)) == []


def test_a_reader_with_a_new_optional_field_reads_it() -> None:
    assert breaks(obj(["a"], a=INT), obj(["a"], a=INT, b=STR)) == []


BREAKING = [
    (obj(a=INT), obj(["a"], a=INT), ["a: the reader needs it, the writer may leave it out"]),
    (obj(), obj(["a"], a=INT), ["a: the reader needs it, the writer does not send it"]),
    (obj(a=INT), obj(a=STR), ["a: the writer may send an integer, the reader takes a string"]),
    (obj(a=NUM), obj(a=INT), ["a: the writer may send a fraction, the reader takes an integer"]),
    (obj(a={"type": ["string", "null"]}), obj(a=STR), ["a: the writer may send null, the reader takes a string"]),
    (
        obj(a={"enum": ["new", "lost"]}),
        obj(a={"enum": ["new"]}),
        ['a: the writer may send "lost", which the reader does not know'],
    ),
    (obj(a=STR), obj(a={"enum": ["new"]}), ['a: the writer may send any string, the reader knows only "new"']),
    (obj(a=INT), obj(a={**INT, "minimum": 0}), ["a: the writer may send any small number, the reader takes no less than 0"]),
    (
        obj(a={**INT, "maximum": 9}),
        obj(a={**INT, "exclusiveMaximum": 9}),
        ["a: the writer may send 9, the reader takes no more than 8"],
    ),
    (
        obj(a={**NUM, "maximum": 9}),
        obj(a={**NUM, "exclusiveMaximum": 9}),
        ["a: the writer may send 9, the reader takes no more than 9, exclusive"],
    ),
    (
        obj(a=STR),
        obj(a={**STR, "maxLength": 3}),
        ["a: the writer may send any number of characters, the reader takes no more than 3"],
    ),
    (obj(a=STR), obj(a={**STR, "pattern": "^x"}), ["a: the reader takes only what matches ^x"]),
    (obj(a=STR), obj(a={**STR, "format": "uuid"}), ["a: the writer may send any text, the reader takes a uuid"]),
    (
        obj(a=STR),
        obj(a={**STR, "contentEncoding": "base64"}),
        ["a: the writer may send any text, the reader takes base64"],
    ),
    (
        obj(a={"type": "array", "items": INT}),
        obj(a={"type": "array", "items": STR}),
        ["a[]: the writer may send an integer, the reader takes a string"],
    ),
    (
        obj(a={"type": "array", "items": INT}),
        obj(a={"type": "array", "items": INT, "minItems": 1}),
        ["a: the writer may send 0 items, the reader takes no fewer than 1"],
    ),
    (
        obj(a={"type": "array", "items": INT}),
        obj(a={"type": "array", "items": INT, "uniqueItems": True}),
        ["a[]: the writer may send an item twice, the reader does not take it twice"],
    ),
    (
        obj(a={"type": "array", "prefixItems": [INT, INT], "minItems": 2, "maxItems": 2}),
        obj(a={"type": "array", "prefixItems": [INT, STR], "minItems": 2, "maxItems": 2}),
        ["a[1]: the writer may send an integer, the reader takes a string"],
    ),
    (
        obj(a={"type": "object", "additionalProperties": INT}),
        obj(a={"type": "object", "additionalProperties": STR}),
        ["a.*: the writer may send an integer, the reader takes a string"],
    ),
    (
        obj(a=INT, b=INT),
        {**obj(a=INT), "additionalProperties": False},
        ["b: the writer may send it, the reader refuses fields that it does not know"],
    ),
    (
        obj(a={}),
        obj(a=obj()),
        [
            f"a: the writer may send {x}, the reader takes an object"
            for x in ("null", "a boolean", "a number", "a string", "a list")
        ],
    ),
    (obj(a=INT), obj(a=False), ["a: the writer may send an integer, the reader takes nothing"]),
    (obj(a={**NUM, "multipleOf": 3}), obj(a={**NUM, "multipleOf": 2}), ["a: the reader takes multiples of 2 only"]),
    (
        {"type": "object", "additionalProperties": INT},
        {"type": "object", "propertyNames": {"pattern": "^[0-9]+$"}, "additionalProperties": INT},
        ["(a name): the reader takes only what matches ^[0-9]+$"],
    ),
    (
        obj(a=INT),
        {**obj(), "propertyNames": {"maxLength": 0}},
        ["(a name): the writer may send 1 characters, the reader takes no more than 0"],
    ),
    (
        {"type": "object", "additionalProperties": INT},
        obj(a=STR),
        ["a: the writer may send an integer, the reader takes a string"],
    ),
    (
        {"type": "object", "additionalProperties": True},
        {"type": "object", "additionalProperties": False},
        ["the data: the writer may send any field, the reader refuses fields that it does not know"],
    ),
    (
        obj(["a"], a={"const": [1, 1]}),
        obj(a={"type": "array", "uniqueItems": True}),
        ["a[]: the writer may send an item twice, the reader does not take it twice"],
    ),
    (obj(a={"const": {"b": 1}}), obj(a=obj(b=STR)), ["a.b: the writer may send 1, the reader takes a string"]),
    (
        obj(a={"allOf": [{"enum": ["x", "y"]}, {"enum": ["y", "z"]}, {**STR, "minLength": 0}, {**STR, "minLength": 1}]}),
        obj(a={"const": "x"}),
        ['a: the writer may send "y", which the reader does not know'],
    ),
    (INT, STR, ["the data: the writer may send an integer, the reader takes a string"]),
]


@pytest.mark.parametrize(("writer", "reader", "reasons"), BREAKING)
def test_each_reason_names_its_path(writer: Any, reader: Any, reasons: list[str]) -> None:
    assert breaks(writer, reader) == reasons


FITTING = [
    (obj(a=INT), obj(a=NUM)),
    (obj(a={"enum": [1, 2]}), obj(a=INT)),
    (obj(a={"enum": [1.0]}), obj(a={"enum": [1]})),
    (obj(a={"const": "x"}), obj(a={"enum": ["x", "y"]})),
    (obj(a={"type": "boolean"}), obj(a={"enum": [True, False]})),
    (obj(a={**INT, "exclusiveMinimum": 0}), obj(a={**INT, "minimum": 1})),
    (obj(a={**NUM, "multipleOf": 6}), obj(a={**NUM, "multipleOf": 3})),
    (obj(a=INT), obj(a={"anyOf": [STR, NUM]})),
    (obj(a={"enum": [1, "x"]}), obj(a={"anyOf": [STR, NUM]})),
    (obj(a={"anyOf": [INT, STR]}), obj(a={"type": ["integer", "string"]})),
    (obj(a={"allOf": [{"type": ["integer", "string"]}, INT]}), obj(a=INT)),
    (obj(a={"allOf": [obj(["x"], x=INT), obj(["y"], y=STR)]}), obj(a=obj(["x", "y"], x=INT, y=STR))),
    (obj(a={**STR, "format": "date"}), obj(a=STR)),
    (obj(a=STR), obj(a={**STR, "format": "email"})),
    (obj(["a"], a={"const": {"b": [1, {"c": 2}]}}), obj(["a"], a=obj(["b"], b={"type": "array", "maxItems": 2}))),
    ({"items": [INT, STR], "additionalItems": False, "type": "array"}, {"prefixItems": [INT, STR], "type": "array"}),
]


@pytest.mark.parametrize(("writer", "reader"), FITTING)
def test_what_fits_gives_no_alarm(writer: Any, reader: Any) -> None:
    assert breaks(writer, reader) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"not": STR},
        {"if": STR, "then": False},
        {"patternProperties": {"^x": INT}},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "#/nowhere"},
        {"$ref": "#/$defs/round"},
        {"dependentRequired": {"a": ["b"]}},
        {"type": "tuple"},
        {"type": 7},
        {"required": "a"},
        {"minimum": "0"},
        "nonsense",
        None,
        [],
    ],
)
def test_what_is_not_understood_gives_no_alarm(odd: Any) -> None:
    round = {"$defs": {"round": {"$ref": "#/$defs/around"}, "around": {"$ref": "#/$defs/round"}}}
    assert breaks(obj(a=INT) | round, obj(a=odd) | round) == []
    if odd in ({"$ref": "#/nowhere"}, {"$ref": "#/$defs/round"}, "nonsense", None, []):
        assert breaks(obj(a=odd) | round, obj(a=INT) | round) == []


def test_of_a_tagged_union_the_alternative_that_is_meant_tells_the_reason() -> None:
    def tagged(tag: str, **more: Any) -> dict[str, Any]:
        return obj(["type", *more], type={"enum": [tag]}, **more)

    writer = obj(a={"anyOf": [tagged("card", number=STR), tagged("bill", address=INT)]})
    reader = obj(a={"anyOf": [tagged("card", number=STR), tagged("bill", address=STR)]})
    assert breaks(writer, reader) == ["a.address: the writer may send an integer, the reader takes a string"]
    lost = obj(a={"anyOf": [tagged("card", number=STR), tagged("cash")]})
    assert breaks(writer, lost) == ["a: no alternative of the reader takes an object as the writer sends it"]


def test_a_schema_that_holds_itself_is_compared_once_round() -> None:
    def tree(value: Any) -> dict[str, Any]:
        return obj(["value"], value=value, left={"anyOf": [{"$ref": "#"}, {"type": "null"}]})

    assert breaks(tree(INT), tree(NUM)) == []
    assert breaks(tree(INT), tree(STR)) == ["value: the writer may send an integer, the reader takes a string"]


def test_a_union_of_itself_is_what_else_is_in_it() -> None:
    writer = {"$ref": "#/$defs/B", "$defs": {"B": {"anyOf": [{"enum": [None]}, {"$ref": "#/$defs/B"}]}}}
    assert breaks(writer, {"type": "null"}) == []
    assert breaks(writer, STR) == ["the data: the writer may send null, the reader takes a string"]
    two = {"B": {"anyOf": [{"$ref": "#/$defs/C"}, {"type": "null"}]}, "C": {"anyOf": [{"$ref": "#/$defs/B"}, STR]}}
    reader = {"$defs": two, "properties": {"b": {"$ref": "#/$defs/B"}, "c": {"$ref": "#/$defs/C"}}}
    both = {"type": ["string", "null"]}
    assert breaks({"properties": {"b": both, "c": both}, "type": "object"}, reader) == []


def test_what_was_taken_to_fit_on_the_way_is_looked_at_again_where_it_does_not() -> None:
    # The first alternative fails at the end, after the pair below was taken to fit because of it.
    node = obj(["next", "bad"], next={"$ref": "#/$defs/W"}, bad=INT)
    writer = {"$ref": "#/$defs/W", "$defs": {"W": node}}
    first = obj(["next", "bad"], next={"$ref": "#/$defs/R"}, bad=STR)
    second = obj(["next", "bad"], next=first, bad=INT)
    reader = {"$ref": "#/$defs/R", "$defs": {"R": {"anyOf": [first, second]}}}
    assert breaks(writer, reader) != []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "depth"),
    [("items", often(5_000, 100_000)), ("additionalProperties", 5_000), ("allOf", 5_000), ("properties", 5_000)],
)
def test_schemas_nested_very_deep_are_compared(word: str, depth: int) -> None:
    def deep(leaf: Any) -> Any:
        for _ in range(depth):
            inner = {"x": leaf} if word == "properties" else [leaf] if word == "allOf" else leaf
            leaf = {"type": "array" if word == "items" else "object", word: inner} if word != "allOf" else {word: inner}
        return leaf

    (reason,) = breaks(deep(INT), deep(STR))
    assert reason.endswith(": the writer may send an integer, the reader takes a string")
    assert len(reason) < 250


def test_schemas_that_nobody_can_untangle_end_in_a_sentence_or_in_silence() -> None:
    def tangle(leaf: Any) -> dict[str, Any]:
        defs: dict[str, Any] = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(60)}
        return {"$ref": "#/$defs/d0", "$defs": {**defs, "d60": leaf}}

    assert breaks(tangle(INT), tangle(INT)) == []


def test_no_more_reasons_are_given_than_anybody_reads() -> None:
    names = [f"f{i}" for i in range(100)]
    assert len(breaks(obj(), obj(names))) == 20


class Odd(Event):
    when: Annotated[int, msgspec.Meta(ge=0)]


def test_reasons_are_told_in_the_same_order_each_time() -> None:
    writer, reader = obj(b=INT, a=INT), obj(["b", "a", "c"], a=STR, b=STR)
    assert breaks(writer, reader) == breaks(dict(writer), dict(reader))
    assert [reason.split(":")[0] for reason in breaks(writer, reader)] == ["a", "b", "c", "b", "a"]


# --- soundness

VALIDATOR = jsonschema.Draft202012Validator


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    writer = draw(schemas())
    return writer, draw(changed(writer)) if draw(st.integers(0, 3)) else draw(schemas())


@pytest.mark.slow
@given(st.data())
@settings(max_examples=often(30, 80))
def test_data_of_a_writer_without_breaks_is_valid_for_the_reader(source: st.DataObject) -> None:
    writer, reader = source.draw(pairs())
    assume(not breaks(writer, reader))
    value = source.draw(data(writer, writer))
    try:
        valid = VALIDATOR(writer).is_valid(value)
        fits = VALIDATOR(reader).is_valid(value)
    except RecursionError:  # a union of itself
        assume(False)
    assume(valid)
    assert fits
