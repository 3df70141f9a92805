"""Brokers: one file per adapter, found by the scheme of its URL."""

from __future__ import annotations

from importlib import import_module

from farandole.brokers.base import Broker
from farandole.errors import UnknownScheme
from farandole.world import World

__all__ = ["open_broker"]

_RABBITMQ = "farandole.brokers.rabbitmq"
_ADAPTERS = {
    "memory": "farandole.brokers.memory",
    "sqlite": "farandole.brokers.sqlite",
    **dict.fromkeys(("amqp", "amqps", "rabbitmq"), _RABBITMQ),
}


def open_broker(url: str, world: World) -> Broker:
    """The adapter for a URL, not yet opened.

    Parameters
    ----------
    url:
        `memory://`, or `sqlite:///path/to/file.db`; options follow a `?`.
    world:
        Its clock and chance.

    Raises
    ------
    UnknownScheme
        No adapter has this scheme.
    """
    scheme = url.partition(":")[0]
    if scheme not in _ADAPTERS or ":" not in url:
        known = ", ".join(f"{name}:" for name in _ADAPTERS)
        raise UnknownScheme(f"no broker answers to {url!r}. Known are {known} for example sqlite:///broker.db")
    adapter: Broker = import_module(_ADAPTERS[scheme]).connect(url, world)
    return adapter
