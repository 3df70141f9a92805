"""Events and commands: what the class keywords say, what they refuse, and what a repr hides."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypedDict, TypeVar

import msgspec
import pytest

from farandole import Command, DeclarationError, Event, Sensitive
from farandole.model.event import is_message, redacted, sensitive_fields

T = TypeVar("T")


class OrderEvent(Event, topic="orders", key="order_id"):
    order_id: str


class OrderPlaced(OrderEvent, version="2.1"):
    email: Annotated[str, Sensitive]
    total: int = 0


class Address(msgspec.Struct):
    street: Annotated[str, Sensitive]
    country: str = ""


@dataclass
class Card:
    number: Annotated[str, Sensitive]


class Name(NamedTuple):
    first: Annotated[str, Sensitive]


class Login(TypedDict):
    password: Annotated[str, Sensitive]


class Tree(msgspec.Struct):
    children: list[Tree]
    secret: Annotated[str, Sensitive] = ""


class Plain(msgspec.Struct):
    next: Plain | None = None


Email = NewType("Email", Annotated[str, Sensitive])  # type: ignore[valid-newtype]


def test_what_the_keywords_say_is_inherited_but_for_name_and_version() -> None:
    meta = OrderPlaced.__farandole__
    assert (meta.name, meta.version, meta.topic, meta.key) == ("OrderPlaced", (2, 1), "orders", "order_id")

    class OrderShipped(OrderPlaced):
        pass

    assert OrderShipped.__farandole__.name == "OrderShipped"
    assert OrderShipped.__farandole__.version == (1, 0)
    assert OrderShipped.__farandole__.key == "order_id"


def test_a_subclass_can_take_back_what_it_inherits() -> None:
    class Loose(OrderEvent, key=None, topic=None):
        pass

    assert (Loose.__farandole__.key, Loose.__farandole__.topic) == (None, None)


def test_a_name_of_its_own_replaces_the_class_name() -> None:
    class OrderPlacedV1(Event, name="OrderPlaced"):
        pass

    class Unnamed(Event, name=None):
        pass

    assert OrderPlacedV1.__farandole__.name == "OrderPlaced"
    assert Unnamed.__farandole__.name == "Unnamed"


def test_fields_may_be_called_like_the_keywords() -> None:
    class Released(Event, version="3.0", key="key", topic="releases"):
        version: str
        key: str
        topic: str
        name: str
        of: str

    event = Released(version="a", key="b", topic="c", name="d", of="e")
    assert (event.version, event.key, event.topic, event.name, event.of) == ("a", "b", "c", "d", "e")
    assert Released.__farandole__.version == (3, 0)


def test_commands_and_events_are_told_apart() -> None:
    class PlaceOrder(Command):
        pass

    assert PlaceOrder.__farandole__.command
    assert not OrderPlaced.__farandole__.command
    assert is_message(PlaceOrder)
    assert is_message(OrderPlaced)


@pytest.mark.parametrize("thing", [Event, Command, int, None, "OrderPlaced", Address, OrderPlaced(order_id="1", email="x")])
def test_only_subclasses_of_event_and_command_are_messages(thing: object) -> None:
    assert not is_message(thing)


def test_events_are_frozen_keyword_only_hashable_and_equal_by_value() -> None:
    event = OrderPlaced(order_id="1", email="a@b.c")
    with pytest.raises(AttributeError):
        event.total = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        OrderPlaced("1", "a@b.c")  # type: ignore[misc]
    with pytest.raises(TypeError, match="email"):
        OrderPlaced(order_id="1")  # type: ignore[call-arg]
    assert event == OrderPlaced(order_id="1", email="a@b.c")
    assert hash(event) == hash(OrderPlaced(order_id="1", email="a@b.c"))


def test_events_can_be_copied_pickled_and_replaced() -> None:
    event = OrderPlaced(order_id="1", email="a@b.c")
    assert copy.deepcopy(event) == pickle.loads(pickle.dumps(event)) == event
    assert event.replace(total=7) == OrderPlaced(order_id="1", email="a@b.c", total=7)
    assert event.total == 0


def test_a_required_field_may_follow_one_with_a_default_in_a_subclass() -> None:
    class Later(OrderPlaced):
        reason: str

    assert Later(order_id="1", email="x", reason="y").total == 0


def test_events_can_be_generic_and_mixed_with_plain_classes() -> None:
    class Mixin:
        def shout(self) -> str:
            return "!"

    class Wrapped(Event, Mixin, Generic[T]):
        value: T

    assert Wrapped[int](value=3).shout() == "!"


@pytest.mark.parametrize("version", ["1.0.0", "v1", "", "1.", "one", 1, 1.0, "1.0\n", None])
def test_a_version_that_is_none_is_refused(version: Any) -> None:
    with pytest.raises(DeclarationError, match=r'Bad: expected version to be "major\.minor" such as version="1\.0", got: '):

        class Bad(Event, version=version):
            pass


@pytest.mark.parametrize(("version", "expected"), [("1", (1, 0)), ("0.9", (0, 9)), ("12.34", (12, 34))])
def test_a_version_is_major_and_minor(version: str, expected: tuple[int, int]) -> None:
    class Good(Event, version=version):
        pass

    assert Good.__farandole__.version == expected


def test_a_key_that_is_no_field_is_refused_with_the_fields_to_choose_from() -> None:
    with pytest.raises(DeclarationError, match=r"key='oder_id' is not a field of it\. Name one of: order_id, email, total"):

        class Bad(OrderPlaced, key="oder_id"):
            pass

    with pytest.raises(DeclarationError, match="it has no fields"):

        class Empty(Event, key="id"):
            pass


@pytest.mark.parametrize("keywords", [{"of": "orders"}, {"of": "shop."}, {"of": "a.b.c"}, {"of": 3}, {"of": "Shop.orders"}])
def test_an_owner_that_is_no_domain_and_service_is_refused(keywords: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=r'expected of to be "domain\.service" such as of="shop\.orders", got: '):
        type(Event)("Bad", (Event,), {}, **keywords)


@pytest.mark.parametrize(
    "keywords", [{"name": ""}, {"name": "a.b"}, {"name": "1st"}, {"topic": ""}, {"topic": "a b"}, {"topic": "a..b"}]
)
def test_a_name_or_topic_that_cannot_stand_on_the_wire_is_refused(keywords: dict[str, Any]) -> None:
    (word,) = keywords
    with pytest.raises(DeclarationError, match=f"expected {word} to be "):
        type(Event)("Bad", (Event,), {}, **keywords)


def test_a_misspelt_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="verson"):
        type(Event)("Bad", (Event,), {}, verson="1.0")


def test_a_sensitive_value_is_in_no_repr() -> None:
    event = OrderPlaced(order_id="1", email="a@b.c")
    assert repr(event) == "OrderPlaced(order_id='1', email='***', total=0)"
    assert dict(event.__rich_repr__()) == redacted(event) == {"order_id": "1", "email": "***", "total": 0}
    assert event.email == "a@b.c"


@pytest.mark.parametrize(
    "tp",
    [
        Annotated[str, Sensitive],
        Annotated[str, Sensitive()],
        Annotated[str, "note", Sensitive],
        Annotated[Annotated[str, Sensitive], "note"],
        Annotated[str, Sensitive] | None,
        list[Annotated[str, Sensitive]],
        dict[str, tuple[Annotated[str, Sensitive], ...]],
        Address,
        list[Address] | None,
        Card,
        Name,
        Login,
        Tree,
        Email,
    ],
)
def test_a_field_that_holds_something_sensitive_is_hidden_whole(tp: Any) -> None:
    cls = type(Event)("Case", (Event,), {"__annotations__": {"open": int, "hidden": tp}, "__module__": __name__})
    assert sensitive_fields(cls) == {"hidden"}


@pytest.mark.parametrize("tp", [str, list[int], Plain, dict[str, Any], tuple, Any, Annotated[str, "note"]])
def test_a_field_without_a_mark_is_shown(tp: Any) -> None:
    cls = type(Event)("Case", (Event,), {"__annotations__": {"open": tp}, "__module__": __name__})
    assert sensitive_fields(cls) == frozenset()


def test_while_a_forward_reference_is_missing_everything_is_hidden_and_then_only_what_must() -> None:
    cls = type(Event)("Case", (Event,), {"__annotations__": {"a": "Missing", "b": "int"}, "__module__": __name__})
    assert sensitive_fields(cls) == {"a", "b"}
    globals()["Missing"] = Annotated[str, Sensitive]
    try:
        assert sensitive_fields(cls) == {"a"}
    finally:
        del globals()["Missing"]
