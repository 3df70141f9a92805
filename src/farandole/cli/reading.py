"""Reading what is known of certain workflow instances: from a record, or a broker's log, and from the services' databases."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from farandole.brokers.base import Broker, Subscription
from farandole.cli.output import envelope_of
from farandole.cli.target import Target
from farandole.errors import EnvelopeError, FarandoleError
from farandole.model.envelope import Envelope, encode
from farandole.model.wire import Wire
from farandole.observe.chain import Chain, Node, chains_of, of_row
from farandole.observe.record import Reading
from farandole.stores.base import Store
from farandole.stores.record import Entry, Fate, Record
from farandole.world import World

__all__ = ["Found", "Looking", "entries_of", "read_flows"]

Place = tuple[str, int, int]  # topic, partition, position

_PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")
_BATCH = 1000
_INSTANCES = 10_000
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


@dataclass(frozen=True, slots=True)
class Found:
    """Chains, the latest last, and how many instances were left out before them."""

    chains: list[Chain]
    left_out: int = 0


class Looking:
    """Looks at instances of a choreography, from wherever something is known of them.

    Attributes
    ----------
    wire:
        What is known of types.
    """

    def __init__(self, target: Target, world: World, record: Record | None, stores: Mapping[str, Store]) -> None:
        self._target = target
        self._world = world
        self._record = record
        self._stores = stores
        self.wire = Wire(target.choreography)
        self._reading = Reading(self.wire)
        self._chains = chains_of(target.choreography)

    @classmethod
    @asynccontextmanager
    async def at(cls, target: Target, world: World) -> AsyncIterator[Looking]:
        """With the record and the databases that are within reach."""
        reading = Reading(Wire(target.choreography))
        async with target.record(world, reading) as record, target.stores(world) as stores:
            yield cls(target, world, record, stores)

    async def chains(self, sought: str, most: int | None) -> Found:
        """The instances that `sought` names.

        Parameters
        ----------
        sought:
            A correlation id, an event's id, or `field=value`.
        most:
            How many instances at most, the latest; None: all.
        """
        entries, fates, left_out, is_sure = await self._recorded(sought, most)
        if not is_sure:  # no record, or it cannot tell
            try:
                logged = await self._logged(sought)
            except FarandoleError:
                if not entries:
                    raise
                logged = []
            entries = logged or entries
        rows = []
        ids = {entry.id for entry in entries}.union(*(entry.causes for entry in entries), (fate.id for fate in fates))
        for store in self._stores.values():
            rows += [of_row(row) for row in await store.fates(ids)]
        chains = self._chains.of(entries, fates, rows, now=self._world.time(), looked=self._stores.keys())
        if most is not None and len(chains) > most:
            left_out, chains = left_out + len(chains) - most, chains[-most:]
        return Found(chains, left_out)

    async def _recorded(self, sought: str, most: int | None) -> tuple[list[Entry], list[Fate], int, bool]:
        """What the record has, how many instances were left out, and whether it is all that there is.

        It cannot tell of fields that are no keys, and of events that name no instance.
        """
        if self._record is None:
            return [], [], 0, False
        field, equals, value = sought.partition("=")
        left_out = 0
        if equals and field in self._reading.key_fields:
            names = await self._record.instances_of(field, value, limit=_INSTANCES)
            left_out = 0 if most is None else max(0, len(names) - most)
            names = names[:most]
        else:
            event = await self._record.event(sought)
            names = [sought if event is None else event.correlation_id]
        entries = [entry for name in names for entry in await self._record.events_of(name)]
        fates = [fate for name in names for fate in await self._fates_of(name)]
        return entries, fates, left_out, bool(entries or fates) and all(entry.correlation_id != entry.id for entry in entries)

    async def _fates_of(self, name: str) -> list[Fate]:
        assert self._record is not None
        return await self._record.fates_of(name)

    async def _logged(self, sought: str) -> list[Entry]:
        async with self._target.broker(self._world) as broker:
            envelopes = await read_flows(broker, self._reading.topics, sought, self._world)
        return entries_of(envelopes, self._reading)

    def envelope(self, node: Node) -> Envelope | None:
        """An event as it was recorded, without what is sensitive."""
        return None if node.entry is None else envelope_of(node.entry.body)


def entries_of(envelopes: Iterable[Envelope], reading: Reading) -> list[Entry]:
    """What would be recorded of these."""
    found = []
    for envelope in envelopes:
        with suppress(EnvelopeError):  # of text that is no Unicode nothing is shown
            found.append(reading.entry_in(envelope, encode(envelope)))
    return found


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
