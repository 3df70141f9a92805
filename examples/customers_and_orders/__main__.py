"""Plays the scenario and tells what came of it: `python -m examples.customers_and_orders [--broker URL] [--database URL]`."""

from __future__ import annotations

import sys

from ..running import Play, main
from .scenario import example


async def tell(play: Play) -> list[str]:
    """The story."""
    of = "SELECT count(*) FROM orders WHERE customer_id = :who AND state = :state"
    approved, rejected = (play.one("orders", of, who="ada", state=state) for state in ("approved", "rejected"))
    lines = [
        f"Ada has a limit of 15.00, and orders {approved + rejected} times for 1.00 at the same moment:",
        f"  {approved} orders are approved, {rejected} rejected",
        "",
        "Bob has a limit of 3.00, and orders one after the other:",
    ]
    for order_id, state, reason in play.rows("orders", "SELECT order_id, state, reason FROM orders ORDER BY order_id"):
        if order_id.startswith("bob"):
            lines.append(f"  {order_id}  {state}{f': {reason}' if reason else ''}")
    lines += [
        f"  calling off bob-4 was refused: {play.notes['bob 4']}",
        "",
        "Carol calls off her order from two places at once:",
        *(f"  {'done' if answer == 'None' else f'refused: {answer}'}" for answer in play.notes["carol 1"]),
        "",
        "Nobody knows Dan:",
        *(f"  {line}" for line in await play.chain("dan-1")),
        "",
        "What followed from Bob's cancellation:",
        *(f"  {line}" for line in await play.chain("cancel bob-2 from here")),
    ]
    return lines


sys.exit(main(example, tell))
