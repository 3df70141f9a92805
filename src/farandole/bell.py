"""Wakes a loop that waits for work, without losing a call that comes before the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["Bell", "end_all"]


class Bell:
    """Rung by whoever has news; one loop waits for it. A ring before the wait is not lost."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.ring = self._event.set
        self.still = self._event.clear

    async def wait(self, seconds: float) -> None:
        """Until it rings, at most so many seconds."""
        timer = asyncio.get_running_loop().call_later(seconds, self.ring)
        try:
            await self._event.wait()
        finally:
            timer.cancel()


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel these until they are over. Once may not be enough: a client library may take it for the end of its own waiting, and go on."""
    tasks = list(tasks)
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1.0)
    await asyncio.gather(*tasks, return_exceptions=True)
