"""Stops a program at every await and statement, one after the other, and looks at what the files hold then.

    for death in every_death(program, folder):
        ...  # death.folder is what a process that was killed there would have left; start again on it and check

A point is every `World.point` (before and after each statement, publish, fetch, ack) and every resumption of every task. The files are
copied at the moment of death, so that nothing that unwinds afterwards can change what is checked.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farandole.testing.virtual import VirtualLoop, VirtualWorld

__all__ = ["CountingWorld", "Death", "Died", "every_death", "run_to_death"]

Program = Callable[[VirtualWorld, Path], Coroutine[Any, Any, None]]


class Died(BaseException):
    """The process is dead; whatever still runs must not have any effect."""


@dataclass(frozen=True, slots=True)
class Death:
    """One place where the program was stopped.

    Attributes
    ----------
    number, name:
        Which point, counted from 1, and what it is called.
    folder:
        The files as they were at that moment.
    """

    number: int
    name: str
    folder: Path


class CountingWorld(VirtualWorld):
    """Counts points, and dies at one of them.

    Parameters
    ----------
    folder:
        What to copy at death.
    stop_at:
        The number of the point to die at; None: never.

    Attributes
    ----------
    counting:
        Set it to False where points do not count, such as while the program starts.
    """

    def __init__(self, folder: Path, stop_at: int | None = None, seed: int = 0) -> None:
        super().__init__(seed)
        self.count = 0
        self.counting = True
        self.died_at: str | None = None
        self.remains: Path | None = None
        self._folder = folder
        self._stop_at = stop_at

    def point(self, name: str) -> None:
        if self.died_at is not None:
            raise Died
        self.count += self.counting
        if self.counting and self.count == self._stop_at:
            self.died_at = name
            self.remains = Path(tempfile.mkdtemp(prefix="remains-", dir=self._folder.parent))
            shutil.copytree(self._folder, self.remains, dirs_exist_ok=True, ignore=_sockets)
            asyncio.get_running_loop().stop()
            raise Died


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


class _Stepping(Coroutine[Any, Any, Any]):
    """A coroutine each of whose steps is a point."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], world: CountingWorld) -> None:
        self._coroutine = coroutine
        self._world = world

    def send(self, value: Any) -> Any:
        try:
            self._world.point("await")
        except Died as died:
            return self._coroutine.throw(died)  # it unwinds, without effect: every statement raises
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()


def run_to_death(program: Program, folder: Path, stop_at: int | None) -> CountingWorld:
    """Run a program on the files in `folder`, until its end or until the point number `stop_at`."""
    world = CountingWorld(folder, stop_at)
    loop = VirtualLoop()

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Stepping(coroutine, world), loop=loop, **options)

    loop.set_task_factory(factory)
    loop.set_exception_handler(lambda loop, context: None)  # the dead have nothing to report
    asyncio.set_event_loop(loop)
    main = loop.create_task(program(world, folder))
    try:
        loop.run_until_complete(main)
    except (Died, RuntimeError):
        if world.died_at is None:
            raise
    finally:
        _bury(loop)
        asyncio.set_event_loop(None)
        loop.close()
    return world


def _bury(loop: VirtualLoop) -> None:
    """Let what is left of the program unwind; the world is dead, so nothing of it has an effect."""
    for _ in range(1000):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        loop.call_later(1.0, loop.stop)
        loop.run_forever()
    raise RuntimeError(f"tasks that do not end when they are cancelled: {asyncio.all_tasks(loop)!r}")


def every_death(program: Program, make_folder: Callable[[], Path], *, first: int = 1, step: int = 1) -> Iterator[Death]:
    """Run a program once per point, each time dying at the next one, until it gets to its end.

    Parameters
    ----------
    program:
        An async function of a world and a folder, which keeps all its state in files there.
    make_folder:
        Gives a fresh folder for each run.
    first, step:
        Where to begin, and how many points to go on by, to share the work among processes.
    """
    number = first
    while True:
        folder = make_folder()
        world = run_to_death(program, folder, number)
        if world.died_at is None or world.remains is None:
            return
        yield Death(number, world.died_at, world.remains)
        shutil.rmtree(world.remains)
        shutil.rmtree(folder)
        number += step
