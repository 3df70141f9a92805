"""Mistakes in the runtime: one function of it does the wrong thing."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.rehearse.cafe import cafe
from tests.rehearse.planted.defect import Defect, Patch

from farandole.brokers.base import PublishResult
from farandole.model.choreography import Choreography
from farandole.model.event import Command, Event
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.rehearse import Rehearsal
from farandole.rehearse.broker import SimulatedConsumer
from farandole.runtime.relay import Relay
from farandole.stores.sqlite.store import SqliteStore
from farandole.stores.sqlite.transaction import SqliteTransaction

__all__ = ["RUNTIME"]


def right(wrong: bool) -> Rehearsal:
    """The café is right; the runtime under it may not be."""
    return cafe()


def trusting_relay() -> Patch:
    """What was published is deleted, whatever the broker says: marked before it is known."""
    settle = Relay._settle
    return Relay, "_settle", lambda self, rows, results: settle(self, rows, [PublishResult()] * len(rows))


def no_unique_key() -> Patch:
    """Every event is new to the inbox."""
    claim = SqliteTransaction.claim

    async def wrong(self: Any, marks: Any) -> Any:
        await claim(self, marks)
        return marks

    return SqliteTransaction, "claim", wrong


def cursor() -> Patch:
    """The relay reads on behind the last row it has seen, published or not."""
    outbox = SqliteStore.outbox

    async def wrong(self: Any, buckets: Any, limit: int) -> Any:
        last = getattr(self, "last_seen", 0)
        rows = [row for row in await outbox(self, buckets, limit) if row.seq > last]
        self.last_seen = rows[-1].seq if rows else last
        return rows

    return SqliteStore, "outbox", wrong


def ack_before_commit() -> Patch:
    """What is fetched is acknowledged at once."""
    fetch = SimulatedConsumer.fetch

    async def wrong(self: Any, limit: int, wait: float) -> Any:
        found = await fetch(self, limit, wait)
        self._settle(found)
        return found

    return SimulatedConsumer, "fetch", wrong


def mark_in_a_transaction_of_its_own() -> Patch:
    """The inbox mark is committed before the handler runs."""
    claim = SqliteTransaction.claim

    async def wrong(self: Any, marks: Any) -> Any:
        fresh = await claim(self, marks)
        database = self._store.access.database
        database.own("COMMIT /* planted */")
        database.own("BEGIN IMMEDIATE /* planted */")
        return fresh

    return SqliteTransaction, "claim", wrong


def short_window() -> Patch:
    """The inbox forgets at once what was handled."""
    purge = SqliteStore.purge
    return SqliteStore, "purge", lambda self, older_than, limit: purge(self, 0.0, limit)


def no_gate() -> Patch:
    """Nobody waits behind a parked event of the same key."""

    async def wrong(self: Any, reactions: Any) -> Any:
        return {}

    return SqliteTransaction, "blocked", wrong


def attempts_in_memory() -> Patch:
    """Whoever takes a waiting event believes that it is its first run."""
    take = SqliteStore.take

    async def wrong(self: Any, reactions: Any, limit: int, lease: float) -> Any:
        return [msgspec.structs.replace(row, attempts=1) for row in await take(self, reactions, limit, lease)]

    return SqliteStore, "take", wrong


class Poison(Command):
    id: str


class Poisoned(Event, key="id"):
    id: str


def poison(wrong: bool) -> Rehearsal:
    """One event that no handler can take: it must end as a dead letter."""
    here, there = Service("here"), Service("there")

    @here.command
    async def brew(command: Poison) -> Poisoned:
        return Poisoned(id=command.id)

    @there.on(Poisoned, policy=Policy(retry=Retry(attempts=4, delay=1.0)))
    async def drink(event: Poisoned) -> None:
        raise ValueError("bitter")

    return Rehearsal(Choreography("cup", here, there), commands=3, horizon=300.0)


RUNTIME = [
    Defect("marked as published before it is", right, trusting_relay),
    Defect("no unique key in the inbox", right, no_unique_key),
    Defect("outbox read by `seq > last`", right, cursor),
    Defect("acknowledged before the commit", right, ack_before_commit),
    Defect("inbox mark in a transaction of its own", right, mark_in_a_transaction_of_its_own),
    Defect("inbox window too short", right, short_window),
    Defect("parked event overtaken", right, no_gate),
    Defect("attempts kept in memory", poison, attempts_in_memory),
]
