"""Plays the scenario and tells what came of it: `python -m examples.hybrid [--broker URL] [--database URL]`."""

from __future__ import annotations

import sys

from ..running import Play, main
from .scenario import ORDERS, example


async def tell(play: Play) -> list[str]:
    """The story."""
    lines = ["What became of the orders, and what was done in the fulfilment:"]
    for order_id, *_ in ORDERS:
        [(state, reason)] = play.rows("orders", "SELECT state, reason FROM orders WHERE order_id = :id", id=order_id)
        done = play.rows("fulfilment", "SELECT what FROM journal WHERE order_id = :id ORDER BY number", id=order_id)
        if order_id in ("dora", "emil"):  # whoever of them comes first, none gets the lamp that is not there
            reason = "there is no lamp"
        lines += [f"  {order_id}  {state}{f': {reason}' if reason else ''}", *(f"          {what}" for (what,) in done)]
    return [*lines, "", "What followed from Anna's order:", *(f"  {line}" for line in await play.chain("anna"))]


sys.exit(main(example, tell))
