"""One connection to the file of the SQLite broker: its tables, transactions that wait their turn, and errors that name the file.

A transaction never holds the write lock across an await: `write` runs a plain function between BEGIN IMMEDIATE and COMMIT.
Only waiting for another process's lock suspends, before anything is written.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from farandole.brokers.checks import DEFAULT_PARTITIONS
from farandole.errors import BrokerClosed, BrokerError, ConfigurationError, NewerDatabase
from farandole.world import World

__all__ = ["BrokerFile"]

T = TypeVar("T")

_PATIENCE = 15.0  # seconds that we wait for another process's lock
_MIGRATIONS = (  # one text per version of the schema; only ever add
    """
    CREATE TABLE broker_log (
        position INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, partition INTEGER NOT NULL,
        key TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, time REAL NOT NULL, body BLOB NOT NULL);
    CREATE TABLE broker_members (
        grp TEXT, token TEXT, process TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (grp, token)) WITHOUT ROWID;
    CREATE TABLE broker_leases (
        grp TEXT, partition INTEGER, token TEXT, PRIMARY KEY (grp, partition)) WITHOUT ROWID;
    CREATE TABLE broker_positions (
        grp TEXT, topic TEXT, partition INTEGER, position INTEGER NOT NULL,
        suspects INTEGER NOT NULL DEFAULT 0, suspects_end INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (grp, topic, partition)) WITHOUT ROWID;
    """,
)


class BrokerFile:
    """The file.

    Parameters
    ----------
    path:
        Where it is; made when missing, with its folder.
    world:
        Its sleep, chance and crash points.
    full:
        Whether a publish survives a power cut (`synchronous=FULL`), or only the death of the process.
    """

    def __init__(self, path: Path, world: World, *, full: bool) -> None:
        self.path = path
        self.partitions = DEFAULT_PARTITIONS
        self._world = world
        self._full = full
        self._syncing: bool | None = None
        self._db: sqlite3.Connection | None = None
        self._turn = asyncio.Lock()  # first come, first served, within the process

    async def open(self, partitions: int | None) -> None:
        """Connect and bring the tables up to date.

        Raises
        ------
        ConfigurationError
            The file cannot be written, is no database, or has another number of partitions.
        NewerDatabase
            It was written by a newer version.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=0, isolation_level=None, cached_statements=256)
            mode = await self._patiently(lambda: self.execute("broker.open", "PRAGMA journal_mode=WAL").fetchone()[0])
            if mode != "wal":
                raise ConfigurationError(f"the broker file {self.path} cannot use WAL ({mode}): put it on a local disk")
            await self.write("broker.open", lambda: self._migrate(partitions), durable=True)
        except BrokerError as error:
            self.close()
            if isinstance(error.__cause__, sqlite3.Error) and not _busy(error.__cause__):
                raise ConfigurationError(_unusable(self.path, error.__cause__)) from error.__cause__
            raise
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise ConfigurationError(_unusable(self.path, error)) from error
        except BaseException:
            self.close()
            raise

    def execute(self, name: str, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement, between two crash points."""
        db = self._connection()
        self._world.point(f"{name}.sql:before")
        cursor = db.execute(sql, parameters)
        self._world.point(f"{name}.sql:after")
        return cursor

    def execute_many(self, name: str, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement once per row, between two crash points."""
        db = self._connection()
        self._world.point(f"{name}.sql:before")
        db.executemany(sql, rows)
        self._world.point(f"{name}.sql:after")

    async def read(self, work: Callable[[], T]) -> T:
        """Run statements that only read. `work` must not await; the connection is free again when it returns.

        Raises
        ------
        BrokerError
            The file cannot be read.
        """
        try:
            return work()
        except sqlite3.Error as error:
            if not _busy(error):
                raise self._failed(error) from error
        return await self._patiently(work)

    async def write(self, name: str, work: Callable[[], T], *, durable: bool) -> T:
        """Run `work` in one transaction. `durable=False`: losing it in a power cut is harmless, so it waits for no disk.

        Raises
        ------
        BrokerError
            Nothing was written.
        """

        def transaction() -> T:
            self._sync(durable and self._full)
            self.execute(name, "BEGIN IMMEDIATE")
            try:
                result = work()
                self.execute(name, "COMMIT")
            except BaseException:
                if self._db is not None and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            return result

        async with self._turn:
            return await self._patiently(transaction)

    def close(self) -> None:
        """Disconnect. Twice is fine."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise BrokerClosed(f"the broker {self.path} is not open: call open() first, and nothing after close()")
        return self._db

    def _sync(self, full: bool) -> None:
        if full is not self._syncing:
            self._connection().execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
            self._syncing = full

    async def _patiently(self, work: Callable[[], T]) -> T:
        """Try until no other process holds the lock. Jitter, so that two do not meet again and again."""
        began, tries = self._world.monotonic(), 0
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                if not _busy(error) or self._world.monotonic() - began > _PATIENCE:
                    raise self._failed(error) from error
            tries += 1
            await self._world.sleep(min(0.05, 0.0005 * 2 ** min(tries, 8)) * (0.5 + self._world.random()))

    def _failed(self, error: sqlite3.Error) -> BrokerError:
        if _busy(error):
            return BrokerError(
                f"another process has held the lock of {self.path} for {_PATIENCE:.0f} s; nothing was written. Which one hangs?"
            )
        return BrokerError(f"the broker file {self.path}: {error}. Nothing was written; check the disk and the file's rights")

    def _migrate(self, partitions: int | None) -> None:
        def run(sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
            return self.execute("broker.open", sql, parameters)

        run("CREATE TABLE IF NOT EXISTS broker_schema (version INTEGER NOT NULL, partitions INTEGER NOT NULL)")
        known = run("SELECT version, partitions FROM broker_schema").fetchone()
        if known is None:
            known = 0, partitions or DEFAULT_PARTITIONS
            run("INSERT INTO broker_schema VALUES (?, ?)", known)
        version, self.partitions = known
        if version > len(_MIGRATIONS):
            raise NewerDatabase(
                f"the broker file {self.path} has schema version {version}, and this Farandole knows {len(_MIGRATIONS)}: "
                f"upgrade this process, or give it another file"
            )
        if partitions not in (None, self.partitions):
            raise ConfigurationError(
                f"the broker file {self.path} has {self.partitions} partitions, the URL says {partitions}: "
                f"the number is fixed when the file is made. Leave the option out, or take another file"
            )
        for script in _MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";")):
                run(statement)
        if version < len(_MIGRATIONS):
            run("UPDATE broker_schema SET version = ?", (len(_MIGRATIONS),))


def _busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,  # processes opening one WAL at once
    )


def _unusable(path: Path, error: Exception) -> str:
    if path.is_dir():
        return f"the broker file {path} cannot be used: it is a folder: name a file in it, such as sqlite:///{path}/broker.db"
    return f"the broker file {path} cannot be used: {error}. Check the path and its rights, or give another: sqlite:///path/to/broker.db"
