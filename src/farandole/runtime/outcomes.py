"""How workflow instances ended, as far as this process has seen."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

__all__ = ["Outcomes"]

REMEMBERED = 100_000


class Outcomes:
    """Remembers the latest outcomes, and tells those who wait for one."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Any] = OrderedDict()
        self._waiting: dict[str, set[asyncio.Future[Any]]] = {}

    def tell(self, correlation_id: str, event: Any) -> None:
        """An instance ended with this event; the first one counts."""
        self._known.setdefault(correlation_id, event)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        for future in self._waiting.pop(correlation_id, ()):
            if not future.done():
                future.set_result(event)

    async def wait(self, correlation_id: str) -> Any:
        """The event that ended an instance, when it comes."""
        if correlation_id in self._known:
            return self._known[correlation_id]
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(correlation_id, set())
        waiting.add(future)
        try:
            return await future
        finally:
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(correlation_id, None)
