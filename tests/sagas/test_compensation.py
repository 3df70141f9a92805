"""Compensations: at most once, only if their action happened, and never before it; local and outside ones, on both stores."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sagas.kit import Base, Paid, Placed, Refused, Reserved, desk

from farandole import Context, Event, Policy, Retry, Service, all_of
from farandole.testing.virtual import VirtualWorld

SOON = Policy(retry=Retry(attempts=3, delay=10, factor=1, jitter=0))
BOTH = pytest.mark.parametrize("outside", [False, True], ids=["local", "outside"])


class Charged(Event, key="order"):
    order: str


class Declined(Event, key="order"):
    order: str


class Refunded(Event, key="order"):
    order: str


class NotRefunded(Event, key="order"):
    order: str


class Bank:
    """What the handlers do, and how they fail."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.fails = {"charge": 0, "refund": 0}
        self.slow = 0.0

    def act(self, what: str, order: str) -> None:
        if self.fails[what]:
            self.fails[what] -= 1
            raise ValueError("away")
        self.did.append(f"{what} {order}")


def payments(bank: Bank, *, outside: bool) -> Service:
    """Charges what is placed, but not what is reserved; refunds what is refused, or cancelled by `Paid`."""
    service = Service("payments", policy=SOON)
    policy = Policy(outside=outside)

    @service.on(Placed, Reserved, policy=policy)
    async def charge(order: Placed | Reserved, context: Context) -> Charged | Declined:
        if isinstance(order, Reserved):
            return Declined(order=order.order)
        bank.act("charge", order.order)
        if bank.slow:
            await context.sleep(bank.slow)
        return Charged(order=order.order)

    @charge.exhausted
    async def no_answer(order: Placed | Reserved) -> Declined:
        return Declined(order=order.order)

    @service.on(Refused, Paid, policy=policy, compensates=charge, undoes=Charged)
    async def refund(event: Refused | Paid) -> Refunded:
        bank.act("refund", event.order)
        return Refunded(order=event.order)

    @refund.exhausted
    async def ask(event: Refused | Paid) -> NotRefunded:
        return NotRefunded(order=event.order)

    return service


def kinds(envelopes: Any) -> list[str]:
    return [envelope.type.split(".")[1] for envelope in envelopes]


