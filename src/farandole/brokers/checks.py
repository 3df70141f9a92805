"""Checks what a broker is given, its URL and subscriptions, and names the mistake."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from urllib.parse import parse_qsl

from farandole.brokers.base import PublishResult, Subscription
from farandole.brokers.cloudevents import MODES
from farandole.errors import ConfigurationError
from farandole.model.envelope import Message

__all__ = [
    "DEFAULT_PARTITIONS",
    "check_subscription",
    "event_mode",
    "parse_url",
    "partition_count",
    "refused",
    "retention_seconds",
    "split_options",
]

DEFAULT_PARTITIONS = 12
_MOST_PARTITIONS = 1024
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0}


def parse_url(url: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Split `scheme://rest?name=value&...` into rest and options.

    Raises
    ------
    ConfigurationError
        There is no `://`, or an option is not among `known`.
    """
    head, _, query = url.partition("?")
    scheme, found, rest = head.partition("://")
    if not found:
        raise ConfigurationError(f"broker URL {url!r}: expected {scheme.partition(':')[0]}://…")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise ConfigurationError(f"broker URL {url!r}: unknown option {name!r}. Known are: {', '.join(sorted(known))}")
    return rest, options


def split_options(query: str, ours: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Split `name=value&...` into the options that are ours, and those that a client library gets as they are."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    return {name: options.pop(name) for name in ours if name in options}, options


def event_mode(broker: str, options: Mapping[str, str], expected: str = " or ".join(MODES)) -> str:
    """The option `mode`, how events travel; `structured` where the URL does not say.

    Raises
    ------
    ConfigurationError
        It is no mode of CloudEvents; `broker` and `expected` are words of the message.
    """
    mode = options.get("mode", MODES[0])
    if mode not in MODES:
        raise ConfigurationError(f"broker URL {broker}: expected mode to be {expected}, got: {mode!r}")
    return mode


def retention_seconds(url: str, options: dict[str, str]) -> float:
    """The option `retention` (`7d`, `12h`, `30m`, or `forever`) in seconds; seven days where the URL does not say.

    Raises
    ------
    ConfigurationError
        It is neither.
    """
    text = options.get("retention", "7d")
    if text == "forever":
        return float("inf")
    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _UNITS:
        raise ConfigurationError(f"{url!r}: expected retention to be such as 7d, 12h, 30m or forever, got: {text!r}")
    return int(number) * _UNITS[unit]


def partition_count(url: str, options: dict[str, str]) -> int | None:
    """The option `partitions`, or None where the URL does not say.

    Raises
    ------
    ConfigurationError
        It is no number from 1 to 1024.
    """
    text = options.get("partitions")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_PARTITIONS:
        raise ConfigurationError(
            f"broker URL {url!r}: expected partitions to be a number from 1 to {_MOST_PARTITIONS}, got: {text!r}"
        )
    return int(text)


def check_subscription(subscription: Subscription) -> None:
    """Refuse what no broker can do.

    Raises
    ------
    ConfigurationError
        No topics, an empty group, or a start without a time zone.
    """
    if not subscription.topics:
        raise ConfigurationError(f"{subscription}: name at least one topic")
    if subscription.group == "":
        raise ConfigurationError(f"{subscription}: a group needs a name; None makes a listener of its own")
    start = subscription.start
    if isinstance(start, datetime) and start.tzinfo is None:
        raise ConfigurationError(f"{subscription}: start= needs an aware datetime, such as datetime.now(UTC)")
    if isinstance(start, str) and start not in ("beginning", "end"):
        raise ConfigurationError(f'{subscription}: start= is "beginning", "end", an offset or an aware datetime')


def refused(message: Message, largest: int) -> PublishResult | None:
    """Why no broker, or not this one, can ever take a message: its text is no Unicode, or its body too large. None where it can."""
    text = message.topic + message.key + message.id + message.type
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return PublishResult(f"{message.id!a}: topic, key, id or type is no Unicode text (a lone surrogate)", permanent=True)
    size = len(message.body)
    return PublishResult(f"{message.id}: {size} bytes; this broker takes {largest}", permanent=True) if size > largest else None
