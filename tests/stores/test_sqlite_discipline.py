"""One writer, one lock, no waiting inside SQLite, and what is on disk when."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
from pathlib import Path

import pytest

from farandole.errors import StoreBusy, StoreError
from farandole.stores.base import InboxRow
from farandole.testing.store_scene import message, raises
from farandole.testing.virtual import VirtualWorld

R = "shop.react"
INSERT = "INSERT INTO things VALUES (?, 'x')"


def locked(path: Path) -> sqlite3.Connection:
    """Another connection that holds the write lock, as another process would."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_the_loop_goes_on_while_another_process_holds_the_lock(opened, path, world):
    async with opened(world=world) as store:
        other, ticks = locked(path), []

        async def tick():
            for n in range(50):
                await world.sleep(0.1)
                ticks.append(n)
            other.execute("COMMIT")

        async def write():
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
            return len(ticks)

        _, ticked = await asyncio.gather(tick(), write())
        assert ticked == 50
        other.close()


async def test_after_half_a_minute_the_store_is_busy_and_says_why(opened, path, world):
    async with opened(world=world) as store:
        other, began = locked(path), world.time()
        with pytest.raises(StoreBusy, match=r"service\.db for 30 s.*long transaction"):
            async with store.begin():
                pass
        assert 30 <= world.time() - began < 31
        other.close()
        async with store.begin() as transaction:
            assert await transaction.claim([(R, "1")])


@pytest.mark.real_time
async def test_another_process_that_writes_is_waited_for(opened, path):
    code = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')\n"
        "c.execute(\"INSERT INTO things VALUES ('theirs', 'x')\"); print('locked', flush=True); sys.stdin.readline(); c.execute('COMMIT')\n"
    )
    async with opened() as store:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert await process.stdout.readline() == b"locked\n"

        async def write():
            async with store.begin() as transaction:
                return transaction.resource("driver").execute("SELECT count(*) FROM things").fetchone()

        task = asyncio.create_task(write())
        for _ in range(10):  # its turn comes and goes: it finds the lock taken
            await asyncio.wait([task], timeout=0.001)
        assert not task.done()
        await process.communicate(b"\n")
        assert await task == (1,)


async def test_a_commit_that_fails_leaves_nothing_and_the_next_one_works(opened):
    tables = (
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
    )
    async with opened(tables=tables) as store:
        store.access.database.cursor.execute("PRAGMA foreign_keys = ON")
        with raises(StoreError, saying="refused 'commit': FOREIGN KEY"):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                transaction.resource("driver").execute("INSERT INTO child VALUES (1)")
        assert await store.fates(["1"]) == []
        async with store.begin() as transaction:
            assert await transaction.claim([(R, "1")])


async def test_a_transaction_that_sqlite_rolled_back_by_itself_is_found(opened):
    async with opened() as store:
        with raises(StoreError, saying="rolled the transaction back by itself"):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                driver = transaction.resource("driver")
                driver.execute(INSERT, ("1",))
                with pytest.raises(sqlite3.IntegrityError):
                    driver.execute("INSERT OR ROLLBACK INTO things VALUES ('1', 'x')")
                for late in (lambda: driver.execute(INSERT, ("2",)), lambda: driver.executemany(INSERT, [("3",)])):
                    with pytest.raises(StoreError, match=r"test_sqlite_discipline\.py:\d+ uses .* whose transaction is over"):
                        late()
        async with store.begin() as transaction:
            assert transaction.resource("driver").execute("SELECT * FROM things").fetchall() == []
        assert await store.fates(["1"]) == []


async def test_stores_on_one_file_share_a_writer_until_the_last_one_closes(opened, path, tmp_path):
    async with opened() as first:
        async with (
            opened() as second,
            opened(file=tmp_path / "." / "service.db") as third,
            opened(file=tmp_path / "b.db") as other,
        ):
            assert first.access.database is second.access.database is third.access.database
            assert other.access.database is not first.access.database
        async with first.begin() as transaction:
            assert await transaction.claim([(R, "1")])
        database = first.access.database
    assert database.closed
    async with opened() as again:
        assert again.access.database is not database
        assert len(await again.fates(["1"])) == 1


async def test_a_close_undoes_what_is_open(opened):
    async with opened() as store:
        with raises(StoreError, saying="not open"):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                access = store.access
                await store.close()
                with pytest.raises(StoreError, match="is closed"):
                    access.run(_any_statement())
    async with opened() as store:
        assert await store.fates(["1"]) == []


def _any_statement():
    from farandole.stores.sqlite.inbox import SQL

    return SQL.last


