"""Cuts a run in which one step never ends: the loop cannot, since it never gets its turn."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from farandole.rehearse.cuts import EndlessLoop
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.places import user_place

__all__ = ["watchdog"]

PATIENCE = 10.0
"""Seconds of real time that one step may surely take, and not twice as many; a step of a fair handler takes milliseconds."""


@contextmanager
def watchdog(loop: RehearsalLoop, seconds: float = PATIENCE) -> Iterator[None]:
    """Cut the loop's run where one step takes longer than so many seconds of real time.

    Only in the main thread, and where the system has interval timers; elsewhere an endless step is endless.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    steps_then = -1

    def look(_: int, frame: FrameType | None) -> None:
        nonlocal steps_then
        if loop.steps == steps_then and loop.running_here:
            loop.cut(
                EndlessLoop(
                    f"one step has been running for {seconds:g} s of real time and is at {user_place(frame) or 'no place of yours'}: "
                    f"a loop that never ends? Let it end, or await context.sleep()"
                )
            )
        steps_then = loop.steps

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
