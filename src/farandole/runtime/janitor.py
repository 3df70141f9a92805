"""The janitor: forgets what was settled longer ago than the inbox window, a little at a time."""

from __future__ import annotations

from farandole.errors import StoreError
from farandole.runtime.signals import Signals
from farandole.stores.base import Store
from farandole.world import World

__all__ = ["Janitor"]

EVERY = 60.0
SOME = 1000


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
                while await self._store.purge(self._window, SOME) == SOME:
                    await self._world.sleep(0.01)  # others have work to do, too
            except StoreError as error:
                self._signals.trouble(f"{self._service} janitor", error)
