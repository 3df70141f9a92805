"""Lanes: who shares a consumer group, and under which name it goes on after a rename."""

from __future__ import annotations

from tests.runtime.kit import Cancelled, Paid, Place, Placed, connect, log_of, opened, shop

from farandole.model.policy import Policy
from farandole.model.service import Service
from farandole.runtime.lanes import lanes_of
from farandole.testing.virtual import VirtualWorld


class Gateway:
    """Something outside."""


def service() -> Service:
    payments = Service("payments")
    payments.provide(Gateway, Gateway())
    return payments


def lanes(payments: Service) -> list[tuple[str, tuple[str, ...], list[str], bool, bool]]:
    return [
        (lane.group, lane.topics, [r.name for r in lane.reactions], lane.outside, lane.first)
        for lane in lanes_of(shop(payments), payments)
    ]


def test_local_reactions_share_a_group_and_each_outside_one_has_its_own() -> None:
    payments = service()

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway) -> Paid: ...

    @payments.on(Placed)
    async def count(order: Placed) -> None: ...

    @payments.on(Paid, Cancelled)
    async def note(event: Paid | Cancelled) -> None: ...

    assert lanes(payments) == [
        ("shop.payments", ("shop.orders", "shop.payments"), ["count", "note"], False, True),
        ("shop.payments.charge", ("shop.orders",), ["charge"], True, False),
    ]


def test_a_service_with_outside_reactions_only_reports_in_its_first_lane() -> None:
    payments = service()

    @payments.on(Placed)
    async def one(order: Placed, gateway: Gateway) -> None: ...

    @payments.on(Placed)
    async def two(order: Placed, gateway: Gateway) -> None: ...

    assert [(group, first) for group, _, _, _, first in lanes(payments)] == [
        ("shop.payments.one", True),
        ("shop.payments.two", False),
    ]


def test_a_policy_joins_reactions_to_a_lane_and_parts_local_from_outside_ones() -> None:
    payments = service()
    slow = Policy(lane="slow")

    @payments.on(Placed, policy=slow)
    async def one(order: Placed, gateway: Gateway) -> None: ...

    @payments.on(Placed, policy=slow)
    async def two(order: Placed, gateway: Gateway) -> None: ...

    @payments.on(Placed, policy=slow)
    async def three(order: Placed) -> None: ...

    @payments.on(Placed)
    async def four(order: Placed) -> None: ...

    assert [(group, names, outside) for group, _, names, outside, _ in lanes(payments)] == [
        ("shop.payments", ["four"], False),
        ("shop.payments.slow", ["three"], False),
        ("shop.payments.slow.outside", ["one", "two"], True),
    ]


def test_a_lane_is_a_subscription_of_its_group_to_its_topics() -> None:
    payments = service()

    @payments.on(Placed)
    async def count(order: Placed) -> None: ...

    [lane] = lanes_of(shop(payments), payments)
    assert (lane.subscription.group, lane.subscription.topics) == ("shop.payments", ("shop.orders",))


def test_a_command_needs_no_lane() -> None:
    orders = Service("orders")

    @orders.command
    async def place(command: Place) -> Placed: ...

    assert lanes_of(shop(), orders) == []


async def test_a_renamed_reaction_knows_what_it_handled_and_its_group_goes_on(world: VirtualWorld, tmp_path: object) -> None:
    seen: list[str] = []

    def before() -> Service:
        payments = service()

        @payments.on(Placed)
        async def charge(order: Placed, gateway: Gateway) -> Paid:
            seen.append(f"charge {order.order_id}")
            return Paid(order_id=order.order_id)

        return payments

    def after() -> Service:
        payments = service()

        @payments.on(Placed, formerly="charge")
        async def take_money(order: Placed, gateway: Gateway) -> Paid:
            seen.append(f"take_money {order.order_id}")
            return Paid(order_id=order.order_id)

        return payments

    broker, database = connect("memory://", world), f"sqlite:///{tmp_path}/{{service}}.db"
    await broker.open()
    async with opened(shop(before()), world, broker=broker, database=database) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
    async with opened(shop(after()), world, broker=broker, database=database) as app:
        await app.send(Place(order_id="o-2"))
        await app.idle()
        [placed, _] = await log_of(broker, "shop.orders")
        [row] = await app.store("payments").fates([placed.id])
        assert row.reaction == "payments.charge"
        assert app.counters["duplicates"] == 0
    assert seen == ["charge o-1", "take_money o-2"]
