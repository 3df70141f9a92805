"""Classes on the wire: types, topics, sources, keys, and how data is read back."""

from __future__ import annotations

import json
from typing import Annotated, Any
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farandole import Choreography, Command, DeclarationError, EnvelopeError, Event, Service, Workflow
from farandole.model.envelope import encode
from farandole.model.wire import Binding, Wire, partition_of


class Line(msgspec.Struct, frozen=True):
    sku: str
    count: int = 1


class Placed(Event, topic="orders", key="order_id", version="2.3"):
    order_id: str
    lines: tuple[Line, ...] = ()
    note: str | None = None
    total: float = 0.0
    extra: dict[str, Any] = {}


class Paid(Event):
    order_id: str


class Reader(Event, of="crm.customers", name="CustomerMoved"):
    city: str


class Absolute(Event, topic="legacy.orders.all"):
    pass


class Place(Command):
    order_id: str


def bind(cls: type, owner: str | None = "orders") -> Binding:
    return Binding(cls, domain="shop", owner=owner)


def service(name: str, takes: type, gives: type | None) -> Service:
    made = Service(name)

    async def handler(event: Any) -> Any: ...

    handler.__annotations__ = {"event": takes, "return": gives}
    made.on(takes)(handler)
    return made


# --- names


def test_the_wire_identity_is_domain_name_and_major_version() -> None:
    assert bind(Placed).type == "shop.Placed.v2"
    assert bind(Placed).family == "shop.Placed.v"


@pytest.mark.parametrize(
    ("cls", "topic", "source"),
    [
        (Placed, "shop.orders", "/shop/payments"),
        (Paid, "shop.payments", "/shop/payments"),
        (Absolute, "legacy.orders.all", "/shop/payments"),
        (Reader, "crm.customers", "/crm/customers"),
    ],
)
def test_a_topic_without_a_dot_belongs_to_the_domain(cls: type, topic: str, source: str) -> None:
    binding = bind(cls, "payments")
    assert (binding.topic, binding.source) == (topic, source)


def test_a_reader_class_has_the_domain_of_its_owner() -> None:
    assert bind(Reader).type == "crm.CustomerMoved.v1"
    assert bind(Reader).owner == "customers"


def test_an_event_of_an_unknown_owner_has_no_source() -> None:
    assert bind(Placed, None).source == ""


def test_the_key_is_the_value_of_its_field() -> None:
    key_of = bind(Placed).key_of
    assert key_of is not None
    assert key_of(Placed(order_id="7")) == "7"
    assert bind(Paid).key_of is None


# --- partitions


@given(st.text(), st.integers(1, 64))
def test_every_key_has_one_partition_whatever_its_characters(key: str, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
    assert partition_of(key, partitions) == crc32(key.encode("utf-8", "surrogatepass")) % partitions


def test_partitions_are_the_same_in_every_version() -> None:
    assert [partition_of(key, 12) for key in ("", "order-1", "ü", "4711")] == [
        0,
        crc32(b"order-1") % 12,
        crc32(b"\xc3\xbc") % 12,
        crc32(b"4711") % 12,
    ]


# --- reading data

texts = st.text(st.characters(exclude_categories=["Cs"]))
placed = st.builds(
    Placed,
    order_id=texts,
    lines=st.lists(st.builds(Line, sku=texts, count=st.integers(-(2**63), 2**64 - 1))).map(tuple),
    note=st.none() | texts,
    total=st.floats(allow_nan=False, allow_infinity=False),
    extra=st.dictionaries(texts, st.integers(-5, 5) | texts | st.none()),
)


@given(placed)
def test_what_is_written_is_read_again(event: Placed) -> None:
    assert bind(Placed).decode(encode(event)) == event


@given(placed, st.sampled_from([None, 2]))
def test_any_other_way_of_writing_the_same_data_reads_the_same(event: Placed, indent: int | None) -> None:
    loose = json.dumps({"unknown": [{"x": 1}], **json.loads(encode(event))}, indent=indent).encode()
    assert bind(Placed).decode(loose) == event


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "shop.Placed.v2: the event has no data"),
        (b"null", "shop.Placed.v2: Expected `object`, got `null`"),
        (b"{}", "shop.Placed.v2: Object missing required field `order_id`"),
        (b'{"order_id":1}', "shop.Placed.v2: Expected `str`, got `int` - at `$.order_id`"),
        (b'{"order_id":"1","lines":[{"sku":"a"},{"sku":2}]}', "shop.Placed.v2: Expected `str`, got `int` - at `$.lines[1].sku`"),
        (b'{"order_id":"1","lines":[{"sku":"a","count":' + b"9" * 5000 + b"}]}", "shop.Placed.v2: "),
        (b'{"order_id":"\\ud800"}', "shop.Placed.v2: "),
        (b'{"order_id":"\xff"}', "shop.Placed.v2: "),
        (b'{"order_id":"1","total":NaN}', "shop.Placed.v2: "),
        (b'{"order_id":"1","unknown":NaN}', "shop.Placed.v2: "),
        (b'{"order_id":"1","extra":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "shop.Placed.v2: the JSON is nested too deep"),
        (b'{"order_id":"1","unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "shop.Placed.v2: the JSON is nested too deep"),
    ],
)
def test_data_that_is_no_such_event_is_refused_with_the_path(data: bytes, words: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        bind(Placed).decode(data)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    "data",
    [
        b'{"order_id":"1","order_id":"2"}',
        b'{"order_id":"1","order_id" :"2"}',
        b'{"order_id":"1","\\u006frder_id":"2"}',
        b'{"order_id":"1","lines":[{"sku":"a","sku":"b"}]}',
        b'{"order_id":"1","extra":{"a":1,"a":1}}',
        b'{"order_id":"1","unknown":{"a":1,"a":1}}',
        b'{"order_id":"1","order_id":"2","lines":[],"note":null,"total":0.0}',
    ],
)
def test_a_key_that_stands_twice_is_refused(data: bytes) -> None:
    with pytest.raises(EnvelopeError, match=r"shop\.Placed\.v2: the key '.*' stands twice in one JSON object"):
        bind(Placed).decode(data)


