"""Money: integer pence, rounded once per line, half to even."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Protocol

__all__ = ["pence", "total"]


class Priced(Protocol):
    """A line of an order."""

    @property
    def quantity(self) -> int: ...
    @property
    def unit_price(self) -> Decimal: ...


def pence(quantity: int, unit_price: Decimal) -> int:
    """What a line costs, in pence, from a price in pounds; half pennies go to the even one.

    >>> pence(5, Decimal("0.001")), pence(15, Decimal("0.001")), pence(25, Decimal("0.001"))
    (0, 2, 2)
    """
    return int((quantity * unit_price * 100).to_integral_value(ROUND_HALF_EVEN))


def total(lines: Iterable[Priced]) -> int:
    """What lines cost together, in pence: each is rounded by itself."""
    return sum(pence(line.quantity, line.unit_price) for line in lines)