@pytest.mark.parametrize(
    ("options", "durable", "other"),
    [("", 2, 1), ("?synchronous=full", 2, 1), ("?synchronous=normal", 1, 1), ("?synchronous=off", 0, 0)],
)
async def test_only_what_must_last_waits_for_the_disk(opened, options, durable, other):
    def level(transaction):
        return transaction.resource("driver").execute("PRAGMA synchronous").fetchone()[0]

    async with opened(options) as store:
        for _ in range(2):
            async with store.begin() as transaction:
                assert level(transaction) == durable
            async with store.begin(durable=False) as transaction:
                assert level(transaction) == other
        row = InboxRow(reaction=R, id="1", key="k", topic="t", body=b"")
        assert await store.ingest([row], lambda reaction: 10) == (1, 1)
        assert store.access.database.level == durable, "it is acknowledged to the broker after this"
        for step in (
            lambda: store.take([R], 1, 1.0),
            lambda: store.published([1]),
            lambda: store.lease_buckets("x", 1.0),
            lambda: store.release_buckets("x"),
        ):
            async with store.begin():
                pass
            await step()
            assert store.access.database.level == other


async def test_uncommitted_rows_are_seen_by_nobody_else(opened, world):
    async with opened(world=world) as store:
        begun = asyncio.Event()

        async def write():
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                begun.set()
                await world.sleep(1)

        task = asyncio.create_task(write())
        await begun.wait()
        assert await store.fates(["1"]) == []
        await task
        assert len(await store.fates(["1"])) == 1


async def test_a_row_that_comes_back_to_life_while_the_purge_waits_is_kept(opened, world):
    async with opened(world=world) as store:
        async with store.begin() as transaction:
            await transaction.claim([(R, "1"), (R, "2")])
        await world.sleep(100)
        async with store.begin() as transaction:
            purge = asyncio.create_task(store.purge(50.0, 10))
            await world.sleep(1)
            transaction.resource("driver").execute("UPDATE farandole_inbox SET state = 'parked', key = 'k' WHERE id = '1'")
        assert await purge == 1
        assert [row.id for row in await store.fates(["1", "2"])] == ["1"]


async def test_a_statement_that_fails_says_which_and_where(opened):
    async with opened() as store:
        with raises(StoreError, saying="service.db refused 'last': no such table"):
            async with store.begin() as transaction:
                transaction.resource("driver").execute("DROP TABLE farandole_inbox")
                await transaction.claim([(R, "1")])
        with raises(StoreError, saying="refused 'emit'"):
            async with store.begin() as transaction:
                transaction.resource("driver").execute("DROP TABLE farandole_outbox")
                await transaction.emit([message("1")])
        store.access.database.cursor.execute("DROP TABLE farandole_outbox_leases")
        with pytest.raises(StoreError, match=r"refused 'expire'"):
            await store.lease_buckets("x", 1.0)
        store.access.database.cursor.execute("DROP TABLE farandole_inbox")
        with pytest.raises(StoreError, match=r"refused 'fates'"):
            await store.fates(["1"])


class Watched(VirtualWorld):
    """Remembers the points it passed, and dies at one."""

    def __init__(self, dies_at: str = "") -> None:
        super().__init__()
        self.passed: list[str] = []
        self.dies_at = dies_at

    def point(self, name: str) -> None:
        self.passed.append(name)
        if name == self.dies_at:
            raise KeyboardInterrupt(name)


async def test_every_statement_stands_between_two_points(opened):
    world = Watched()
    async with opened(world=world) as store:
        world.passed.clear()
        async with store.begin() as transaction:
            await transaction.claim([(R, "1")])
            async with transaction.savepoint():
                pass
        names = ["begin", "last", "claim", "savepoint", "release", "commit"]
        assert world.passed == [f"store.{name}:{side}" for name in names for side in ("before", "after")]


@pytest.mark.parametrize("point", ["begin:before", "begin:after", "claim:before", "claim:after", "commit:before", "commit:after"])
async def test_a_death_at_a_point_frees_the_lock(opened, point):
    world = Watched()
    async with opened(world=world) as store:
        world.dies_at = f"store.{point}"
        with pytest.raises(KeyboardInterrupt):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
        world.dies_at = ""
        assert len(await store.fates(["1"])) == (point == "commit:after")
        async with store.begin() as transaction:
            assert await transaction.claim([(R, "2")])


async def test_statements_leave_nothing_behind_in_their_connection(opened):
    """Python keeps a weak reference to each cursor in its connection, and lets go only where the connection itself makes the next ones."""

    def kept(connection: sqlite3.Connection) -> int:
        return sum(len(what) for what in gc.get_referents(connection) if isinstance(what, list))

    async with opened() as store:
        for number in range(10):
            async with store.begin() as transaction:
                db = transaction.resource("driver")
                for other in range(100):
                    db.execute(INSERT, (f"{number}-{other}",))
                    db.executemany(INSERT, [(f"{number}-{other} again",)])
                    await store.outbox(range(64), 1)
        reader = store.access.database.reader
        assert reader is not None
        assert kept(store.access.database.writer) < 500
        assert kept(reader) < 500
