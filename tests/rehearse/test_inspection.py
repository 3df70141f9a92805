"""The inspection before a rehearsal: what would differ from run to run is named with its line and what to do instead."""

# ruff: noqa: PLW0108 - each call must stand on a line of this file, and is wrong on purpose

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from farandole.model.choreography import Choreography
from farandole.model.event import Command, Event
from farandole.model.service import Service
from farandole.rehearse import Rehearsal
from farandole.rehearse.cuts import EndlessLoop
from farandole.rehearse.inspection import inspect
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.watchdog import watchdog

kept: list[str] = []


class Go(Command):
    id: str


class Went(Event, key="id"):
    id: str


def inspected(use: Callable[[], Any]) -> list[str]:
    here, there = Service("here"), Service("there")

    @here.command
    async def go(command: Go) -> Went:
        return Went(id=command.id)

    @there.on(Went)
    async def follow(event: Went) -> None:
        use()

    return inspect(Rehearsal(Choreography("walk", here, there), commands=2))


def endless() -> None:
    while True:
        pass


def test_what_can_be_repeated_is_not_accused() -> None:
    assert inspected(lambda: None) == []


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: time.time(), "uses time.time(), which differs from run to run. Use context.now()"),
        (lambda: random.random(), "uses random.random(), which differs from run to run. Use context.random()"),
        (lambda: threading.Thread(target=print).start(), "reaches for a thread"),
        (lambda: asyncio.run(asyncio.sleep(0)), "reaches for an event loop of its own"),
        (lambda: asyncio.new_event_loop(), "reaches for an event loop of its own"),
        (endless, "a loop that never ends?"),
    ],
    ids=["clock", "chance", "thread", "asyncio.run", "loop", "endless"],
)
@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited")
def test_what_reaches_outside_is_named_with_its_line(use: Callable[[], Any], words: str) -> None:
    (found,) = inspected(use)
    assert f"{__file__}:" in found
    assert words in found


def test_state_that_a_module_keeps_is_named() -> None:
    (found, *_) = inspected(lambda: kept.append("more"))
    assert found.startswith(f"{__name__}.kept changed while it ran")
    assert "Keep it in the service's database" in found


@pytest.mark.real_time
def test_a_step_without_end_is_cut_by_the_watchdog_with_its_place() -> None:
    loop = RehearsalLoop()

    async def program() -> None:
        endless()

    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(EndlessLoop, match=rf"{__file__}:\d+: a loop that never ends"), watchdog(loop, 0.05):
        loop.play(program())
    assert signal.getsignal(signal.SIGALRM) is before
