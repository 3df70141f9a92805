"""The broker Kafka (or anything that speaks its protocol), by way of confluent-kafka. This file reads the URL.

`broker.py` is the broker, `sender.py` publishes, `consumer.py` and `member.py` consume (the one on the event
loop, the other in a thread), `admin.py` asks and creates, `mark.py` is what a group's positions carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import unquote

from farandole.brokers.base import Broker
from farandole.brokers.checks import DEFAULT_PARTITIONS, event_mode, partition_count, split_options
from farandole.errors import ConfigurationError
from farandole.world import World

__all__ = ["Settings", "connect"]

PATIENCE = 10.0
"""Seconds without any progress after which a publish is given up, to be tried again."""
BATCH = 131_072
"""Bytes that are sent at once, where the URL does not say otherwise. A topic that takes less refuses all of them."""

_OURS = ("partitions", "replication", "create", "mode", "message.timeout.ms")
_FIXED = {
    "acks": "all",
    "auto.offset.reset": "earliest",
    "bootstrap.servers": "what stands after kafka://",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "enable.gapless.guarantee": "true",
    "enable.idempotence": "true",
    "enable.partition.eof": "false",
    "group.id": "each subscription's",
    "group.protocol": "classic",
    "partition.assignment.strategy": "range",
    "transactional.id": "none",
}
"""Settings of the client that the contract of a broker rests on: nobody else sets them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a URL says.

    Attributes
    ----------
    place:
        The servers, as errors name them; without credentials.
    partitions, replication:
        Of topics that are made; a replication of -1 is the server's default.
    create:
        Whether missing topics are made.
    mode:
        How events travel: `structured` or `binary`.
    patience:
        Seconds without progress after which a publish is given up.
    batch:
        Bytes that are sent at once.
    client:
        What goes to the client as it is.
    """

    place: str
    partitions: int
    replication: int
    create: bool
    mode: str
    patience: float
    batch: int
    client: Mapping[str, str] = field(repr=False)  # has passwords


def connect(url: str, world: World) -> Broker:
    """`kafka://host:9092,other:9092`, with `user:password@` before the first host where the servers ask for it.

    Options: `partitions` (12) and `replication` (the server's default) of topics that are made; `create` (`yes`; `no`: topics
    must be there); `mode` (`structured`; `binary`). Every other option goes to the client as it is, such as
    `security.protocol=SASL_SSL`, `compression.type=zstd` or `session.timeout.ms=30000`; its list of them is CONFIGURATION.md of
    librdkafka. With a user and nothing else said, that is `security.protocol=SASL_SSL` and `sasl.mechanism=PLAIN`.

    Raises
    ------
    ConfigurationError
        The URL names no server, an option is wrong, or confluent-kafka is not installed.
    """
    settings = read(url)
    if find_spec("confluent_kafka") is None:
        raise ConfigurationError(f'{settings.place}: confluent-kafka is not installed. Type: pip install "farandole[kafka]"')
    from farandole.brokers.kafka.broker import KafkaBroker

    return KafkaBroker(settings, world)


def read(url: str) -> Settings:
    """See `connect`. No error repeats a password."""
    head, _, query = url.partition("?")
    credentials, _, hosts = head.partition("://")[2].rpartition("@")
    hosts = hosts.rstrip("/")
    place = f"kafka://{hosts}"
    if not hosts or "/" in hosts or not all(hosts.split(",")):
        raise ConfigurationError(f"broker URL {place!r} names no server: kafka://host:9092 or kafka://one:9092,two:9092")
    options, others = split_options(query, _OURS)
    for name in others:
        if name in _FIXED:
            raise ConfigurationError(
                f"broker URL {place!r}: leave out the option {name!r}: what is promised of a broker rests on it, it is {_FIXED[name]}"
            )
    partitions = partition_count(place, options) or DEFAULT_PARTITIONS
    replication = _number(place, options, "replication", -1)
    patience = _number(place, options, "message.timeout.ms", round(PATIENCE * 1000)) / 1000
    batch = _number(place, others, "batch.size", BATCH)
    create = options.get("create", "yes")
    if create not in ("yes", "no"):
        raise ConfigurationError(f"broker URL {place!r}: expected create to be yes or no, got: {create!r}")
    mode = event_mode(repr(place), options)
    client = {"bootstrap.servers": hosts, "log_level": "0", "batch.size": str(batch)}  # errors are ours to tell, not for stderr
    if credentials:
        user, _, password = credentials.partition(":")
        client |= {"sasl.username": unquote(user), "sasl.password": unquote(password)}
        client |= {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}
    client |= others
    return Settings(place, partitions, replication, create == "yes", mode, patience, batch, client)


def _number(place: str, options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ConfigurationError(f"broker URL {place!r}: expected {name} to be a number from 1, got: {text!r}")
    return int(text)
