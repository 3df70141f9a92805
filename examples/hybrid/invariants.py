"""What must be true of the four databases and of the carrier's books, whatever goes wrong. Each function gives the violations that it finds."""

from __future__ import annotations

from ..sight import Sight

__all__ = [
    "every_order_ends",
    "goods_add_up",
    "steps_are_undone_in_reverse",
    "what_is_cancelled_is_undone",
    "what_is_shipped_is_all_there",
]


def every_order_ends(sight: Sight) -> list[str]:
    """None stays pending."""
    return [f"order {id} is {state}" for id, state in _orders(sight).items() if state not in ("shipped", "cancelled")]


def what_is_shipped_is_all_there(sight: Sight) -> list[str]:
    """A shipped order is paid, its goods are gone, and the carrier has them."""
    return _differ(sight, "shipped", ("paid",), ("gone",), ("gone",), ("collected",))


def what_is_cancelled_is_undone(sight: Sight) -> list[str]:
    """A cancelled order holds no money, no goods, and no label: in whatever service it got how far."""
    return _differ(sight, "cancelled", (None, "returned"), (None, "released"), (None, "back"), (None, "void"))


def goods_add_up(sight: Sight) -> list[str]:
    """Piece by piece: what is on the shelves, and what left them and did not come back, is what was put there."""
    out = dict(_pairs(sight, "fulfilment", "SELECT sku, count(*) FROM picked WHERE state <> 'back' GROUP BY sku"))
    put = dict(_pairs(sight, "fulfilment", "SELECT what, count(*) FROM journal WHERE order_id = '' GROUP BY what"))
    on = dict(_pairs(sight, "fulfilment", "SELECT sku, pieces FROM shelves"))
    return [
        f"{sku}: {on.get(sku, 0)} on the shelf and {out.get(sku, 0)} gone, of {put.get(sku, 0)}"
        for sku in sorted(on.keys() | out.keys() | put.keys())
        if on.get(sku, 0) + out.get(sku, 0) != put.get(sku, 0)
    ]


def steps_are_undone_in_reverse(sight: Sight) -> list[str]:
    """Order by order: the label is void before the goods are put back."""
    done: dict[str, list[str]] = {}
    for order_id, what in sight.rows("fulfilment", "SELECT order_id, what FROM journal ORDER BY number"):
        done.setdefault(order_id, []).append(what)
    return [
        f"order {order_id}: {', '.join(steps)}"
        for order_id, steps in done.items()
        if "put back" in steps and "label printed" in steps and steps.index("put back") < _place(steps, "label void")
    ]


def _orders(sight: Sight) -> dict[str, str]:
    return dict(sight.rows("orders", "SELECT order_id, state FROM orders ORDER BY order_id"))


def _differ(sight: Sight, state: str, *allowed: tuple[str | None, ...]) -> list[str]:
    """Orders in this state of which payment, reservation, goods or label are in another state than is allowed."""
    found = []
    tables = (("payments", "payments"), ("inventory", "reservations"), ("fulfilment", "picked"), ("carrier", "labels"))
    states = [dict(sight.rows(service, f"SELECT order_id, state FROM {table}")) for service, table in tables]
    for order_id, its in _orders(sight).items():
        if its == state:
            found += [
                f"order {order_id} is {state}, but {table} says {known.get(order_id)}"
                for (_, table), known, good in zip(tables, states, allowed, strict=True)
                if known.get(order_id) not in good
            ]
    return found


def _pairs(sight: Sight, service: str, sql: str) -> list[tuple[str, int]]:
    return [(name, int(number)) for name, number in sight.rows(service, sql)]


def _place(steps: list[str], what: str) -> int:
    return steps.index(what) if what in steps else len(steps)