def test_a_huge_integer_in_a_field_nobody_reads_does_no_harm() -> None:
    assert bind(Paid).decode(b'{"order_id":"1","unknown":' + b"9" * 10_000 + b"}") == Paid(order_id="1")


def test_a_class_that_cannot_be_read_from_json_is_refused() -> None:
    cls = type(Event)("Odd", (Event,), {"__annotations__": {"field": "Missing"}, "__module__": __name__})
    with pytest.raises(DeclarationError, match=r"test_wire\.Odd cannot be read from JSON: name 'Missing' is not defined"):
        bind(cls)

    class Unreadable(Event):
        field: Annotated[str, msgspec.Meta(ge=5)]

    with pytest.raises(DeclarationError, match=r"Unreadable cannot be read from JSON: "):
        bind(Unreadable)


# --- a whole choreography


def test_every_class_of_a_choreography_is_bound_and_every_topic_knows_its_types() -> None:
    door = service("orders", Paid, Placed)

    @door.command
    async def place(command: Place) -> Placed: ...

    wire = Wire(Choreography("shop", door, service("payments", Placed, Paid), service("crm", Reader, None)))
    assert {cls: binding.type for cls, binding in wire.by_class.items()} == {
        Placed: "shop.Placed.v2",
        Paid: "shop.Paid.v1",
        Place: "shop.Place.v1",
        Reader: "crm.CustomerMoved.v1",
    }
    assert wire.types_of_topic == {"shop.orders": {"shop.Placed.v2"}, "shop.payments": {"shop.Paid.v1"}}


def test_an_event_that_nobody_here_emits_needs_an_owner_or_a_topic() -> None:
    with pytest.raises(DeclarationError, match=r'payments\.handler needs Paid, which no service here emits\..*of="shop\.orders"'):
        Wire(Choreography("shop", service("payments", Paid, None)))
    assert Wire(Choreography("shop", service("payments", Placed, None))).by_class[Placed].topic == "shop.orders"


def test_a_workflow_watches_what_somebody_emits() -> None:
    flow = Workflow("checkout", starts=Placed, succeeds=Paid)
    with pytest.raises(DeclarationError, match=r"Workflow\('checkout'\) needs Paid, which no service here emits"):
        Wire(Choreography("shop", service("payments", Placed, None), workflows=[flow]))

    outside = Workflow("moving", starts=Placed, succeeds=Reader)
    wire = Wire(Choreography("shop", service("payments", Placed, None), workflows=[outside]))
    assert wire.by_class[Reader].topic == "crm.customers"


def test_an_event_of_two_emitters_needs_a_topic() -> None:
    with pytest.raises(DeclarationError, match=r"Paid is emitted by one and two, so nobody can tell its topic"):
        Wire(Choreography("shop", service("one", Placed, Paid), service("two", Placed, Paid)))
    shared = Wire(Choreography("shop", service("one", Reader, Placed), service("two", Reader, Placed)))
    assert shared.by_class[Placed].topic == "shop.orders"


def test_two_classes_of_one_owner_with_one_identity_are_refused() -> None:
    class Twin(Event, name="Paid"):
        pass

    with pytest.raises(
        DeclarationError, match=r'Paid and .*Twin are both shop\.Paid\.v1 on the wire\. Give one another version="2\.0"'
    ):
        Wire(Choreography("shop", service("payments", Placed, Twin | Paid)))


def test_two_reader_classes_of_one_event_may_live_side_by_side() -> None:
    class Smaller(Event, of="crm.customers", name="CustomerMoved"):
        pass

    wire = Wire(Choreography("shop", service("one", Reader, None), service("two", Smaller, None)))
    assert wire.by_class[Reader].type == wire.by_class[Smaller].type
