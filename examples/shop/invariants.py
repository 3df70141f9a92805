"""What must be true of the shop's databases once nothing is under way, whatever went wrong on the way there.

Each function gives the violations that it finds, in words; none is good. They look at databases only, so they hold a crashed and
restarted shop to the same sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from .databases import LEDGER, Sight
from .services.fraud import LIMIT

__all__ = [
    "big_orders_are_reviewed",
    "check",
    "every_failed_saga_is_compensated",
    "every_invoice_has_an_outcome",
    "listeners_heard_every_payment",
    "nobody_is_charged_twice",
    "points_are_what_was_bought",
    "stock_adds_up",
    "the_money_adds_up",
    "undecided",
]


def check(databases: Sight, invoices: Iterable[str], stock: Mapping[str, int]) -> dict[str, list[str]]:
    """All of them, by name.

    Parameters
    ----------
    databases:
        Where to look.
    invoices:
        The numbers of what was submitted.
    stock:
        The initial stock, in pieces by stock code.
    """
    return {
        "the_money_adds_up": the_money_adds_up(databases),
        "stock_adds_up": stock_adds_up(databases, stock),
        "nobody_is_charged_twice": nobody_is_charged_twice(databases),
        "every_failed_saga_is_compensated": every_failed_saga_is_compensated(databases),
        "listeners_heard_every_payment": listeners_heard_every_payment(databases),
        "big_orders_are_reviewed": big_orders_are_reviewed(databases),
        "points_are_what_was_bought": points_are_what_was_bought(databases),
        "every_invoice_has_an_outcome": every_invoice_has_an_outcome(databases, invoices),
    }


def the_money_adds_up(databases: Sight) -> list[str]:
    """Order by order: charged minus given back is the confirmed total minus what was returned, to the penny."""
    due: Counter[str] = Counter(
        dict(_pairs(databases, "orders", "SELECT order_id, total_pence FROM orders WHERE state = 'confirmed'"))
    )
    for order_id, pence in databases.rows("returns", "SELECT order_id, sum(pence) FROM taken_lines GROUP BY order_id"):
        due[order_id] -= int(pence)
    held = _balances(databases)
    return [
        f"order {order_id}: the gateway holds {held.get(order_id, 0)} pence, due are {due[order_id]}"
        for order_id in sorted(due.keys() | held.keys())
        if held.get(order_id, 0) != due[order_id]
    ]


def stock_adds_up(databases: Sight, stock: Mapping[str, int]) -> list[str]:
    """Code by code: on_hand + reserved + shipped - returned is the initial stock, and each agrees with its documents."""
    held, shipped = (
        dict(
            _pairs(
                databases,
                "inventory",
                "SELECT stock_code, sum(quantity) FROM reservations WHERE state = :state GROUP BY stock_code",
                state=state,
            )
        )
        for state in ("held", "shipped")
    )
    returned = dict(_pairs(databases, "returns", "SELECT stock_code, sum(quantity) FROM taken_lines GROUP BY stock_code"))
    rows = databases.rows("inventory", "SELECT stock_code, on_hand, reserved, shipped, returned FROM stock")
    found = [f"{code}: it never arrived" for code in sorted(stock.keys() - {row[0] for row in rows})]
    for code, *figures in rows:
        on_hand, reserved, sent, back = figures
        expected = (stock.get(code, 0), held.get(code, 0), shipped.get(code, 0), returned.get(code, 0))
        if (on_hand + reserved + sent - back, reserved, sent, back) != expected or on_hand < 0:
            found.append(
                f"{code}: on hand {on_hand}, reserved {reserved}, shipped {sent}, returned {back}; "
                f"initial {expected[0]}, held by orders {expected[1]}, shipped by orders {expected[2]}, taken back {expected[3]}"
            )
    return found


def nobody_is_charged_twice(databases: Sight) -> list[str]:
    """The gateway has one charge per order at most."""
    twice = "SELECT reference, count(*) FROM entries WHERE kind = 'charge' GROUP BY reference HAVING count(*) > 1"
    return [f"order {order_id}: charged {times} times" for order_id, times in databases.rows(LEDGER, twice)]


def every_failed_saga_is_compensated(databases: Sight) -> list[str]:
    """A cancelled order holds no goods and no money."""
    cancelled = {row[0] for row in databases.rows("orders", "SELECT order_id FROM orders WHERE state = 'cancelled'")}
    holding = databases.rows("inventory", "SELECT DISTINCT order_id FROM reservations WHERE state <> 'released'")
    goods = [f"order {order_id}: cancelled, and goods are set aside for it" for (order_id,) in holding if order_id in cancelled]
    balances = _balances(databases)
    money = [f"order {order_id}: cancelled, and charged" for order_id in sorted(cancelled) if balances.get(order_id, 0)]
    return goods + money


def listeners_heard_every_payment(databases: Sight) -> list[str]:
    """Every payment has one confirmation, one sale and one pick list."""
    paid = databases.one("payments", "SELECT count(*) FROM payments WHERE state = 'processed'")
    heard = {
        "confirmations": databases.one("email", "SELECT count(*) FROM confirmations"),
        "sales": databases.one("analytics", "SELECT sum(orders) FROM sales"),
        "pick lists": databases.one("warehouse", "SELECT count(DISTINCT order_id) FROM picks"),
    }
    return [f"{paid} payments, but {count} {name}" for name, count in heard.items() if count != paid]


def big_orders_are_reviewed(databases: Sight) -> list[str]:
    """The gateway charged nothing big that was not cleared, and nothing that was suspected."""
    verdicts = dict(databases.rows("fraud", "SELECT order_id, verdict FROM reviews"))
    charges = _pairs(databases, LEDGER, "SELECT reference, pence FROM entries WHERE kind = 'charge' ORDER BY reference")
    return [
        f"order {order_id}: {pence} pence charged, and its review is {verdicts.get(order_id, 'missing')}"
        for order_id, pence in charges
        if verdicts.get(order_id) != "cleared" and (pence >= LIMIT or order_id in verdicts)
    ]


def points_are_what_was_bought(databases: Sight) -> list[str]:
    """Customer by customer: a point for each whole pound of a confirmed order that did not come back."""
    back = dict(_pairs(databases, "returns", "SELECT order_id, sum(pence) FROM taken_lines GROUP BY order_id"))
    due: Counter[str] = Counter()
    confirmed = "SELECT customer_id, order_id, total_pence FROM orders WHERE state = 'confirmed' AND customer_id IS NOT NULL"
    for customer_id, order_id, pence in databases.rows("orders", confirmed):
        due[customer_id] += (int(pence) - back.get(order_id, 0)) // 100
    held = dict(_pairs(databases, "loyalty", "SELECT customer_id, points FROM members"))
    return [
        f"customer {customer}: {held.get(customer, 0)} points, due are {due[customer]}"
        for customer in sorted(due.keys() | held.keys())
        if held.get(customer, 0) != due[customer]
    ]


def every_invoice_has_an_outcome(databases: Sight, invoices: Iterable[str]) -> list[str]:
    """Every submitted invoice ended: rejected, confirmed, cancelled; or rejected, or both refunded and back on the shelf."""
    return [f"invoice {number}: no outcome" for number in undecided(databases, invoices)]


def undecided(databases: Sight, invoices: Iterable[str]) -> list[str]:
    """The invoices that have not ended."""
    ended = {row[0] for row in databases.rows("orders", "SELECT order_id FROM orders WHERE state <> 'placed'")}
    ended |= {
        row[0]
        for row in databases.rows(
            "returns", "SELECT return_id FROM returns WHERE verdict = 'rejected' OR (refunded AND restocked)"
        )
    }
    return [number for number in invoices if number not in ended]


def _balances(databases: Sight) -> dict[str, int]:
    """What the gateway holds for each order, in pence."""
    return dict(
        _pairs(
            databases,
            LEDGER,
            "SELECT reference, sum(CASE kind WHEN 'charge' THEN pence ELSE -pence END) FROM entries GROUP BY reference",
        )
    )


def _pairs(databases: Sight, service: str, sql: str, **values: str) -> list[tuple[str, int]]:
    return [(name, int(number)) for name, number in databases.rows(service, sql, **values)]
