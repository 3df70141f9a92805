"""The rules about ways over Python's own declarations: the examples are clean, and a finding points at the line."""

from __future__ import annotations

from importlib import import_module
from inspect import getsourcelines
from pathlib import Path

import pytest

from examples.shop import shop
from farandole import Choreography, Command, Event, Service, Workflow
from farandole.checks import Finding, Rule
from farandole.graph.of_code import graph_of

RULES = (
    "cycle", "dead_end", "exhausted_missing", "missing_compensation", "compensation_cannot_follow", "compensation_can_fail",
    "compensation_chain", "join_may_hang", "deadline_without_late", "unreachable", "too_deep", "late_compensation_of_later",
    "redelivered_reapproval",
)  # fmt: skip


def rule(name: str) -> Rule:
    found: Rule = import_module(f"farandole.checks.{name}").RULE
    return found


class Gateway:
    """Something outside."""


class PlaceOrder(Command):
    order_id: str


class OrderEvent(Event, key="order_id"):
    order_id: str


class OrderPlaced(OrderEvent):
    pass


class PaymentCompleted(OrderEvent):
    pass


class PaymentFailed(OrderEvent):
    pass


class OrderConfirmed(OrderEvent):
    pass


class OrderCancelled(OrderEvent):
    pass


class CancelOrder(Command):
    order_id: str


class PaymentRefunded(OrderEvent):
    pass


def shop_of(*, states_failure: bool, refunds: bool) -> tuple[Choreography, int]:
    """A shop with two services, and the line of `charge`."""
    orders, payments = Service("orders"), Service("payments")
    payments.provide(Gateway, Gateway)

    @orders.command
    async def place(command: PlaceOrder) -> OrderPlaced: ...

    @orders.command
    async def cancel(command: CancelOrder) -> OrderCancelled: ...

    @payments.on(OrderPlaced)
    async def charge(order: OrderPlaced, gateway: Gateway) -> PaymentCompleted | PaymentFailed: ...

    if states_failure:

        @charge.exhausted
        async def gave_up(order: OrderPlaced) -> PaymentFailed: ...

    if refunds:

        @payments.on(OrderCancelled, compensates=charge, undoes=PaymentCompleted)
        async def refund(cancelled: OrderCancelled) -> PaymentRefunded: ...

    @orders.on(PaymentCompleted)
    async def confirm(paid: PaymentCompleted) -> OrderConfirmed: ...

    @orders.on(PaymentFailed)
    async def give_back(failed: PaymentFailed) -> OrderCancelled: ...

    checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderConfirmed, fails=OrderCancelled)
    return Choreography("shop", orders, payments, workflows=[checkout]), getsourcelines(charge.function)[1]


def findings(choreography: Choreography) -> list[Finding]:
    graph = graph_of(choreography)
    return [finding for name in RULES for finding in rule(name).check(graph)]


@pytest.mark.parametrize("name", RULES)
def test_the_examples_have_no_finding(name):
    assert list(rule(name).check(graph_of(shop))) == []


def test_a_shop_without_defects_has_no_finding():
    assert findings(shop_of(states_failure=True, refunds=True)[0]) == []


@pytest.mark.parametrize(
    ("states_failure", "refunds", "expected"), [(False, True, "exhausted-missing"), (True, False, "missing-compensation")]
)
def test_a_planted_defect_is_found_by_its_rule_alone_at_its_line(states_failure, refunds, expected):
    choreography, line = shop_of(states_failure=states_failure, refunds=refunds)
    (finding,) = findings(choreography)
    assert finding.rule == expected
    assert (Path(finding.place.file).name, finding.place.line) == (Path(__file__).name, line)
    assert finding.subject.startswith("shop.payments.charge")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_it_is_about(name):
    said = rule(name)
    assert said.id == name.replace("_", "-")
    assert said.why.endswith(".")
    assert said.title[0].islower()
    assert not said.title.endswith(".")
