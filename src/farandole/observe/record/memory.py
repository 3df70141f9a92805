"""The record in this process: the latest workflow instances, for apps that are given no database for it.

What is heard is kept as it came, and read when somebody asks: most of it nobody ever does.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from farandole.brokers.base import Delivery
from farandole.errors import EnvelopeError
from farandole.observe.record.measures import MemoryMeasures
from farandole.observe.record.reading import Reading
from farandole.stores.record import Alert, Entry, Fate, Standing

__all__ = ["MemoryRecord"]

REMEMBERED = 100_000
"""So many instances at most."""
BYTES = 64_000_000
"""So many bytes of events at most."""

Kept = tuple[int, str, str, Entry | Delivery]
"""A number, the event's id, its key, and the event."""


class _Glimpse(msgspec.Struct, gc=False):
    """What must be known of an envelope to find it again."""

    id: str
    type: str
    correlationid: str | None = None
    partitionkey: str | None = None


_glimpse = msgspec.json.Decoder(_Glimpse).decode


class MemoryRecord:
    """See `stores.record.Record`. What was recorded longest ago is forgotten first, by whole instances.

    Parameters
    ----------
    reading:
        Makes entries of what is heard.
    """

    shared = False

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._instances: OrderedDict[str, list[Kept]] = OrderedDict()
        self._instance_of: dict[str, str] = {}
        self._by_key: dict[str, dict[str, None]] = {}
        self._by_number: dict[int, Kept] = {}
        self._number = 0
        self._bytes = 0
        self._fates: dict[str, dict[tuple[str, str, str, float], Fate]] = {}
        self._standings: dict[str, Standing] = {}
        self._stood = 0
        self._alerts: dict[str, Alert] = {}
        self.measures = MemoryMeasures(self._instances.__contains__)
        self._alerts_of: dict[str, set[str]] = {}
        self._owed: dict[str, float] = {}

    @property
    def is_open(self) -> bool:
        return True

    async def open(self) -> None:
        """It always is."""

    def hear(self, delivery: Delivery) -> str:
        """Keep what a broker delivered; gives its instance.

        Raises
        ------
        EnvelopeError
            It is no event.
        """
        try:
            seen = _glimpse(delivery.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise EnvelopeError(f"no CloudEvent: {error}") from None
        instance = seen.correlationid or seen.id
        self._keep(seen.id, instance, seen.partitionkey or "", delivery)
        return instance

    async def append(self, entries: Sequence[Entry]) -> int:
        return sum([self._keep(entry.id, entry.correlation_id, entry.key, entry) for entry in entries])

    def _keep(self, id: str, instance: str, key: str, event: Entry | Delivery) -> bool:
        if id in self._instance_of:
            return False
        self._number += 1
        self._instance_of[id] = instance
        kept = self._instances.get(instance)
        if kept is None:
            kept = self._instances[instance] = []
        else:
            self._instances.move_to_end(instance)
        one = self._by_number[self._number] = (self._number, id, key, event)
        kept.append(one)
        if key:
            self._by_key.setdefault(key, {})[instance] = None
        self._bytes += len(event.body)
        while len(self._instances) > REMEMBERED or (self._bytes > BYTES and len(self._instances) > 1):
            self._forget()
        return True

    def _forget(self) -> None:
        instance, forgotten = self._instances.popitem(last=False)
        self._fates.pop(instance, None)
        self._standings.pop(instance, None)
        for key in self._alerts_of.pop(instance, ()):
            self._alerts.pop(key, None)
            self._owed.pop(key, None)
        for number, id, key, event in forgotten:
            del self._by_number[number]
            del self._instance_of[id]
            self._bytes -= len(event.body)
            instances = self._by_key.get(key, {})
            instances.pop(instance, None)
            if not instances:
                self._by_key.pop(key, None)

    def _read(self, kept: Iterable[Kept]) -> Iterator[Entry]:
        for number, _, _, event in kept:
            try:
                entry = event if isinstance(event, Entry) else self._reading.entry_of(event)
            except EnvelopeError:
                continue
            yield msgspec.structs.replace(entry, number=number)

    async def event(self, id: str) -> Entry | None:
        kept = self._instances.get(self._instance_of.get(id, ""), ())
        return next(self._read(one for one in kept if one[1] == id), None)

    async def events_of(self, correlation_id: str) -> list[Entry]:
        return list(self._read(self._instances.get(correlation_id, ())))

    async def instances_of(self, field: str, value: str, type: str | None = None, limit: int = 100) -> list[str]:
        found: dict[str, int] = {}
        for instance in self._by_key.get(value, ()):
            for entry in self._read(self._instances[instance]):
                if field and (entry.field, entry.key) == (field, value) and type in (None, entry.type):
                    found[instance] = entry.number
        return sorted(found, key=found.__getitem__, reverse=True)[:limit]

    async def latest_of(self, correlation_ids: Collection[str]) -> dict[str, int]:
        return {id: self._instances[id][-1][0] for id in correlation_ids if id in self._instances}

    async def since(self, number: int, limit: int) -> list[Entry]:
        first = max(number + 1, next(iter(self._by_number), number + 1))
        later = (self._by_number[one] for one in range(first, self._number + 1) if one in self._by_number)
        return list(islice(self._read(later), limit))

    async def tell(self, fates: Sequence[Fate]) -> int:
        new = 0
        for fate in fates:
            if fate.correlation_id not in self._instances and len(self._fates) >= REMEMBERED:
                continue  # of an instance that is forgotten
            known = self._fates.setdefault(fate.correlation_id, {})
            before = len(known)
            known.setdefault((fate.id, fate.reaction, fate.state, fate.at), fate)
            new += len(known) - before
        return new

    async def fates_of(self, correlation_id: str) -> list[Fate]:
        return sorted(self._fates.get(correlation_id, {}).values(), key=lambda fate: fate.at)

    async def stand(self, standings: Sequence[Standing], upto: int) -> None:
        for standing in standings:
            known = self._standings.get(standing.correlation_id)
            if standing.correlation_id in self._instances and (known is None or known.number <= standing.number):
                self._standings[standing.correlation_id] = standing
        self._stood = max(self._stood, upto)

    async def stood(self) -> int:
        return self._stood

    async def standings(
        self, *, workflow: str | None = None, states: Collection[str] = (), since: float | None = None, limit: int = 100
    ) -> list[Standing]:
        found = [
            one
            for one in self._standings.values()
            if workflow in (None, one.workflow)
            and (not states or one.state in states)
            and (since is None or (one.began or 0) >= since)
        ]
        return sorted(found, key=lambda one: (one.began or 0, one.number), reverse=True)[:limit]

    async def standing_of(self, correlation_ids: Collection[str]) -> dict[str, Standing]:
        return {id: self._standings[id] for id in correlation_ids if id in self._standings}

    async def counts(self) -> Mapping[tuple[str, str], int]:
        return Counter((one.workflow, one.state) for one in self._standings.values())

    async def changing(self, until: float, limit: int) -> list[str]:
        due = [(at, id) for id, one in self._standings.items() if (at := one.changes_at) is not None and at <= until]
        return [id for _, id in sorted(due)[:limit]]

    async def alert(self, alerts: Sequence[Alert]) -> list[Alert]:
        new: dict[str, Alert] = {}
        for alert in alerts:
            known = self._alerts.get(alert.key)
            if known is None or known.resolved is not None:
                new[alert.key] = self._alerts[alert.key] = msgspec.structs.replace(alert, resolved=None)
                self._owed[alert.key] = alert.at
                self._alerts_of.setdefault(alert.correlation_id, set()).add(alert.key)
        return list(new.values())

    async def resolve(self, keys: Collection[str], at: float) -> list[Alert]:
        over = [
            msgspec.structs.replace(self._alerts[key], resolved=at)
            for key in dict.fromkeys(keys)
            if key in self._alerts and self._alerts[key].resolved is None
        ]
        self._alerts |= {alert.key: alert for alert in over}
        self._owed |= {alert.key: at for alert in over}
        return over

    async def told(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            known = self._alerts.get(alert.key)
            if known is not None and (known.at, known.resolved) == (alert.at, alert.resolved):
                self._owed.pop(alert.key, None)

    async def owed(self, before: float, at: float, limit: int) -> list[Alert]:
        keys = [key for key, moment in self._owed.items() if moment <= before][:limit]
        self._owed |= dict.fromkeys(keys, at)
        return [self._alerts[key] for key in keys]

    async def alerts(self, *, resolved: bool = False, limit: int = 100) -> list[Alert]:
        found = [alert for alert in self._alerts.values() if (alert.resolved is not None) is resolved]
        return sorted(found, key=lambda alert: alert.at, reverse=True)[:limit]

    async def purge(self, older_than: float, limit: int) -> int:
        """Nothing: it is bounded already."""
        return 0

    async def thin(self, type: str, older_than: float, limit: int) -> int:
        """Nothing, for the same reason."""
        return 0

    async def close(self) -> None:
        """It goes with the process."""
