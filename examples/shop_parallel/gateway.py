"""A gateway that asks the customer first: on the phone, by an app. Most answer soon, and some when it is too late."""

from __future__ import annotations

from pathlib import Path

from examples.shop.chance import chance
from examples.shop.gateway import Gateway, Weather
from farandole import World

__all__ = ["AskingGateway"]


class AskingGateway(Gateway):
    """A gateway whose charges take as long as the customer does.

    Parameters
    ----------
    ledger, weather, world:
        As of any `Gateway`.
    slow:
        The share of customers who take three minutes, 0 to 1; the others take some seconds.
    """

    def __init__(self, ledger: Path, weather: Weather, world: World, *, slow: float = 0.0) -> None:
        super().__init__(ledger, weather, world)
        self._seed, self._slow, self._clock = weather.seed, slow, world

    async def charge(self, reference: str, pence: int, *, idempotency_key: str) -> str:
        """Wait for the customer, then take the money."""
        is_slow = chance(self._seed, "slow", reference) < self._slow
        await self._clock.sleep(8.0 if is_slow else 2.0 * chance(self._seed, "answer", reference))
        return await super().charge(reference, pence, idempotency_key=idempotency_key)
