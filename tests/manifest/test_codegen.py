"""Reader classes are ordinary Python: they import, they decode what the schema allows for, and linters and type checkers are content."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.schema.schemas import data, schemas

from examples.shop import shop
from farandole import Event
from farandole.errors import ConfigurationError
from farandole.graph import Graph, Message, Place, Service
from farandole.graph.of_code import graph_of
from farandole.manifest.codegen import reader_classes
from farandole.model.event import sensitive_fields
from farandole.schema import breaks, schema_of, sensitive_paths

SRC = Path(__file__).parents[2] / "src"
HERE = Place("shop.yaml", 1)
BIN = Path(sys.executable).parent
CACHE = Path(__file__).parents[2] / ".mypy_cache" / f"of-tests-{os.environ.get('PYTEST_XDIST_WORKER', '')}"


def event(schema: Any, type: str = "shop.OrderPlaced.v1", **more: Any) -> Message:
    service = more.pop("service", "shop.orders")
    return Message(type, service, HERE, topic=more.pop("topic", "shop.orders"), schema=schema, **more)


def graph(*messages: Message) -> Graph:
    services = tuple(Service(each, HERE) for each in dict.fromkeys(message.service for message in messages))
    return Graph("shop", services, messages)


def obj(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or []}


@contextmanager
def imported(source: str) -> Iterator[ModuleType]:
    module = ModuleType("generated_readers")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, "generated_readers.py", "exec"), vars(module))
        yield module
    finally:
        del sys.modules[module.__name__]


def class_of(schema: Any, **more: Any) -> str:
    """The source of the one class, without head."""
    source = reader_classes(graph(event(schema, **more)), "x")
    return source[source.index("class ") :]


INT, STR = {"type": "integer"}, {"type": "string"}

EVERYTHING = {
    **obj(
        ["order_id", "when", "from", "kind", "lines", "pay"],
        order_id=STR,
        when={**STR, "format": "date-time"},
        day={**STR, "format": "date"},
        ref={**STR, "format": "uuid"},
        price={**STR, "format": "decimal"},
        raw={**STR, "contentEncoding": "base64"},
        kind={"enum": ["new", "old"]},
        email={**STR, "x-farandole-sensitive": True},
        lines={"type": "array", "items": {"$ref": "#/$defs/Line"}},
        pay={"anyOf": [{"$ref": "#/$defs/Card"}, {"$ref": "#/$defs/Bill"}]},
        names={"type": "object", "additionalProperties": {**STR, "x-farandole-sensitive": True}},
        count={**INT, "default": 3},
        tags={"type": "array", "items": STR, "default": []},
        notes={"type": "object", "additionalProperties": STR, "default": {}},
        parent={"anyOf": [{"$ref": "#/$defs/Line"}, {"type": "null"}]},
        pair={"type": "array", "prefixItems": [STR, INT], "minItems": 2, "maxItems": 2},
        anything={},
    ),
    "$defs": {
        "Line": obj(["sku"], sku=STR, parts={"type": "array", "items": {"$ref": "#/$defs/Line"}}),
        "Card": obj(["type", "number"], type={"enum": ["card"]}, number=STR),
        "Bill": obj(["type"], type={"const": "bill"}, address={"$ref": "#/$defs/Address"}),
        "Address": obj([], street={**STR, "x-farandole-sensitive": True}),
    },
}
EVERYTHING["properties"] |= {"from": STR, "odd name": INT, "replace": STR, "2nd": STR, "Line": STR, "str": STR}
LONG = {f"state_with_a_long_name_{index}" for index in range(9)}


def test_a_class_says_whose_event_it_is_and_what_keeps_it_in_order() -> None:
    source = reader_classes(
        graph(event(obj(["order_id"], order_id=STR), key="order_id", version=(1, 2), doc="Placed.")), "run me"
    )
    assert source == (
        "# Written by: run me\n"
        "# Events of shop.orders, who alone publish them. To change it, run the command again.\n\n"
        "from __future__ import annotations\n\n"
        "from farandole import Event\n\n"
        '__all__ = ["OrderPlaced"]\n\n\n'
        'class OrderPlaced(Event, of="shop.orders", version="1.2", key="order_id"):\n'
        '    """Placed."""\n\n'
        "    order_id: str\n"
    )


TYPES = [
    (STR, "str"),
    ({**STR, "format": "date-time"}, "Annotated[datetime, msgspec.Meta(tz=True)]"),
    ({**STR, "format": "email"}, "str"),
    ({"type": ["integer", "null"]}, "int | None"),
    ({"enum": ["a", 'b"']}, 'Literal["a", \'b"\']'),
    ({"enum": ["a", 1, None]}, 'Literal["a", 1] | None'),
    ({"enum": [True]}, "bool"),
    ({"enum": [1.5, 2]}, "int | float"),
    ({"const": [1]}, "tuple[Any, ...]"),
    ({"anyOf": [STR, {"enum": ["a"]}]}, "str"),
    ({"anyOf": [STR, {**STR, "format": "uuid"}]}, "str"),
    ({"anyOf": [{"type": "array", "items": STR}, {"type": "array"}]}, "tuple[Any, ...]"),
    ({"anyOf": [obj(a=STR), obj(b=STR)]}, "dict[str, Any]"),
    ({"type": "object", "additionalProperties": INT}, "dict[str, int]"),
    ({"allOf": [{**STR, "format": "date"}], "x-farandole-sensitive": True}, "Annotated[date, Sensitive]"),
    ({**STR, "format": "date-time", "x-farandole-sensitive": True}, "Annotated[datetime, msgspec.Meta(tz=True), Sensitive]"),
    ({"$ref": "#/$defs/nowhere"}, "Any"),
    ({"$ref": "#/properties/x"}, "Any"),
    ({"type": "tuple"}, "Any"),
    (False, "Any"),
]


@pytest.mark.parametrize(("schema", "text"), TYPES, ids=str)
def test_each_schema_has_the_narrowest_type_that_takes_all_of_its_data(schema: Any, text: str) -> None:
    assert f"    x: {text}\n" in class_of(obj(["x"], x=schema))


def test_names_that_python_does_not_take_are_written_another_way() -> None:
    source = class_of(EVERYTHING)
    assert '    from_: str = msgspec.field(name="from")\n' in source
    assert '    odd_name: int | None = msgspec.field(default=None, name="odd name")\n' in source
    assert '    replace_: str | None = msgspec.field(default=None, name="replace")\n' in source
    assert '    field_2nd: str | None = msgspec.field(default=None, name="2nd")\n' in source
    assert "    count: int = 3\n" in source
    assert "    tags: tuple[str, ...] = ()\n" in source
    assert "    notes: dict[str, str] = msgspec.field(default_factory=dict)\n" in source


def test_a_key_with_another_name_is_meant_by_its_python_name() -> None:
    assert 'key="from_"' in class_of(obj(["from"], **{"from": STR}), key="from")


def test_tagged_alternatives_become_tagged_structs() -> None:
    with imported(reader_classes(graph(event(EVERYTHING)), "x")) as module:
        base = {
            "order_id": "1",
            "when": "2024-01-01T00:00:00Z",
            "from": "me",
            "kind": "new",
            "lines": [{"sku": "a", "parts": []}],
        }
        decoded = msgspec.convert({**base, "pay": {"type": "bill", "address": {"street": "x"}}}, module.OrderPlaced)
        assert type(decoded.pay) is module.Bill
        assert sensitive_fields(module.OrderPlaced) == {"email", "names", "pay"}
        assert sensitive_paths(schema_of(module.OrderPlaced)) == ("email", "names", "pay.address.street")


def test_only_the_fields_that_are_needed_are_written_and_the_key() -> None:
    both = graph(event(EVERYTHING, key="order_id"), event(obj(a=STR), "shop.OrderCancelled.v1"))
    source = reader_classes(both, "x", ["OrderPlaced.count", "OrderPlaced.kind"])
    assert re.findall(r"^    (\w+): ", source, re.MULTILINE) == ["order_id", "kind", "count"]
    assert "OrderCancelled" not in source
    assert "Line" not in source
    everything = reader_classes(both, "x", ["OrderPlaced", "OrderPlaced.count", "OrderCancelled.a"])
    assert "field_2nd" in everything
    assert "class OrderCancelled" in everything


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("OrderPlacd.a", "there is no event 'OrderPlacd'. Did you mean OrderPlaced?"),
        ("OrderPlaced.ab", "OrderPlaced has no field 'ab'. Did you mean abc?"),
        ("OrderSent.a", "OrderSent may be shop.OrderSent.v1 or shop.OrderSent.v2: say which, such as shop.OrderSent.v1.a"),
    ],
)
def test_a_field_that_is_not_there_is_told_with_the_nearest(entry: str, words: str) -> None:
    events = graph(event(obj(abc=STR)), event(obj(a=STR), "shop.OrderSent.v1"), event(obj(a=STR), "shop.OrderSent.v2"))
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        reader_classes(events, "x", [entry])


def test_two_versions_of_an_event_have_two_names() -> None:
    source = reader_classes(graph(event(obj(a=STR)), event(obj(a=INT), "shop.OrderPlaced.v2", version=(2, 1))), "x")
    assert 'class OrderPlacedV2(Event, of="shop.orders", name="OrderPlaced", version="2.1"):' in source


def test_an_event_on_a_topic_of_its_own_names_it() -> None:
    assert 'topic="everything"' in class_of(obj(a=STR), topic="everything")


@pytest.mark.parametrize("type", ["lightMeasured", "com.example.light.Measured.v1", "Shop.X.v1"])
def test_what_farandole_cannot_name_becomes_plain_data(type: str) -> None:
    source = reader_classes(graph(event(obj(["a"], a=STR), type)), "x")
    assert f"Farandole has no name for {type} on its wire" in source
    assert "from farandole" not in source


def test_a_payload_without_a_schema_is_a_class_without_fields() -> None:
    assert "# Nobody says in a JSON Schema what its data is.\n" in reader_classes(graph(event(None)), "x")


def test_a_manifest_that_sends_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="shop sends no events: there is nothing to read"):
        reader_classes(graph(event(obj(), role="reader")), "x")


def test_a_schema_that_goes_round_is_cut() -> None:
    round = {"$defs": {"a": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/a"}}, STR]}}}
    source = reader_classes(graph(event(obj(["x"], x={"$ref": "#/$defs/a"}) | round)), "x")
    with imported(source) as module:
        assert msgspec.convert({"x": [["a"], "b"]}, module.OrderPlaced).x == (("a",), "b")


def test_a_docstring_cannot_end_early() -> None:
    doc = 'Ends """ here.\\ And "so"'
    with imported(reader_classes(graph(event(obj(a=STR), doc=doc)), "x")) as module:
        assert module.OrderPlaced.__doc__.strip() == "Ends ''' here.\\ And \"so\""


