"""Simulated disks: the database of a service, which outlives the processes that use it, and fails as databases do.

SQLite itself runs, in memory. What differs from a file is the lock: it knows which process holds it, so that a dead one loses it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from farandole.errors import ConfigurationError
from farandole.model.service import Service
from farandole.rehearse.loop import NODE, Node
from farandole.stores.base import Store
from farandole.stores.guard import OWN
from farandole.stores.sqlite.database import OFF, Database
from farandole.stores.sqlite.guard import OwnedConnection, OwnedCursor
from farandole.stores.sqlite.store import SqliteStore
from farandole.testing.crash import Died
from farandole.world import World

__all__ = ["DatabaseFaults", "Disk"]

_UNDO = "ROLLBACK /* by the disk */"

_images: WeakKeyDictionary[Service, bytes] = WeakKeyDictionary()
"""What the disk of a service looks like when its tables are made and empty."""


class DatabaseFaults(Protocol):
    """What goes wrong at databases."""

    def statement(self, world: World) -> bool:
        """Whether this statement fails."""
        ...

    def commit(self, world: World) -> str | None:
        """None; "refused": nothing is written; "unknown": it is written, and an error is answered."""
        ...

    def slow(self, world: World) -> float:
        """How many seconds this beginning waits for the write lock."""
        ...


class Disk:
    """The database of one service in one run.

    Parameters
    ----------
    service:
        Its tables are made when it is opened first.
    faults:
        What goes wrong; None: nothing.
    heard:
        Is told, in the task where it happens: "commit", "rollback", "savepoint" (of the framework's), "undo" (back to it).
    """

    def __init__(
        self, service: Service, faults: DatabaseFaults | None = None, heard: Callable[[str], None] = lambda what: None
    ) -> None:
        self.service = service
        self.faults = faults
        self.heard = heard
        self._database: _Database | None = None

    def store(self, world: World) -> Store:
        """A store of this disk for one life of a process, not yet open."""
        return _DiskStore(self, world)

    async def database(self, world: World) -> Database:
        """The database, with all tables."""
        if self._database is None:
            image = _images.get(self.service)
            if image is None:
                image = _images[self.service] = await _make_image(self.service)
            self._database = _Database(self, world)
            self._database.load(image)
        return self._database

    def crash(self, world: World) -> None:
        """A process is dead: what it began is undone, and its place in the queue for the lock is forgotten."""
        if self._database is not None:
            self._database.bury(world)

    @property
    def writing(self) -> bool:
        """Whether a transaction is open, so that `rows` would show what is not committed."""
        return self._database is not None and self._database.writer.in_transaction

    def rows(self, sql: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query gives.

        Raises
        ------
        ConfigurationError
            It is no query that SQLite takes, or it would write.
        """
        if self._database is None:
            raise ConfigurationError(f"the database of {self.service.name} is not open yet")
        cursor = self._database.writer.plain_cursor()
        cursor.execute("PRAGMA query_only = ON")
        try:
            return [tuple(row) for row in cursor.execute(sql, values).fetchall()]
        except sqlite3.Error as error:
            raise ConfigurationError(f"the database of {self.service.name}: {error}, in: {sql}") from error
        finally:
            cursor.execute("PRAGMA query_only = OFF")

    def close(self) -> None:
        """Give its memory back."""
        if self._database is not None:
            self._database.closed = True
            sqlite3.Connection.close(self._database.writer)


class _DiskStore(SqliteStore):
    def __init__(self, disk: Disk, world: World) -> None:
        super().__init__(f"disk of {disk.service.name}", path=None, world=world, level=OFF, tables=None)
        self._disk = disk

    async def open(self) -> None:
        self._database = await self._disk.database(self._world)
        await super().open()

    async def close(self) -> None:
        self._access = None  # the disk stays


async def _make_image(service: Service) -> bytes:
    """Make the tables once, in a database of their own."""
    store = SqliteStore("sqlite://", path=None, world=World(), level=OFF, tables=service.tables)
    await store.open()
    try:
        return store.access.database.writer.serialize()
    finally:
        await store.close()


class _Database(Database):
    """A database whose statements may fail, and whose lock forgets the dead."""

    def __init__(self, disk: Disk, world: World) -> None:
        self.connections, self.cursors = _Connection, _Cursor
        super().__init__(None, world)
        self.name = f"the database of {disk.service.name}"
        self.disk = disk
        self.lock: Any = _Turns()
        self.writer.disk = disk  # type: ignore[attr-defined]
        self._slow_until = 0.0

    def load(self, image: bytes) -> None:
        self.writer.deserialize(image)

    def own(self, sql: str) -> None:
        node: Any = NODE.get()
        if node is not None and node.dead:
            if sql.startswith("ROLLBACK"):
                return
            raise Died
        faults = self.disk.faults if node is not None else None
        if faults is None:
            super().own(sql)
        elif sql.startswith("BEGIN"):
            self._wait(faults, node)
            super().own(sql)
        elif sql.startswith("COMMIT"):
            self._commit(sql, faults.commit(node))
        else:
            super().own(sql)
        if not sql.startswith("BEGIN"):
            self.disk.heard("commit" if sql.startswith("COMMIT") else "rollback")

    def _wait(self, faults: DatabaseFaults, world: World) -> None:
        """Busy for as long as it is slow: the store tries again."""
        now = world.monotonic()
        if not self._slow_until and (seconds := faults.slow(world)):
            self._slow_until = now + seconds
        if now < self._slow_until:
            raise _error("database is locked", sqlite3.SQLITE_BUSY)
        self._slow_until = 0.0

    def _commit(self, sql: str, fails: str | None) -> None:
        if fails == "refused":
            raise _error("could not serialize access due to concurrent update", sqlite3.SQLITE_CONSTRAINT)
        super().own(sql)
        if fails == "unknown":
            self.disk.heard("commit")
            raise _error("the connection was lost during COMMIT", sqlite3.SQLITE_IOERR)

    def bury(self, world: World) -> None:
        """Called by the dying itself, whose own statements are refused from now on."""
        if self.lock.holder is world and self.writer.in_transaction:
            self.writer.guard.own = True
            sqlite3.Cursor(self.writer).execute(_UNDO)
            self.writer.guard.own = False
        self.lock.forget(world)


class _Turns:
    """A lock whose holder and waiters are known by their nodes, first come, first served."""

    def __init__(self) -> None:
        self.holder: Node | None = None
        self._held = False
        self._queue: deque[tuple[Node | None, asyncio.Future[None]]] = deque()

    async def acquire(self) -> bool:
        node = NODE.get()
        if node is not None and node.dead:
            raise Died
        if not self._held and not self._queue:
            self._held, self.holder = True, node
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (node, turn)
        self._queue.append(place)
        try:
            await turn
        except BaseException:
            if place in self._queue:
                self._queue.remove(place)
            elif turn.done() and not turn.cancelled():
                self.release()
            raise
        return True

    def release(self) -> None:
        """Pass it on. The dead have nothing to pass on any more."""
        node = NODE.get()
        if node is not None and node.dead:
            return
        self._pass_on()

    def forget(self, node: object) -> None:
        """A node is dead."""
        self._queue = deque(place for place in self._queue if place[0] is not node)
        if self._held and self.holder is node:
            self._pass_on()

    def _pass_on(self) -> None:
        self._held, self.holder = False, None
        while self._queue:
            node, turn = self._queue.popleft()
            if not turn.done():
                self._held, self.holder = True, node
                turn.set_result(None)
                return

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()


class _Struck:
    """Statements that may fail, the framework's and the user's."""

    @staticmethod
    def before(connection: Any, sql: str) -> None:
        disk: Disk | None = getattr(connection, "disk", None)
        node: Any = NODE.get()
        if disk is None or disk.faults is None or node is None or not connection.in_transaction:
            return
        if node.dead:
            raise Died
        if sql.startswith(_CONTROL):
            if OWN in sql:
                disk.heard("undo" if sql.startswith("ROLLBACK") else "savepoint" if sql.startswith("SAVEPOINT") else "release")
        elif disk.faults.statement(node):
            raise _error("disk I/O error", sqlite3.SQLITE_IOERR)


_CONTROL = ("SAVEPOINT", "RELEASE", "ROLLBACK", "PRAGMA")


class _Cursor(sqlite3.Cursor):
    """The framework's."""

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        _Struck.before(self.connection, sql)
        super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> _Cursor:
        _Struck.before(self.connection, sql)
        super().executemany(sql, parameters)
        return self


class _UsersCursor(OwnedCursor):
    """A handler's."""

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        _Struck.before(self.connection, sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        _Struck.before(self.connection, sql)
        return super().executemany(sql, parameters)


class _Connection(OwnedConnection):
    disk: Disk | None = None

    def cursor(self, factory: Any = _UsersCursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        return _UsersCursor(self).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        return _UsersCursor(self).executemany(sql, parameters)


def _error(words: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    error.sqlite_errorname = {sqlite3.SQLITE_BUSY: "SQLITE_BUSY", sqlite3.SQLITE_IOERR: "SQLITE_IOERR"}.get(
        code, "SQLITE_CONSTRAINT"
    )
    return error
