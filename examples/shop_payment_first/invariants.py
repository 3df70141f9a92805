"""What must be true of the databases and the gateway's ledger once nothing is under way. Each function gives violations in words."""

from __future__ import annotations

from examples.shop.databases import LEDGER, Sight

__all__ = [
    "every_order_ended",
    "everybody_is_told_how_it_ended",
    "no_piece_is_lost",
    "nobody_is_charged_twice",
    "paid_is_shipped",
]

_BALANCES = "SELECT reference, sum(CASE kind WHEN 'charge' THEN pence ELSE -pence END) FROM entries GROUP BY reference"


def every_order_ended(sight: Sight) -> list[str]:
    """Shipped or cancelled; nothing hangs."""
    return [f"order {order_id}: still placed" for (order_id,) in sight.rows("orders", _ORDERS, state="placed")]


def paid_is_shipped(sight: Sight) -> list[str]:
    """Order by order: the gateway holds the price of what is shipped, and nothing of what is not, unless it is written down as owed."""
    held = {order_id: int(pence) for order_id, pence in sight.rows(LEDGER, _BALANCES)}
    owed = {order_id for (order_id,) in sight.rows("payments", "SELECT order_id FROM payments WHERE state = 'owed'")}
    shipped = {order_id for (order_id,) in sight.rows("shipping", "SELECT order_id FROM shipments")}
    found = []
    for order_id, pence in sight.rows("orders", "SELECT order_id, pence FROM orders ORDER BY order_id"):
        due = pence if order_id in shipped else 0
        if held.get(order_id, 0) != due and order_id not in owed:
            found.append(f"order {order_id}: the gateway holds {held.get(order_id, 0)} pence, due are {due}")
    return found


def nobody_is_charged_twice(sight: Sight) -> list[str]:
    """One charge per order at most."""
    twice = "SELECT reference, count(*) FROM entries WHERE kind = 'charge' GROUP BY reference HAVING count(*) > 1"
    return [f"order {order_id}: charged {times} times" for order_id, times in sight.rows(LEDGER, twice)]


def no_piece_is_lost(sight: Sight, received: dict[str, int]) -> list[str]:
    """What arrived is on the shelf or set aside, and what is set aside is what is shipped."""
    shelf = {sku: int(pieces) for sku, pieces in sight.rows("inventory", "SELECT sku, on_hand FROM stock")}
    aside = {
        sku: int(pieces) for sku, pieces in sight.rows("inventory", "SELECT sku, sum(pieces) FROM reservations GROUP BY sku")
    }
    found = [
        f"{sku}: {shelf.get(sku, 0)} on the shelf and {aside.get(sku, 0)} set aside, {pieces} arrived"
        for sku, pieces in received.items()
        if shelf.get(sku, 0) + aside.get(sku, 0) != pieces or shelf.get(sku, 0) < 0
    ]
    reserved, shipped = (
        sight.rows(service, f"SELECT order_id, pieces FROM {table} ORDER BY order_id")
        for service, table in (("inventory", "reservations"), ("shipping", "shipments"))
    )
    return found + ([] if reserved == shipped else [f"set aside {reserved}, shipped {shipped}"])


def everybody_is_told_how_it_ended(sight: Sight) -> list[str]:
    """One letter per order, and the right one."""
    letters = dict(sight.rows("email", "SELECT order_id, words FROM letters"))
    found = []
    for state, begins in (("shipped", "parcel-"), ("cancelled", "We are sorry")):
        for (order_id,) in sight.rows("orders", _ORDERS, state=state):
            words = letters.pop(order_id, "nothing")
            found += [] if words.startswith(begins) else [f"order {order_id}: {state}, and told {words}"]
    return found + [f"order {order_id}: told {words} too early" for order_id, words in sorted(letters.items())]


_ORDERS = "SELECT order_id FROM orders WHERE state = :state ORDER BY order_id"
