"""Schemas: what readers need and writers send, however deep, and in circles."""

from __future__ import annotations

from typing import Any

import pytest

from farandole.checks.fields import missing, objects, reads, resolved, without_required


def obj(must: tuple[str, ...] = (), /, **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(must)}


def nested(depth: int, last: dict[str, Any]) -> dict[str, Any]:
    schema = last
    for _ in range(depth):
        schema = obj(("a",), a=schema)
    return schema


def test_what_is_needed_and_not_sent_is_missing_at_any_depth() -> None:
    [(path, sometimes)] = missing(nested(20_000, obj(("b",), b={})), nested(20_000, obj()))
    assert (path[-4:], path.count("."), sometimes) == (".a.b", 20_000, False)


def test_schemas_that_refer_to_themselves_come_to_an_end() -> None:
    tree = {"$ref": "#/$defs/T", "$defs": {"T": obj(("next", "x"), next={"$ref": "#/$defs/T"}, x={})}}
    poor = {"$ref": "#/$defs/T", "$defs": {"T": obj(("next",), next={"$ref": "#/$defs/T"})}}
    assert list(missing(tree, poor)) == [("x", False)]
    assert list(missing(tree, tree)) == []
    assert [path for path, _ in objects(tree)] == [None]


@pytest.mark.parametrize("circle", [{"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}])
def test_a_reference_to_itself_alone_means_nothing(circle: dict[str, Any]) -> None:
    assert resolved(circle, circle) == {}


@pytest.mark.parametrize("lost", ["#/$defs/nowhere", "other.json#/x", "#/$defs/a/b/c"])
def test_a_reference_that_leads_nowhere_means_nothing(lost: str) -> None:
    assert resolved({"$ref": lost}, {"$defs": {"a": 1}}) == {}


def test_a_reference_may_have_escaped_characters() -> None:
    assert resolved({"$ref": "#/$defs/a~1b~0c"}, {"$defs": {"a/b~c": {"type": "string"}}}) == {"type": "string"}


def test_a_value_or_null_is_looked_into_and_a_real_union_is_not() -> None:
    nullable = obj(("a",), a={"anyOf": [{"type": "null"}, obj(("b",), b={})]})
    assert list(missing(nullable, obj(("a",), a=obj()))) == [("a.b", False)]
    either = obj(("a",), a={"anyOf": [obj(("b",), b={}), obj(("c",), c={})]})
    assert list(missing(either, obj(("a",), a=obj()))) == []


def test_what_a_writer_leaves_open_may_be_sent() -> None:
    assert list(missing(obj(("b",), b={}), obj() | {"additionalProperties": True})) == []


def test_items_of_arrays_are_looked_into() -> None:
    lines = obj(("lines",), lines={"type": "array", "items": obj(("weight",), weight={})})
    assert list(missing(lines, obj(("lines",), lines={"type": "array", "items": obj()}))) == [("lines[].weight", False)]


@pytest.mark.parametrize(
    ("path", "gets"),
    [
        ("id", True),
        ("name", False),
        ("lines[].sku", True),
        ("lines[].note", False),
        ("open.anything", True),
        ("id.inner", True),
        ("rest[].x", True),
    ],
)
def test_a_reader_gets_what_it_describes_and_what_is_in_open_objects(path: str, gets: bool) -> None:
    schema = obj(
        id={"type": "string"}, lines={"type": "array", "items": obj(sku={})}, open={"type": "object"}, rest={"type": "array"}
    )
    assert reads(schema, path) is gets


def test_without_required_keeps_all_else() -> None:
    schema = obj(("a",), a={"enum": [{"required": ["x"]}]}, required={"type": "string"}, b={"items": [obj(("c",), c={})]})
    assert without_required(schema) == {
        "type": "object",
        "properties": {
            "a": {"enum": [{"required": ["x"]}]},
            "required": {"type": "string"},
            "b": {"items": [{"type": "object", "properties": {"c": {}}}]},
        },
    }
    assert schema["required"] == ["a"]


def test_without_required_goes_as_deep_as_a_schema_does() -> None:
    deep = without_required(nested(20_000, obj(("b",), b={})))
    for _ in range(20_000):
        assert "required" not in deep
        deep = deep["properties"]["a"]
    assert "required" not in deep
