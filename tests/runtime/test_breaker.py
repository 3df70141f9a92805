"""What is provided with a breaker rests when it fails, and the events that need it wait, uncounted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.runtime.kit import Cancelled, Paid, PaymentFailed, Place, Placed, dead_letters, log_of, opened, ordering, shop

from farandole import (
    Breaker,
    BreakerOpen,
    Choreography,
    Command,
    CommandRefused,
    DeclarationError,
    Policy,
    Reject,
    Retry,
    Service,
)
from farandole.runtime import scheduler
from farandole.runtime.assembly import Options
from farandole.runtime.signals import Counters
from farandole.testing.virtual import VirtualWorld

QUICK = Policy(retry=Retry(attempts=3, delay=1.0, factor=2.0, jitter=0.0))
BREAKER = Breaker(failures=3, within=timedelta(seconds=30), rest=timedelta(seconds=20), longest=timedelta(minutes=2))


class Gateway:
    """Away until a moment; writes down every call."""

    def __init__(self, world: VirtualWorld, away: float = 0.0) -> None:
        self.world = world
        self.back = world.time() + away
        self.calls: list[tuple[str, bool]] = []
        self.refuses: set[str] = set()

    async def charge(self, order: str) -> None:
        answers = self.world.time() >= self.back
        self.calls.append((order, answers))
        if order in self.refuses:
            raise Reject("stolen card")
        if not answers:
            raise TimeoutError("no answer")


class Pay(Command):
    order_id: str


class Ear(Counters):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str, str]] = []

    def breaker(self, service: str, dependency: str, state: str, until: float) -> None:
        self.heard.append((service, dependency, state))


def payments(gateway: Gateway, breaker: Breaker | None = BREAKER) -> Service:
    """Charges what is placed through the gateway; hears of cancellations without it."""
    service = Service("payments", policy=QUICK)
    service.provide(Gateway, gateway, breaker=breaker)

    @service.on(Placed)
    async def charge(event: Placed, gateway: Gateway) -> Paid:
        await gateway.charge(event.order_id)
        return Paid(order_id=event.order_id)

    @service.on(Cancelled)
    async def note(event: Cancelled) -> PaymentFailed:
        return PaymentFailed(order_id=event.order_id)

    @service.command
    async def pay(command: Pay, gateway: Gateway) -> Paid:
        await gateway.charge(command.order_id)
        return Paid(order_id=command.order_id)

    return service


async def test_nothing_dies_of_an_hour_without_an_answer_and_all_is_done_in_order_afterwards(world: VirtualWorld) -> None:
    gateway, ear = Gateway(world, 3600), Ear()
    async with opened(shop(payments(gateway)), world, signals=ear, options=Options(lease=600, poll=60)) as app:
        for number in range(40):
            await app.send(Place(order_id=f"o{number % 20}", total=number))
        await world.sleep(3700)
        failed = [order for order, answers in gateway.calls if not answers]
        assert 16 + 10 < len(failed) < 60, "sixteen at first, then one probe after each rest"
        await app.idle()
        assert await dead_letters(app, "payments") == []
        done = [order for order, answers in gateway.calls if answers]
        assert sorted(done) == sorted(f"o{number % 20}" for number in range(40))
        assert len([event for event in await log_of(app.broker, "shop.payments") if "Paid" in event.type]) == 40
        assert ear.heard[:3] == [("payments", "Gateway", state) for state in ("open", "half open", "open")]
        assert ear.heard[-2:] == [("payments", "Gateway", state) for state in ("half open", "closed")]
        assert app.resting == {}


async def test_without_a_breaker_they_die(world: VirtualWorld) -> None:
    async with opened(shop(payments(Gateway(world, 3600), None)), world) as app:
        await app.send(Place(order_id="a"))
        await app.idle()
        assert len(await dead_letters(app, "payments")) == 1


async def test_while_it_is_open_other_reactions_go_on_and_what_waits_is_not_counted(world: VirtualWorld) -> None:
    gateway = Gateway(world, 50)
    service = payments(gateway)
    orders = ordering()

    @orders.on(Paid)
    async def cancel(event: Paid) -> Cancelled:
        return Cancelled(order_id=event.order_id)

    async with opened(Choreography("shop", orders, service), world) as app:
        for order in "abc":
            await app.send(Place(order_id=order))
        await world.sleep(5)
        assert app.resting["payments"]["Gateway"] == pytest.approx(world.time() + 15, abs=1)
        await app.send(Place(order_id="d"))
        await world.sleep(5)
        calls = len(gateway.calls)
        assert calls == 3, "none since it opened"
        rows = await app.store("payments").status()
        assert (rows.parked, rows.claimed, rows.dead) == (4, 0, 0)
        await app.idle()
        heard = [event.type for event in await log_of(app.broker, "shop.payments")]
        assert heard.count("shop.Paid.v1") == heard.count("shop.PaymentFailed.v1") == 4
        assert calls < len(gateway.calls) <= 3 + 3 + 4


async def test_an_event_that_is_itself_the_trouble_holds_up_nobody_for_ever(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens the breaker again and again; others are let through before it, and after a time its failures count."""
    monkeypatch.setattr(scheduler, "PATIENCE", 90.0)
    gateway = Gateway(world)
    service = Service("payments", policy=QUICK)
    service.provide(Gateway, gateway, breaker=Breaker(failures=1, rest=10, longest=20))

    @service.on(Placed)
    async def charge(event: Placed, gateway: Gateway) -> Paid:
        if event.order_id == "bad":
            raise ValueError("no such currency")
        await gateway.charge(event.order_id)
        return Paid(order_id=event.order_id)

    async with opened(shop(service), world) as app:
        await app.send(Place(order_id="bad"))
        await world.sleep(32)
        for order in "abc":
            await app.send(Place(order_id=order))
        await world.sleep(45)
        assert [order for order, _ in gateway.calls] == ["a", "b", "c"]
        assert await dead_letters(app, "payments") == []
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.reason == "ValueError: no such currency"


