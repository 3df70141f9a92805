"""Wakes a loop that waits for work, without losing a call that comes before the wait."""

from __future__ import annotations

import asyncio

__all__ = ["Wake"]


class Wake(asyncio.Event):
    """An event whose wait has a limit."""

    async def wait(self, seconds: float | None = None) -> bool:  # type: ignore[override]
        """Wait until `set`, for `seconds` at most (None: for ever). Whether it was set."""
        if self.is_set():
            return True
        if seconds is None:
            await super().wait()
            return True
        if seconds <= 0:
            return False
        try:
            async with asyncio.timeout(seconds):
                await super().wait()
        except TimeoutError:
            return False
        return True
