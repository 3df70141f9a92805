"""RabbitMQ: events go to a direct exchange per topic, and from there to a quorum queue per group, topic and partition.

This is where URLs are read; the client library is loaded when somebody connects. The parts:

- `broker.py`: the broker. `link.py`: a connection that comes again, and errors in our words.
- `setup.py`: names, exchanges and queues. `publisher.py`: windows of messages and their confirms.
- `consumer.py`: one member of a group. `group.py`: who the members are, and what each consumes.
"""

from __future__ import annotations

from urllib.parse import quote, unquote, urlencode, urlsplit

from farandole.brokers.base import Broker
from farandole.brokers.checks import event_mode, partition_count, split_options
from farandole.errors import ConfigurationError
from farandole.world import World

__all__ = ["connect"]

_HEARTBEAT = "10"  # seconds; a connection that is silent for two of them is dead to the server


def connect(url: str, world: World) -> Broker:
    """`amqp://user:password@host:5672/vhost`, `amqps://…` with TLS, or `rabbitmq://…`, which is `amqp://…`.

    Options: `partitions` (12; fixed when a topic is first used) and `mode` (`structured`, or `binary`: how CloudEvents travel).
    All others go to the client library, such as `heartbeat=30`, `cafile=…`, `certfile=…`, `keyfile=…`.

    Raises
    ------
    ConfigurationError
        The library is missing, the URL names no host, or an option is wrong.
    """
    try:
        from farandole.brokers.rabbitmq.broker import RabbitBroker
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "farandole":
            raise
        raise ConfigurationError(f'RabbitMQ needs {error.name}. Type: pip install "farandole[rabbitmq]"') from None
    place = _place(url)
    head, _, query = url.partition("?")
    options, others = split_options(query, ("mode", "partitions"))
    others.setdefault("heartbeat", _HEARTBEAT)
    passed = urlencode(others, quote_via=quote, safe="/")
    scheme, _, rest = head.partition("://")
    scheme = "amqp" if scheme == "rabbitmq" else scheme
    return RabbitBroker(f"{scheme}://{rest}?{passed}", place, world, partition_count(place, options), event_mode(place, options))


def _place(url: str) -> str:
    """The URL as messages may show it: without user, password and options."""
    head, found, _ = url.partition("?")[0].partition("://")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"a broker URL that begins with {head}://: {error}") from None
    if not found or not host:
        raise ConfigurationError(f"a broker URL that begins with {head}: names no host: amqp://user:password@host:5672/vhost")
    host = f"[{host}]" if ":" in host else host
    vhost = unquote(parts.path[1:]) or "/"
    return f"{head}://{host}:{port or (5671 if head == 'amqps' else 5672)} (vhost {vhost!r})"
