"""What must be true of customers' credit and of their orders, whatever goes wrong. Each function gives the violations that it finds."""

from __future__ import annotations

from ..sight import Sight

__all__ = ["credit_is_held_for_approved_orders_only", "every_order_ends", "nobody_owes_more_than_the_limit"]


def nobody_owes_more_than_the_limit(sight: Sight) -> list[str]:
    """What a customer's orders hold is what the account says, and never more than the limit: not even for a moment."""
    accounts = sight.rows("customers", "SELECT customer_id, limit_cents, reserved_cents FROM accounts ORDER BY customer_id")
    sums = sight.rows("customers", "SELECT customer_id, sum(cents) FROM reservations WHERE state = 'held' GROUP BY customer_id")
    held = {customer_id: int(cents) for customer_id, cents in sums}
    return [
        f"customer {customer_id}: the limit is {limit}, the account says {reserved}, and {held.get(customer_id, 0)} are held"
        for customer_id, limit, reserved in accounts
        if not held.get(customer_id, 0) == reserved <= limit
    ]


def credit_is_held_for_approved_orders_only(sight: Sight) -> list[str]:
    """Order by order: an approved one holds its price, any other one nothing."""
    held = dict(_pairs(sight, "customers", "SELECT order_id, cents FROM reservations WHERE state = 'held'"))
    due = dict(_pairs(sight, "orders", "SELECT order_id, cents FROM orders WHERE state = 'approved'"))
    return [
        f"order {order_id}: {held.get(order_id, 0)} cents are held, and {due.get(order_id, 0)} should be"
        for order_id in sorted(held.keys() | due.keys())
        if held.get(order_id, 0) != due.get(order_id, 0)
    ]


def every_order_ends(sight: Sight) -> list[str]:
    """None stays pending, and the credit of a cancelled one was released."""
    pending = sight.rows("orders", "SELECT order_id FROM orders WHERE state = 'pending' ORDER BY order_id")
    cancelled = {row[0] for row in sight.rows("orders", "SELECT order_id FROM orders WHERE state = 'cancelled'")}
    released = {row[0] for row in sight.rows("customers", "SELECT order_id FROM reservations WHERE state = 'released'")}
    return [f"order {order_id} is pending" for (order_id,) in pending] + [
        f"order {order_id}: cancelled {order_id in cancelled}, its credit released {order_id in released}"
        for order_id in sorted(cancelled ^ released)
    ]


def _pairs(sight: Sight, service: str, sql: str) -> list[tuple[str, int]]:
    return [(name, int(number)) for name, number in sight.rows(service, sql)]
