"""Where an order of the shop is, after every event of a real run."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

import farandole
from examples.shop import shop
from examples.shop.events import Line, LinesReturned, PlaceOrder, ReceiveStock, ReturnLines, StockLine
from examples.shop.gateway import Gateway, GatewayTimeout, Weather
from farandole.graph.of_code import graph_of
from farandole.observe.status import Status, Statuses
from farandole.stores.record import Entry
from farandole.testing.virtual import VirtualWorld

STATUSES = Statuses(graph_of(shop))
ORDER = PlaceOrder(
    order_id="o1",
    customer_id="c1",
    country="France",
    placed_on=date(2010, 12, 1),
    sequence=1,
    lines=(Line("A", 2, Decimal("2.5")),),
)


class Mute(Gateway):
    """It charges, and never says so."""

    async def charge(self, reference: str, pence: int, *, idempotency_key: str) -> str:
        await super().charge(reference, pence, idempotency_key=idempotency_key)
        raise GatewayTimeout("no answer")


async def run(folder: Path, *, stock: int = 5, declines: float = 0.0, kind: type[Gateway] = Gateway) -> list[list[Entry]]:
    """The events of an order, and of a return of what was bought."""
    world = VirtualWorld()
    gateway = kind(folder / "ledger.db", Weather(declines=declines), world)
    async with farandole.open(
        shop, broker="memory://", database="sqlite://", world=world, provide={Gateway: lambda: gateway}
    ) as app:
        await app.send(ReceiveStock(delivery_id="d", lines=(StockLine("A", stock),)))
        flows = [(await app.send(ORDER)).correlation_id]
        await app.idle()
        goods = ReturnLines(return_id="r", customer_id="c1", lines=(StockLine("A", 1),))
        receipt = await app.send(goods)
        if isinstance(receipt.result, LinesReturned):
            flows.append(receipt.correlation_id)
            await app.idle()
        found = [await app.record.events_of(flow) for flow in flows]
    gateway.close()
    return found


def told(entries: list[Entry]) -> dict[frozenset[str], tuple[str, str]]:
    """For each beginning of a run, the state, and who is expected to say something."""
    table = {}
    for count in range(1, len(entries) + 1):
        status = STATUSES.of(entries[:count], max(entry.time or 0 for entry in entries[:count]))
        who = " ".join(sorted(one.reaction.removeprefix("shop.") for one in status.expected))
        table[frozenset(entry.type.split(".")[1] for entry in entries[:count])] = (status.state, who)
    return table


def these(*names: str) -> frozenset[str]:
    return frozenset(names)


CHECKOUT = {
    these("OrderPlaced"): ("running", "inventory.reserve"),
    these("OrderPlaced", "InventoryReserved"): ("running", "fraud.screen"),
    these("OrderPlaced", "InventoryReserved", "OrderCleared"): ("running", "payments.charge"),
    these("OrderPlaced", "InventoryReserved", "OrderCleared", "PaymentProcessed"): ("running", "orders.confirm"),
    these("OrderPlaced", "InventoryReserved", "OrderCleared", "PaymentProcessed", "OrderConfirmed"): ("succeeded", ""),
    these("OrderPlaced", "InventoryReserved", "OrderCleared", "PaymentProcessed", "OrderConfirmed", "PointsChanged"): (
        "succeeded",
        "",
    ),
    these("OrderPlaced", "InventoryReservationFailed"): ("running", "orders.cancel"),
    these("OrderPlaced", "InventoryReservationFailed", "OrderCancelled"): ("failed", ""),
}
PLACED = ("OrderPlaced", "InventoryReserved", "OrderCleared")
DECLINED = {
    these(*PLACED, "PaymentFailed"): ("compensating", "inventory.release orders.cancel"),
    these(*PLACED, "PaymentFailed", "StockReleased"): ("compensating", "orders.cancel"),
    these(*PLACED, "PaymentFailed", "OrderCancelled"): ("compensating", "inventory.release"),
    these(*PLACED, "PaymentFailed", "OrderCancelled", "StockReleased"): ("compensated", ""),
}


@pytest.mark.parametrize(("stock", "declines", "end"), [(5, 0.0, "succeeded"), (1, 0.0, "failed"), (5, 1.0, "compensated")])
async def test_an_order_says_after_each_event_where_it_is(stock: int, declines: float, end: str, tmp_path: Path) -> None:
    entries = (await run(tmp_path, stock=stock, declines=declines))[0]
    found = told(entries)
    assert found == {names: (CHECKOUT | DECLINED)[names] for names in found}
    assert list(found.values())[-1] == (end, "")
    assert len(found) == len(entries)


async def test_a_doubtful_charge_is_expected_to_be_voided_and_then_all_is_over(tmp_path: Path) -> None:
    entries = (await run(tmp_path, kind=Mute))[0]
    assert {entry.type.split(".")[1] for entry in entries} == {
        *PLACED, "PaymentFailed", "ChargeInDoubt", "OrderCancelled", "StockReleased", "PaymentVoided",
    }  # fmt: skip
    by_type = {entry.type.split(".")[1]: entry for entry in entries}

    def at(*names: str) -> Status:
        return STATUSES.of([by_type[name] for name in names], 0.0)

    def who(status: Status) -> list[str]:
        return sorted(one.reaction.removeprefix("shop.") for one in status.expected)

    assert who(at(*PLACED, "ChargeInDoubt")) == ["payments.charge", "payments.void"]  # the other half of what it said
    half = at(*PLACED, "PaymentFailed", "ChargeInDoubt", "OrderCancelled", "StockReleased")
    assert (half.state, who(half), half.is_over) == ("compensated", ["payments.void"], False)
    whole = STATUSES.of(entries, 0.0)
    assert (whole.state, who(whole), whole.is_over) == ("compensated", [], True)


async def test_a_return_is_told_by_its_own_workflow(tmp_path: Path) -> None:
    entries = (await run(tmp_path))[1]
    found = told(entries)
    assert found.pop(these("LinesReturned")) == ("running", "inventory.restock payments.refund")
    assert list(found.values())[-1] == ("succeeded", "")
    assert STATUSES.of(entries, 0.0).workflow == "returning"
