"""The rule of returns and the arithmetic of money, as pure functions."""

from __future__ import annotations

from decimal import Decimal

import pytest

from examples.shop.allocation import Sold, allocate
from examples.shop.events import Line, ReturnedLine, StockLine
from examples.shop.generator import generate
from examples.shop.money import pence, total
from examples.shop.stock import initial_stock


def sold(*lines):
    return [Sold(order, position, code, Decimal(price), left) for position, (order, code, price, left) in enumerate(lines)]


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [
        (6, "2.55", 1530),
        (1, "0.005", 0),
        (3, "0.005", 2),
        (5, "0.001", 0),
        (1, "-11062.06", -1106206),
        (-2, "1.25", -250),
        (0, "9", 0),
    ],
)
def test_a_line_is_rounded_half_to_even(quantity, price, expected):
    assert pence(quantity, Decimal(price)) == expected


def test_each_line_is_rounded_by_itself():
    assert total([Line("A", 1, Decimal("0.006"))] * 3) == 3


def test_a_return_goes_to_the_latest_order_with_enough_left():
    orders = sold(("late", "A", "3.00", 1), ("early", "A", "2.00", 5))
    accepted, rejected = allocate([StockLine("A", 1), StockLine("A", 2), StockLine("A", 3), StockLine("A", 1)], orders)
    assert accepted == [ReturnedLine("late", "A", 1, 300), ReturnedLine("early", "A", 2, 400), ReturnedLine("early", "A", 3, 600)]
    assert [line.quantity for line in rejected] == [1]


def test_a_repeated_code_is_taken_from_the_orders_lines_in_their_order():
    orders = sold(("o", "A", "1.00", 2), ("o", "B", "9.00", 9), ("o", "A", "1.50", 4))
    accepted, _ = allocate([StockLine("A", 3)], orders)
    assert accepted == [ReturnedLine("o", "A", 3, 350)]
    assert [line.left for line in orders] == [0, 9, 3]


def test_two_orders_together_do_not_make_one_return():
    accepted, (rejected,) = allocate([StockLine("A", 3)], sold(("late", "A", "1", 2), ("early", "A", "1", 2)))
    assert accepted == []
    assert rejected.reason == "more than was bought in any order"


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_return_of_nothing_is_rejected(quantity):
    accepted, (rejected,) = allocate([StockLine("A", quantity)], sold(("o", "A", "1", 2)))
    assert (accepted, rejected.reason) == ([], "nothing comes back")


def test_what_was_never_bought_is_rejected():
    accepted, (rejected,) = allocate([StockLine("B", 1)], sold(("o", "A", "1", 2)))
    assert (accepted, rejected.reason) == ([], "not bought, or not in a confirmed order")


def test_made_up_invoices_repeat_by_seed_and_have_every_shape():
    invoices = generate(300, seed=3)
    assert invoices == generate(300, seed=3)
    assert invoices != generate(300, seed=4)
    assert len({invoice.number for invoice in invoices}) == 300
    orders = [invoice for invoice in invoices if not invoice.is_return]
    assert 200 <= len(orders) < 300
    assert any(invoice.customer_id is None for invoice in orders)
    assert any(line.quantity <= 0 for invoice in orders for line in invoice.lines)
    assert any(len({line.stock_code for line in invoice.lines}) < len(invoice.lines) for invoice in orders)
    assert all(line.quantity < 0 for invoice in invoices if invoice.is_return for line in invoice.lines)


def test_plenty_covers_every_order_and_scarce_does_not():
    invoices = generate(300, seed=0)
    plenty, scarce = (initial_stock(invoices, supply, seed=0) for supply in ("plenty", "scarce"))
    wanted = sum(max(0, line.quantity) for invoice in invoices if not invoice.is_return for line in invoice.lines)
    assert sum(plenty.values()) == wanted
    short = {code for code in plenty if scarce[code] < plenty[code]}
    assert short
    assert len(short) < len(plenty) / 10
    assert scarce == initial_stock(invoices, "scarce", seed=0)
