"""How much is on the shelves when the shop opens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from .chance import chance
from .reader import Invoice

__all__ = ["initial_stock"]

_SCARCE = 0.02


def initial_stock(invoices: Iterable[Invoice], supply: Literal["plenty", "scarce"], seed: int) -> dict[str, int]:
    """Pieces by stock code, from what the invoices will want.

    Parameters
    ----------
    invoices:
        What will be ordered.
    supply:
        `"plenty"`: enough for every order. `"scarce"`: of one code in fifty there is half, so that orders fail.
    seed:
        Which codes are short.
    """
    wanted: Counter[str] = Counter()
    for invoice in invoices:
        if not invoice.is_return:
            for line in invoice.lines:
                wanted[line.stock_code] += max(0, line.quantity)
    short = {code for code in wanted if supply == "scarce" and chance(seed, "scarce", code) < _SCARCE}
    return {code: many // 2 if code in short else many for code, many in sorted(wanted.items())}
