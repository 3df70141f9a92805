"""The contract of a record: every event of a choreography, appended once, found by instance, by id and by business key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from farandole.stores.measures import Measures

__all__ = ["BEFORE_ALL", "Alert", "Entry", "Fate", "Record", "Standing", "readable"]

BEFORE_ALL = float("-inf")
"""Earlier than any time."""


class Entry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One event as the record keeps it.

    Attributes
    ----------
    id, type, source:
        The envelope's.
    correlation_id:
        The workflow instance; an event that names none begins one of its own name.
    causationid:
        The ids of its causes, separated by commas; "" where it has none.
    time:
        When it was emitted, in seconds since 1970; None where it does not say.
    field, key:
        The name of its key field and the key, such as `order_id` and `4711`; "" where it has none.
    topic:
        Where it was published.
    body:
        The envelope as CloudEvents JSON. Sensitive values are `"***"` in it; fields that no class here declares are left out.
    number:
        Its place in the record, from 1 on; 0 before it is appended.
    """

    id: str
    type: str
    source: str
    correlation_id: str
    causationid: str = ""
    time: float | None = None
    field: str = ""
    key: str = ""
    topic: str = ""
    body: bytes = b""
    number: int = 0

    @property
    def causes(self) -> tuple[str, ...]:
        """The ids of its causes; several for a join."""
        return tuple(self.causationid.split(",")) if self.causationid else ()


class Fate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of one event in one reaction, in one of its runs; see `runtime.signals.Run`.

    Two of the same `id`, `reaction`, `state` and `at` are one.

    Attributes
    ----------
    id, correlation_id:
        The event's id, and its workflow instance.
    reaction:
        `payments.charge`.
    state:
        `done`, `skipped`, `parked`, `dead`, `exhausted`, `duplicate` or `refused`.
    attempt:
        1 for the first run.
    at:
        When it was committed, in seconds since 1970, by the clock of its service.
    seconds, emitted:
        How long its handler took, and how many events it returned; None: not known, or none ran.
    due:
        When it is tried again, in seconds since 1970.
    reason, error, place:
        Why it failed, the class of the error, and `file:line`; "" where it did not.
    """

    id: str
    correlation_id: str
    reaction: str
    state: str
    attempt: int = 1
    at: float = 0.0
    seconds: float | None = None
    emitted: int | None = None
    due: float | None = None
    reason: str = ""
    error: str = ""
    place: str = ""


class Standing(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where a workflow instance is, in one line: a `Status` as it is kept.

    Attributes
    ----------
    correlation_id, workflow, state:
        Of the instance; the workflow is "" where none begins with its events.
    since, began, due:
        As in `observe.status.Status`, in seconds since 1970; None: not known, or never.
    changes_at:
        When to look again though nothing came, in seconds since 1970; None: not before something comes.
    field, key:
        The business key of its first event, such as `order_id` and `4711`.
    waits_for, service:
        What is expected next, in words, and from which service; "" where nothing is.
    reason:
        Why nothing comes, in words; "" where nobody knows.
    number:
        The place in the record of its latest event that was looked at.
    """

    correlation_id: str
    workflow: str
    state: str
    since: float | None = None
    began: float | None = None
    due: float | None = None
    changes_at: float | None = None
    field: str = ""
    key: str = ""
    waits_for: str = ""
    service: str = ""
    reason: str = ""
    number: int = 0


