"""Time, sleep, chance, identity and crash points: the only door to them.

Everything that differs from run to run comes through a `World`, so that tests and rehearsal can put another in its place.
No other module calls `time`, `uuid`, `random`, `secrets`, `os.urandom` or `asyncio.sleep`; a lint rule holds it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from datetime import UTC, datetime

__all__ = ["World", "uuid7"]


class World:
    """The real world. Subclass and override to simulate another.

    Times are in seconds unless a name says otherwise.

    Attributes
    ----------
    simulated:
        Whether databases ask it for SQL's own clock and chance as well, such as CURRENT_TIMESTAMP and random().
    virtual:
        Whether its clock is its own: then servers that have one are told the time.
    """

    simulated = False
    virtual = False

    def time(self) -> float:
        """Wall-clock time, in seconds since 1970 (UTC)."""
        return time.time()

    def monotonic(self) -> float:
        """A clock that never goes back, in seconds, for measuring and for waiting."""
        return time.monotonic()

    def now(self) -> datetime:
        """Wall-clock time as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait, letting other tasks run."""
        await asyncio.sleep(seconds)

    def random(self) -> float:
        """A number in [0, 1)."""
        return random.random()

    def token(self) -> str:
        """A secret nobody else holds: fences leases and claims."""
        return secrets.token_hex(8)

    def entropy(self, size: int) -> bytes:
        """`size` random bytes."""
        return secrets.token_bytes(size)

    def new_id(self) -> str:
        """An id for something that has no cause: UUIDv7 (RFC 9562)."""
        return uuid7(int(self.time() * 1000), self.entropy(10))

    def point(self, name: str) -> None:
        """A place where the process might die. The real world passes by; tests stop here."""


def uuid7(milliseconds: int, entropy: bytes) -> str:
    """Format a UUIDv7 (RFC 9562, section 5.7) from a Unix time in milliseconds and 10 random bytes."""
    stamp, chance = f"{milliseconds:012x}", entropy.hex()
    return f"{stamp[:8]}-{stamp[8:]}-7{chance[:3]}-{'89ab'[entropy[9] & 3]}{chance[3:6]}-{chance[6:18]}"
