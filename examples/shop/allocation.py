"""The rule of returns: which order's lines a returned line is taken from.

Each return line goes to the latest earlier confirmed order of the same customer with enough unreturned quantity of that stock
code, and is taken from that order's lines in their order. A line that finds none is rejected. The refund is quantity x unit price
of the lines it was taken from. Pure: it reads and writes no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from .events import RejectedLine, ReturnedLine, StockLine
from .money import pence

__all__ = ["Sold", "allocate"]


@dataclass(slots=True)
class Sold:
    """A line that was sold; `left` is what has not been returned of it."""

    order_id: str
    position: int
    stock_code: str
    unit_price: Decimal
    left: int


def allocate(wanted: Iterable[StockLine], sold: Sequence[Sold]) -> tuple[list[ReturnedLine], list[RejectedLine]]:
    """Take returned lines from sold ones, whose `left` shrinks.

    Parameters
    ----------
    wanted:
        What comes back.
    sold:
        The customer's confirmed lines: latest order first, an order's lines in their order.
    """
    by_code: dict[str, dict[str, list[Sold]]] = {}
    for piece in sold:
        by_code.setdefault(piece.stock_code, {}).setdefault(piece.order_id, []).append(piece)
    accepted: list[ReturnedLine] = []
    rejected: list[RejectedLine] = []
    for line in wanted:
        orders = by_code.get(line.stock_code, {})
        if line.quantity <= 0:
            rejected.append(RejectedLine(line.stock_code, line.quantity, "nothing comes back"))
            continue
        found = next((lines for lines in orders.values() if sum(s.left for s in lines) >= line.quantity), None)
        if found is None:
            reason = "more than was bought in any order" if orders else "not bought, or not in a confirmed order"
            rejected.append(RejectedLine(line.stock_code, line.quantity, reason))
        else:
            accepted.append(ReturnedLine(found[0].order_id, line.stock_code, line.quantity, _take(found, line.quantity)))
    return accepted, rejected


def _take(lines: list[Sold], quantity: int) -> int:
    """Take so many pieces from an order's lines; gives what they cost, in pence."""
    refund = 0
    for line in lines:
        taken = min(quantity, line.left)
        line.left -= taken
        quantity -= taken
        refund += pence(taken, line.unit_price)
    return refund