class Alert(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something that somebody should know, from when it was noticed until it is over.

    Attributes
    ----------
    key:
        What makes two of them the same, such as `stalled checkout 01a1fe08-…`.
    rule:
        `stalled`, or the name of the expectation that was not met.
    correlation_id, workflow:
        Of the instance.
    text:
        What is the matter, with the chain, in a few lines. Sensitive values are `"***"`.
    at:
        When it was noticed, in seconds since 1970.
    resolved:
        When it was over; None: it is not.
    """

    key: str
    rule: str
    correlation_id: str
    workflow: str
    text: str
    at: float
    resolved: float | None = None


def readable(kept: Fate | Standing | Alert) -> tuple[Any, ...]:
    """The fields, with `?` for what is no Unicode text, as a file's name in an error may be: no database takes it."""
    return tuple(
        value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value
        for value in msgspec.structs.astuple(kept)
    )


class Record(Protocol):
    """An event store of a choreography. All but `open` raise `StoreError` where the database is away or not open.

    Attributes
    ----------
    shared:
        Whether other processes may append to it: then a reader looks now and then, as nobody wakes it.
    """

    shared: bool

    @property
    def measures(self) -> Measures:
        """What it keeps for measures."""
        ...

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        ...

    async def open(self) -> None:
        """Connect, and bring the tables up to date. Twice is fine."""
        ...

    async def append(self, entries: Sequence[Entry]) -> int:
        """Keep these, but for those that are known by their id; gives how many were new."""
        ...

    async def event(self, id: str) -> Entry | None:
        """The event of this id."""
        ...

    async def events_of(self, correlation_id: str) -> list[Entry]:
        """The events of one workflow instance, in the order in which they were recorded; none where it is unknown."""
        ...

    async def instances_of(self, field: str, value: str, type: str | None = None, limit: int = 100) -> list[str]:
        """The correlation ids of instances with an event whose key is this, such as `order_id` = `4711`; the latest first.

        Parameters
        ----------
        field, value:
            The key field's name, and the key.
        type:
            Only by events of this wire type.
        limit:
            How many at most.
        """
        ...

    async def latest_of(self, correlation_ids: Collection[str]) -> dict[str, int]:
        """The number of the latest event of each of these instances; without those that are unknown."""
        ...

    async def since(self, number: int, limit: int) -> list[Entry]:
        """What was recorded after this place, in order; the last one's `number` is where to go on."""
        ...

    async def tell(self, fates: Sequence[Fate]) -> int:
        """Keep these, but for those that are known; gives how many were new."""
        ...

    async def fates_of(self, correlation_id: str) -> list[Fate]:
        """What became of the events of one workflow instance, by the time of it."""
        ...

    async def stand(self, standings: Sequence[Standing], upto: int) -> None:
        """Keep where these instances are now, in place of what was known of them, unless that was of later events.

        Parameters
        ----------
        upto:
            All events up to this number are looked at.
        """
        ...

    async def stood(self) -> int:
        """The number up to which events were looked at; 0 before the first."""
        ...

    async def standings(
        self, *, workflow: str | None = None, states: Collection[str] = (), since: float | None = None, limit: int = 100
    ) -> list[Standing]:
        """Where instances are, those that began last first.

        Parameters
        ----------
        workflow, states:
            Only those of it, and in one of these; all by default.
        since:
            Only those that began then or later, in seconds since 1970.
        limit:
            How many at most.
        """
        ...

    async def standing_of(self, correlation_ids: Collection[str]) -> dict[str, Standing]:
        """Where these instances were when they were last looked at; without those that are unknown."""
        ...

    async def counts(self) -> Mapping[tuple[str, str], int]:
        """How many instances there are, by workflow and state."""
        ...

    async def changing(self, until: float, limit: int) -> list[str]:
        """The correlation ids of instances whose `changes_at` is this time or before, the earliest first."""
        ...

    async def alert(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Open these; gives those that were not open already, each to one caller only, who is to tell people and then say `told`."""
        ...

    async def resolve(self, keys: Collection[str], at: float) -> list[Alert]:
        """Close these; gives those that were open, as they are now, each to one caller only, who is to tell people and then say `told`."""
        ...

    async def told(self, alerts: Sequence[Alert]) -> None:
        """People were told of these, as they are here. Of one that was resolved, or opened again, meanwhile, that is still owed."""
        ...

    async def owed(self, before: float, at: float, limit: int) -> list[Alert]:
        """Those of which people were not told, though whoever was given them has had them since before this time; each to one caller only.

        Parameters
        ----------
        before, at:
            In seconds since 1970; the caller has them since `at`.
        limit:
            How many at most.
        """
        ...

    async def alerts(self, *, resolved: bool = False, limit: int = 100) -> list[Alert]:
        """Those that are open, or those that are over; the latest first."""
        ...

    async def purge(self, older_than: float, limit: int) -> int:
        """Forget instances of which nothing was recorded for so many seconds, and alerts that are over for as long.

        It looks at `limit` events and as many fates at most, and gives at how many. Called again, it goes on behind them; fewer
        than `limit` means that it came to the end. With an instance go its events, their fates, its standing and its alerts.
        """
        ...

    async def thin(self, type: str, older_than: float, limit: int) -> int:
        """As `purge`, of the events of one wire type: they go with their fates, and the rest of their instances stays."""
        ...

    async def close(self) -> None:
        """Disconnect. Twice is fine."""
        ...
