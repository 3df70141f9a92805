"""The baseline of the chain: the same transactions by hand, in one plain round-robin function over raw sqlite3.

Same file layout, tables, indexes, WAL, `synchronous` and CloudEvents as Farandole's; no host, no tasks, no retries, no leases.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
from benchmarks.by_hand import Emits, encode, read
from benchmarks.clock import Pace, Stopwatch
from benchmarks.shop import CHAIN, WRITE, Step

import farandole.stores.sqlite as store
from farandole.brokers.sqlite_file import _MIGRATIONS as LOG_TABLES
from farandole.model.envelope import Message

__all__ = ["Lean"]

BATCH, WINDOW = 100, 500
TABLES = (Path(store.__file__).parent / "migrations" / "0001.sql").read_text()
WORK = "CREATE TABLE work (order_id VARCHAR NOT NULL, cents INTEGER NOT NULL, PRIMARY KEY (order_id));"

END = "SELECT coalesce(max(position), 0) FROM broker_log"
LOG = "SELECT position, body FROM broker_log WHERE position > ? AND topic = ? ORDER BY position LIMIT ?"
APPEND = "INSERT INTO broker_log (topic, partition, key, id, type, time, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
ACK = "UPDATE broker_positions SET position = ? WHERE grp = ? AND topic = ? AND partition = 0"
CLAIM = """INSERT INTO farandole_inbox (reaction, id, state, handled_at)
    SELECT ?, value, 'done', ? FROM json_each(?) WHERE true ON CONFLICT DO NOTHING RETURNING id"""
EMIT = "INSERT INTO farandole_outbox (bucket, topic, key, id, type, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
OUTBOX = "SELECT seq, topic, key, id, type, body FROM farandole_outbox ORDER BY seq LIMIT ?"
PUBLISHED = "DELETE FROM farandole_outbox WHERE seq IN (SELECT value FROM json_each(?))"


class Service:
    """A service's connection and position."""

    def __init__(self, folder: Path, step: Step) -> None:
        name, reaction, owner, takes, emits = step
        self.name, self.reaction, self.topic = name, f"{name}.{reaction}", f"bench.{owner}"
        self.decode = msgspec.json.Decoder(takes).decode
        self.emits: Any = emits
        self.out = f"bench.{name}", Emits(self.reaction, f"/bench/{name}", f"bench.{emits.__name__}.v1" if emits else "")
        self.db = connect(folder / f"{name}.db", TABLES + WORK)
        self.seen = 0


def connect(path: Path, tables: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA cache_size = -20000")
    db.executescript(tables)
    return db


class Lean:
    """The four services and the log in `folder`."""

    def __init__(self, folder: Path, *, full: bool) -> None:
        folder.mkdir()
        self.level = "FULL" if full else "NORMAL"
        self.log = connect(folder / "broker.db", LOG_TABLES[0])
        self.services = [Service(folder, step) for step in CHAIN]
        for service in self.services:
            self.log.execute("INSERT INTO broker_positions VALUES (?, ?, 0, 0, 0, 0)", (service.name, service.topic))

    def start(self, messages: Iterable[Message]) -> None:
        """Put start events on the log."""
        self.append([(m.topic, m.key, m.id, m.type, m.body) for m in messages])

    def run(self, count: int, feed: Callable[[], None] | None = None, ended: Callable[[int], None] | None = None) -> Pace:
        """Go round until so many workflows have ended; give the pace.

        `feed` is called once a round, and `ended` with how many the last service has committed.
        """
        *others, last = self.services
        left, watch = count, Stopwatch()
        while left > 0:
            if feed is not None:
                feed()
            for service in others:
                self.step(service)
            done = self.step(last)
            left -= done
            if ended is not None and done:
                ended(done)
        return watch.pace(count)

    def step(self, service: Service) -> int:
        """One batch of one service: handle, publish, acknowledge. Give how many were handled."""
        if self.log.execute(END).fetchone()[0] <= service.seen:
            return 0
        found = self.log.execute(LOG, (service.seen, service.topic, BATCH)).fetchall()
        if not found:
            return 0
        db, name, emits = service.db, service.reaction, service.emits
        topic, out_of = service.out
        envelopes = [read(body) for _, body in found]
        out, now, stamp = [], datetime.now(UTC), int(time.time() * 1000)
        db.execute(f"PRAGMA synchronous = {self.level}")
        db.execute("BEGIN IMMEDIATE")
        new = {id for (id,) in db.execute(CLAIM, (name, stamp, encode([e.id for e in envelopes]).decode()))}
        for envelope in envelopes:
            if envelope.id not in new:
                continue
            event = service.decode(envelope.data)
            key = event.order_id
            db.execute(WRITE, (key, event.cents))
            if emits is not None:
                id, body = out_of.message(envelope, key, emits(order_id=key, cents=event.cents), now)
                out.append((crc32(key.encode()) % 64, topic, key, id, out_of.type, body, stamp))
        if out:
            db.executemany(EMIT, out)
        db.execute("COMMIT")
        if out:
            self.publish(db)
        service.seen = found[-1][0]
        self.unsynced(self.log, partial(self.log.execute, ACK, (service.seen, service.name, service.topic)))
        return len(new)

    def publish(self, db: sqlite3.Connection) -> None:
        """The outbox into the log, durably; then out of the outbox, which a loss of power may undo."""
        rows = db.execute(OUTBOX, (WINDOW,)).fetchall()
        self.append([row[1:] for row in rows])
        self.unsynced(db, partial(db.execute, PUBLISHED, (encode([row[0] for row in rows]).decode(),)))

    def append(self, messages: Iterable[tuple[str, str, str, str, bytes]]) -> None:
        now = time.time()
        rows = [(topic, crc32(key.encode()) % 12, key, id, kind, now, body) for topic, key, id, kind, body in messages]
        self.log.execute(f"PRAGMA synchronous = {self.level}")
        self.log.execute("BEGIN IMMEDIATE")
        self.log.executemany(APPEND, rows)
        self.log.execute("COMMIT")

    def unsynced(self, db: sqlite3.Connection, work: Callable[[], object]) -> None:
        """A transaction that need not reach the disk before it returns."""
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        work()
        db.execute("COMMIT")

    def close(self) -> None:
        """Give the files back."""
        for db in (self.log, *(service.db for service in self.services)):
            db.close()
