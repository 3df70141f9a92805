"""No route by which a reaction could end the store's transaction on PostgreSQL; each refusal names the line."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from farandole.errors import DeclarationError, StoreError, TransactionOwned
from farandole.stores import open_store
from farandole.testing.store_scene import raises
from farandole.testing.virtual import VirtualWorld

R = "shop.react"
TABLES = "CREATE TABLE things (id text PRIMARY KEY, name text NOT NULL)"

REFUSED = [
    "COMMIT",
    " commit;",
    "/* now */ Commit",
    "-- now\nCOMMIT",
    "END",
    "ROLLBACK",
    "ROLLBACK WORK",
    "ABORT",
    "BEGIN",
    "START TRANSACTION",
    "PREPARE TRANSACTION 'x'",
    "INSERT INTO things VALUES ('2', 'x'); COMMIT",
    "INSERT INTO things VALUES ('2', ';'); commit; begin",
    "RELEASE SAVEPOINT farandole",
    'ROLLBACK TO SAVEPOINT "farandole"',
    "SAVEPOINT farandole",
]
ALLOWED = [
    "SAVEPOINT mine; ROLLBACK TO mine; RELEASE mine",
    "DO $$ BEGIN PERFORM 1; END $$",
    "DO $x$ BEGIN PERFORM 'a;commit'; END; $x$",
    "INSERT INTO things VALUES ('2', '; COMMIT')",
    'SELECT 1 AS "; commit"',
]  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED)
async def test_a_statement_that_would_end_the_transaction_is_refused_with_its_line(schema, sql):
    store = open_store(schema, VirtualWorld(), tables=TABLES)
    await store.open()
    for kind in ("driver", "connection"):
        with raises(TransactionOwned, saying=f"{__file__}:"):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                handle = transaction.resource(kind)
                await (handle.execute(sql) if kind == "driver" else handle.exec_driver_sql(sql))
        assert await store.fates(["1"]) == []
    await store.close()


@pytest.mark.parametrize("sql", ALLOWED)
async def test_what_only_looks_like_it_is_let_through(schema, sql):
    store = open_store(schema, VirtualWorld(), tables=TABLES)
    await store.open()
    async with store.begin() as transaction:
        await transaction.resource("driver").execute(sql)
    await store.close()


@pytest.mark.parametrize("method", ["close", "reset"])
async def test_the_connection_cannot_be_closed(schema, method):
    store = open_store(schema, VirtualWorld())
    await store.open()
    with raises(TransactionOwned, saying=f"{method}()"):
        async with store.begin() as transaction:
            ended = getattr(transaction.resource("driver"), method)()
            await ended
    await store.close()


async def test_a_part_of_a_raw_reaction_may_fail_alone(schema):
    store = open_store(schema, VirtualWorld(), tables=TABLES)
    await store.open()
    async with store.begin() as transaction:
        db = transaction.resource("driver")
        await db.execute("INSERT INTO things VALUES ('1', 'x')")
        with pytest.raises(Exception, match="duplicate key"):
            async with db.transaction():
                await db.execute("INSERT INTO things VALUES ('2', 'x')")
                await db.execute("INSERT INTO things VALUES ('1', 'x')")
        async with db.transaction():
            await db.execute("INSERT INTO things VALUES ('3', 'x')")
        assert [row["id"] for row in await db.fetch("SELECT id FROM things ORDER BY id")] == ["1", "3"]
        with raises(TransactionOwned, saying="isolation"):
            db.transaction(isolation="serializable")
    async with store.begin() as transaction:
        assert await transaction.resource("driver").fetchval("SELECT count(*) FROM things") == 2
    await store.close()


async def test_a_transaction_that_was_ended_past_the_guard_acknowledges_nothing(schema):
    store = open_store(schema, VirtualWorld(), tables=TABLES)
    await store.open()
    with raises(StoreError, saying="ended the transaction"):
        async with store.begin() as transaction:
            await transaction.claim([(R, "1")])
            await transaction.resource("driver")._con.own_execute("ROLLBACK; BEGIN")  # whoever digs that deep
    assert await store.fates(["1"]) == []
    await store.close()


async def test_a_raw_error_that_is_swallowed_commits_nothing_and_says_so(schema):
    store = open_store(schema, VirtualWorld(), tables=TABLES)
    await store.open()
    for emitting in (False, True):
        with raises(StoreError, saying="swallowed"):
            async with store.begin() as transaction:
                await transaction.claim([(R, "1")])
                with pytest.raises(Exception, match="does not exist"):
                    await transaction.resource("driver").execute("SELECT * FROM nowhere")
                if emitting:
                    await transaction.claim([(R, "2")])
        assert await store.fates(["1"]) == []
    await store.close()


async def test_a_late_transaction_has_no_raw_connection(schema):
    store = open_store(schema, VirtualWorld())
    await store.open()
    late = store.begin_late()
    with pytest.raises(DeclarationError, match="Take AsyncConnection or AsyncSession"):
        late.resource("driver")
    await late.close()
    await store.close()


@pytest.mark.parametrize("sql", ["COMMIT", "BEGIN", "ROLLBACK"])
async def test_a_late_reader_cannot_control_transactions_either(schema, sql):
    store = open_store(schema, VirtualWorld())
    await store.open()
    late = store.begin_late()
    with raises(TransactionOwned, saying=f"{__file__}:"):
        await late.resource("connection").execute(text(sql))
    assert not late.writing
    await late.close()
    await store.close()
