"""Watches a rehearsal for the outside world: the real clock, real chance, threads, sockets, processes.

    with Watch(loop) as watch:
        loop.play(program())
    for finding in watch.findings: ...

Threads, sockets, processes and real pauses are refused: the run is cut where it reaches for them. Clock and chance are only told,
since a run can go on; looking for them makes a run slower by half, so one run of many is enough.

Not seen: what C code asks by itself (`default_factory=time.time`), `time.strftime` and `time.localtime` of now, and the order of a
set of strings. Comparing the traces of two processes with different PYTHONHASHSEED finds the last. SQL's own clock and chance need
no watching: the SQLite store answers them from the world.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import secrets
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn, Self

from farandole.rehearse.cuts import FAKE, OutsideWorld
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.places import calling_place, is_users, user_place

__all__ = ["Finding", "Watch"]

_CLOCK = "Use context.now(), or world.time() outside reactions"
_MEASURE = "Use world.monotonic()"
_CHANCE = "Use context.random(), or random.Random(seed) with a seed of your own"
_ID = "Use context.uuid(), or context.idempotency_key where it must not differ from run to run"
_SLEEP = "Use `await context.sleep()`, or world.sleep() outside reactions"

_TOLD: dict[Any, tuple[str, str]] = {
    **{getattr(time, name): (f"time.{name}()", _CLOCK) for name in ("time", "time_ns")},
    **{
        getattr(time, f"{name}{unit}"): (f"time.{name}{unit}()", _MEASURE)
        for name in ("monotonic", "perf_counter")
        for unit in ("", "_ns")
    },
    dt.datetime.now: ("datetime.now()", _CLOCK),
    dt.datetime.utcnow: ("datetime.utcnow()", _CLOCK),
    dt.datetime.today: ("datetime.today()", _CLOCK),
    dt.date.today: ("date.today()", _CLOCK),
    os.urandom: ("os.urandom()", _CHANCE),
    random.random: ("random.random()", _CHANCE),
    random.getrandbits: ("random.getrandbits()", _CHANCE),
    getattr(uuid, "_generate_time_safe", None): ("uuid.uuid1()", _ID),
}
"""Functions of C, as their callers know them, and what to use instead."""

_WRAPPERS = {uuid.__file__: ("uuid", _ID), random.__file__: ("random", _CHANCE), secrets.__file__: ("secrets", _CHANCE)}
"""Python's modules that ask C on behalf of their callers."""

_FRAMEWORKS = tuple(f"/{name}" for name in ("asyncio/", "logging/", "sqlalchemy/", "opentelemetry/", "threading.py"))
"""These may look at the clock: nothing of it reaches the user."""

_DEFAULTS = "sqlalchemy/sql/schema.py"
_SEED = random.Random.seed.__code__
_START, _PAUSE = threading.Thread.start, time.sleep
_OUTSIDE = {"socket": "the network", "subprocess": "another process", "_thread": "a thread"}
_PROCESSES = frozenset({"os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"})

_LOOPS = {asyncio.run.__code__, asyncio.new_event_loop.__code__}


@dataclass(frozen=True, slots=True)
class Finding:
    """One use of the outside world.

    Attributes
    ----------
    place:
        `file:line` of the user's code.
    what:
        What was used, as one would write it.
    instead:
        What to use instead, a sentence.
    """

    place: str
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place} uses {self.what}, which differs from run to run. {self.instead}"


class Watch:
    """Watches a loop while the `with` lasts; one at a time.

    Parameters
    ----------
    loop:
        The loop whose runs are watched; what happens beside them is left alone.
    closely:
        Whether to look for clock and chance as well.

    Attributes
    ----------
    findings:
        What was found, each place once.
    """

    def __init__(self, loop: RehearsalLoop, *, closely: bool = True) -> None:
        self.findings: list[Finding] = []
        self._loop = loop
        self._closely = closely
        self._before: Any = None

    def __enter__(self) -> Self:
        if _active:
            raise RuntimeError("a loop is being watched already: leave its `with` first")
        if not _hooked:
            sys.addaudithook(_audit)  # for good: Python gives no way to take it away
            _hooked.append(True)
        _active.append(self)
        threading.Thread.start = _start  # type: ignore[method-assign,assignment]
        time.sleep = _pause  # type: ignore[assignment]
        self._before = sys.getprofile()
        if self._closely:
            sys.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        if self._closely:
            sys.setprofile(self._before)
        threading.Thread.start, time.sleep = _START, _PAUSE  # type: ignore[method-assign]
        _active.clear()

    @property
    def on(self) -> bool:
        """Whether the run goes on, and this is its thread."""
        return self._loop.running_here

    def refuse(self, what: str, instead: str, depth: int = 3) -> NoReturn:
        """Cut the run."""
        self._loop.cut(OutsideWorld(f"{calling_place(depth)} reaches for {what}, which no rehearsal can repeat. {instead}"))

    def _look(self, frame: FrameType, event: str, function: Any) -> None:
        """The profiler's callback."""
        if event == "c_call":
            if function is _PAUSE and self.on and _to_blame(frame):
                self.refuse("a real pause, time.sleep()", _SLEEP)
            if function in _TOLD and self.on:
                self._tell(frame, *_TOLD[function])
        elif event == "call" and frame.f_code in _LOOPS and self.on:
            self.refuse("an event loop of its own", "Write `async def` and await it: a reaction runs in a loop already", 4)
        elif event == "call" and frame.f_code is _SEED and frame.f_locals.get("a") is None and self.on:
            self._tell(frame, "random.Random() without a seed", _CHANCE)

    def _tell(self, frame: FrameType, what: str, instead: str) -> None:
        named = what
        above: FrameType | None = frame
        while above is not None and above.f_code.co_filename in _WRAPPERS:
            if above.f_code is not _SEED and above.f_code.co_name not in ("__init__", "__new__"):
                module, instead = _WRAPPERS[above.f_code.co_filename]
                named = f"{module}.{above.f_code.co_name}()"
            above = above.f_back
        place = None if above is None else _to_blame(above)
        finding = Finding(place or "", named, instead)
        if place and finding not in self.findings:
            self.findings.append(finding)


def _to_blame(frame: FrameType) -> str | None:
    """The user's place behind a call; None: a framework makes it for itself."""
    above: FrameType | None = frame
    while above is not None:
        file = above.f_code.co_filename
        if is_users(file):
            return f"{file}:{above.f_lineno}"
        if file.endswith(_DEFAULTS):  # SQLAlchemy calls what the user gave it as a default
            return user_place(above) or "the default of a column"
        if any(name in file for name in _FRAMEWORKS):
            return None
        above = above.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_active: list[Watch] = []
_hooked: list[bool] = []


def _audit(event: str, _: tuple[Any, ...]) -> None:
    if _active:
        what = "another process" if event in _PROCESSES else _OUTSIDE.get(event.partition(".")[0])
        if what is not None and _active[0].on:
            _active[0].refuse(what, FAKE)


def _start(thread: threading.Thread) -> None:
    if _active and _active[0].on:
        _active[0].refuse("a thread", f"Write `async def`. {FAKE}")
    _START(thread)


def _pause(seconds: float) -> None:
    if _active and _active[0].on:
        _active[0].refuse("a real pause, time.sleep()", _SLEEP)
    _PAUSE(seconds)
