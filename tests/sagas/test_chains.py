"""Compensations that set each other off come to an end: by what is remembered, or by the limit on causes, which says so."""

from __future__ import annotations

from tests.runtime.kit import dead_letters, log_of, opened
from tests.sagas.kit import Placed, desk

from farandole import Choreography, Command, Event, Policy, Retry, Service
from farandole.testing.virtual import VirtualWorld


class Ping(Event, key="order"):
    order: str


class Pong(Event, key="order"):
    order: str


class Begun(Event, key="order"):
    order: str


class Begin(Command):
    order: str


class Ring(Command):
    order: str


async def test_compensations_that_cause_each_other_end_where_all_is_undone(world: VirtualWorld) -> None:
    service = Service("bells", policy=Policy(retry=Retry(attempts=2, delay=0.1)))

    @service.on(Placed)
    async def first(event: Placed) -> Ping:
        return Ping(order=event.order)

    @service.on(Placed)
    async def second(event: Placed) -> Pong:
        return Pong(order=event.order)

    @service.on(Pong, compensates=first, undoes=Ping)
    async def undo_first(event: Pong) -> Ping:
        return Ping(order=event.order)

    @service.on(Ping, compensates=second, undoes=Pong)
    async def undo_second(event: Ping) -> Pong:
        return Pong(order=event.order)

    async with desk(service, world) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        assert len(await it.heard()) == 4, "each action, and each compensation once"
        assert await it.dead() == []


async def test_a_chain_of_compensations_that_nothing_remembers_ends_in_a_dead_letter_that_says_so_and_a_task(
    world: VirtualWorld,
) -> None:
    """What a command did is not remembered, so that its compensations run whenever they are asked."""
    service = Service("bells", policy=Policy(retry=Retry(attempts=2, delay=0.1)))

    @service.command
    async def begin(command: Begin) -> Begun:
        return Begun(order=command.order)

    @service.command
    async def ring(command: Ring) -> Ping:
        return Ping(order=command.order)

    @service.on(Pong, compensates=begin, undoes=Begun)
    async def undo_begin(event: Pong) -> Ping:
        return Ping(order=event.order)

    @service.on(Ping, compensates=ring, undoes=Ping)
    async def undo_ring(event: Ping) -> Pong:
        return Pong(order=event.order)

    async with opened(Choreography("shop", service), world) as app:
        receipt = await app.send(Ring(order="a"))
        await app.idle()
        assert len(await log_of(app.broker, "shop.bells")) == 32, "as many as the limit on causes"
        [letter] = await dead_letters(app, "bells")
        assert (letter.error, letter.attempts) == ("EmissionError", 1)
        assert "at depth 33; the limit is 32. A cycle of events? Look at the chain of" in (letter.reason or "")
        [task] = await app.store("bells").tasks()
        assert (task.reaction, task.correlation, task.reason) == (letter.reaction, receipt.correlation_id, letter.reason)
        assert task.text == "Undo Begun of bells.begin by hand"
