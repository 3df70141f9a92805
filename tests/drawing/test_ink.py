"""Names in lines: broken where a new word begins, and cut only where there is no room at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farandole.drawing.ink import broken, wide

ROOM = 132.0


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("OrderPlaced", ["OrderPlaced"]),
        ("InventoryReservationFailed", ["Inventory", "ReservationFailed"]),
        ("HTTPRequestReceivedByTheGateway", ["HTTPRequest", "ReceivedByThe", "Gateway"]),
        ("charge_the_card_of_the_customer", ["charge_the_card_", "of_the_customer"]),
        ("checkout of all baskets succeeds", ["checkout of all", "baskets succeeds"]),
        ("", [""]),
    ],
)
def test_a_name_breaks_where_a_new_word_begins(name: str, lines: list[str]) -> None:
    assert broken(name, 13, ROOM) == lines


@given(st.text(max_size=80))
def test_lines_fit_and_are_not_more_than_allowed(name: str) -> None:
    lines = broken(name, 13, ROOM)
    assert 1 <= len(lines) <= 3
    assert all(wide(line, 13) <= ROOM for line in lines)


@given(st.from_regex(r"([A-Z][a-z]{1,6}){1,6}", fullmatch=True))
def test_nothing_is_lost_where_there_is_room(name: str) -> None:
    assert "".join(broken(name, 13, ROOM, 9)) == name


def test_what_does_not_fit_ends_in_dots() -> None:
    assert broken("x" * 200, 13, ROOM)[-1].endswith("…")
    assert broken("AbcDefGhi" * 20, 13, ROOM)[2].endswith("…")
