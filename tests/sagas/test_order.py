"""Compensations of one service that one event asks: what happened last is undone first, one after the other; on both stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.sagas.kit import Base, Desk, Paid, Placed, Refused, Reserved, desk

from farandole import Event, Policy, Reject, Retry, Service, Skip
from farandole.brokers.memory import connect
from farandole.stores.base import Task
from farandole.testing.virtual import VirtualWorld

SOON = Policy(retry=Retry(attempts=3, delay=10, factor=1, jitter=0))
STEPS = ("authorize", "charge", "credit")
CAUSES = dict(zip(STEPS, (Placed, Paid, Reserved), strict=True))


class Done(Event, key="order"):
    order: str


class Undone(Event, key="order"):
    order: str


class NotUndone(Event, key="order"):
    order: str


class Till:
    """What the compensations do, and how they fail."""

    def __init__(self, **trouble: Any) -> None:
        self.did: list[str] = []
        self.trouble = trouble

    def undo(self, step: str) -> None:
        waiting = self.trouble.get(step, [])
        if waiting and (error := waiting.pop(0)) is not None:
            self.did.append(f"{step} failed")
            raise error
        self.did.append(step)


def payments(till: Till, outside: str = "", exhausted: str = "") -> Service:
    """Three actions, each on an event of its own, and what undoes them, all on `Refused`."""
    service = Service("payments", policy=SOON)
    for step in STEPS:
        declare(service, till, step, Policy(outside=step in outside.split()), exhausted=step == exhausted)
    return service


def declare(service: Service, till: Till, step: str, policy: Policy, *, exhausted: bool) -> None:
    async def act(event: Base) -> Done:
        return Done(order=event.order)

    async def undo(event: Refused) -> Undone:
        till.undo(step)
        return Undone(order=event.order)

    async def ask(event: Refused) -> NotUndone:
        till.did.append(f"{step} given up")
        return NotUndone(order=event.order)

    act.__name__, undo.__name__ = step, f"un_{step}"
    undo.__doc__ = f"Take back the {step} in the bank's portal.\n\nMore words."
    action = service.on(CAUSES[step], policy=policy)(act)
    compensation = service.on(Refused, policy=policy, compensates=action, undoes=Done)(undo)
    if exhausted:
        compensation.exhausted(ask)


@asynccontextmanager
async def done(service: Service, world: VirtualWorld, database: str, *steps: str, order: str = "a") -> AsyncIterator[Desk]:
    """The service, and these actions have happened one after the other."""
    async with desk(service, world, database) as it:
        for step in steps:
            await it.say(CAUSES[step](order=order))
            await it.app.idle()
        yield it


async def tasks(it: Desk, *, all: bool = False) -> list[Task]:
    return await it.app.store("payments").tasks(done=all)


WAYS = pytest.mark.parametrize("outside", ["", "credit charge"], ids=["local", "two outside"])


@WAYS
@pytest.mark.parametrize("steps", [STEPS, STEPS[::-1]], ids=",".join)
async def test_what_happened_last_is_undone_first(world: VirtualWorld, database: str, steps: Any, outside: str) -> None:
    till = Till()
    async with done(payments(till, outside), world, database, *steps) as it:
        began = world.time()
        await it.say(Refused(order="a"), copies=2)
        await it.app.idle()
        assert till.did == [*steps[::-1]]
        assert world.time() - began < 10
        assert len(await it.heard()) == 6


@pytest.mark.parametrize("outside", [" ".join(STEPS), "charge", "authorize credit"])
async def test_whichever_of_them_reach_outside(world: VirtualWorld, outside: str) -> None:
    till = Till()
    steps = ("charge", "credit", "authorize")
    async with done(payments(till, outside), world, "sqlite://", *steps) as it:
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert till.did == [*steps[::-1]]


async def test_actions_of_one_batch_are_undone_in_the_reverse_order_as_well(world: VirtualWorld) -> None:
    till = Till()
    async with desk(payments(till), world, "sqlite://") as it:
        await it.say(Reserved(order="a"), Placed(order="a"), Paid(order="a"), Refused(order="a"), Placed(order="b"))
        await it.app.idle()
        assert till.did == ["charge", "authorize", "credit"]


@WAYS
async def test_while_one_is_retried_the_older_ones_wait_and_other_keys_do_not(
    world: VirtualWorld, database: str, outside: str
) -> None:
    till = Till(credit=[ValueError("away"), ValueError("away")])
    async with done(payments(till, outside), world, database, *STEPS) as it:
        await it.say(Placed(order="b"))
        await it.app.idle()
        await it.say(Refused(order="a"))
        await world.sleep(4)
        await it.say(Refused(order="b"))
        await world.sleep(4)
        assert till.did == ["credit failed", "authorize"], "that of b: it has nothing else to undo"
        await it.app.idle()
        assert till.did == ["credit failed", "authorize", "credit failed", "credit", "charge", "authorize"]
        assert await tasks(it, all=True) == []


@WAYS
async def test_one_that_dies_lets_the_next_go_on_and_a_person_is_asked(world: VirtualWorld, outside: str) -> None:
    till = Till(charge=[Reject("the card is closed")])
    async with done(payments(till, outside), world, "sqlite://", *STEPS) as it:
        [refused] = await it.say(Refused(order="a"))
        await it.app.idle()
        assert till.did == ["credit", "charge failed", "authorize"]
        [task] = await tasks(it)
        assert (task.text, task.reason, task.kind) == ("Take back the charge in the bank's portal.", "the card is closed", "dead")
        assert (task.reaction, task.event, task.key, task.correlation) == ("payments.un_charge", refused, "a", "c-a")
        store = it.app.store("payments")
        assert await store.retry_dead([row for row in await store.fates([refused]) if row.state == "dead"]) == 1
        await it.app.idle()
        assert till.did[3:] == ["charge"]
        [task] = await tasks(it, all=True)
        assert (task.who, task.why) == ("(retry)", "done by retry")


@WAYS
async def test_one_that_is_exhausted_lets_the_next_go_on_and_a_person_is_asked(
    world: VirtualWorld, database: str, outside: str
) -> None:
    till = Till(credit=[ValueError("away")] * 3)
    async with done(payments(till, outside, exhausted="credit"), world, database, *STEPS) as it:
        [refused] = await it.say(Refused(order="a"))
        await it.app.idle()
        assert till.did == [*["credit failed"] * 3, "credit given up", "charge", "authorize"]
        [task] = await tasks(it)
        assert (task.kind, task.reason) == ("exhausted", "ValueError: away")
        [again] = await it.say(Refused(order="a"))
        await it.app.idle()
        fates = dict(zip(STEPS, await it.fates(again), strict=False))
        assert ("skipped", "payments.credit could not be undone, and is left to people") in fates.values()
        store = it.app.store("payments")
        letters = [row for row in await store.fates([refused]) if row.state == "exhausted"]
        assert await store.retry_dead(letters, force=True) == 1
        await it.app.idle()
        assert till.did[6:] == ["credit"], "what was left to people is undone, when they let it run again"
        assert [task.why for task in await tasks(it, all=True)] == ["done by retry"]


async def test_one_that_skips_the_event_lets_the_next_go_on(world: VirtualWorld) -> None:
    till = Till(credit=[Skip("nothing to do")])
    async with done(payments(till, "credit"), world, "sqlite://", "charge", "credit") as it:
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert till.did == ["credit failed", "charge"]
        assert await tasks(it, all=True) == []


async def test_the_order_outlives_a_restart_between_two_of_them(world: VirtualWorld, database: str, tmp_path: Path) -> None:
    if database == "sqlite://":
        database = f"sqlite:///{tmp_path}/payments.db"
    broker = connect("memory://?partitions=4", world)
    await broker.open()
    till = Till(charge=[ValueError("away")])
    service = payments(till, "charge")
    async with desk(service, world, database, broker) as it:
        for step in STEPS:
            await it.say(CAUSES[step](order="a"))
            await it.app.idle()
        await it.say(Refused(order="a"))
        while till.did[-1:] != ["charge failed"]:
            await world.sleep(0.1)
    async with desk(service, world, database, broker) as it:
        await it.app.idle()
        assert till.did == ["credit", "charge failed", "charge", "authorize"]
    await broker.close()


async def test_an_action_that_still_runs_is_waited_for(world: VirtualWorld) -> None:
    till = Till()
    service = Service("payments", policy=SOON)
    declare(service, till, "authorize", Policy(), exhausted=False)

    @service.on(Paid, policy=Policy(outside=True))
    async def charge(event: Paid) -> Done:
        await world.sleep(20)
        return Done(order=event.order)

    @service.on(Refused, compensates=charge, undoes=Done)
    async def un_charge(event: Refused) -> None:
        till.did.append("charge")

    async with done(service, world, "sqlite://", "authorize") as it:
        await it.say(Paid(order="a"))
        await world.sleep(5)
        await it.say(Refused(order="a"))
        await world.sleep(5)
        assert till.did == []
        await it.app.idle()
        assert till.did == ["charge", "authorize"]


async def test_one_that_waits_holds_up_no_other_event_of_its_key(world: VirtualWorld) -> None:
    """Else two workflows of one key, whose actions happened in opposite orders, could wait for each other for ever."""
    till = Till(charge=[ValueError("away")])
    async with done(payments(till, "charge"), world, "sqlite://", "authorize", "charge") as it:
        [first] = await it.say(Refused(order="a"))
        await world.sleep(2)
        [second] = await it.say(Refused(order="a"))
        await world.sleep(5)
        assert till.did == ["charge failed"]
        rows = await it.app.store("payments").fates([first, second])
        assert [row.due is not None for row in rows if row.reaction == "payments.un_authorize"] == [True, True], (
            "it is not behind"
        )
        await it.app.idle()
        assert till.did == ["charge failed", "charge", "authorize"]
        assert {state for state, _ in await it.fates(second)} == {"skipped"}
