"""Customers and orders: each reaction alone, the invariants, and two processes on one credit."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.servers import server
from tests.system.kit import RUNNING, Folder

from examples.customers_and_orders.events import (
    CancelOrder,
    CreateCustomer,
    CreateOrder,
    CreditLimitExceeded,
    CreditReleased,
    CreditReserved,
    CustomerCreated,
    CustomerNotFound,
    OrderApproved,
    OrderCancelled,
    OrderCreated,
    OrderRejected,
)
from examples.customers_and_orders.invariants import (
    credit_is_held_for_approved_orders_only,
    every_order_ends,
    nobody_owes_more_than_the_limit,
)
from examples.customers_and_orders.scenario import ALL_DECIDED, PRICE, example, place
from examples.customers_and_orders.services import customers, orders
from examples.running import running, until
from farandole import Reject

ADA = CreateCustomer(customer_id="ada", name="Ada Lovelace", limit_cents=250)
APP = "examples.customers_and_orders:customers_and_orders"


def created(order_id: str, customer_id: str = "ada", cents: int = 100) -> OrderCreated:
    return OrderCreated(order_id=order_id, customer_id=customer_id, cents=cents)


async def tell(db: Any, kind: str, reaction: Any, *events: Any) -> Any:
    """Each event in a transaction of its own; gives what the last one came to."""
    result = None
    for event in events:
        async with db(kind) as handle:
            result = await reaction(event, db=handle)
    return result


# ---------------------------------------------------------------------------------------------------------- customers


async def test_credit_is_held_up_to_the_limit_and_no_further(database):
    async with database(customers.customers) as db:
        made = await tell(db, "connection", customers.create, ADA)
        assert made == CustomerCreated(customer_id="ada", limit_cents=250)
        held = await tell(db, "connection", customers.reserve, created("o1"), created("o2"))
        assert held == CreditReserved(order_id="o2")
        refused = await tell(db, "connection", customers.reserve, created("o3"))
        assert refused == CreditLimitExceeded(order_id="o3", available_cents=50)
        exactly = await tell(db, "connection", customers.reserve, created("o4", cents=50))
        assert exactly == CreditReserved(order_id="o4")


async def test_who_is_unknown_has_no_credit(database):
    async with database(customers.customers) as db:
        found = await tell(db, "connection", customers.reserve, created("o1", "dan"))
    assert found == CustomerNotFound(order_id="o1", customer_id="dan")


async def test_a_cancelled_order_frees_its_credit_once(database):
    async with database(customers.customers) as db:
        await tell(db, "connection", customers.create, ADA)
        await tell(db, "connection", customers.reserve, created("o1", cents=250))
        cancelled = OrderCancelled(order_id="o1")
        freed = await tell(db, "connection", customers.release, cancelled)
        assert freed == CreditReleased(order_id="o1", cents=250)
        with pytest.raises(LookupError, match="order o1 holds no credit"):
            await tell(db, "connection", customers.release, cancelled)
        assert await tell(db, "connection", customers.reserve, created("o2", cents=250)) == CreditReserved(order_id="o2")


@pytest.mark.parametrize(
    ("commands", "reason"),
    [((ADA, ADA), "customer ada exists already"), ((ADA.replace(limit_cents=-1),), "cannot be below nothing")],
)
async def test_a_customer_that_cannot_be_is_refused(database, commands, reason):
    async with database(customers.customers) as db:
        with pytest.raises(Reject, match=reason):
            await tell(db, "connection", customers.create, *commands)


# ------------------------------------------------------------------------------------------------------------- orders

CREATE = CreateOrder(order_id="o1", customer_id="ada", cents=100)
CREDIT = CreditReserved(order_id="o1")
CANCEL = CancelOrder(order_id="o1")


async def test_an_order_with_credit_is_approved_and_may_then_be_cancelled_once(database):
    async with database(orders.orders) as db:
        assert await tell(db, "session", orders.create, CREATE) == created("o1")
        with pytest.raises(Reject, match="the order is pending"):
            await tell(db, "session", orders.cancel, CANCEL)
        assert await tell(db, "session", orders.approve, CREDIT) == OrderApproved(order_id="o1")
        assert await tell(db, "session", orders.cancel, CANCEL) == OrderCancelled(order_id="o1")
        with pytest.raises(Reject, match="the order is cancelled already"):
            await tell(db, "session", orders.cancel, CANCEL)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (CreditLimitExceeded(order_id="o1", available_cents=50), "the credit limit leaves 50 cents"),
        (CustomerNotFound(order_id="o1", customer_id="ada"), "there is no customer ada"),
    ],
)
async def test_an_order_without_credit_is_rejected_with_the_reason(database, refusal, reason):
    async with database(orders.orders) as db:
        await tell(db, "session", orders.create, CREATE)
        assert await tell(db, "session", orders.reject, refusal) == OrderRejected(order_id="o1", reason=reason)
        with pytest.raises(Reject, match="the order is rejected already"):
            await tell(db, "session", orders.cancel, CANCEL)
        with pytest.raises(ValueError, match="order o1 is rejected, so that it cannot become approved"):
            await tell(db, "session", orders.approve, CREDIT)


@pytest.mark.parametrize(
    ("handler", "commands", "reason"),
    [
        (orders.create, (CREATE, CREATE), "order o1 exists already"),
        (orders.create, (CREATE.replace(cents=0),), "nothing to pay"),
        (orders.cancel, (CANCEL,), "there is no order o1"),
    ],
)
async def test_what_cannot_be_ordered_or_cancelled_is_refused(database, handler, commands, reason):
    async with database(orders.orders) as db:
        with pytest.raises(Reject, match=reason):
            await tell(db, "session", handler, *commands)


# --------------------------------------------------------------------------------------------------------- invariants


class Seen:
    """A sight of what is written here, in the order in which an invariant asks."""

    def __init__(self, *answers: list[tuple[Any, ...]]) -> None:
        self._answers = list(answers)

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._answers.pop(0)


def test_each_invariant_says_what_is_wrong():
    assert nobody_owes_more_than_the_limit(Seen([("ada", 100, 100)], [("ada", 100)])) == []
    assert nobody_owes_more_than_the_limit(Seen([("ada", 100, 200)], [("ada", 200)])) == [
        "customer ada: the limit is 100, the account says 200, and 200 are held"
    ]
    assert nobody_owes_more_than_the_limit(Seen([("ada", 100, 0)], [("ada", 100)])) == [
        "customer ada: the limit is 100, the account says 0, and 100 are held"
    ]
    assert credit_is_held_for_approved_orders_only(Seen([("o1", 100)], [("o1", 100)])) == []
    assert credit_is_held_for_approved_orders_only(Seen([("o1", 100)], [("o2", 50)])) == [
        "order o1: 100 cents are held, and 0 should be",
        "order o2: 0 cents are held, and 50 should be",
    ]
    assert every_order_ends(Seen([], [("o1",)], [("o1",)])) == []
    assert every_order_ends(Seen([("o1",)], [("o2",)], [])) == [
        "order o1 is pending",
        "order o2: cancelled True, its credit released False",
    ]


# ---------------------------------------------------------------------------------------------------------- the whole


async def rushed(stage: Any) -> tuple[int, int]:
    """Ada orders fifty times at once, with a limit of fifteen; gives how many orders were approved, and how many rejected."""
    await stage.send(ADA.replace(limit_cents=15 * PRICE), idempotency_key="welcome")
    await asyncio.gather(*(place(stage, f"o{number}", "ada") for number in range(50)))
    await until(stage, "orders", ALL_DECIDED)
    states = Counter(state for (state,) in stage.rows("orders", "SELECT state FROM orders"))
    return states["approved"], states["rejected"]


async def test_fifty_orders_at_once_on_a_limit_of_fifteen_give_fifteen_approvals(tmp_path, world):
    async with running(example, tmp_path, world=world) as play:
        assert await rushed(play) == (15, 35)
        await play.app.idle()
        assert not any(example.violations(play.databases).values())


@dataclass
class Place(Folder):
    """A folder whose processes have their databases where the test says."""

    databases: str = ""

    @property
    def database(self) -> str:
        return self.databases or super().database


@contextmanager
def folder_on(on: str, path: Path) -> Iterator[Place]:
    if on == "files":
        yield Place(path)
        return
    run = f"t{secrets.token_hex(4)}"
    yield Place(path, broker=f"{server(on)}?prefix={run}", databases=f"{server('postgres')}?schema={run}_{{service}}")


@pytest.mark.real_time
@pytest.mark.parametrize("on", ["files", pytest.param("nats", marks=pytest.mark.servers)])
async def test_two_processes_that_hold_the_same_credit_give_fifteen_approvals_too(tmp_path, on):
    with folder_on(on, tmp_path) as here:
        here.app = APP
        try:
            for process in [await here.run("customers"), await here.run("customers")]:
                await process.says(RUNNING)
            where = {"broker": here.broker, "database": here.database}
            async with running(example, tmp_path, services=("orders",), **where) as play:
                assert await rushed(play) == (15, 35)
                await play.app.idle()
                assert not any(example.violations(play.databases).values())
        finally:
            for worker in here.workers:
                await worker.kill()
