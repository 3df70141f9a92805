"""Which dead letters a command is about: the filters that all of them take, and finding what they match."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclopts import Parameter

from farandole.cli.output import envelope_of
from farandole.cli.target import Target, find
from farandole.config import parse_duration
from farandole.errors import ConfigurationError
from farandole.stores.base import DeadFilter, InboxRow
from farandole.world import World

__all__ = ["Found", "Which", "read"]

Found = list[tuple[str, InboxRow]]
"""Dead letters, each with its service."""


@Parameter(name="*")
@dataclass(kw_only=True)
class Which:
    """Which dead letters, and where they are.

    Parameters
    ----------
    service
        Only of these services; may be repeated.
    reaction
        Only of this reaction, such as payments.charge.
    type
        Only events of this type, such as OrderPlaced or shop.OrderPlaced.v1.
    key
        Only with this key.
    error
        Only with this exception, such as TimeoutError.
    place
        Only raised here: the end of it is enough, such as payments.py:42.
    id
        Only this event.
    text
        Only with this text in the reason or the event.
    since
        Only what died then or later: an ISO date or time (UTC, unless it says otherwise), or how long ago, such as 2h.
    until
        Only what died before: as --since.
    limit
        At most so many, the first to arrive.
    app
        The choreography, as module:variable; it may come from the configuration.
    database
        The URL of a service's database, with {service} for its name.
    """

    service: list[str] | None = None
    reaction: str | None = None
    type: str | None = None
    key: str | None = None
    error: str | None = None
    place: str | None = None
    id: str | None = None
    text: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None
    app: str | None = None
    database: str | None = None

    @property
    def narrows(self) -> bool:
        """Whether there is any condition; a limit is none."""
        conditions = self.service, self.reaction, self.type, self.key, self.error, self.place, self.id, self.text
        return any((*conditions, self.since, self.until))


def read(which: Which, *, exhausted: bool = False) -> tuple[Target, Found]:
    """The dead letters; `exhausted`: also what an exhausted handler has closed.

    Raises
    ------
    ConfigurationError
        A filter makes no sense.
    """
    world = World()
    since, until = (_moment(name, getattr(which, name), world.time()) for name in ("since", "until"))
    if which.limit is not None and which.limit < 1:
        raise ConfigurationError(f"--limit: expected a number of 1 or more, got: {which.limit}")
    target = find(which.app, which.service, None, which.database)
    wanted = DeadFilter(
        reaction=which.reaction, id=which.id, key=which.key, error=which.error, text=which.text, since=since, until=until,
        exhausted=exhausted,
    )  # fmt: skip
    limit = None if which.place or which.type else which.limit  # these two are looked at here

    async def look() -> Found:
        async with target.stores(world) as stores:
            return [(service, row) for service, store in stores.items() for row in await store.dead(wanted, limit)]

    found = asyncio.run(look())
    return target, [one for one in found if _fits(one[1], which)][: which.limit]


def _fits(row: InboxRow, which: Which) -> bool:
    if not (row.place or "").endswith(which.place or ""):
        return False
    if which.type is None:
        return True
    envelope = envelope_of(row.body)
    if envelope is None:
        return False
    name = envelope.type.rpartition(".v")[0].rpartition(".")[2]
    return which.type in (envelope.type, name)


def _moment(name: str, text: str | None, now: float) -> float | None:
    if text is None:
        return None
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f'--{name}: expected a date or time such as 2026-03-01T14:00, or how long ago, such as 2h; got: "{text}"'
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
