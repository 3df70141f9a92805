"""Fates: what became of each event in each reaction, published on a small topic of their own, so that a record can tell of it.

They go straight to the broker, many in one message. Nothing waits for them: when the broker is away they wait in memory, the oldest are
dropped where that is full, and what a killed process had in hand is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from farandole.bell import Bell, end_all
from farandole.errors import BrokerError
from farandole.model.envelope import Message
from farandole.observe.observer import Listener
from farandole.observe.rows import message_of, row_of

if TYPE_CHECKING:
    from farandole.observe.observer import Observed
    from farandole.runtime.signals import Run

__all__ = ["Fates"]

MANY = 500
"""So many fates in one message at most."""
LARGE = 200_000
"""So many bytes in one message, but for a single fate that is larger: every broker takes that."""
WAIT = 0.2
"""How long the first fate waits for others, in seconds."""
ROOM = 8_000_000
"""So many bytes of fates wait for the broker at most."""
AT_ONCE = 8
"""So many messages in one call."""
REST, LONGEST_REST = 0.5, 10.0
"""Seconds until another try; doubled each time."""
FAREWELL = 5.0
"""How long a closing app waits for the broker to take the last ones, in seconds."""

_log = logging.getLogger("farandole.fates")


class Fates(Listener):
    """Publishes what became of events.

    Attributes
    ----------
    dropped:
        How many were not published: too many waited, or the broker refused them for good.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._bell = Bell()  # something waits
        self._plenty = Bell()  # a message is full, or nothing more comes
        self._closing = False
        self._app: Observed | None = None
        self._task: asyncio.Task[None] | None = None

    def ran(self, runs: Sequence[Run]) -> None:
        if not self._waiting:
            self._bell.ring()
        for run in runs:
            self._waiting.append(row := row_of(run))
            self._size += len(row)
        if self._size > ROOM:
            self._make_room()
        if len(self._waiting) >= MANY:
            self._plenty.ring()

    def _make_room(self) -> None:
        before = self.dropped
        while self._size > ROOM:
            self._size -= len(self._waiting.popleft())
            self.dropped += 1
        if not before:
            _log.warning("fates are dropped: the broker does not take them, and %d bytes of them wait", self._size)

    async def begin(self, app: Observed) -> None:
        self._app = app
        self._task = asyncio.create_task(self._run(app), name="fates")

    async def close(self) -> None:
        self._closing = True
        self._bell.ring()
        self._plenty.ring()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=FAREWELL)
            await end_all([self._task])
        self.dropped += len(self._waiting)
        self._waiting.clear()

    async def _run(self, app: Observed) -> None:
        rest = REST
        while True:
            self._plenty.still()
            if not self._waiting:
                if self._closing:
                    return
                self._bell.still()
                await self._bell.wait(3600.0)
            if len(self._waiting) < MANY and not self._closing:
                await self._plenty.wait(WAIT)
            if await self._publish(app):
                rest = REST
            elif self._closing:
                return
            else:
                await app.world.sleep(rest)
                rest = min(rest * 2, LONGEST_REST)

    async def _publish(self, app: Observed) -> bool:
        """Publish some of what waits; gives whether the broker took it, or refused it for good."""
        messages: list[Message] = []
        parts: list[list[bytes]] = []
        while self._waiting and len(messages) < AT_ONCE:
            parts.append(rows := self._some())
            messages.append(message_of(app.choreography.name, rows, app.world))
        if not messages:
            return True
        try:
            results = await app.broker.publish(messages)
        except BaseException as error:
            self._put_back(parts)
            if not isinstance(error, Exception):  # cancelled
                raise
            if not isinstance(error, BrokerError):  # the relay tells of a broker that is away
                _log.warning("fates could not be published: %r", error)
            return False
        again = [rows for rows, result in zip(parts, results, strict=True) if result.error and not result.permanent]
        for rows, result in zip(parts, results, strict=True):
            if result.permanent:
                self.dropped += len(rows)
                _log.warning("the broker refuses fates for good: %s", result.error)
        self._put_back(again)
        return not again

    def _some(self) -> list[bytes]:
        """What goes into one message."""
        rows: list[bytes] = []
        size = 0
        while self._waiting and len(rows) < MANY and (not rows or size + len(self._waiting[0]) <= LARGE):
            rows.append(row := self._waiting.popleft())
            size += len(row)
        self._size -= size
        return rows

    def _put_back(self, parts: Iterable[Iterable[bytes]]) -> None:
        rows = [row for part in parts for row in part]
        self._waiting.extendleft(reversed(rows))
        self._size += sum(map(len, rows))
