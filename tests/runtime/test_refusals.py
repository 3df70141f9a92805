"""What is refused, at the start and at the door, says so in the same words whichever way it runs."""

from __future__ import annotations

import pytest

import farandole
from farandole import Choreography, Command, CommandRefused, DeclarationError, Event, Policy, Reject, Service, Skip
from farandole.testing.virtual import VirtualWorld


class Gateway:
    """Something outside."""


class Told(Event, topic="told"):
    pass


class Ask(Command):
    pass


async def start(service: Service, world: VirtualWorld) -> None:
    async with farandole.open(Choreography("shop", service), broker="memory://", database="sqlite://", world=world):
        pass


async def test_a_plain_function_cannot_be_local(world: VirtualWorld) -> None:
    service = Service("plain")

    @service.on(Told, policy=Policy(outside=False))
    def listen(event: Told) -> None: ...

    with pytest.raises(
        DeclarationError, match=r"plain.listen \(.*\) is a plain `def`, .* Write `async def`, or leave outside= open"
    ):
        await start(service, world)


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("decision", [Reject("not today"), Skip("not today")])
async def test_a_command_that_is_rejected_or_skipped_is_refused_wherever_it_runs(
    decision: Exception, outside: bool, world: VirtualWorld
) -> None:
    desk = Service("desk", policy=Policy(outside=outside))

    @desk.command
    async def answer(command: Ask) -> None:
        raise decision

    async with farandole.open(Choreography("shop", desk), broker="memory://", database="sqlite://", world=world) as app:
        with pytest.raises(CommandRefused, match=r"desk.answer refused: not today") as refused:
            await app.send(Ask())
    assert refused.value.reason == "not today"
