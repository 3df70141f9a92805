"""What must be true of the databases and the gateway's ledger once nothing is under way. Each function gives violations in words."""

from __future__ import annotations

from examples.shop.databases import LEDGER, Sight

__all__ = [
    "every_order_ended",
    "no_number_is_left_out",
    "nobody_is_charged_twice",
    "nothing_is_shipped_and_given_up",
    "what_failed_is_undone",
    "what_is_shipped_is_whole",
]

_BALANCES = "SELECT reference, sum(CASE kind WHEN 'charge' THEN pence ELSE -pence END) FROM entries GROUP BY reference"


def every_order_ended(sight: Sight) -> list[str]:
    """Completed or cancelled; nothing hangs."""
    return [f"order {order_id}: still placed" for order_id, _ in _orders(sight, "placed")]


def what_is_shipped_is_whole(sight: Sight) -> list[str]:
    """A completed order is paid, to the penny; its goods were set aside and are in its parcels; its invoice stands."""
    found = []
    for order_id, pence in _orders(sight, "completed"):
        goods, sent = (
            sight.one(service, f"SELECT sum(pieces) FROM {table} WHERE order_id = :id", id=order_id)
            for service, table in (("inventory", "reservations"), ("shipping", "parcels"))
        )
        invoiced = sight.one("invoicing", "SELECT sum(pence) FROM papers WHERE order_id = :id", id=order_id)
        held = _held(sight).get(order_id, 0)
        if not (goods and goods == sent and pence == invoiced == held):
            found.append(
                f"order {order_id}: of {pence} pence {held} are paid and {invoiced} invoiced, of {goods} pieces {sent} sent"
            )
    return found


def what_failed_is_undone(sight: Sight) -> list[str]:
    """A cancelled order holds no goods, no parcel, no money (unless that is written down as owed), and its papers come to nothing."""
    owed = {order_id for (order_id,) in sight.rows("payments", "SELECT order_id FROM payments WHERE state = 'owed'")}
    found = []
    for order_id, _ in _orders(sight, "cancelled"):
        left = {
            "pieces set aside": sight.one("inventory", "SELECT sum(pieces) FROM reservations WHERE order_id = :id", id=order_id),
            "parcels": sight.one("shipping", "SELECT count(*) FROM parcels WHERE order_id = :id", id=order_id),
            "pence invoiced": sight.one("invoicing", "SELECT sum(pence) FROM papers WHERE order_id = :id", id=order_id),
            "pence at the gateway": 0 if order_id in owed else _held(sight).get(order_id, 0),
        }
        found += [f"order {order_id}: cancelled, and {many} {what}" for what, many in left.items() if many]
    return found


def nothing_is_shipped_and_given_up(sight: Sight) -> list[str]:
    """Not for a moment: what has a parcel is not cancelled."""
    sent = {order_id for (order_id,) in sight.rows("shipping", "SELECT DISTINCT order_id FROM parcels")}
    return [f"order {order_id}: shipped and cancelled" for order_id, _ in _orders(sight, "cancelled") if order_id in sent]


def no_number_is_left_out(sight: Sight) -> list[str]:
    """Invoices and credit notes are numbered 1, 2, 3 and so on, and each credit note takes back one invoice of its order, in full."""
    papers = sight.rows("invoicing", "SELECT number, order_id, pence, tax, credits FROM papers ORDER BY number")
    found = [f"paper {paper[0]}: number {number} was due" for number, paper in enumerate(papers, 1) if paper[0] != number]
    invoices = {paper[0]: paper for paper in papers if paper[4] is None}
    for number, order_id, pence, tax, credits in papers:
        if credits is not None:
            invoice = invoices.pop(credits, None)
            if invoice is None or invoice[1:4] != (order_id, -pence, -tax):
                found.append(f"credit note {number}: takes back {credits}, which is {invoice}")
    return found


def nobody_is_charged_twice(sight: Sight) -> list[str]:
    """One charge per order at most."""
    twice = "SELECT reference, count(*) FROM entries WHERE kind = 'charge' GROUP BY reference HAVING count(*) > 1"
    return [f"order {order_id}: charged {times} times" for order_id, times in sight.rows(LEDGER, twice)]


def stock_adds_up(sight: Sight, received: dict[str, int]) -> list[str]:
    """What arrived is on the shelf or set aside."""
    shelf = {sku: int(pieces) for sku, pieces in sight.rows("inventory", "SELECT sku, on_hand FROM stock")}
    aside = dict(sight.rows("inventory", "SELECT sku, sum(pieces) FROM reservations GROUP BY sku"))
    return [
        f"{sku}: {shelf.get(sku, 0)} on the shelf and {aside.get(sku, 0)} set aside, {pieces} arrived"
        for sku, pieces in received.items()
        if shelf.get(sku, 0) + int(aside.get(sku, 0)) != pieces or shelf.get(sku, 0) < 0
    ]


def _orders(sight: Sight, state: str) -> list[tuple[str, int]]:
    found = sight.rows("orders", "SELECT order_id, pence FROM orders WHERE state = :state ORDER BY order_id", state=state)
    return [(order_id, pence) for order_id, pence in found]


def _held(sight: Sight) -> dict[str, int]:
    return {order_id: int(pence) for order_id, pence in sight.rows(LEDGER, _BALANCES)}
