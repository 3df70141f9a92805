"""The contract of a store: one service's database, as the runtime sees it.

The store owns every transaction. `begin` opens one for a batch of local reactions; `begin_late` opens one for a single outside
reaction, whose database access opens only when it is used. Everything written inside one commits together or not at all.

An inbox row is identified by (reaction, event id); its states and their transitions are those of `runtime/inbox.py`.
Times are wall-clock seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from farandole.errors import StoreBusy
from farandole.model.envelope import Message

__all__ = [
    "DeadFilter",
    "Edit",
    "InboxRow",
    "Instance",
    "LateTransaction",
    "OutboxRow",
    "Store",
    "StoreStatus",
    "Task",
    "Transaction",
    "Verdict",
]


class InboxRow(msgspec.Struct, kw_only=True):
    """An inbox row that is more than a mark: parked, claimed or dead.

    Attributes
    ----------
    reaction, id:
        Which reaction, which event.
    key:
        Rows of one reaction and key are handled in the order of `seq`.
    state:
        See `runtime/inbox.py`.
    topic, body:
        Where the event came from, and its exact bytes.
    attempts:
        Runs so far.
    due:
        When it may run; None: not before the row ahead of it is settled (or never again).
    blocks:
        Whether later events of its key wait behind it.
    reason, place, error:
        Of a failure: what happened, where (`file:line`), and the exception's type.
    token:
        Fences the claim: whoever holds another token writes nothing.
    seq:
        The order of arrival; given by the store.
    handled_at:
        When its state changed last; given by the store.
    crashed:
        It was claimed and the claimer vanished (its lease ran out): run it alone.
    task:
        What a person is asked to do where it is given up on (see `Task`); None: nobody is asked. Not kept with the row.
    """

    reaction: str
    id: str
    key: str
    topic: str
    body: bytes
    state: str = "parked"
    attempts: int = 0
    due: float | None = None
    blocks: bool = True
    reason: str | None = None
    place: str | None = None
    error: str | None = None
    token: str | None = None
    seq: int = 0
    handled_at: float = 0.0
    crashed: bool = False
    task: str | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of an inbox row: its next state, and what goes with it (see `InboxRow`)."""

    state: str
    due: float | None = None
    blocks: bool = False
    attempts: int | None = None
    reason: str | None = None
    place: str | None = None
    error: str | None = None


class OutboxRow(msgspec.Struct, frozen=True, gc=False):
    """A message that waits for the relay."""

    seq: int
    bucket: int
    message: Message


class StoreStatus(msgspec.Struct, frozen=True):
    """Figures for people. Ages in seconds.

    Attributes
    ----------
    outbox, outbox_age:
        Messages not yet published, and the age of the oldest (None: there is none).
    parked, parked_keys, due_retries, claimed, dead:
        Inbox rows that wait, the keys they block, those that may run now, those being run, dead letters.
    tasks:
        Open tasks for people.
    """

    outbox: int
    outbox_age: float | None
    parked: int
    parked_keys: int
    due_retries: int
    claimed: int
    dead: int
    tasks: int


class DeadFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters: all conditions must hold; None is no condition.

    Attributes
    ----------
    reaction, id, key, error, place:
        Exactly these.
    text:
        Looked for in reason and body.
    since, until:
        When they died, in seconds since 1970: at the first moment or later, before the second.
    exhausted:
        Also those events that were closed by their exhausted handler (see `Store.retry_dead`).
    """

    reaction: str | None = None
    id: str | None = None
    key: str | None = None
    error: str | None = None
    place: str | None = None
    text: str | None = None
    since: float | None = None
    until: float | None = None
    exhausted: bool = False


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter was changed by hand.

    Attributes
    ----------
    reaction, id:
        Whose it was.
    at:
        When, in seconds since 1970.
    who, why:
        As they were given.
    body:
        The bytes that it had before.
    """

    reaction: str
    id: str
    at: float
    who: str
    why: str
    body: bytes


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked to do: an event was given up on, and money or goods are left hanging.

    One is opened in the transaction in which the row becomes dead or exhausted, at most one at a time for each row.

    Attributes
    ----------
    id:
        Its number in this database.
    opened_at:
        When, in seconds since 1970.
    reaction, event, key, correlation:
        Which reaction gave up, on which event, with which key, of which workflow instance (empty: the event does not say).
    kind:
        How it ended: `"dead"` or `"exhausted"`.
    text:
        What is to be done.
    reason:
        Why it was given up on.
    done_at, who, why:
        When it was done, by whom, and what was done; None: it is open.
    """

    id: int
    opened_at: float
    reaction: str
    event: str
    key: str
    correlation: str
    kind: str
    text: str
    reason: str
    done_at: float | None = None
    who: str | None = None
    why: str | None = None


class Instance(msgspec.Struct, kw_only=True):
    """Where one instance of a join, a deadline, an action or a process stands; see `sagas/` for its states.

    Attributes
    ----------
    reaction, key:
        Whose it is, and what tells it from others.
    state:
        `"open"` for one that is new.
    timer:
        The id of the inbox row that waits as its timer, or None.
    runner:
        The id of the event for which its handler runs, once that is decided.
    have:
        How many parts have come, by type.
    expected:
        How many parts it waits for, where the events say so.
    since:
        When its state changed last, in seconds since 1970; given by the store.
    data, revision:
        Of a process: its state with what was done so far, as it is kept, and how often a handler changed that.
    number:
        Of an action: the place of its last success in the order of all; given by the store.
    """

    reaction: str
    key: str
    state: str = "open"
    timer: str | None = None
    runner: str | None = None
    have: dict[str, int] = {}
    expected: int | None = None
    since: float = 0.0
    data: bytes | None = None
    revision: int = 0
    number: int | None = None


class Transaction(Protocol):
    """An open transaction of a batch. Whatever raises inside it undoes all of it."""

    async def claim(self, marks: Sequence[tuple[str, str]]) -> Collection[tuple[str, str]]:
        """Insert these (reaction, event id) as done; give back those that were new. Known ones drop out in every state."""
        ...

    async def blocked(self, reactions: Collection[str]) -> dict[tuple[str, str], int]:
        """The (reaction, key) pairs whose later events must wait, each with how many rows wait there."""
        ...

    async def park(self, rows: Sequence[InboxRow]) -> None:
        """Turn rows that were claimed in this transaction into waiting, dead or skipped ones, as each row's state says.

        A dead one with a `task` opens it.
        """
        ...

    async def settle(self, row: InboxRow, verdict: Verdict) -> None:
        """Settle a row taken by `Store.take`, where its token still matches; the next row of its key becomes due.

        Where the row has a `task`, it is opened if the row was given up on; if the row is done or skipped, an open one is done.
        Raises `ClaimLost` where the token no longer matches.
        """
        ...

    async def take_next(self, rows: Sequence[InboxRow], lease: float) -> list[InboxRow]:
        """Claim, as `Store.take` does, what comes after these rows of mine: the first of each key, if it is due and never ran.

        It is claimed in this transaction: undone with it, the run is not counted.
        """
        ...

    async def emit(self, messages: Sequence[Message]) -> None:
        """Put messages into the outbox."""
        ...

    async def keep_receipt(self, reaction: str, id: str, receipt: bytes) -> None:
        """Keep what a command answered, with its inbox row."""
        ...

    async def instance(self, reaction: str, key: str) -> Instance:
        """This instance, locked until the transaction ends; one that is not there is made."""
        ...

    async def keep(self, instance: Instance, *, happened: bool = False) -> None:
        """Write what changed in an instance; once its state is not open and its handler is not to run, its parts are deleted.

        `happened`: it gets the next number, after all others.
        """
        ...

    async def standing(self, instances: Collection[tuple[str, str]]) -> list[Instance]:
        """Those of these (reaction, key) that are there, as they were committed or written here last; nothing is locked."""
        ...

    async def hasten(self, reactions: Collection[str], id: str) -> None:
        """Rows of this event that were put off without blocking their key, and have not run, are due now."""
        ...

    async def add_part(self, instance: Instance, id: str, body: bytes) -> bool:
        """Keep an event as a part of an instance; False: it is one already."""
        ...

    async def parts(self, instance: Instance) -> list[bytes]:
        """The parts, in the order of arrival."""
        ...

    async def state_of(self, reaction: str, id: str) -> str | None:
        """The state of an inbox row; None: there is none."""
        ...

    async def drop(self, reaction: str, id: str, reason: str) -> None:
        """A waiting row of this transaction's service becomes a skipped one; nothing happens where it does not wait (any more)."""
        ...

    async def wake(self, reaction: str, id: str) -> None:
        """A waiting row may run now; nothing happens where it does not wait (any more), or waits behind another of its key."""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[Transaction]:
        """A part that is undone alone when something raises inside it; its user handles are its own."""
        ...

    def resource(self, kind: str) -> Any:
        """The user's handle: `session`, `connection`, `sync_session`, `sync_connection` or `driver`."""
        ...

    async def flush(self) -> None:
        """Write what the user's session holds; raise if the user broke the transaction."""
        ...


class LateTransaction(Protocol):
    """The transaction of one outside reaction: it opens at the first write, or at `finish`."""

    def resource(self, kind: str) -> Any:
        """As `Transaction.resource`, opening lazily: reads before the first write hold no lock."""
        ...

    def finish(self) -> AbstractAsyncContextManager[Transaction]:
        """The end: opens the transaction if need be, flushes what the user left; commits on leaving."""
        ...

    @property
    def writing(self) -> bool:
        """Whether the write lock is held now."""
        ...

    async def close(self) -> None:
        """Undo what was not finished, and give the connections back."""
        ...


