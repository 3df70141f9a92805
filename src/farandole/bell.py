"""Wakes a loop that waits for work, without losing a call that comes before the wait."""

from __future__ import annotations

import asyncio

__all__ = ["Bell"]


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
