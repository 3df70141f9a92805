"""Sensitive values are blotted out of a text, however deep they stand in the event and however they are quoted."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from farandole import Event, Sensitive
from farandole.model.blotting import blotted, blotted_data
from farandole.model.event import hides_key


class Card(msgspec.Struct):
    number: Annotated[str, Sensitive]


class Colour(enum.Enum):
    RED = "crimson"


@dataclass
class Address:
    street: Annotated[str, Sensitive]


class Joined(Event, key="email"):
    email: Annotated[str, Sensitive]
    any: Annotated[Any, Sensitive] = None
    card: Card | None = None
    address: Address | None = None
    name: str = "Ada"


class Open(Event, key="name"):
    name: str


@pytest.mark.parametrize(
    ("event", "text", "shown"),
    [
        (Joined(email="me@home"), "no me@home for Ada", "no *** for Ada"),
        (Joined(email="", any=None), "nothing is None", "nothing is None"),
        (Joined(email="x", any=True), "True x", "True x"),
        (Joined(email="", any=4711), "order 4711", "order ***"),
        (Joined(email="", any=Decimal("12.50")), "paid 12.50", "paid ***"),
        (Joined(email="", any=Colour.RED), "is crimson", "is ***"),
        (Joined(email="", any=b"token"), "the token", "the ***"),
        (Joined(email="", any={"street": ["Elm 1", ("Oak 2",)]}), "in Oak 2 or Elm 1", "in *** or ***"),
        (Joined(email="", any={"secret": 1}), "of secret", "of ***"),
        (Joined(email="", card=Card(number="4111")), "card 4111 is bad", "card *** is bad"),
        (Joined(email="", address=Address(street="Elm 1")), "to Elm 1", "to ***"),
        (Joined(email='a"b\nc'), 'as \'a"b\\nc\' and "a\\"b\\nc"', "as '***' and \"***\""),
        (Joined(email="abcdef", any="abc"), "abcdef, abc, abcd", "***, ***, abcd"),
        (Joined(email="DE"), "UNDEFINED in DE", "UNDEFINED in ***"),
        (Joined(email="\ud800bad"), "a \ud800bad one", "a *** one"),
        (Open(name="Ada"), "Ada", "Ada"),
    ],
)
def test_sensitive_values_are_blotted_out(event: Any, text: str, shown: str) -> None:
    assert blotted(text, event) == shown


def test_values_of_data_that_fit_no_class_are_blotted_out_too() -> None:
    data = b'{"email":["me@home"],"name":"Ada","card":{"number":"4111","bank":"Ada"}}'
    assert blotted_data("me@home, 4111, Ada", Joined, data) == "***, ***, ***"
    assert blotted_data("me@home, Ada", Open, data) == "me@home, Ada"


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'"me@home"', b"\xff", b"[" * 5000])
def test_where_no_fields_are_found_the_text_stays(data: bytes) -> None:
    assert blotted_data("at byte 1", Joined, data) == "at byte 1"


def test_a_key_is_as_sensitive_as_its_field() -> None:
    class Keyless(Event):
        email: Annotated[str, Sensitive]

    assert [hides_key(cls) for cls in (Joined, Open, Keyless)] == [True, False, False]