async def test_what_is_rejected_says_that_the_gateway_answers(world: VirtualWorld) -> None:
    gateway = Gateway(world)
    gateway.refuses = set("abcdef")
    async with opened(shop(payments(gateway)), world) as app:
        for order in "abcdefg":
            await app.send(Place(order_id=order))
        await app.idle()
        assert app.resting == {}
        assert len(await dead_letters(app, "payments")) == 6
        assert ("g", True) in gateway.calls


async def test_a_command_is_refused_at_once_and_may_be_the_probe(world: VirtualWorld) -> None:
    gateway = Gateway(world, 15)
    async with opened(shop(payments(gateway)), world) as app:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await app.send(Pay(order_id="a"))
        with pytest.raises(
            BreakerOpen, match=r"payments.pay needs Gateway, which failed 3 times and rests until \d\d:\d\d:\d\d UTC"
        ) as open_:
            await app.send(Pay(order_id="a"))
        assert (open_.value.dependency, open_.value.until) == ("Gateway", app.resting["payments"]["Gateway"])
        assert len(gateway.calls) == 3
        await world.sleep(21)
        receipt = await app.send(Pay(order_id="a"), idempotency_key="k")
        assert app.resting == {}
        gateway.back = world.time() + 100
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await app.send(Pay(order_id="b"))
        assert (await app.send(Pay(order_id="a"), idempotency_key="k")).event_ids == receipt.event_ids, "known ones are answered"


async def test_a_command_that_is_rejected_makes_room_for_another_probe(world: VirtualWorld) -> None:
    gateway = Gateway(world, 15)
    gateway.refuses = {"stolen"}
    async with opened(shop(payments(gateway)), world) as app:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await app.send(Pay(order_id="a"))
        await world.sleep(21)
        with pytest.raises(CommandRefused):
            await app.send(Pay(order_id="stolen"))
        assert (await app.send(Pay(order_id="a"))).result == Paid(order_id="a")


async def test_a_handler_that_takes_it_inside_a_transaction_is_refused(world: VirtualWorld) -> None:
    service = Service("payments")
    service.provide(Gateway, Gateway(world), breaker=BREAKER)

    @service.on(Placed, policy=Policy(outside=False))
    async def charge(event: Placed, gateway: Gateway) -> Paid:
        return Paid(order_id=event.order_id)

    with pytest.raises(DeclarationError, match=r"payments.charge .* takes Gateway, which has a breaker, inside its transaction"):
        async with opened(shop(service), world):
            pass


async def test_an_exhausted_handler_without_the_gateway_says_nothing_of_it(world: VirtualWorld) -> None:
    gateway, ear = Gateway(world, 60), Ear()
    service = Service("payments", policy=Policy(retry=Retry(attempts=1)))
    service.provide(Gateway, gateway, breaker=Breaker(failures=2, rest=20, longest=20))

    @service.on(Placed)
    async def charge(event: Placed, gateway: Gateway) -> Paid:
        await gateway.charge(event.order_id)
        return Paid(order_id=event.order_id)

    @charge.exhausted
    async def gave_up(event: Placed) -> PaymentFailed:
        return PaymentFailed(order_id=event.order_id)

    async with opened(shop(service), world, signals=ear) as app:
        for order in "ab":
            await app.send(Place(order_id=order))
        await world.sleep(25)
        assert [event.type for event in await log_of(app.broker, "shop.payments")] == ["shop.PaymentFailed.v1"]
        assert "closed" not in [state for _, _, state in ear.heard], "it ended well, but asked nobody"
        await app.idle()
        assert len(await log_of(app.broker, "shop.payments")) == 2
        assert ear.heard[-1][2] == "closed"
