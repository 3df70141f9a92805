"""Simulated disks: they outlive processes, undo what the dead began, pass the lock on, and fail as databases do."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from farandole.errors import ConfigurationError, StoreError
from farandole.model.service import Service
from farandole.rehearse.disk import Disk
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.world import RehearsalWorld
from farandole.stores.base import Store
from farandole.testing.crash import Died
from farandole.world import World

NOTES = "CREATE TABLE notes (line TEXT)"


class Trouble:
    """What goes wrong, by hand."""

    def __init__(self, *, statement: int = 0, commit: str | None = None, slow: float = 0.0) -> None:
        self.statements = 0
        self._fails = statement
        self._commit = commit
        self._slow = slow

    def statement(self, world: World) -> bool:
        self.statements += 1
        return self.statements == self._fails

    def commit(self, world: World) -> str | None:
        commit, self._commit = self._commit, None
        return commit

    def slow(self, world: World) -> float:
        slow, self._slow = self._slow, 0.0
        return slow


def played(program: Callable[[RehearsalLoop], Awaitable[None]]) -> None:
    loop = RehearsalLoop(1)
    loop.play(program(loop))  # type: ignore[arg-type]
    assert loop.unhandled == []


def lines(disk: Disk) -> list[str]:
    return [line for (line,) in disk.rows("SELECT line FROM notes ORDER BY rowid")]


@asynccontextmanager
async def opened(disk: Disk, world: World) -> AsyncIterator[Store]:
    store = disk.store(world)
    await store.open()
    yield store
    await store.close()


async def write(store: Store, line: str) -> None:
    async with store.begin() as transaction:
        transaction.resource("driver").execute("INSERT INTO notes VALUES (?)", (line,))


def new_disk(faults: Any = None, heard: Callable[[str], None] = lambda what: None) -> Disk:
    return Disk(Service("notes", tables=NOTES), faults, heard)


def test_what_is_committed_outlives_its_process_and_what_is_not_goes_with_it() -> None:
    async def program(loop: RehearsalLoop) -> None:
        disk, first = new_disk(), RehearsalWorld(loop, "p")

        async def live() -> None:
            async with opened(disk, first) as store:
                await write(store, "kept")
                async with store.begin() as transaction:
                    transaction.resource("driver").execute("INSERT INTO notes VALUES ('lost')")
                    await first.sleep(1000.0)

        first.start(live())
        await asyncio.sleep(1.0)
        assert disk.writing
        first.kill()
        disk.crash(first)
        assert not disk.writing
        assert lines(disk) == ["kept"]
        second = RehearsalWorld(loop, "p", generation=2)

        async def again() -> None:
            async with opened(disk, second) as store:
                await write(store, "after")

        await second.start(again())
        assert lines(disk) == ["kept", "after"]

    played(program)


def test_the_dead_lose_the_lock_and_their_place_in_its_queue() -> None:
    async def program(loop: RehearsalLoop) -> None:
        disk = new_disk()
        holder, waiter, third = (RehearsalWorld(loop, name) for name in ("holder", "waiter", "third"))
        order: list[str] = []

        async def hold(world: RehearsalWorld, seconds: float) -> None:
            async with opened(disk, world) as store, store.begin():
                order.append(world.node)
                await world.sleep(seconds)

        holder.start(hold(holder, 1000.0))
        await asyncio.sleep(0.1)
        waiter.start(hold(waiter, 1000.0))
        await asyncio.sleep(0.1)
        last = third.start(hold(third, 0.1))
        await asyncio.sleep(0.1)
        assert order == ["holder"]
        for world in (waiter, holder):
            world.kill()
            disk.crash(world)
        await last
        assert order == ["holder", "third"]

    played(program)


def test_nothing_that_unwinds_in_a_dead_process_touches_the_disk() -> None:
    async def program(loop: RehearsalLoop) -> None:
        disk, world = new_disk(), RehearsalWorld(loop, "p")
        refused: list[BaseException] = []

        async def live() -> None:
            async with opened(disk, world) as store:
                try:
                    async with store.begin() as transaction:
                        db = transaction.resource("driver")
                        world.kill()
                        disk.crash(world)
                        try:
                            db.execute("INSERT INTO notes VALUES ('ghost')")
                        except BaseException as error:
                            refused.append(error)
                        raise Died
                finally:
                    try:
                        await write(store, "ghost")
                    except Died as died:
                        refused.append(died)

        world.start(live())
        await asyncio.sleep(1.0)
        assert [type(error) for error in refused] == [StoreError, Died]
        assert lines(disk) == []
        assert not disk.writing

    played(program)


@pytest.mark.parametrize("kind", ["driver", "connection", "session"])
def test_a_statement_fails_for_a_handler_as_a_database_would(kind: str) -> None:
    async def program(loop: RehearsalLoop) -> None:
        world, trouble = RehearsalWorld(loop, "p"), Trouble(statement=2)
        disk = new_disk(trouble)

        async def live() -> None:
            async with opened(disk, world) as store:
                with pytest.raises(Exception, match="disk I/O error"):
                    async with store.begin() as transaction:
                        handle = transaction.resource(kind)
                        for line in "ab":
                            await _insert(handle, line)

        await world.start(live())
        assert lines(disk) == []

    played(program)


async def _insert(handle: Any, line: str) -> None:
    if isinstance(handle, AsyncConnection):
        await handle.exec_driver_sql("INSERT INTO notes VALUES (?)", (line,))
    elif isinstance(handle, AsyncSession):
        await (await handle.connection()).exec_driver_sql("INSERT INTO notes VALUES (?)", (line,))
    else:
        handle.execute("INSERT INTO notes VALUES (?)", (line,))


def test_a_commit_that_is_refused_writes_nothing_and_one_in_doubt_writes_all() -> None:
    async def program(loop: RehearsalLoop) -> None:
        for commit, words, left in (("refused", "Nothing of this", []), ("unknown", "is unknown", ["line"])):
            world = RehearsalWorld(loop, commit)
            disk = new_disk(Trouble(commit=commit))

            async def live(disk: Disk = disk, world: World = world, words: str = words) -> None:
                async with opened(disk, world) as store:
                    with pytest.raises(StoreError, match=words):
                        await write(store, "line")

            await world.start(live())
            assert lines(disk) == left
            assert not disk.writing

    played(program)


def test_a_slow_database_makes_a_transaction_wait() -> None:
    async def program(loop: RehearsalLoop) -> None:
        world = RehearsalWorld(loop, "p")
        disk = new_disk(Trouble(slow=3.0))

        async def live() -> None:
            async with opened(disk, world) as store:
                await write(store, "line")

        await world.start(live())
        assert 3.0 <= loop.time() < 3.2
        assert lines(disk) == ["line"]

    played(program)


def test_who_listens_is_told_of_commits_and_of_what_was_undone() -> None:
    async def program(loop: RehearsalLoop) -> None:
        world, heard = RehearsalWorld(loop, "p"), list[str]()
        disk = new_disk(Trouble(), heard.append)

        async def live() -> None:
            async with opened(disk, world) as store:
                await write(store, "one")
                with pytest.raises(LookupError):
                    async with store.begin():
                        raise LookupError
                async with store.begin() as transaction:
                    with pytest.raises(LookupError):
                        async with transaction.savepoint():
                            raise LookupError

        await world.start(live())
        assert heard == ["commit", "rollback", "savepoint", "undo", "release", "commit"]

    played(program)


def test_a_look_from_outside_reads_and_never_writes() -> None:
    async def program(loop: RehearsalLoop) -> None:
        world, disk = RehearsalWorld(loop, "p"), new_disk()
        with pytest.raises(ConfigurationError, match="is not open yet"):
            disk.rows("SELECT 1")

        async def live() -> None:
            async with opened(disk, world) as store:
                await write(store, "line")

        await world.start(live())
        assert disk.rows("SELECT line FROM notes WHERE line = :line", {"line": "line"}) == [("line",)]
        for wrong in ("DELETE FROM notes", "SELECT nothing FROM nowhere"):
            with pytest.raises(ConfigurationError, match="database of notes"):
                disk.rows(wrong)
        assert lines(disk) == ["line"]
        disk.close()
        with pytest.raises((sqlite3.ProgrammingError, ConfigurationError)):
            disk.rows("SELECT 1")

    played(program)