def test_parts_of_an_object_are_put_together() -> None:
    schema = {
        "allOf": [{"$ref": "#/$defs/base"}, obj(["b"], b=INT)],
        "$defs": {"base": obj(["a"], a=STR)},
    }
    assert "    b: int\n    a: str\n" in class_of(schema) or "    a: str\n    b: int\n" in class_of(schema)


def test_data_that_is_no_object_is_a_class_without_fields() -> None:
    assert class_of({"type": "array"}).endswith('version="1.0"):\n    pass\n')


def test_the_command_in_the_first_line_stays_a_comment() -> None:
    source = reader_classes(graph(event(obj(a=STR))), "x\nimport os")
    assert source.startswith("# Written by: x import os\n")


def test_readers_of_the_shop_read_what_the_shop_writes() -> None:
    chart = graph_of(shop)
    with imported(reader_classes(chart, "x")) as module:
        for message in chart.messages:
            if message.kind == "event" and message.role == "owner":
                reader = getattr(module, message.type.split(".")[1])
                assert issubclass(reader, Event)
                assert reader.__farandole__.of == message.service
                assert reader.__farandole__.key == message.key
                assert breaks(message.schema or {}, schema_of(reader)) == []
                assert sensitive_paths(schema_of(reader)) == message.sensitive


