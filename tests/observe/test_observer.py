"""What listeners hear of single events, in local and outside reactions, joins and commands, and what they cannot break."""

from __future__ import annotations

from typing import Any

import pytest

import farandole
from farandole import Choreography, Command, Event, Policy, Retry, Service, Skip, World, all_of
from farandole.host import Options
from farandole.observe.observer import Listener
from farandole.runtime.signals import Run


class OrderEvent(Event, key="order_id", topic="shop.orders"):
    order_id: str


class Placed(OrderEvent):
    cents: int = 0


class Paid(OrderEvent):
    pass


class Packed(OrderEvent):
    pass


class Shipped(OrderEvent):
    pass


class Place(Command):
    order_id: str


class Gateway:
    pass


def shop(*, fails: int = 0, skips: bool = False) -> Choreography:
    orders, payments, stock, shipping = (Service(name) for name in ("orders", "payments", "stock", "shipping"))
    payments.provide(Gateway, Gateway())
    left = [fails]

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    @payments.on(Placed, policy=Policy(retry=Retry(attempts=2, delay=1.0)))
    async def charge(order: Placed, gateway: Gateway) -> Paid:
        if left[0]:
            left[0] -= 1
            raise OSError("the gateway is down")
        return Paid(order_id=order.order_id)

    @stock.on(Placed)
    async def pack(order: Placed) -> Packed:
        if skips:
            raise Skip("nothing to pack")
        return Packed(order_id=order.order_id)

    @shipping.on(all_of(Paid, Packed))
    async def ship(paid: Paid, packed: Packed) -> Shipped:
        return Shipped(order_id=paid.order_id)

    return Choreography("shop", orders, payments, stock, shipping)


class Ear(Listener):
    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.heard: list[str] = []

    def ran(self, runs: Any) -> None:
        self.runs += runs

    def received(self, lane: str, deliveries: Any) -> None:
        self.heard.append(f"received {len(deliveries)} {lane}")

    def sent(self, service: str, messages: Any, began: float) -> None:
        self.heard.append(f"sent {service} {', '.join(message.type for message in messages)}")

    def states(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for run in self.runs:
            found.setdefault(run.reaction, []).append(run.state)
        return found


async def run(choreography: Choreography, world: World, *ears: Listener) -> farandole.App:
    async with farandole.open(
        choreography, broker="memory://", database="sqlite://", record="none", world=world, options=Options(), observe=ears
    ) as app:
        await app.send(Place(order_id="4711"), idempotency_key="one")
        await app.send(Place(order_id="4711"), idempotency_key="one")
        await app.idle()
        return app


async def test_each_reaction_is_heard_of_once_it_is_committed(world: World) -> None:
    ear = Ear()
    await run(shop(), world, ear)
    assert ear.states() == {
        "orders.place": ["done", "duplicate"],
        "payments.charge": ["done"],
        "stock.pack": ["done"],
        "shipping.ship": ["done", "done"],
    }
    assert {run.emitted for run in ear.runs if run.reaction == "payments.charge"} == {1}
    assert all(run.envelope is not None and run.envelope.correlationid == ear.runs[0].id for run in ear.runs)
    assert "sent orders shop.Placed.v1" in ear.heard
    assert "received 1 shop.payments.charge" in ear.heard


async def test_a_join_tells_how_long_its_handler_took_under_the_part_that_came_last(world: World) -> None:
    ear = Ear()
    await run(shop(), world, ear)
    first, last = (run for run in ear.runs if run.reaction == "shipping.ship")
    assert (first.seconds, first.emitted) == (None, None)
    assert (last.seconds is not None, last.emitted) == (True, 1)


async def test_a_failure_is_heard_with_its_reason_and_the_next_try_with_its_number(world: World) -> None:
    ear = Ear()
    await run(shop(fails=1), world, ear)
    failed, done = (run for run in ear.runs if run.reaction == "payments.charge")
    assert (failed.state, failed.attempt, failed.error, done.state, done.attempt) == ("parked", 1, "OSError", "done", 2)
    assert "the gateway is down" in (failed.reason or "") and failed.due is not None and failed.place is not None


async def test_what_is_given_up_on_or_skipped_is_heard_as_that(world: World) -> None:
    ear = Ear()
    await run(shop(fails=5, skips=True), world, ear)
    assert ear.states()["payments.charge"] == ["parked", "dead"]
    (skipped,) = (run for run in ear.runs if run.reaction == "stock.pack")
    assert (skipped.state, skipped.reason) == ("skipped", "nothing to pack")


async def test_a_listener_that_raises_is_told_of_and_keeps_nobody_from_hearing(world: World) -> None:
    class Broken(Listener):
        def ran(self, runs: Any) -> None:
            raise ZeroDivisionError

        async def close(self) -> None:
            raise ZeroDivisionError

    ear = Ear()
    app = await run(shop(), world, Broken(), ear)
    assert len(ear.runs) == 6
    assert app.counters["trouble"] == 7


async def test_nobody_is_watched_where_nobody_listens(world: World) -> None:
    async with farandole.open(
        shop(), broker="memory://", database="sqlite://", record="none", world=world, options=Options()
    ) as app:
        hosted = app._assembly.hosted["payments"]
        assert not any(plan.wants_context or plan.traceparent for plan in hosted.plans.values())


async def test_a_name_that_nobody_has_is_refused_with_the_nearest(world: World) -> None:
    with pytest.raises(farandole.ConfigurationError, match="Did you mean logs"):
        async with farandole.open(
            shop(), broker="memory://", database="sqlite://", world=world, options=Options(), observe=["log"]
        ):
            pass
