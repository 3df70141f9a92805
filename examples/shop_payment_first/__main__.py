"""`python -m examples.shop_payment_first`: some orders in bad weather, and how each of them ended."""

from __future__ import annotations

import sys

from examples.running import Play, main
from examples.shop.databases import LEDGER

from .scenario import example


async def tell(play: Play) -> list[str]:
    """Every order's end, one order that was charged and refunded, and what it came to."""
    lines = ["The money first, then the goods. How the orders ended:"]
    entries: dict[str, str] = {}
    for reference, kind, pence in play.rows(LEDGER, "SELECT reference, kind, pence FROM entries ORDER BY id"):
        entries[reference] = f"{entries.get(reference, '')}, {kind} {pence}".removeprefix(", ")
    for order_id, words in play.rows("email", "SELECT order_id, words FROM letters ORDER BY order_id"):
        lines.append(f"  {order_id}  {words:<45} gateway: {entries.get(order_id, 'nothing')}")
    lines += ["", "Charged, and no goods (o-1):"]
    lines += [f"  {line}" for line in await play.chain("o-1")]
    shipped = play.one("shipping", "SELECT count(*) FROM shipments")
    held = play.one(LEDGER, "SELECT sum(CASE kind WHEN 'charge' THEN pence ELSE -pence END) FROM entries")
    return [*lines, "", f"{shipped} parcels, and {held} pence for them; {play.app.counters['retries']} calls were tried again."]


sys.exit(main(example, tell))
