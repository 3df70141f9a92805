"""The hybrid: each handler of its process alone, and the invariants."""

from __future__ import annotations

from typing import Any

from examples.hybrid import events, invariants
from examples.hybrid.services import fulfilment
from examples.hybrid.services.fulfilment import Fulfilment


async def test_each_step_leads_to_the_next_one_with_what_the_process_knows() -> None:
    state = Fulfilment()
    paid = events.OrderPaid(order_id="o", sku="book", address="Main Street 1")
    assert await fulfilment.begin(paid, state) == events.PickGoods(order_id="o", sku="book")
    picked = events.GoodsPicked(order_id="o")
    assert await fulfilment.goods_are_here(picked, state) == events.PrintLabel(order_id="o", address="Main Street 1")
    label = events.LabelPrinted(order_id="o", label="L-1")
    assert await fulfilment.label_is_on(label, state) == events.HandOver(order_id="o")
    sent = events.ParcelHandedOver(order_id="o")
    assert await fulfilment.sent(sent, state) == events.OrderShipped(order_id="o", label="L-1")


class Told:
    """What is to be seen, said by hand."""

    def __init__(self, **tables: list[tuple[Any, ...]]) -> None:
        self.tables = tables

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        return next((rows for name, rows in self.tables.items() if f"FROM {name}" in sql), [])

    def one(self, service: str, sql: str, **values: Any) -> Any:
        return self.rows(service, sql)[0][0]


def test_the_invariants_see_what_is_wrong() -> None:
    shipped = Told(orders=[("o", "shipped")], payments=[("o", "returned")], reservations=[("o", "gone")], picked=[("o", "gone")])
    assert invariants.what_is_shipped_is_all_there(shipped) == [
        "order o is shipped, but payments says returned",
        "order o is shipped, but labels says None",
    ]
    cancelled = Told(orders=[("o", "cancelled")], payments=[("o", "paid")])
    assert invariants.what_is_cancelled_is_undone(cancelled) == ["order o is cancelled, but payments says paid"]
    assert invariants.every_order_ends(Told(orders=[("o", "pending")])) == ["order o is pending"]
    assert invariants.goods_add_up(Told(shelves=[("book", 3)], picked=[("book", 1)], journal=[("book", 5)])) == [
        "book: 3 on the shelf and 1 gone, of 5"
    ]
    backwards = Told(journal=[("o", what) for what in ("picked", "label printed", "put back", "label void")])
    assert invariants.steps_are_undone_in_reverse(backwards) == ["order o: picked, label printed, put back, label void"]
