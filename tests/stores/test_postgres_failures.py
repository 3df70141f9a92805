"""What goes wrong between a service and its PostgreSQL: nothing is lost, nothing acknowledged that was not committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.servers import postgres_url
from tests.stores.postgres_wire import PostgresWire, at_port

from farandole.errors import ConfigurationError, StoreBusy, StoreError
from farandole.stores import open_store
from farandole.stores.postgres import database as module
from farandole.testing.store_scene import message, raises
from farandole.testing.virtual import VirtualWorld

R = "shop.react"
TABLES = "CREATE TABLE IF NOT EXISTS things (id text PRIMARY KEY, n integer NOT NULL DEFAULT 0)"


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Any]:
    store = open_store(url, VirtualWorld(), tables=TABLES, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def wired(schema: str) -> AsyncIterator[tuple[Any, PostgresWire]]:
    async with PostgresWire(schema) as wire, opened(wire.url) as store:
        yield store, wire


async def step(store: Any) -> None:
    async with store.begin() as transaction:
        await transaction.claim([(R, "1")])
        await transaction.resource("driver").execute("INSERT INTO things VALUES ('1')")
        await transaction.emit([message("m")])


async def test_a_commit_that_never_arrived_wrote_nothing(schema):
    async with wired(schema) as (store, wire):
        wire.cut_at, wire.when = b"; COMMIT", "before"
        with raises(StoreError, saying="unknown"):
            await step(store)
        assert await store.fates(["1"]) == []
        await step(store)
        assert (await store.status()).outbox == 1


async def test_a_commit_whose_answer_was_lost_is_found_done_when_it_is_tried_again(schema):
    async with wired(schema) as (store, wire):
        wire.cut_at, wire.when = b"; COMMIT", "after"
        with raises(StoreError, saying="unknown"):
            await step(store)
        async with store.begin() as transaction:
            assert not await transaction.claim([(R, "1")])
        assert (await store.status()).outbox == 1


async def test_a_connection_that_is_cut_in_a_reaction_is_not_the_reactions_fault(schema):
    async with wired(schema) as (store, wire):
        wire.cut_at = b"INSERT INTO things"
        with pytest.raises(Exception, match="connection") as cut:
            await step(store)
        assert isinstance(store.excuse(cut.value), StoreBusy)
        assert store.excuse(ZeroDivisionError()) is None
        await step(store)


async def test_a_database_that_was_down_is_used_again_without_a_restart(schema):
    async with wired(schema) as (store, wire):
        wire.shut()
        for _ in range(3):
            with raises(StoreBusy, saying="is away"):
                await step(store)
            with raises(StoreBusy, saying="is away"):
                await store.status()
        wire.open()
        await step(store)
        assert (await store.status()).outbox == 1


@pytest.mark.real_time  # a virtual clock stands while a real server is waited for
async def test_a_server_that_takes_connections_and_says_nothing_is_away_and_no_busy_pool_is_blamed(schema, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    async with wired(schema) as (store, wire):
        wire.freeze()
        wire.cut()
        with raises(StoreBusy, saying="is away: no answer to a new connection for 0.5 s"):
            while True:  # the first finds its connection cut
                try:
                    await step(store)
                except StoreBusy as error:
                    if not error.waited:
                        continue
                    raise
        wire.thaw()
        await step(store)


async def test_a_deadlock_is_told_as_one_and_its_loser_wrote_nothing(schema):
    async with opened(schema) as store:
        async with store.begin() as transaction:
            await transaction.resource("driver").execute("INSERT INTO things VALUES ('a'), ('b')")

        async def both(first: str, second: str) -> StoreBusy | None:
            try:
                async with store.begin() as transaction:
                    db = transaction.resource("driver")
                    await db.execute("UPDATE things SET n = n + 1 WHERE id = $1", first)
                    await store._world.sleep(1)
                    await db.execute("UPDATE things SET n = n + 1 WHERE id = $1", second)
            except Exception as error:
                return store.excuse(error)
            return None

        found = await asyncio.gather(both("a", "b"), both("b", "a"))
        (lost,) = [error for error in found if error is not None]
        assert "a deadlock" in str(lost)
        async with store.begin() as transaction:
            assert await transaction.resource("driver").fetchval("SELECT array_agg(n) FROM things") == [1, 1]


async def test_a_serialization_failure_is_told_as_one(schema):
    async with opened(f"{schema}&isolation=serializable") as store:
        async with store.begin() as transaction:
            await transaction.resource("driver").execute("INSERT INTO things VALUES ('a'), ('b')")

        async def skew(read: str, write: str) -> str:
            try:
                async with store.begin() as transaction:
                    db = transaction.resource("driver")
                    n = await db.fetchval("SELECT n FROM things WHERE id = $1", read)
                    await store._world.sleep(1)
                    await db.execute("UPDATE things SET n = $2 WHERE id = $1", write, n + 1)
            except Exception as error:
                return str(store.excuse(error) or error)
            return "done"

        found = sorted(await asyncio.gather(skew("a", "b"), skew("b", "a")))
        assert found[0] == "done"
        assert "a serialization failure" in found[1]


async def test_when_all_connections_are_taken_the_remedy_is_named(schema):
    async with opened(f"{schema}&pool=2") as store, store.begin(), store.begin():
        with raises(StoreBusy, saying="?pool=4"):
            async with store.begin():
                pass


def changed(url: str, **parts: Any) -> str:
    """The URL with another user, password, port or database."""
    return at_port(url, parts.get("port", 0)).replace("postgres@", parts.get("login", "postgres@"))


async def test_nobody_at_the_address_is_one_clear_error():
    with raises(ConfigurationError, saying="cannot connect to postgresql://127.0.0.1:1/nowhere"):
        async with opened("postgresql://me:secret@127.0.0.1:1/nowhere"):
            pass


async def test_a_database_that_is_not_there_is_named(schema):
    place, _, options = postgres_url().partition("?")
    url = f"{place.rpartition('/')[0]}/nowhere?{options}"
    with raises(ConfigurationError, saying='database "nowhere" does not exist'):
        async with opened(url):
            pass


async def test_a_login_that_is_refused_does_not_show_the_password(schema):
    async with opened(schema):
        pass
    url = schema.replace("postgres@", "nobody:hush@").replace("postgres:@", "nobody:hush@")
    with pytest.raises(ConfigurationError, match=r"refuses the login|cannot connect") as refused:
        async with opened(url):
            pass
    assert "hush" not in str(refused.value)
    assert "nobody" in str(refused.value)


async def test_a_server_that_is_too_old_is_refused(schema, monkeypatch):
    monkeypatch.setattr(module, "OLDEST", 99)
    with raises(ConfigurationError, saying="99 or newer is needed"):
        async with opened(schema):
            pass


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ("pool=1", "expected ?pool= to be a number from 2 on"),
        ("pool=many", "expected ?pool= to be a number from 2 on"),
        ("schema=a;b", "expected ?schema= to be a name"),
        ("isolation=chaos", "expected ?isolation= to be one of read committed, repeatable read, serializable"),
        ("migrate=perhaps", "expected ?migrate= to be yes or no"),
        ("command_timeout=soon", "Expected a number for one of"),
    ],
)
def test_a_wrong_option_is_named_without_the_password(options, saying):
    with pytest.raises(ConfigurationError) as wrong:
        open_store(f"postgresql://me:secret@localhost/db?{options}", VirtualWorld())
    assert saying in str(wrong.value)
    assert "secret" not in str(wrong.value)


async def test_an_option_that_is_not_ours_reaches_the_server(schema):
    async with opened(f"{schema}&statement_timeout=12345") as store, store.begin() as transaction:
        assert await transaction.resource("driver").fetchval("SHOW statement_timeout") == "12345ms"
    with raises(ConfigurationError, saying="no_such_setting"):
        async with opened(f"{schema}&no_such_setting=1"):
            pass


async def test_a_database_that_is_behind_is_refused_where_nobody_may_migrate_it(schema):
    with raises(ConfigurationError, saying="Run `farandole db upgrade` first"):
        async with opened(f"{schema}&migrate=no"):
            pass
    async with opened(schema):
        pass
    async with opened(f"{schema}&migrate=no"):
        pass


async def test_ten_services_may_open_one_new_database_at_once(schema):
    async def one() -> None:
        async with opened(schema) as store:
            await store.status()

    await asyncio.gather(*(one() for _ in range(10)))


async def test_tables_that_cannot_be_made_are_told_with_the_statement(schema):
    store = open_store(schema, VirtualWorld(), tables="CREATE TABEL oops")
    with raises(ConfigurationError, saying="CREATE TABEL oops"):
        await store.open()
    store = open_store(schema, VirtualWorld(), tables=42)
    with raises(ConfigurationError, saying="MetaData or a string"):
        await store.open()
