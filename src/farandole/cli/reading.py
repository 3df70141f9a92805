"""Reading a broker's log for the events of certain workflow instances."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection
from datetime import datetime
from typing import Any

import msgspec

from farandole.brokers.base import Broker, Subscription
from farandole.cli.output import envelope_of
from farandole.model.envelope import Envelope
from farandole.world import World

__all__ = ["read_flows"]

Place = tuple[str, int, int]  # topic, partition, position

_PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")
_BATCH = 1000
_PATIENCE = 0.2  # seconds without an event: the log is at its end


async def read_flows(broker: Broker, topics: tuple[str, ...], sought: str, world: World) -> list[Envelope]:
    """All events of the workflow instances that `sought` names, repeats as well.

    The log is read once to find the instances, and again where they have events that do not mention what was sought.

    Parameters
    ----------
    topics:
        Where to look; none: nothing is found.
    sought:
        A correlation id, an event's id, or `field=value`.
    """
    if not topics:
        return []
    found, names = await _first_look(broker, topics, sought, world)
    while True:
        wanted = {name for envelope in found.values() for name in _names(envelope)}
        if wanted <= names:
            return list(found.values())
        names |= wanted
        mentions = _mentioning(names)
        async for place, body in _log(broker, topics, world):
            if mentions(body) and (envelope := envelope_of(body)) and not names.isdisjoint(_mentions(envelope)):
                found[place] = envelope


async def _first_look(
    broker: Broker, topics: tuple[str, ...], sought: str, world: World
) -> tuple[dict[Place, Envelope], set[str]]:
    """The events that `sought` names directly, and the ids under which everything was found already."""
    field, equals, value = sought.partition("=")
    fits: Callable[[Envelope], bool]
    if equals and field.isidentifier():
        mentions, fits, names = _mentioning([field]), lambda envelope: _has(envelope, field, value), set[str]()
    else:
        mentions, fits, names = _mentioning([sought]), lambda envelope: sought in _mentions(envelope), {sought}
    found: dict[Place, Envelope] = {}
    async for place, body in _log(broker, topics, world):
        if mentions(body) and (envelope := envelope_of(body)) and fits(envelope):
            found[place] = envelope
    return found, names


async def _log(broker: Broker, topics: tuple[str, ...], world: World) -> AsyncIterator[tuple[Place, bytes]]:
    """The log from its beginning to its end, or to what was published after we began: a busy log has no end."""
    began = world.now()
    consumer = await broker.subscribe(Subscription(group=None, topics=topics, start="beginning"))
    try:
        while deliveries := await consumer.fetch(_BATCH, _PATIENCE):
            for delivery in deliveries:
                yield (delivery.topic, delivery.partition, delivery.position), delivery.body
            if len(deliveries) < _BATCH and all(_is_after(delivery.body, began) for delivery in deliveries):
                return
    finally:
        await consumer.close()


def _is_after(body: bytes, moment: datetime) -> bool:
    envelope = envelope_of(body)
    return envelope is not None and envelope.time is not None and envelope.time > moment


def _mentioning(texts: Collection[str]) -> Callable[[bytes], object]:
    """A cheap first look at bytes. JSON may escape what is not plain ASCII in several ways: then every event is looked at."""
    if not all(_PLAIN.fullmatch(text) for text in texts):
        return bool
    return re.compile("|".join(re.escape(text) for text in sorted(texts)).encode()).search


def _names(envelope: Envelope) -> tuple[str, ...]:
    """By what its instance is known: the correlation id; without one, its own id and those of its causes."""
    return (envelope.correlationid,) if envelope.correlationid else (envelope.id, *envelope.causes)


def _mentions(envelope: Envelope) -> set[str]:
    return {envelope.id, *envelope.causes, *((envelope.correlationid,) if envelope.correlationid else ())}


def _has(envelope: Envelope, field: str, value: str) -> bool:
    try:
        data: Any = msgspec.json.decode(bytes(envelope.data))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    if not isinstance(data, dict) or field not in data:
        return False
    held = data[field]
    return value == held if isinstance(held, str) else value.encode() == msgspec.json.encode(held)
