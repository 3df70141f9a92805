"""Actions and their compensations: undone at most once, only if they happened, and never done after they were undone.

    (unknown) ──action──> running ──it said what its compensation undoes──> acted ──compensation──> undone
        │                    ├──it said something else──> refused <──its guard──(unknown)             │
        │                    └──retries used up──> doubt ──compensation──> undone                      │
        └──compensation──> forbidden                           └──its retries used up──> left         ▼
                              └──action: skipped, with a reason                              compensation: skipped

One row per action and workflow instance (the correlation id), or per key of it where the action's and the compensation's events have the same
key field. It is locked first by whoever comes, so an action and its compensation that race wait for each other. While an outside action
runs, its compensation waits.

Where one event asks several compensations of a service, they run one after the other, and what happened last is undone first: actions are
numbered when they happen, and a compensation is put off while a newer action waits to be undone by the same event. Whoever is put off holds
up no other event of its key, so that nobody can wait for each other in a circle.

An action whose retries are used up, or that is a dead letter, may have happened outside all the same. So it is undone like one that did: a compensation must be able to undo
what perhaps never was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from farandole.model.envelope import Message
from farandole.runtime.saga import Arrival, Ready, Saga
from farandole.sagas.guard import Refused
from farandole.stores.base import Instance, Transaction, Verdict
from farandole.words import date
from farandole.world import World

__all__ = ["Action", "Beside", "Undo", "scope_of"]

AGAIN = 1.0
"""Seconds after which a compensation looks again whether its action still runs."""
LOOK = 0.25
"""A compensation that waits for another looks again when the event is older by this share, but after `AGAIN` at the earliest and `RARELY` at
the latest. Mostly it is told before.
"""
RARELY = 60.0
ARRIVAL = 3600.0
"""Seconds within which an event reaches all compensations of a service: they may have consumer groups of their own."""
_DONE = ("acted", "doubt")


def scope_of(arrival: Arrival, *, by_key: bool) -> str:
    """Which instance of an action an event belongs to."""
    envelope = arrival.envelope
    correlation = envelope.correlationid or envelope.id
    return f"{correlation}/{envelope.partitionkey or ''}" if by_key else correlation


def name_of(reaction: str) -> str:
    """Under which name the rows of an action are kept: a join may be an action too."""
    return f"{reaction} (action)"


class Action:
    """A reaction that something compensates; see `runtime.saga.Saga`.

    Parameters
    ----------
    undoes:
        The wire types that its compensations undo.
    outside:
        Whether it reaches out of its transaction, so that a failed run may have happened all the same.
    inner:
        What it waits for, where it is a join or a deadline too.
    """

    def __init__(self, reaction: str, undoes: frozenset[str], *, by_key: bool, outside: bool, inner: Saga | None) -> None:
        self._name = name_of(reaction)
        self._undoes = undoes
        self._by_key = by_key
        self._outside = outside
        self._inner = inner

    async def collect(self, transaction: Transaction, arrival: Arrival, world: World) -> Ready | Verdict:
        """It may run, unless its compensation was first."""
        instance = await transaction.instance(self._name, scope_of(arrival, by_key=self._by_key))
        if instance.state in ("forbidden", "undone", "left"):
            word = "came first" if instance.state == "forbidden" else "has run already"
            return Verdict("skipped", reason=f"its compensation {word}, at {date(instance.since)} UTC")
        ready: Ready | Verdict = Ready(arrival.plan, arrival.event, arrival.envelope)
        if self._inner is not None:
            ready = await self._inner.collect(transaction, arrival, world)
        if instance.state in _DONE:
            return ready  # one that was done before stays so, whatever becomes of this one
        if isinstance(ready, Ready):
            instance.state, instance.runner = "running", arrival.id
            await transaction.keep(instance)
        elif isinstance(ready, Refused) and (instance.state == "open" or instance.runner == arrival.id):
            # It does not happen in this state. But a run of it that began before, and never told, may have happened outside.
            instance.state = "doubt" if instance.state == "running" and self._outside else "refused"
            await transaction.keep(instance)
        return ready

    async def conclude(self, transaction: Transaction, arrival: Arrival, emitted: Sequence[Message]) -> None:
        """What it said tells whether it happened."""
        if self._inner is not None:
            await self._inner.conclude(transaction, arrival, emitted)
        instance = await transaction.instance(self._name, scope_of(arrival, by_key=self._by_key))
        if any(message.type in self._undoes for message in emitted):
            instance.state, happened = "acted", True
        else:
            happened = False
            if instance.state == "running":
                happened = arrival.is_exhausted and self._outside  # perhaps
                instance.state = "doubt" if happened else "refused"
        await transaction.keep(instance, happened=happened)


@dataclass(frozen=True, slots=True)
class Beside:
    """Another compensation of the service that the same event asks.

    Attributes
    ----------
    undo, action:
        It, and the reaction that it undoes.
    by_key:
        Whether that one's instances are told apart by keys.
    """

    undo: str
    action: str
    by_key: bool


class Undo:
    """A compensation; see `runtime.saga.Saga`.

    Parameters
    ----------
    action:
        The reaction that it undoes.
    beside:
        By wire type, the others that such an event asks.
    """

    def __init__(self, action: str, *, by_key: bool, beside: Mapping[str, Sequence[Beside]], inner: Saga | None) -> None:
        self._name = name_of(action)
        self._action = action
        self._by_key = by_key
        self._beside = beside
        self._inner = inner

    async def collect(self, transaction: Transaction, arrival: Arrival, world: World) -> Ready | Verdict:
        """It runs if its action happened and was not undone."""
        instance = await transaction.instance(self._name, scope_of(arrival, by_key=self._by_key))
        if instance.state == "running" and await _is_over(transaction, self._action, instance.runner):
            instance.state = "doubt"
        if instance.state == "running":
            return Verdict("parked", due=world.time() + AGAIN, blocks=True, attempts=0, reason=f"{self._action} runs just now")
        if instance.state == "open":
            instance.state = "forbidden"
            await transaction.keep(instance)
            return Verdict("skipped", reason=f"{self._action} has not happened, and is forbidden from now on")
        if instance.state not in _DONE and not (instance.state == "left" and instance.runner == arrival.id):  # retried by hand
            return Verdict("skipped", reason=f"{self._action} {_SAID[instance.state]}")
        if not arrival.is_exhausted and (newer := await self._newer(transaction, arrival, instance, world)):
            age = world.time() - (arrival.envelope.time.timestamp() if arrival.envelope.time else world.time())
            due = world.time() + min(RARELY, max(AGAIN, LOOK * age))
            return Verdict("parked", due=due, attempts=0, reason=f"{newer} happened later, and is undone first")
        if self._inner is not None:
            return await self._inner.collect(transaction, arrival, world)
        return Ready(arrival.plan, arrival.event, arrival.envelope)

    async def _newer(self, transaction: Transaction, arrival: Arrival, mine: Instance, world: World) -> str | None:
        """An action that happened after this one, and that the same event is about to undo."""
        others = {
            (name_of(other.action), scope_of(arrival, by_key=other.by_key)): other
            for other in self._beside.get(arrival.envelope.type, ())
        }
        if not others:
            return None
        for instance in await transaction.standing(list(others)):
            other = others[instance.reaction, instance.key]
            runs = instance.state == "running" and not await _is_over(transaction, other.action, instance.runner)
            happened = runs or instance.state in (*_DONE, "running")
            if (
                happened
                and (runs or _rank(instance) > _rank(mine))
                and await self._is_to_come(transaction, other, arrival, world)
            ):
                return other.action
        return None

    async def _is_to_come(self, transaction: Transaction, other: Beside, arrival: Arrival, world: World) -> bool:
        """Whether the other one will see to this event. `done` without its action undone: it is about to, in this transaction."""
        state = await transaction.state_of(other.undo, arrival.id)
        if state not in (None, "done"):
            return state in ("parked", "claimed")
        return arrival.envelope.time is not None and world.time() - arrival.envelope.time.timestamp() < ARRIVAL

    async def conclude(self, transaction: Transaction, arrival: Arrival, emitted: Sequence[Message]) -> None:
        """It is undone, or left to people: its exhausted handler said so. Those that waited for it may look again."""
        if self._inner is not None:
            await self._inner.conclude(transaction, arrival, emitted)
        instance = await transaction.instance(self._name, scope_of(arrival, by_key=self._by_key))
        instance.state, instance.runner = ("left", arrival.id) if arrival.is_exhausted else ("undone", None)
        await transaction.keep(instance)
        if others := self._beside.get(arrival.envelope.type):
            await transaction.hasten([other.undo for other in others], arrival.id)


_SAID = {
    "refused": "did not happen",
    "undone": "is undone already",
    "forbidden": "is forbidden already",
    "left": "could not be undone, and is left to people",
}


def _rank(instance: Instance) -> tuple[float, str]:
    """What happened later is greater. Nobody knows when an action happened that died: it counts as the last."""
    return (instance.number if instance.number is not None and instance.state in _DONE else inf), instance.reaction


async def _is_over(transaction: Transaction, action: str, runner: str | None) -> bool:
    """Whether an action was given up on: nobody will say any more whether it happened."""
    return await transaction.state_of(action, runner or "") not in ("parked", "claimed")
