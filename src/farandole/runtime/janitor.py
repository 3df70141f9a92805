"""The janitor: forgets what was settled longer ago than the inbox window, a little at a time."""

from __future__ import annotations

from farandole.errors import StoreError
from farandole.runtime.signals import Signals
from farandole.stores.base import Store
from farandole.world import World

__all__ = ["Janitor"]

EVERY = 60.0
SOME = 200
"""So many rows are deleted in one step. On SQLite nobody else writes meanwhile, and the loop stands still: a few milliseconds."""
REST = 3.0
"""It rests so much longer than it worked, so that others have the database most of the time."""
BREATH = 0.01
"""Its shortest rest, in seconds."""


class Janitor:
    """Cleans up one service's inbox."""

    def __init__(self, service: str, store: Store, world: World, signals: Signals, window: float) -> None:
        self._service = service
        self._store = store
        self._world = world
        self._signals = signals
        self._window = window

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._world.sleep(EVERY * (0.5 + self._world.random()))
            try:
                await self.clean()
            except StoreError as error:
                self._signals.trouble(f"{self._service} janitor", error)

    async def clean(self) -> None:
        """Forget all that is old, in small steps."""
        deleted = SOME
        while deleted == SOME:
            began = self._world.monotonic()
            deleted = await self._store.purge(self._window, SOME)
            await self._world.sleep(max(BREATH, REST * (self._world.monotonic() - began)))
