"""Makes orders and returns of the same shape as the real ones, for a demo without a file."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from .chance import chance, pick
from .events import Line
from .reader import Invoice

__all__ = ["generate"]

_COUNTRIES = ("United Kingdom", "United Kingdom", "United Kingdom", "Germany", "France", "EIRE", "Norway")
_BEGIN = date(2010, 12, 1)


def generate(count: int = 300, seed: int = 0) -> list[Invoice]:
    """So many invoices: four in five are orders, some by guests, some that cannot be, some repeat a stock code.

    Parameters
    ----------
    count:
        How many.
    seed:
        The same seed makes the same invoices.
    """
    invoices: list[Invoice] = []
    bought: dict[str, list[Invoice]] = {}
    customers = max(1, count // 4)
    for sequence in range(1, count + 1):
        guest = chance(seed, "guest", sequence) < 0.1
        customer = None if guest else str(12000 + pick(1, customers, seed, "customer", sequence))
        earlier = bought.get(customer or "", [])
        returning = chance(seed, "return", sequence) < (0.4 if earlier else 0.03)
        number = f"{'C' if returning else ''}{536000 + sequence}"
        lines = _returned(earlier, seed, sequence) if returning else _ordered(seed, sequence)
        country = _COUNTRIES[pick(0, len(_COUNTRIES) - 1, seed, "country", customer or sequence)]
        invoice = Invoice(number, customer, country, _BEGIN + timedelta(days=sequence * 20 // count), sequence, lines)
        invoices.append(invoice)
        if customer and not returning:
            bought.setdefault(customer, []).append(invoice)
    return invoices


def _ordered(seed: int, sequence: int) -> tuple[Line, ...]:
    longest = 120 if chance(seed, "long", sequence) < 0.03 else 30
    lines = [_line(seed, sequence, i) for i in range(pick(1, longest, seed, "lines", sequence))]
    if chance(seed, "bad", sequence) < 0.04:  # damaged goods are written off as orders without a quantity
        lines[0] = Line(lines[0].stock_code, -pick(0, 5, seed, "damage", sequence), Decimal(0))
    return tuple(lines)


def _line(seed: int, sequence: int, i: int) -> Line:
    article = int(200 * chance(seed, "article", sequence, i) ** 2)
    price = Decimal(pick(0, 1200, seed, "price", article)) / 100
    return Line(f"{20000 + article}", pick(1, 12, seed, "quantity", sequence, i), price)


def _returned(earlier: list[Invoice], seed: int, sequence: int) -> tuple[Line, ...]:
    if not earlier:
        return (Line("20001", -1, Decimal("2.55")),)
    order = earlier[pick(0, len(earlier) - 1, seed, "which", sequence)]
    chosen = [line for i, line in enumerate(order.lines) if chance(seed, "back", sequence, i) < 0.3] or [order.lines[0]]
    back = [
        Line(line.stock_code, -pick(1, max(1, line.quantity), seed, "some", sequence, i), line.unit_price)
        for i, line in enumerate(chosen)
    ]
    if chance(seed, "never bought", sequence) < 0.2:
        back.append(Line("99999", -1, Decimal("1.00")))
    return tuple(back)