@BOTH
async def test_what_happened_is_undone_once_whatever_asks_for_it(world: VirtualWorld, database: str, outside: bool) -> None:
    bank = Bank()
    async with desk(payments(bank, outside=outside), world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        _, second = await it.say(Refused(order="a"), Paid(order="a"), copies=2)
        await it.app.idle()
        assert kinds(await it.heard()) == ["Charged", "Refunded"]
        assert (await it.fates(second)) == [("skipped", "payments.charge is undone already")]


@BOTH
async def test_what_did_not_happen_is_not_undone(world: VirtualWorld, database: str, outside: bool) -> None:
    bank = Bank()
    async with desk(payments(bank, outside=outside), world, database) as it:
        await it.say(Reserved(order="a"))
        await it.app.idle()
        [refused] = await it.say(Refused(order="a"))
        await it.app.idle()
        assert kinds(await it.heard()) == ["Declined"]
        assert (await it.fates(refused)) == [("skipped", "payments.charge did not happen")]
        assert bank.did == []


@BOTH
async def test_a_compensation_that_comes_first_forbids_its_action(world: VirtualWorld, database: str, outside: bool) -> None:
    bank = Bank()
    async with desk(payments(bank, outside=outside), world, database) as it:
        [refused] = await it.say(Refused(order="a"))
        await it.app.idle()
        placed, _ = await it.say(Placed(order="a"), Placed(order="b"))
        await it.app.idle()
        assert bank.did == ["charge b"]
        assert (await it.fates(refused)) == [("skipped", "payments.charge has not happened, and is forbidden from now on")]
        [(state, reason)] = await it.fates(placed)
        assert (state, (reason or "").startswith("its compensation came first, at ")) == ("skipped", True)


async def test_a_compensation_waits_while_its_action_runs(world: VirtualWorld, database: str) -> None:
    bank = Bank()
    bank.slow = 20.0
    start = world.monotonic()
    async with desk(payments(bank, outside=True), world, database) as it:
        await it.say(Placed(order="a"))
        await world.sleep(5)
        await it.say(Refused(order="a"))
        await world.sleep(5)
        assert bank.did == ["charge a"]
        await it.app.idle()
        assert kinds(await it.heard()) == ["Charged", "Refunded"]
        assert world.monotonic() - start < 28  # the action's end woke it; by itself it would have looked after 35 s


@BOTH
async def test_an_action_that_nobody_answered_is_undone_only_where_it_may_have_happened(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    bank = Bank()
    bank.fails["charge"] = 3
    async with desk(payments(bank, outside=outside), world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert kinds(await it.heard()) == ["Declined", *(["Refunded"] if outside else [])]


@BOTH
async def test_a_compensation_that_fails_is_retried_and_then_says_so(world: VirtualWorld, database: str, outside: bool) -> None:
    bank = Bank()
    bank.fails["refund"] = 2
    async with desk(payments(bank, outside=outside), world, database) as it:
        await it.say(Placed(order="a"), Placed(order="b"))
        await it.app.idle()
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert sorted(kinds(await it.heard())) == ["Charged", "Charged", "Refunded"]
        bank.fails["refund"] = 9
        await it.say(Refused(order="b"))
        await it.app.idle()
        assert sorted(kinds(await it.heard())) == ["Charged", "Charged", "NotRefunded", "Refunded"]


async def test_an_action_that_died_is_undone_as_one_that_may_have_happened(world: VirtualWorld, database: str) -> None:
    bank = Bank()
    service = Service("payments", policy=SOON)

    @service.on(Placed, policy=Policy(outside=True))
    async def charge(order: Placed) -> Charged:
        raise ValueError("away")

    @service.on(Refused, compensates=charge, undoes=Charged)
    async def refund(event: Refused) -> Refunded:
        bank.did.append("refund")
        return Refunded(order=event.order)

    async with desk(service, world, database) as it:
        await it.say(Placed(order="a"))
        await it.settle()
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert len(await it.dead()) == 1
        assert kinds(await it.heard()) == ["Refunded"]


@BOTH
async def test_a_join_may_be_an_action_and_what_is_undone_does_not_join_any_more(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    service = Service("shipping", policy=SOON)

    @service.on(all_of(Paid, Reserved), policy=Policy(outside=outside))
    async def ship(paid: Paid, reserved: Reserved) -> Charged:
        return Charged(order=paid.order)

    @service.on(Refused, compensates=ship, undoes=Charged)
    async def call_back(event: Refused) -> Refunded:
        return Refunded(order=event.order)

    async with desk(service, world, database) as it:
        await it.say(Paid(order="a"), Reserved(order="a"), Paid(order="b"))
        await it.app.idle()
        await it.say(Refused(order="a"), Refused(order="b"))
        await it.app.idle()
        await it.say(Reserved(order="b"))
        await it.app.idle()
        assert kinds(await it.heard()) == ["Charged", "Refunded"]


class Line(Base, key="line"):
    line: str


async def test_where_keys_differ_all_that_a_workflow_did_is_meant(world: VirtualWorld, database: str) -> None:
    bank = Bank()
    service = Service("stock", policy=SOON)

    @service.on(Line)
    async def reserve(event: Line) -> Charged:
        bank.did.append(event.line)
        return Charged(order=event.order)

    @service.on(Refused, compensates=reserve, undoes=Charged)
    async def release(event: Refused) -> Refunded:
        return Refunded(order=event.order)

    async with desk(service, world, database) as it:
        await it.say(Line(order="a", line="l1"), Line(order="a", line="l2"))
        await it.app.idle()
        await it.say(Refused(order="a"))
        await it.app.idle()
        await it.say(Line(order="a", line="l3"), Line(order="b", line="l4"))
        await it.app.idle()
        assert sorted(bank.did) == ["l1", "l2", "l4"]
        assert kinds(await it.heard()).count("Refunded") == 1
