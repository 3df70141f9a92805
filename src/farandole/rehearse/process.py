"""A simulated process: some services of a choreography, run by the real host, that dies, freezes, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextvars import Context
from typing import TYPE_CHECKING, Any

from farandole.host import App, assemble
from farandole.rehearse.broker import SimulatedBroker
from farandole.rehearse.tasks import later
from farandole.rehearse.world import RehearsalWorld
from farandole.runtime.assembly import Platform
from farandole.testing.crash import Died

if TYPE_CHECKING:
    from farandole.rehearse.ground import Ground

__all__ = ["Gone", "Process", "ProcessWorld"]


class Gone(Exception):
    """The process that was asked is gone; whether it did what it was asked is unknown."""


class ProcessWorld(RehearsalWorld):
    """The world of one life of a process: at every await and every crash point, something may happen to it.

    Attributes
    ----------
    doom:
        The crash point where it dies next; empty: none.
    """

    def __init__(self, process: Process, skew: float) -> None:
        ground = process.ground
        super().__init__(ground.loop, process.name, skew=skew, generation=process.lives)
        self.doom = ""
        self._process = process
        dice = ground.dice
        self._crashes = dice.chances("crash", process.name)
        self._others = [dice.chances(fault, process.name) for fault in ("freeze", "jump", "restart")]

    def resumed(self) -> None:
        if crash := self._crashes.strike():
            self._process.die("await", crash.size)
            return
        for chances in self._others:
            if strike := chances.strike():
                self._process.suffer(strike.fault, strike.size)

    def point(self, name: str) -> None:
        super().point(name)
        if name == self.doom:
            self._process.die(name, 1.0)
            raise Died
        if crash := self._crashes.strike():
            self._process.die(name, crash.size)
            raise Died


class Process:
    """See above.

    Parameters
    ----------
    ground:
        What all processes of the run stand on.
    name:
        As faults and traces call it.
    services:
        The names of those that it runs.

    Attributes
    ----------
    lives:
        How often it has been started.
    app:
        While it is up.
    """

    def __init__(self, ground: Ground, name: str, services: Collection[str]) -> None:
        self.ground = ground
        self.name = name
        self.services = tuple(services)
        self.lives = 0
        self.app: App | None = None
        self.world: ProcessWorld
        self._broker: SimulatedBroker | None = None
        self._up = asyncio.Event()
        self._asked: dict[asyncio.Future[Any], None] = {}
        self._return: asyncio.TimerHandle | None = None
        self._returns_after: float | None = None

    def begin(self) -> None:
        """Start it, or start it again."""
        self._return = None
        self.lives += 1
        ground, again = self.ground, self.lives > 1
        skew = ground.dice.strike("skew", self.name)
        sign = 1 if self.lives % 2 else -1
        self.world = ProcessWorld(self, sign * skew.size if skew else 0.0)
        choreography, newer = ground.choreography, ground.newer
        upgraded = again and newer is not None and ground.dice.strike("upgrade", self.name) is not None
        if again:
            ground.tell("restart", self.services[0], note="newer version" if upgraded else "")
        self.world.start(self._live(newer if upgraded and newer is not None else choreography), name=f"{self.name} process")

    async def _live(self, choreography: Any) -> None:
        ground, world = self.ground, self.world
        self._broker = broker = ground.cluster.connect(world)
        await broker.open()
        platform = Platform(
            broker,
            lambda service: ground.disks[service.name].store(world),
            world,
            ground.options,
            ground.ear,
            ground.provide(world),
            ground.compile,
            ground.wire_of(choreography),
        )
        try:
            async with assemble(choreography, self.services, platform) as app:
                self.app = app
                self._up.set()
                await app.wait_stopped()
                self._down()
            await broker.close()
        except Exception as error:
            self._down()
            ground.ended(self, error)
            return
        if self._returns_after is None:
            ground.ended(self, None)
        else:
            self._come_back(self._returns_after)
            self._returns_after = None

    # ---- what happens to it ----------------------------------------------------------------------------------------------

    def die(self, point: str, seconds: float) -> None:
        """Killed; it comes back so many seconds later. Inside one of its own steps, raise `Died` next."""
        self.world.kill()
        for service in self.services:
            self.ground.disks[service].crash(self.world)
        if self._broker is not None:
            self._broker.die(min(seconds, self.ground.dice.faults.session) / 2)
        self._returns_after = None
        self._down()
        for service in self.services:
            self.ground.tell("crash", service, note=point, seconds=seconds)
        self._come_back(seconds)

    def suffer(self, fault: str, seconds: float) -> None:
        """What it survives: standing still, a clock that jumps, being asked to stop."""
        ground, first = self.ground, self.services[0]
        if fault == "freeze":
            self.world.freeze(seconds)
            if self._broker is not None:
                self._broker.silent(seconds)
            ground.tell("pause", first, seconds=seconds)
        elif fault == "jump":
            back = ground.dice.happened["jump"] % 2 == 0
            self.world.skew += -seconds if back else seconds
            ground.tell("clock", first, seconds=-seconds if back else seconds)
        elif self.app is not None:
            self._returns_after = seconds
            self.app.stop()

    def heal(self) -> None:
        """No fault lasts: it goes on, or comes back at once."""
        self.world.thaw()
        if self._return is not None:
            self._return.cancel()
            self.begin()
        elif self._returns_after is not None:
            self._returns_after = 0.0

    def _come_back(self, seconds: float) -> None:
        self._return = later(seconds, self.begin)

    def _down(self) -> None:
        self.app = None
        self._up.clear()
        asked, self._asked = self._asked, {}
        for answer in asked:
            if not answer.done():
                answer.set_exception(Gone(f"{self.name} is gone"))

    # ---- asking it -------------------------------------------------------------------------------------------------------

    async def ready(self) -> App:
        """Wait until it is up."""
        while self.app is None:
            await self._up.wait()
        return self.app

    async def ask(self, call: Callable[[App], Awaitable[Any]]) -> Any:
        """Have the process do something, and wait for its answer.

        Raises
        ------
        Gone
            It died meanwhile; whether it was done is unknown. What the call raises comes through as it is.
        """
        app = await self.ready()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[answer] = None
        task = self.world.start(_awaited(call, app), name=f"{self.name} asked")
        task.add_done_callback(lambda done: _pass_on(done, answer), context=Context())
        try:
            return await answer
        finally:
            self._asked.pop(answer, None)


async def _awaited(call: Callable[[App], Awaitable[Any]], app: App) -> Any:
    return await call(app)


def _pass_on(task: asyncio.Task[Any], answer: asyncio.Future[Any]) -> None:
    error = Gone("it was cancelled") if task.cancelled() else task.exception()
    if answer.done() or isinstance(error, Died):
        return
    if error is None:
        answer.set_result(task.result())
    else:
        answer.set_exception(error)
