"""A credit bureau: outside, like the gateway. It knows whom to warn of, and sometimes does not answer."""

from __future__ import annotations

from farandole.world import World

from .chance import chance
from .gateway import Weather, weather_outside

__all__ = ["Bureau", "BureauUnavailable", "open_bureau"]


class BureauUnavailable(Exception):
    """No answer came. Asking changes nothing, so ask again."""


class Bureau:
    """Says whether somebody should be trusted with an order.

    Parameters
    ----------
    weather:
        Whom it warns of, and how often it does not answer.
    world:
        Where its delays come from.
    """

    def __init__(self, weather: Weather, world: World) -> None:
        self._weather = weather
        self._world = world
        self._asked: dict[str, int] = {}

    async def warns_of(self, order_id: str) -> bool:
        """Whether an order looks like fraud: the same answer however often it is asked.

        Raises
        ------
        BureauUnavailable
            Ask again.
        """
        await self._world.sleep(0.0)
        weather, asked = self._weather, self._asked.get(order_id, 0) + 1
        self._asked[order_id] = asked
        if chance(weather.seed, "bureau", order_id, asked) < weather.timeouts:
            raise BureauUnavailable(f"no answer about {order_id} (attempt {asked})")
        return chance(weather.seed, "fraud", order_id) < weather.frauds


async def open_bureau() -> Bureau:
    """The bureau in the weather that the environment describes."""
    return Bureau(weather_outside(), World())