class Store(Protocol):
    """One service's database."""

    url: str
    inline: bool
    """True: its statements never suspend, so that whoever suspends inside a transaction waits for something else."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    def excuse(self, error: BaseException) -> StoreBusy | None:
        """What to raise where an exception out of a handler is the database's doing: it is away, or two transactions collided."""
        ...

    def begin(self, *, durable: bool = True) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction, commit on leaving, roll back when something raises. `durable=False`: losing it is harmless."""
        ...

    def begin_late(self) -> LateTransaction:
        """A transaction for one outside reaction."""
        ...

    async def ingest(self, rows: Sequence[InboxRow], bound: Callable[[str], int]) -> tuple[int, int]:
        """Insert waiting rows: due at once, or behind the rows of their key. Known events drop out.

        Gives how many of the sequence were taken, and how many of those were new. It stops before the first whose key holds
        `bound(reaction)` rows already.
        """
        ...

    async def take(self, reactions: Collection[str], limit: int, lease: float) -> list[InboxRow]:
        """Claim up to `limit` due rows, at most one per key: state `claimed`, attempts + 1, a new token, for `lease` seconds.

        A row whose claimer vanished comes alone, with `crashed=True`: its lease ran out, or the store can tell that its process died.
        """
        ...

    async def extend(self, rows: Sequence[InboxRow], lease: float) -> None:
        """The claimer lives: the leases of these rows begin anew."""
        ...

    async def give_back(self, rows: Sequence[InboxRow]) -> None:
        """Claimed but not run (shutdown): due again, the attempt not counted."""
        ...

    async def next_due(self, reactions: Collection[str]) -> float | None:
        """Seconds until something is due; 0 or less: now; None: nothing waits."""
        ...

    async def waiting(self, reactions: Collection[str], most: int) -> int:
        """How many rows are due now or claimed; counted no further than `most`."""
        ...

    async def receipt(self, reaction: str, id: str) -> bytes | None:
        """What a command answered, or None."""
        ...

    async def lease_buckets(self, token: str, lease: float) -> list[int]:
        """The outbox buckets that this relay holds now: its own, renewed, and free ones, up to a fair share."""
        ...

    async def release_buckets(self, token: str) -> None: ...

    async def outbox(self, buckets: Collection[int], limit: int) -> list[OutboxRow]:
        """The oldest rows of these buckets, in order."""
        ...

    async def published(self, seqs: Sequence[int]) -> None:
        """Delete rows that the broker has. Losing this is harmless: they are published again, under the same ids."""
        ...

    async def unpublishable(self, row: OutboxRow, reason: str) -> None:
        """Move a row that no broker will take to the dead letters, as reaction `(relay)`."""
        ...

    async def purge(self, older_than: float, limit: int) -> int:
        """Delete up to `limit` settled rows older than so many seconds; give how many. Never parked or dead ones.

        What was kept of edits goes once they are as old, and their rows are gone; a task so long after it was done.
        """
        ...

    async def status(self) -> StoreStatus: ...

    async def fates(self, ids: Collection[str]) -> list[InboxRow]:
        """The inbox rows of these events, in every state, in the order of arrival: for people who look."""
        ...

    async def dead(self, which: DeadFilter, limit: int | None = None) -> list[InboxRow]: ...

    async def edit_dead(self, row: InboxRow, body: bytes, *, who: str, why: str) -> bool:
        """Give a dead row another body; the one that it had is kept with who and why, see `edits`.

        False: nothing was changed, since it is dead no more, or its body is another than `row.body` by now.
        """
        ...

    async def edits(self, id: str | None = None) -> list[Edit]:
        """What was changed by hand, of one event or of all, in the order of the changes."""
        ...

    async def retry_dead(self, rows: Sequence[InboxRow], *, force: bool = False) -> int:
        """Make dead rows due again, attempts from zero; exhausted ones only with `force`. `(relay)` rows return to the outbox."""
        ...

    async def discard_dead(self, rows: Sequence[InboxRow], reason: str, *, who: str = "(discarded)") -> int:
        """Settle dead rows as skipped, with a reason. What people were asked to do about them is done so, by `who`."""
        ...

    async def tasks(self, *, done: bool = False, id: int | None = None) -> list[Task]:
        """The tasks that are open, and with `done` the others too, in the order in which they were opened; or this one."""
        ...

    async def finish_task(self, id: int, *, who: str, why: str) -> bool:
        """A person did it. False: it is not there, or was done before."""
        ...
