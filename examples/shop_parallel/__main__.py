"""`python -m examples.shop_parallel`: some orders in bad weather, what each left behind, and how one was undone."""

from __future__ import annotations

import sys

from examples.running import Play, main
from examples.shop.databases import LEDGER

from .scenario import example


async def tell(play: Play) -> list[str]:
    """Every order's end with what each service did for it, and one order that came to nothing."""
    lines = ["Goods, money and invoice at once. How the orders ended:"]
    for order_id, state, reason in play.rows("orders", "SELECT order_id, state, reason FROM orders ORDER BY order_id"):
        entries = play.rows(LEDGER, "SELECT kind FROM entries WHERE reference = :id ORDER BY id", id=order_id)
        papers = play.rows("invoicing", "SELECT number FROM papers WHERE order_id = :id ORDER BY number", id=order_id)
        parcels = play.one("shipping", "SELECT count(*) FROM parcels WHERE order_id = :id", id=order_id)
        money, paper = ", then ".join(kind for (kind,) in entries), ", ".join(f"no. {number}" for (number,) in papers)
        end = f"{state}: {reason}" if reason else f"{state}: {parcels} parcel{'s' * (parcels > 1)}"
        lines.append(f"  {order_id}  {end:<38}  {money or 'no money':<17}  {paper or 'no paper'}")
    lines += ["", "There were not enough tables for o-1:"]
    lines += [f"  {line}" for line in await play.chain("o-1")]
    credited = play.one("invoicing", "SELECT count(*) FROM papers WHERE credits IS NOT NULL")
    held = play.one(LEDGER, "SELECT sum(CASE kind WHEN 'charge' THEN pence ELSE -pence END) FROM entries")
    return [
        *lines,
        "",
        f"{held} pence earned, {credited} invoices taken back; {play.app.counters['retries']} calls were tried again.",
    ]


sys.exit(main(example, tell))
