"""The world of one node of a rehearsal: its clock, its chance and its crash points.

A node is a process of services. The nodes of one run share the loop and so its time; each draws its own chance, so that what one
node does changes nothing of another's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from farandole.rehearse.loop import NODE, RehearsalLoop
from farandole.rehearse.tasks import later
from farandole.testing.crash import Died
from farandole.world import World

__all__ = ["START", "RehearsalWorld"]

T = TypeVar("T")

START = 1_800_000_000.0
"""The wall-clock time when a rehearsal begins, in seconds since 1970."""


class RehearsalWorld(World):
    """The world of one node.

    Parameters
    ----------
    loop:
        Whose time it keeps, whose seed it draws from, and in whose trace its crash points stand.
    node:
        Its name: the same seed and name draw the same chance, tokens and ids.
    skew:
        How far the node's wall clock is ahead, in seconds. The clock for waiting has none.
    generation:
        Counts the processes that this node has been: each draws its own chance.

    Attributes
    ----------
    dead:
        It was killed: none of its tasks goes on, and whatever still unwinds has no effect.
    frozen:
        All of its tasks stand still.
    """

    simulated = True

    def __init__(self, loop: RehearsalLoop, node: str, *, skew: float = 0.0, generation: int = 1) -> None:
        self.node = node
        self.skew = skew
        self.dead = False
        self.frozen = False
        self._loop = loop
        self._chance = random.Random(f"{loop.seed}/{node}/{generation}")

    def time(self) -> float:
        return START + self.skew + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    def random(self) -> float:
        return self._chance.random()

    def token(self) -> str:
        return self._chance.randbytes(8).hex()

    def entropy(self, size: int) -> bytes:
        return self._chance.randbytes(size)

    def point(self, name: str) -> None:
        if self.dead:
            raise Died
        self._loop.point(self.node, name)

    def resumed(self) -> None:
        """One of its tasks is about to go on after an await; the node may be killed or frozen here."""

    def kill(self) -> None:
        """Kill it: nothing of it goes on from here. Called within one of its own steps, raise `Died` next."""
        self.dead = True
        self._loop.bury(self)

    def freeze(self, seconds: float) -> None:
        """All of it stands still for so long."""
        self.frozen = True
        later(seconds, self.thaw)

    def thaw(self) -> None:
        """It goes on."""
        if self.frozen:
            self.frozen = False
            self._loop.go_on(self)

    def note(self, what: str) -> None:
        """Write something into the trace, so that two runs that differ in it are told apart."""
        self._loop.note(self.node, what)

    def start(self, coroutine: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Run a coroutine as a task of this node, with all the tasks that it starts."""
        context = copy_context()
        context.run(NODE.set, self)
        task: asyncio.Task[T] = self._loop.create_task(coroutine, name=name, context=context)
        return task
