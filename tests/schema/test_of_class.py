"""The JSON Schema of a class says what msgspec reads, and what is sensitive."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest

from examples.shop import shop
from farandole import Event, Sensitive
from farandole.errors import DeclarationError
from farandole.model.wire import Wire
from farandole.schema import schema_of, sensitive_paths

SRC = Path(__file__).parents[2] / "src"


class Address(msgspec.Struct):
    """Where somebody lives.

    At home.
    """

    street: Annotated[str, Sensitive]
    city: str = ""


class Leaf(msgspec.Struct, tag="leaf"):
    value: int


class Branch(msgspec.Struct, tag="branch"):
    left: Branch | Leaf


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Note:
    text: Annotated[str, Sensitive]


class Named(NamedTuple):
    name: Annotated[str, Sensitive]
    age: int


class Typed(TypedDict, total=False):
    secret: Annotated[str, Sensitive]


class Row(msgspec.Struct, array_like=True, tag=True):
    plain: str
    hidden: Annotated[str, Sensitive]


Hidden = Annotated[str, Sensitive]


class Everything(Event, key="id"):
    """All that there is."""

    id: str
    count: Annotated[int, msgspec.Meta(ge=0, description="how many")]
    home: Address
    homes: list[Address]
    by_name: dict[str, Address]
    tree: Branch | Leaf
    colour: Colour
    letter: Literal["a", "b"]
    day: date
    price: Decimal
    ref: UUID
    email: Hidden
    whole: Annotated[Address, Sensitive]
    note: Note
    named: Named
    typed: Typed
    row: Row
    moment: Annotated[datetime, msgspec.Meta(tz=True)]
    span: timedelta
    raw: bytes
    pair: tuple[int, Hidden]
    words: list[Hidden]
    map: dict[str, Hidden]
    keys: dict[Hidden, int]
    maybe: Hidden | None = None
    tags: frozenset[str] = frozenset({"b", "a", "c"})
    again: Everything | None = None
    other: str = msgspec.field(name="other-name", default="")


def test_the_class_itself_is_the_root_and_others_are_definitions() -> None:
    schema = schema_of(Everything)
    assert schema["title"] == "Everything"
    assert schema["description"] == "All that there is."
    assert schema["properties"]["home"] == {"$ref": "#/$defs/Address"}
    assert schema["$defs"]["Address"]["description"] == "Where somebody lives.\n\nAt home."
    assert schema["properties"]["again"]["anyOf"] == [{"$ref": "#"}, {"type": "null"}]
    assert schema["properties"]["count"] == {"description": "how many", "type": "integer", "minimum": 0}
    assert "other-name" in schema["properties"]
    assert set(schema["required"]).isdisjoint({"maybe", "tags", "again", "other-name"})


def test_every_reference_stays_inside_of_the_schema() -> None:
    schema = schema_of(Everything)
    text = json.dumps(schema)
    refs = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}
    assert refs == {
        "#",
        *(f"#/$defs/{name}" for name in ("Address", "Branch", "Leaf", "Colour", "Note", "Named", "Typed", "Row")),
    }
    assert {ref.rpartition("/")[2] for ref in refs} - {"#"} == set(schema["$defs"])


def test_sensitive_fields_are_marked_in_whatever_they_lie() -> None:
    assert sensitive_paths(schema_of(Everything)) == (
        "again",
        "by_name.*.street",
        "email",
        "home.street",
        "homes[].street",
        "keys",
        "map.*",
        "maybe",
        "named[]",
        "note.text",
        "pair[]",
        "row[]",
        "typed.secret",
        "whole",
        "words[]",
    )


def test_in_an_array_like_class_the_marked_item_alone_is_marked() -> None:
    items = schema_of(Everything)["$defs"]["Row"]["prefixItems"]
    assert [item.get("x-farandole-sensitive", False) for item in items] == [False, False, True]


def test_a_marked_reference_is_not_a_mark_beside_a_reference() -> None:
    assert schema_of(Everything)["properties"]["whole"] == {
        "allOf": [{"$ref": "#/$defs/Address"}],
        "x-farandole-sensitive": True,
    }


def test_defaults_are_as_in_json() -> None:
    class Defaults(Event):
        pairs: tuple[tuple[str, int], ...] = (("a", 1),)

    assert schema_of(Defaults)["properties"]["pairs"]["default"] == [["a", 1]]


def test_drafts_read_fixed_tuples_and_tagged_unions_alike() -> None:
    properties = schema_of(Everything)["properties"]
    assert "items" not in properties["pair"]
    assert properties["pair"]["maxItems"] == 2
    assert "discriminator" not in properties["tree"]


@pytest.mark.real_time
def test_every_process_gives_the_same_text() -> None:
    code = (
        "import json\nfrom farandole import Event\nfrom farandole.schema import schema_of\n"
        "class E(Event):\n    s: frozenset[str] = frozenset('abcdefgh')\n"
        "print(json.dumps(schema_of(E)))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(SRC), "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1
    assert '["a", "b", "c", "d", "e", "f", "g", "h"]' in texts.pop().decode()


@pytest.mark.parametrize("cls", list(Wire(shop).by_class), ids=lambda cls: cls.__name__)
def test_every_message_of_the_shop_has_a_schema(cls: type) -> None:
    schema = schema_of(cls)
    assert list(schema["properties"]) == list(cls.__struct_fields__)  # type: ignore[attr-defined]
    hidden = ("customer_id",) if "customer_id" in schema["properties"] else ()
    assert sensitive_paths(schema) == hidden


def test_a_type_that_json_cannot_hold_is_named() -> None:
    class Odd(Event):
        what: complex

    with pytest.raises(DeclarationError, match="Odd has no JSON Schema: JSON cannot hold a complex"):
        schema_of(Odd)


def test_a_name_that_is_not_there_is_named() -> None:
    class Lost(Event):
        what: NowhereToBeFound  # noqa: F821

    with pytest.raises(DeclarationError, match=r"Lost has no JSON Schema: name 'NowhereToBeFound' is not defined"):
        schema_of(Lost)


def test_a_schema_that_holds_itself_names_the_way_back() -> None:
    node: dict[str, Any] = {"properties": {"next": {"$ref": "#"}, "secret": {"x-farandole-sensitive": True}, "plain": {}}}
    assert sensitive_paths(node) == ("next", "secret")
    del node["properties"]["secret"]["x-farandole-sensitive"]
    assert sensitive_paths(node) == ()


def test_more_paths_than_anybody_can_name_are_all() -> None:
    defs: dict[str, Any] = {f"d{i}": {"properties": {side: {"$ref": f"#/$defs/d{i + 1}"} for side in "lr"}} for i in range(40)}
    defs["d40"] = {"properties": {"secret": {"x-farandole-sensitive": True}}}
    assert sensitive_paths({"$ref": "#/$defs/d0", "$defs": defs}) == ("*",)


def test_no_schema_has_no_sensitive_fields() -> None:
    assert sensitive_paths(None) == ()


def test_a_schema_nested_very_deep_ends_no_recursion() -> None:
    schema: dict[str, Any] = {"x-farandole-sensitive": True}
    for _ in range(100_000):
        schema = {"items": schema}
    assert sensitive_paths(schema) == ("*",)
