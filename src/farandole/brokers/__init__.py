"""Brokers: one file per adapter, found by the scheme of its URL."""

from __future__ import annotations

from importlib import import_module

from farandole.brokers.base import Broker
from farandole.errors import UnknownScheme
from farandole.world import World

__all__ = ["open_broker"]

_ADAPTERS = {
    "memory": "farandole.brokers.memory",
    "sqlite": "farandole.brokers.sqlite",
    "kafka": "farandole.brokers.kafka",
    "postgresql": "farandole.brokers.postgres",
    "postgres": "farandole.brokers.postgres",
    "nats": "farandole.brokers.nats",
    "tls": "farandole.brokers.nats",
    **dict.fromkeys(("amqp", "amqps", "rabbitmq"), "farandole.brokers.rabbitmq"),
    "redis": "farandole.brokers.redis",
    "rediss": "farandole.brokers.redis",
    "unix": "farandole.brokers.redis",
}


def open_broker(url: str, world: World) -> Broker:
    """The adapter for a URL, not yet opened.

    Parameters
    ----------
    url:
        `memory://`, `sqlite:///path/to/file.db`, or `kafka://host:9092`; options follow a `?`.
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