@pytest.mark.slow
@given(st.data())
@settings(max_examples=50)
def test_all_data_of_a_schema_is_decoded(source: st.DataObject) -> None:
    schema = source.draw(schemas())
    value = source.draw(data(schema, schema))
    assume(isinstance(value, dict))
    try:
        assume(jsonschema.Draft202012Validator(schema).is_valid(value))
    except RecursionError:  # a union of itself
        assume(False)
    with imported(reader_classes(graph(event(schema)), "x")) as module:
        msgspec.json.decode(msgspec.json.encode(value), type=module.OrderPlaced)


@pytest.mark.slow
@pytest.mark.real_time
def test_linters_and_type_checkers_are_content(tmp_path: Path) -> None:
    samples: list[Any] = [EVERYTHING, obj(["state"], state={"enum": sorted(LONG)}), obj(**{"a" * 60: {"enum": sorted(LONG)}})]

    @given(schemas())
    @settings(max_examples=30, database=None)
    def collect(schema: Any) -> None:
        samples.append(schema)

    collect()
    events = [event(schema, f"shop.Event{index}.v1", doc="A doc. " * 30) for index, schema in enumerate(samples)]
    (tmp_path / "readers.py").write_text(reader_classes(graph(*events), "x"), encoding="utf-8")
    (tmp_path / "shop.py").write_text(reader_classes(graph_of(shop), "x"), encoding="utf-8")
    for command in (
        ["ruff", "check", "--isolated", "--select", "E,F,I,UP,W,N801,RUF022", "--ignore", "E501,E741"],
        ["ruff", "format", "--isolated", "--diff"],
        ["mypy", "--strict", "--cache-dir", str(CACHE)],
    ):
        tool, *options = command
        done = subprocess.run(
            [BIN / tool, *options, "readers.py", "shop.py"],
            cwd=tmp_path,
            env={"MYPYPATH": str(SRC), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
