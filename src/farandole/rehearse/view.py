"""What invariants and scenarios see of a rehearsal: every database, every event, and what is outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from farandole.config import nearest
from farandole.errors import ConfigurationError, EnvelopeError
from farandole.model.envelope import Envelope, decode

if TYPE_CHECKING:
    from farandole.rehearse.ground import Ground

__all__ = ["View"]

T = TypeVar("T")


class View:
    """See above. It reads what is committed, and changes nothing."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    @property
    def notes(self) -> dict[str, Any]:
        """What the scenario writes down for the invariants."""
        return self._ground.notes

    @property
    def time(self) -> float:
        """Virtual seconds since the run began."""
        return self._ground.loop.time()

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query gives in a service's database.

        Parameters
        ----------
        sql:
            With named parameters, `:name`.

        Raises
        ------
        ConfigurationError
            There is no such service, or the query would write.
        """
        disk = self._ground.disks.get(service)
        if disk is None:
            raise ConfigurationError(f"there is no service {service!r}. {nearest(service, self._ground.disks)}")
        return disk.rows(sql, values)

    def one(self, service: str, sql: str, **values: Any) -> Any:
        """The first value of the first row; 0 where it is null or there is none."""
        found = self.rows(service, sql, **values)
        return (found[0][0] if found else 0) or 0

    def outside(self, kind: type[T]) -> T:
        """What the rehearsal provides of this type: the fake itself, which never fails."""
        fakes = self._ground.outside
        if kind not in fakes:
            raise ConfigurationError(f"the rehearsal provides no {getattr(kind, '__name__', kind)}")
        found: T = fakes[kind]
        return found

    def events(self, *kinds: type[T]) -> list[T]:
        """The events of these classes that were published so far, by topic and partition in order, each once."""
        wire = self._ground.wire
        wanted = {wire.by_class[kind].type: wire.by_class[kind] for kind in kinds}
        return [wanted[envelope.type].decode(bytes(envelope.data)) for envelope in self._envelopes() if envelope.type in wanted]

    def _envelopes(self) -> Iterator[Envelope]:
        seen = set[str]()
        for topic in sorted(self._ground.cluster.log.topics):
            for partition in self._ground.cluster.log.topics[topic]:
                for entry in partition.entries:
                    if entry.id not in seen:
                        seen.add(entry.id)
                        try:
                            yield decode(entry.body)
                        except EnvelopeError:
                            continue
